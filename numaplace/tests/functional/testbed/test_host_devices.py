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
)
SAMPLE = replace(SAMPLES['two cells'], placement=replace(SAMPLES['two cells'].placement, devices=GRANTED))
ATTACHED = own_devices(['network=default,node=0'], ['path=/srv/a.img,node=1'])
WRITTEN = {
    'usual': SAMPLE.xml(),
    'with other devices': SAMPLE.xml(attached=ATTACHED),
    'without expander buses': SAMPLE.xml(machine='pc'),
    'as Nova writes them': SAMPLE.xml(profile=PROFILES['nova-33']),
}


@pytest.mark.parametrize('name', WRITTEN)
def test_libvirt_accepts_the_devices_and_prints_them_again(name, talk_host, tmp_path):
    documents = [(name, UUID, WRITTEN[name])]
    assert [] == defining.differences(talk_host.virsh, documents, tmp_path)
    (printed,) = defining.printed(talk_host.virsh, documents, tmp_path)
    read = domain_reading.read(parse(printed.encode(), name), SAMPLE.host)
    assert tuple(sorted(granted.device.address for granted in GRANTED)) == read.holding.devices
    written, found = (etree.fromstring(text) for text in (WRITTEN[name], printed))
    for path in ('devices/hostdev', "devices/interface[@type='hostdev']"):
        told = [[_plain(one) for one in root.iterfind(path)] for root in (written, found)]
        assert len(told[0]) == len(told[1])
        for ours, theirs in zip(*told, strict=True):
            assert ours <= theirs


def _plain(device):
    """Return what an element and those below it say."""
    return {(one.tag, *sorted(one.items())) for one in device.iter()}
