# SPDX-License-Identifier: Apache-2.0
"""NICs on PCI devices from the command line: claimed by their physical network, in the XML, and through moves."""

import json

import pytest
from lxml import etree

from numaplace.tests import pci_tree, recordings

PF, VFS, NODE = '0000:0a:00.0', ['0000:0a:02.0', '0000:0a:02.1'], 1


@pytest.fixture
def lake(numaplace):
    """The program with two hosts that have a card in the physical network lake."""
    spec = {'address': PF, 'physical_network': 'lake'}
    near = '[neutron]\nphysnets = lake\n[neutron_physnet_lake]\nnuma_nodes = 1'
    numaplace.configure(more=f'[pci]\ndevice_spec = {json.dumps(spec)}\n{near}')
    recordings.lay_out('seed3', numaplace.directory / 'tree/sys')
    pci_tree.lay_out(numaplace.directory / 'tree/sys')
    for name in ('one', 'two'):
        numaplace(f'host discover --root tree --architecture x86_64 {name}')
    numaplace('flavor create --ram 512 --disk 1 --vcpus 1 --property hw:numa_nodes=1 m1.numa')
    return numaplace


def _create(program, name, nic='physnet=lake,vnic=direct,policy=required', *more):
    program('server', 'create', '--flavor', 'm1.numa', '--nic', nic, *more, name)


def _held(program, name):
    return [(one['address'], one['alias']) for one in program.json(f'server show {name}')['devices']['pci']]


def test_a_vf_is_claimed_near_its_guest_and_is_a_nic(lake):
    _create(lake, 'first', 'physnet=lake,vnic=direct,policy=required,mac=52:54:00:12:34:56,vlan=42', '--host', 'one')
    shown = lake.json('server show first')
    (nic,), (given,) = shown['devices']['nics'], shown['devices']['pci']
    assert ('lake', 'direct', 'required', 42, '52:54:00:12:34:56') == tuple(
        nic[key] for key in ('physnet', 'vnic', 'policy', 'vlan', 'mac_address')
    )
    assert (NODE, 'network:lake') == (given['numa_node'], given['alias'])
    assert [NODE] == [cell['host_cell'] for cell in shown['cells']]
    assert 'NIC 0: physnet=lake,vnic=direct,policy=required,mac=52:54:00:12:34:56,vlan=42' in lake('server show first')
    (found,) = etree.fromstring(lake('server dumpxml first')).iterfind('devices/interface')
    assert ('hostdev', '52:54:00:12:34:56', '42') == (
        found.get('type'),
        found.find('mac').get('address'),
        found.find('vlan/tag').get('id'),
    )
    assert given['address'] == '0000:0a:{}.{}'.format(
        *(found.find('source/address').get(part)[2:] for part in ('slot', 'function'))
    )
    assert {PF: 'unavailable', given['address']: 'allocated'}.items() <= {
        one['address']: one['status'] for one in lake.json('host show one')['pci_devices']
    }.items()


def test_the_host_has_as_many_as_there_are(lake):
    for name in ('first', 'second'):
        _create(lake, name, 'physnet=lake,vnic=direct', '--host', 'one')
    refused = lake.run(
        'server', 'create', '--flavor', 'm1.numa', '--nic', 'physnet=lake,vnic=direct', '--host', 'one', 'x'
    )
    assert 3 == refused.returncode
    assert 'the guest needs 1 PCI device for network:lake (policy legacy), of which none are free' in refused.stderr
    refused = lake.run('server', 'create', '--flavor', 'm1.numa', '--nic', 'physnet=sea,vnic=direct', 'x')
    assert (3, True) == (refused.returncode, 'for network:sea (policy legacy), of which none' in refused.stderr)
    assert [] == lake.json('fleet audit')


def test_a_pf_goes_whole(lake):
    _create(lake, 'first', 'physnet=lake,vnic=direct-physical', '--host', 'one')
    assert [(PF, 'network:lake')] == _held(lake, 'first')
    root = etree.fromstring(lake('server dumpxml first'))
    assert (1, 0) == (len(root.findall('devices/hostdev')), len(root.findall('devices/interface')))
    assert ['allocated', 'unclaimable', 'unclaimable'] == [
        one['status'] for one in lake.json('host show one')['pci_devices']
    ]


