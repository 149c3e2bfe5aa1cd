# SPDX-License-Identifier: Apache-2.0
"""The law of changes of PCI devices: they lead from what there was to what there is."""

from hypothesis import given
from hypothesis import strategies as st

from numaplace.model import PciDevice
from numaplace.model.pci_changes import pci_changes

_DEVICES = st.lists(
    st.builds(
        PciDevice,
        st.sampled_from([f'0000:0{bus}:00.0' for bus in range(6)]),
        st.just('8086'),
        st.sampled_from(['1572', '154c']),
        numa_node=st.sampled_from([None, 0]),
    ),
    unique_by=lambda device: device.address,
)


@given(_DEVICES, _DEVICES)
def test_the_changes_lead_from_one_to_the_other(before, now):
    changes = pci_changes(before, now)
    gone = [*changes.removed, *(old for old, _ in changes.changed)]
    reached = [device for device in before if device not in gone]
    reached += [*changes.added, *(new for _, new in changes.changed)]
    assert sorted(now, key=str) == sorted(reached, key=str)
    assert bool(changes) == (sorted(before, key=str) != sorted(now, key=str))
    assert not pci_changes(before, reversed(before))
