# SPDX-License-Identifier: Apache-2.0
"""NICs and disks of a flavor and of options: what is read, and the message of each fault."""

import re

import pytest

from numaplace import exception
from numaplace.model import Devices, Disk, Flavor, Nic
from numaplace.request import devices, own_devices


def _flavor(**texts):
    return Flavor(
        'f', 1, 64, extra_specs={f'numaplace:{key.replace("_", ".", 1)}': text for key, text in texts.items()}
    )


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('network=default', Nic(network='default')),
        ('network=my net,model=e1000e,node=12', Nic(network='my net', model='e1000e', node=12)),
        ('node=0,bridge=br-ex.100:1', Nic(bridge='br-ex.100:1', node=0)),
        ('physnet=lake,vnic=direct', Nic(physnet='lake', vnic='direct')),
        ('vnic=macvtap,physnet=lake,vlan=4094', Nic(physnet='lake', vnic='macvtap', vlan=4094)),
        (
            'physnet=a b,vnic=vdpa,policy=socket,mac=52:54:00:00:0A:01',
            Nic(physnet='a b', vnic='vdpa', policy='socket', mac='52:54:00:00:0a:01'),
        ),
    ],
)
def test_a_nic_is_read(text, expected):
    assert Devices(nics=(expected,)) == devices(_flavor(nic_0=text)) == own_devices([text], [])


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('path=/srv/a.img', Disk('/srv/a.img')),
        ('path=/srv/a=b c.qcow2,format=qcow2,node=3', Disk('/srv/a=b c.qcow2', 'qcow2', 3)),
        ('path=/dev/disk/by-id/wwn-0x5', Disk('/dev/disk/by-id/wwn-0x5')),
    ],
)
def test_a_disk_is_read(text, expected):
    assert Devices(disks=(expected,)) == devices(_flavor(disk_0=text)) == own_devices([], [text])


def test_what_is_written_is_read_as_the_same():
    physical = 'physnet=lake,vnic=direct,policy=required,mac=52:54:00:00:00:01,vlan=7'
    found = own_devices(
        ['network=a,node=1', 'bridge=b,model=e1000e', physical], ['path=/a', 'path=/b,node=7,format=qcow2']
    )
    assert found == own_devices(map(str, found.nics), map(str, found.disks))


def test_the_devices_of_a_flavor_are_in_the_order_of_their_numbers():
    texts = {f'nic_{number}': f'network=n{number}' for number in (10, 2, 0, 1, 9, 8, 7, 6, 5, 4, 3)}
    assert [f'n{number}' for number in range(11)] == [nic.network for nic in devices(_flavor(**texts)).nics]


def test_keys_of_others_are_none_of_ours():
    flavor = Flavor('f', 1, 64, extra_specs={'numaplace:nics': 'x', 'hw:nic.0': 'y', 'numaplace:vnuma': 'host'})
    assert Devices() == devices(flavor)


_NIC = 'expected network=NAME or bridge=NAME, and where needed model=virtio or e1000e and node=CELL, as in'
_DISK = 'expected path=/FILE, and where needed format=raw or qcow2 and node=CELL, as in'


