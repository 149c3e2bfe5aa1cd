# SPDX-License-Identifier: Apache-2.0
"""PCI devices that came, went or changed."""

from dataclasses import replace

from numaplace.model import PciDevice
from numaplace.model.pci_changes import PciChanges, attached_as_before, pci_changes

CARD = PciDevice('0000:0a:00.0', '8086', '1572', 'type-PF', 1)
GPU = PciDevice('0000:81:00.0', '10de', '20b0', numa_node=0, tags={'managed': 'true'})


def test_what_came_went_and_changed_is_told_apart():
    moved = replace(GPU, numa_node=1)
    assert PciChanges((CARD,), (), ((GPU, moved),)) == pci_changes([GPU], [moved, CARD])
    assert PciChanges((), (CARD,)) == pci_changes([CARD, GPU], [GPU])


def test_another_tag_is_a_change():
    other = replace(GPU, tags={'managed': 'false'})
    assert ((GPU, other),) == pci_changes([GPU], [other]).changed


def test_an_interface_that_is_gone_while_a_guest_has_the_device_is_kept():
    lake = {'physical_network': 'lake'}
    known, now = (replace(CARD, tags=lake | tags) for tags in ({'interface': 'a', 'vdpa_device': '/dev/b'}, {}))
    assert (known,) == attached_as_before([known], [now])
    renamed = replace(CARD, tags=lake | {'interface': 'c'})
    assert ({'physical_network': 'lake', 'interface': 'c', 'vdpa_device': '/dev/b'},) == tuple(
        one.tags for one in attached_as_before([known], [renamed])
    )
    assert (now, GPU) == attached_as_before([GPU], [now, GPU])
