# SPDX-License-Identifier: Apache-2.0
"""What became of the PCI devices of a host between two times at which they were looked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from numaplace.model.pci import INTERFACE, VDPA_DEVICE, PciDevice

__all__ = ['PciChanges', 'attached_as_before', 'pci_changes']


@dataclass(frozen=True, slots=True)
class PciChanges:
    """Devices that are new, gone, or different at the same address; all by address.

    :param changed: each as it was and as it is
    """

    added: tuple[PciDevice, ...] = ()
    removed: tuple[PciDevice, ...] = ()
    changed: tuple[tuple[PciDevice, PciDevice], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


def pci_changes(before: Iterable[PciDevice], now: Iterable[PciDevice]) -> PciChanges:
    """Compare devices by their addresses, of which each is there once; their order does not matter.

    What the ``device_spec`` says of a device is part of it. Complexity: n log n.
    """
    old, new = ({device.address: device for device in devices} for devices in (before, now))
    both = sorted(old.keys() & new.keys())
    return PciChanges(
        tuple([new[address] for address in sorted(new.keys() - old.keys())]),
        tuple([old[address] for address in sorted(old.keys() - new.keys())]),
        tuple([(old[address], new[address]) for address in both if old[address] != new[address]]),
    )


def attached_as_before(before: Iterable[PciDevice], now: Iterable[PciDevice]) -> tuple[PciDevice, ...]:
    """Return devices as they are now, each with what a guest is attached to as it is known, if there is none now.

    While a guest has a VF, its host has no network interface of it.
    """
    old = {device.address: device.tags for device in before}
    found = []
    for device in now:
        tags = old.get(device.address, {})
        kept = {key: tags[key] for key in (INTERFACE, VDPA_DEVICE) if key in tags}
        found.append(replace(device, tags={**kept, **device.tags}) if kept.keys() - device.tags.keys() else device)
    return tuple(found)
