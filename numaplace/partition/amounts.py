# SPDX-License-Identifier: Apache-2.0
"""How many vCPUs and how much memory of a guest one host cell takes, by the fit's rule for one cell."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from math import lcm
from typing import NamedTuple

from numaplace.fit import cells
from numaplace.fit.cell_demand import Demand, demand_of
from numaplace.fit.memory import backing_pages
from numaplace.model import DEDICATED, PAGES_ANY, PAGES_LARGE, GuestCell, HostCell, Limits, Wish
from numaplace.model.vnuma import PIN_TO_CORE
from numaplace.units import KIB_PER_MIB

__all__ = ['Unit', 'most_memory', 'most_vcpus', 'units']


class Unit(NamedTuple):
    """In what memory is divided.

    :param size_mib: size of a unit, whole pages
    :param pagesize_kib: page size of a guest cell, as in :class:`~numaplace.model.GuestCell`
    """

    size_mib: int
    pagesize_kib: int | None


def units(host_cells: Iterable[HostCell], pagesize_kib: int | None, memory_mib: int) -> list[Unit]:
    """Return in what an amount of memory may be divided over host cells: whole pages of any size that may back it."""
    if pagesize_kib in (PAGES_LARGE, PAGES_ANY):
        sizes = {pages.size_kib for cell in host_cells for pages in backing_pages(cell, pagesize_kib)}
        found = {Unit(_whole_mib(size), size) for size in sizes}
    elif pagesize_kib is not None and pagesize_kib > 0:
        found = {Unit(_whole_mib(pagesize_kib), pagesize_kib)}
    else:
        smallest = [cell.smallest_pages for cell in host_cells]
        found = {Unit(_whole_mib(pages.size_kib) if pages else 1, pagesize_kib) for pages in smallest}
    whole = sorted(unit for unit in found if memory_mib % unit.size_mib == 0)
    return whole or [Unit(1, pagesize_kib)]


def _whole_mib(size_kib: int) -> int:
    return lcm(size_kib, KIB_PER_MIB) // KIB_PER_MIB


def most_memory(cell: HostCell, unit: Unit, most: int, limits: Limits | None, *, pinned: bool) -> int:
    """Return how many units of memory a host cell takes, in log(most) checks.

    :param pinned: the guest cell has dedicated CPUs
    """
    empty = _demand(limits, pagesize_kib=unit.pagesize_kib, pinned=pinned)

    def fits(number: int) -> bool:
        return cells.shortfall(cell, empty._replace(memory_mib=number * unit.size_mib)) is None

    return _most(most, fits)


def most_vcpus(cell: HostCell, wish: Wish, block: int, most: int, limits: Limits | None, *, emulator: int = 0) -> int:
    """Return how many blocks of vCPUs a host cell takes, in log(most) checks.

    :param block: number of vCPUs in a block
    :param emulator: number of CPUs for the emulator in addition
    """
    pinned = wish.pinning == PIN_TO_CORE
    empty = _demand(limits, pinned=pinned)._replace(emulator=emulator)
    cpus = cell.shape.dedicated_cpus if pinned else cell.shape.shared_cpus

    def fits(number: int) -> bool:
        vcpus = number * block
        demand = empty._replace(dedicated=vcpus) if pinned else empty._replace(shared=vcpus)
        return cells.shortfall(cell, demand) is None

    return _most(min(most, cpus.bit_count() // block), fits)


def _demand(limits: Limits | None, *, pagesize_kib: int | None = None, pinned: bool) -> Demand:
    return demand_of(GuestCell(0, 0, 0, 0, pagesize_kib, DEDICATED if pinned else None), limits, 0)


def _most(most: int, fits: Callable[[int], bool]) -> int:
    """Return the largest number that fits; all smaller ones but 0 fit then too."""
    if not most or not fits(1):
        return 0
    return bisect_left(range(1, most + 1), True, key=lambda number: not fits(number))
