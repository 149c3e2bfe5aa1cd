# SPDX-License-Identifier: Apache-2.0
"""Where a guest goes: the answer of the fit when the guest can be placed."""

from __future__ import annotations

from dataclasses import dataclass

from numaplace.model.guest import Guest, GuestCell
from numaplace.model.pci import GrantedDevice, PciDevice

__all__ = ['CellPlacement', 'Placement']


@dataclass(frozen=True, slots=True)
class CellPlacement:
    """Where one guest cell goes.

    :param host_cell: id of the host cell
    :param pagesize_kib: size of the pages that back it, or None where the guest requests none
    :param pins: ``(vCPU, CPU)`` for each dedicated vCPU, by vCPU
    :param emulator_cpus: mask of the CPUs kept for the emulator's threads
    :param taken: mask of all dedicated CPUs that the guest cell holds; with thread policy isolate, whole cores
    """

    guest_cell: GuestCell
    host_cell: int
    pagesize_kib: int | None = None
    pins: tuple[tuple[int, int], ...] = ()
    emulator_cpus: int = 0
    taken: int = 0


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a guest goes, cell by cell in the guest's order; no cells for a guest that floats.

    :param devices: PCI devices that it gets
    :param resources: names of what else it gets of ``HostResources``
    """

    guest: Guest
    cells: tuple[CellPlacement, ...] = ()
    devices: tuple[GrantedDevice, ...] = ()
    resources: tuple[str, ...] = ()

    def cell_near(self, device: PciDevice) -> int | None:
        """Return the number of the first guest cell on the host cell of a device, or None if it is near none."""
        return next((number for number, cell in enumerate(self.cells) if cell.host_cell == device.numa_node), None)
