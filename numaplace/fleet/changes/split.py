# SPDX-License-Identifier: Apache-2.0
"""Guest cells split otherwise: what one guest cell gives to another one so that the guest fits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations, product

from numaplace import cpuset
from numaplace.fit.assignment import hall_violator
from numaplace.fit.cell_demand import Demand, demands
from numaplace.fit.cells import shortfall
from numaplace.fleet.changes.base import Case, Change, amounts_of, with_cells
from numaplace.model import Guest, GuestCell, HostCell
from numaplace.model.limits import limit
from numaplace.units import KIB_PER_MIB, MOST_MIB

__all__ = ['SPLIT', 'other_split']

SPLIT = 'split'


def other_split(case: Case) -> Change | None:
    """Return what one guest cell gives to another: the fewest vCPUs, then the least memory.

    Memory goes with the vCPUs or the other way, in steps of the page size where one is requested, otherwise of 1 MiB.
    Only amounts next to none, and those at which one of the two just fits a host cell, are tried: pairs of unlike guest
    cells x vCPUs x host cells x page sizes ** 2 at most, most of which cost a comparison.
    """
    guest = case.guest
    if len(guest.cells) < 2 or not _has_enough(case):
        return None
    pairs, search = list(_pairs(case)), _Search(case)
    most = max([cell.vcpus.bit_count() for cell in guest.cells])
    for number in range(most):
        trials = [
            (abs(mib), giver, taker, mib)
            for giver, taker in pairs
            if number < guest.cells[giver].vcpus.bit_count()
            for mib in search.amounts(giver, taker, number)
            if number or mib > 0
        ]
        for mib, giver, taker, moved in sorted(trials):
            changed = _moved(guest, giver, taker, number, moved)
            if case.takes_guest(changed):
                return Change(SPLIT, (number, mib), amounts_of(guest), amounts_of(changed))
    return None


def _has_enough(case: Case) -> bool:
    """Return whether as many host cells as the guest has together have its memory and its CPUs, however it is split."""
    guest, number = case.guest, len(case.guest.cells)
    cpus = sorted([cell.free_cpus.bit_count() + cell.shape.shared_cpus.bit_count() for cell in case.host.cells])
    memory = sorted([max(_limits(case, cell), default=0) for cell in case.host.cells])
    enough = sum(cpus[-number:]) >= guest.vcpus and sum(memory[-number:]) >= guest.memory_mib
    return number <= len(case.host.cells) and enough


def _pairs(case: Case) -> Iterator[tuple[int, int]]:
    """Yield a giver and a taker without which the other guest cells fit; of guest cells that are alike the first."""
    wanted, seen = demands(case.guest, case.limits), set[tuple[Demand, Demand]]()
    rows = case.rows(wanted)
    competing, columns = hall_violator(rows) or (0, 0)
    too_many = competing.bit_count() - columns.bit_count()
    for giver, taker in permutations(range(len(wanted)), 2):
        pair = wanted[giver], wanted[taker]
        if pair not in seen and (competing & (1 << giver | 1 << taker)).bit_count() >= too_many:
            seen.add(pair)
            if hall_violator([row for place, row in enumerate(rows) if place not in (giver, taker)]) is None:
                yield giver, taker


def _moved(guest: Guest, giver: int, taker: int, number: int, mib: int) -> Guest:
    """Return a guest of which one cell has given its last vCPUs, and memory, to another."""
    cells = list(guest.cells)
    vcpus = cpuset.mask(list(cpuset.ids(cells[giver].vcpus))[cells[giver].vcpus.bit_count() - number :])
    shared, dedicated = cells[giver].shared_vcpus & vcpus, cells[giver].dedicated_vcpus & vcpus
    cells[giver] = _with(cells[giver], cells[giver].shared_vcpus & ~vcpus, cells[giver].dedicated_vcpus & ~vcpus, -mib)
    cells[taker] = _with(
        cells[taker], cells[taker].shared_vcpus | shared, cells[taker].dedicated_vcpus | dedicated, mib
    )
    return with_cells(guest, cells)


def _with(cell: GuestCell, shared: int, dedicated: int, mib: int) -> GuestCell:
    return replace(cell, shared_vcpus=shared, dedicated_vcpus=dedicated, memory_mib=cell.memory_mib + mib)


def _limits(case: Case, cell: HostCell) -> Iterator[int]:
    """Yield the memory in MiB at which a guest cell may just fit a host cell."""
    yield cell.shape.memory_mib
    yield cell.free_memory_mib
    for pages in cell.pages:
        yield pages.free * pages.size_kib // KIB_PER_MIB
        yield pages.total * pages.size_kib // KIB_PER_MIB
    if case.limits is not None:
        most = min(limit(cell.shape.memory_mib, case.limits.ram_allocation_ratio), MOST_MIB)
        yield int(most) - cell.memory_usage_mib - cell.held_mib


def _sizes(case: Case) -> set[int]:
    """Return the page sizes of the host in MiB, at least 1."""
    return {1} | {max(1, pages.size_kib // KIB_PER_MIB) for cell in case.host.cells for pages in cell.pages}


class _Search:
    """The amounts of memory that are worth a trial."""

    def __init__(self, case: Case) -> None:
        self._case, self._sizes = case, _sizes(case)
        self._limits = sorted({mib for cell in case.host.cells for mib in _limits(case, cell)})
        edges = {mib // size * size for mib in self._limits for size in self._sizes if mib >= size}
        self._edges = sorted(edges, reverse=True)
        self._most: dict[Demand, int] = {}

    def amounts(self, giver: int, taker: int, number: int) -> list[int]:
        """Return the amounts to move with so many vCPUs: the smallest one that fits is among them."""
        guest = self._case.guest
        gives, takes = guest.cells[giver].memory_mib, guest.cells[taker].memory_mib
        bare = demands(_moved(guest, giver, taker, number, 0), self._case.limits)
        least, most = gives - self._largest(bare[giver]), self._largest(bare[taker]) - takes
        if least > most:
            return []
        step = max(1, (guest.cells[giver].pagesize_kib or 0) // KIB_PER_MIB)
        found = {mib for rest, size in self._whole(gives, takes) for mib in self._ends(gives, takes, rest, size)}
        return [mib for mib in found if max(least, 1 - takes) <= mib <= min(most, gives - 1) and mib % step == 0]

    def _whole(self, gives: int, takes: int) -> set[tuple[int, int]]:
        """Return what amounts after which both are whole pages, of any two sizes, have in common: a rest and a size."""
        found = set()
        for mine, theirs in product(self._sizes, repeat=2):
            size = max(mine, theirs)
            rest = (gives if mine == size else -takes) % size
            if (gives - rest) % mine == 0 and (takes + rest) % theirs == 0:
                found.add((rest, size))
        return found

    def _ends(self, gives: int, takes: int, rest: int, size: int) -> Iterator[int]:
        """Yield such amounts next to 0, and those next to where one of the two just fits a host cell."""
        yield from (rest, rest - size)
        for mib in self._limits:
            yield gives - mib + (rest - gives + mib) % size
            yield mib - takes - (mib - takes - rest) % size

    def _largest(self, demand: Demand) -> int:
        """Return the most memory with which a demand fits some host cell; 0 if it does not fit for other reasons."""
        bare = demand._replace(memory_mib=0)
        if bare not in self._most:
            cells = [cell for cell in self._case.host.cells if shortfall(cell, bare) is None]
            fitting = (
                mib
                for mib in self._edges
                if any(shortfall(cell, bare._replace(memory_mib=mib)) is None for cell in cells)
            )
            self._most[bare] = next(fitting, 0) if cells else 0
        return self._most[bare]