@pytest.mark.parametrize(
    ('key', 'text', 'message'),
    [
        ('nic', '', _NIC),
        ('nic', 'default', _NIC),
        ('nic', 'network=', _NIC),
        ('nic', 'network=a,network=b', _NIC),
        ('nic', 'network=a,bridge=b', _NIC),
        ('nic', 'network=a,', _NIC),
        ('nic', 'network=a,mac=52:54:00:00:00:01', _NIC),
        ('nic', 'network= a', _NIC),
        ('nic', 'network=a\x1b', _NIC),
        ('nic', 'model=virtio', _NIC),
        ('nic', 'physnet=lake', _NIC),
        ('nic', 'physnet=lake,vnic=direct,network=a', _NIC),
        ('nic', 'physnet=lake,vnic=direct,model=virtio', _NIC),
        ('nic', 'physnet=lake,vnic=direct,node=1', _NIC),
        ('nic', 'network=a,vnic=direct', _NIC),
        ('nic', 'physnet=a/b,vnic=direct', "physnet 'a/b': expected the name of a physical network"),
        ('nic', 'physnet=a,vnic=normal', "vnic 'normal': expected direct or direct-physical or macvtap or vdpa"),
        ('nic', 'physnet=a,vnic=direct,policy=strict', "policy 'strict': expected required or legacy or preferred or"),
        ('nic', 'physnet=a,vnic=direct,mac=53:54:00:00:00:01', "mac '53:54:00:00:00:01': expected the address of one"),
        ('nic', 'physnet=a,vnic=direct-physical,mac=52:54:00:00:00:01', 'and no vnic=direct-physical, which keeps'),
        ('nic', 'physnet=a,vnic=direct,vlan=4095', "vlan '4095': expected a number from 1 to 4094, for vnic=direct or"),
        ('nic', 'physnet=a,vnic=vdpa,vlan=1', "vlan '1': expected a number from 1 to 4094, for vnic=direct or"),
        ('nic', 'network=a/b', "network 'a/b': expected the name of a network of libvirt"),
        ('nic', 'bridge=br 0', "bridge 'br 0': expected a name of up to 15 letters, digits and _.:-"),
        ('nic', 'bridge=abcdefghijklmnop', 'expected a name of up to 15 letters, digits and _.:-'),
        ('nic', 'network=a,model=rtl8139', "model 'rtl8139': expected virtio or e1000e"),
        ('nic', 'network=a,node=-1', "node '-1': expected the number of a guest cell"),
        ('nic', 'network=a,node=99999', "node '99999': expected the number of a guest cell"),
        ('nic', 'network=a,node=\u0661', "node '\u0661': expected the number of a guest cell"),
        ('disk', 'format=raw', _DISK),
        ('disk', '/srv/a.img', _DISK),
        ('disk', 'path=a.img', "path 'a.img': expected the absolute path of a file or block device"),
        ('disk', 'path=/', "path '/': expected the absolute path"),
        ('disk', 'path=/srv/', "path '/srv/': expected the absolute path"),
        ('disk', 'path=/srv/../etc/shadow', "expected the absolute path of a file or block device, without '..'"),
        ('disk', 'path=/a,format=vmdk', "format 'vmdk': expected raw or qcow2"),
    ],
)
def test_an_invalid_device_is_named_with_its_place_and_the_accepted_forms(key, text, message):
    with pytest.raises(exception.InvalidRequest, match=re.escape(message)) as caught:
        devices(_flavor(**{f'{key}_0': text}))
    assert str(caught.value).startswith(f"flavor 'f': numaplace:{key}.0={text!r}: ")
    assert message in str(caught.value)
    nics, disks = ([text], []) if key == 'nic' else ([], [text])
    with pytest.raises(exception.InvalidRequest, match=re.escape(message)) as caught:
        own_devices(nics, disks)
    assert str(caught.value).startswith(f'--{key} {text!r}: ')
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        (('nic',), "numaplace:nic='network=a': expected a number in the key, as in numaplace:nic.0"),
        (('nic.',), 'expected a number in the key'),
        (('nic.01',), 'expected a number in the key'),
        (('nic.x',), 'expected a number in the key'),
        (('nic.1',), 'expected numaplace:nic.0 with it: the numbers count from 0'),
        (('nic.0', 'nic.2'), "numaplace:nic.2='network=a': expected numaplace:nic.1 with it"),
    ],
)
def test_the_keys_of_a_flavor_count_from_0(keys, message):
    flavor = Flavor('f', 1, 64, extra_specs={f'numaplace:{key}': 'network=a' for key in keys})
    with pytest.raises(exception.InvalidRequest, match=re.escape(message)):
        devices(flavor)