def test_a_macvtap_is_on_the_interface_of_its_vf(lake):
    _create(lake, 'first', 'physnet=lake,vnic=macvtap', '--host', 'one')
    (found,) = etree.fromstring(lake('server dumpxml first')).iterfind('devices/interface')
    assert ('direct', {'dev': 'enp10s0f0v0', 'mode': 'passthrough'}) == (
        found.get('type'),
        dict(found.find('source').attrib),
    )
    failed = lake.run(
        'server', 'create', '--flavor', 'm1.numa', '--nic', 'physnet=lake,vnic=macvtap', '--host', 'one', 'x'
    )
    assert 1 == failed.returncode
    assert f'PCI device {VFS[1]} has no known interface: expected a device whose driver' in failed.stderr
    assert ['first'] == [server['Name'] for server in lake.json('server list')]


def test_the_policy_of_the_flavor_holds_where_the_nic_has_none(lake):
    lake('flavor create --ram 512 --disk 1 --vcpus 1 m1.policy')
    lake('flavor set --property hw:numa_nodes=1 --property hw:pci_numa_affinity_policy=socket m1.policy')
    lake('flavor set --property numaplace:nic.0=physnet=sea,vnic=direct m1.policy')
    refused = lake.run('server', 'create', '--flavor', 'm1.policy', 'x')
    assert 'network:sea (policy socket)' in refused.stderr
    more = lake.run(
        'server', 'create', '--flavor', 'm1.policy', '--nic', 'physnet=sea,vnic=direct,policy=preferred', 'x'
    )
    assert 'network:sea (policy preferred)' in more.stderr


def _migrate(lake):
    lake('server migrate first')
    lake('server resize confirm first')


def _resize(lake):
    lake('flavor create --ram 256 --disk 1 --vcpus 1 --property hw:numa_nodes=1 m1.more')
    lake('server resize --flavor m1.more first')
    lake('server resize confirm first')


def _live(lake):
    before = _held(lake, 'first')[0][0]
    shown = lake.json('server migrate --live-migration --host two first')
    (exchanged,) = shown['pci_devices']
    assert (before, _held(lake, 'first')[0][0], True) == (
        exchanged['source'],
        exchanged['destination'],
        exchanged['is_attached_again'],
    )


def _evacuate(lake):
    lake('host set --down one')
    lake('server evacuate first')


def _shelve(lake):
    lake('server shelve first')
    assert [] == _held(lake, 'first')
    lake('server unshelve --host two first')


@pytest.mark.parametrize('move', [_migrate, _resize, _live, _evacuate, _shelve])
def test_a_server_has_a_device_wherever_it_goes(move, lake):
    _create(lake, 'first', 'physnet=lake,vnic=direct,policy=required', '--host', 'one')
    move(lake)
    assert ['network:lake'] == [name for _, name in _held(lake, 'first')]
    statuses = {
        host: sorted(one['status'] for one in lake.json(f'host show {host}')['pci_devices']) for host in ('one', 'two')
    }
    assert {'one': ['available'] * 3, 'two': ['allocated', 'available', 'unavailable']} == statuses
    assert 1 == len(etree.fromstring(lake('server dumpxml first')).findall("devices/interface[@type='hostdev']"))
    assert [] == lake.json('fleet audit')


def test_a_refresh_keeps_the_interface_of_a_vf_that_a_guest_has(lake):
    _create(lake, 'first', 'physnet=lake,vnic=direct', '--host', 'one')
    taken = lake.directory / 'tree/sys/bus/pci/devices' / VFS[0] / 'net/enp10s0f0v0'
    taken.rename(lake.directory / 'gone')
    done = lake.run('host', 'discover', '--refresh', '--root', 'tree', 'one')
    assert (0, False) == (done.returncode, 'PCI devices' in done.stderr)
    found = {one['address']: one['tags'] for one in lake.json('host show one')['pci_devices']}
    assert 'enp10s0f0v0' == found[VFS[0]]['interface']


def test_an_anonymised_export_keeps_what_is_in_one_network(lake):
    lake('flavor set --property numaplace:nic.0=physnet=lake,vnic=direct m1.numa')
    _create(lake, 'first', 'physnet=lake,vnic=direct,mac=52:54:00:12:34:56', '--host', 'one')
    lake('fleet export --anonymise fleet.json')
    written = (lake.directory / 'fleet.json').read_text()
    assert not any(name in written for name in ('lake"', '52:54:00:12:34:56', 'enp10s0f0v0'))
    assert written.count('network:physnet-1') == 2
    assert 'physnet=physnet-1,vnic=direct' in written
    assert [] == lake.json('fleet audit --from fleet.json')
    taken = {one['host']: one['takes'] for one in lake.json('fleet explain --from fleet.json --server server-1')}
    assert {True} == set(taken.values())
