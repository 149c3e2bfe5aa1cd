# SPDX-License-Identifier: Apache-2.0
"""PCI devices of the host in a real libvirt: it accepts what is written, and prints that again."""

from dataclasses import replace

import pytest
from lxml import etree

from numaplace.libvirt import domain_reading
from numaplace.libvirt.inventory import parse
from numaplace.libvirt.profile import PROFILES
from numaplace.model import GrantedDevice, PciDevice
from numaplace.request import own_devices
from numaplace.tests.functional import defining
from numaplace.tests.unit.libvirt.samples import SAMPLES, UUID

GRANTED = (
    GrantedDevice(PciDevice('0000:81:00.0', '10de', '20b0', numa_node=1), 'gpu'),
    GrantedDevice(PciDevice('0000:82:00.0', '10de', '20b0', tags={'managed': 'false'}), 'gpu'),
    GrantedDevice(PciDevice('10000:e1:00.0', '8086', '0a54', numa_node=0), 'disk'),
    GrantedDevice(
        PciDevice('0000:0a:02.1', '8086', '154c', 'type-VF', 0, '0000:0a:00.0', {'physical_network': 'lake'}),
        'network:lake',
    ),
    GrantedDevice(PciDevice('0000:0a:00.0', '8086', '1572', 'type-PF', 0), 'network:lake'),
)
# What a guest is attached to by name has no PCI address in the XML.
ATTACHED_TO = (
    GrantedDevice(
        PciDevice('0000:0b:02.1', '8086', '154c', 'type-VF', 0, tags={'interface': 'ens3v1'}), 'network:lake'
    ),
    GrantedDevice(
        PciDevice('0000:0b:02.2', '15b3', '101e', 'vdpa', 1, tags={'vdpa_device': '/dev/vhost-vdpa-0'}), 'network:lake'
    ),
)
LAKE = [
    f'physnet=lake,{nic}'
    for nic in ('vnic=direct,vlan=42', 'vnic=direct-physical', 'vnic=macvtap,vlan=7', 'vnic=vdpa,mac=52:54:00:12:34:56')
]
SAMPLE = replace(SAMPLES['two cells'], placement=replace(SAMPLES['two cells'].placement, devices=GRANTED + ATTACHED_TO))
ATTACHED = own_devices(['network=default,node=0', *LAKE], ['path=/srv/a.img,node=1'])
NETWORKS = own_devices(LAKE, [])
WRITTEN = {
    'usual': SAMPLE.xml(attached=NETWORKS),
    'with other devices': SAMPLE.xml(attached=ATTACHED),
    'without expander buses': SAMPLE.xml(machine='pc', attached=NETWORKS),
    'as Nova writes them': SAMPLE.xml(profile=PROFILES['nova-33'], attached=NETWORKS),
}


@pytest.mark.parametrize('name', WRITTEN)
def test_libvirt_accepts_the_devices_and_prints_them_again(name, talk_host, tmp_path):
    documents = [(name, UUID, WRITTEN[name])]
    assert [] == defining.differences(talk_host.virsh, documents, tmp_path)
    (printed,) = defining.printed(talk_host.virsh, documents, tmp_path)
    read = domain_reading.read(parse(printed.encode(), name), SAMPLE.host)
    assert tuple(sorted(granted.device.address for granted in GRANTED)) == read.holding.devices
    written, found = (etree.fromstring(text) for text in (WRITTEN[name], printed))
    for path in ('devices/hostdev', *(f"devices/interface[@type='{kind}']" for kind in ('hostdev', 'direct', 'vdpa'))):
        told = [[_plain(one) for one in root.iterfind(path)] for root in (written, found)]
        assert 0 < len(told[0]) == len(told[1])
        for ours, theirs in zip(*told, strict=True):
            assert ours <= theirs


def _plain(device):
    """Return what an element and those below it say."""
    return {(one.tag, *sorted(one.items())) for one in device.iter()}
