# SPDX-License-Identifier: Apache-2.0
"""Guest cells split otherwise: what one guest cell gives to another one so that the guest fits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import permutations

from numaplace import cpuset
from numaplace.fit.cell_demand import Demand, demands
from numaplace.fit.cells import shortfall
from numaplace.fleet.changes.base import Case, Change, amounts_of, with_cells
from numaplace.model import Guest, GuestCell
from numaplace.model.limits import limit
from numaplace.units import KIB_PER_MIB, MOST_MIB

__all__ = ['SPLIT', 'other_split']

SPLIT = 'split'


def other_split(case: Case) -> Change | None:
    """Return what one guest cell gives to another: the fewest vCPUs, then the least memory.

    Memory goes with the vCPUs or the other way, in steps of the page size where one is requested, otherwise of 1 MiB.
    Only amounts at which one of the two just fits a host cell are tried: pairs of unlike guest cells x vCPUs x host
    cells x page sizes ** 2 at most, most of which cost a comparison.
    """
    guest = case.guest
    if len(guest.cells) < 2 or len(guest.cells) > len(case.host.cells):
        return None
    pairs = list(_pairs(case))
    edges = _edges(case)
    most = max([cell.vcpus.bit_count() for cell in guest.cells])
    for number in range(most):
        trials = [
            (abs(mib), giver, taker, mib)
            for giver, taker in pairs
            if number < guest.cells[giver].vcpus.bit_count()
            for mib in _amounts(case, edges, giver, taker, number)
            if number or mib > 0
        ]
        for mib, giver, taker, moved in sorted(trials):
            changed = _moved(guest, giver, taker, number, moved)
            if case.takes_guest(changed):
                return Change(SPLIT, (number, mib), amounts_of(guest), amounts_of(changed))
    return None


def _pairs(case: Case) -> Iterator[tuple[int, int]]:
    """Yield a giver and a taker; of guest cells that are alike the first."""
    wanted, seen = demands(case.guest, case.limits), set[tuple[Demand, Demand]]()
    for giver, taker in permutations(range(len(wanted)), 2):
        if (wanted[giver], wanted[taker]) not in seen:
            seen.add((wanted[giver], wanted[taker]))
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


def _edges(case: Case) -> list[int]:
    """Return the memory in MiB at which a guest cell may just fit a host cell, in whole pages of each size; sorted."""
    ratio = case.limits.ram_allocation_ratio if case.limits else None
    found: set[int] = set()
    for cell in case.host.cells:
        found.update((cell.shape.memory_mib, cell.free_memory_mib))
        found.update(pages.free * pages.size_kib // KIB_PER_MIB for pages in cell.pages)
        found.update(pages.total * pages.size_kib // KIB_PER_MIB for pages in cell.pages)
        if ratio is not None:
            most = min(limit(cell.shape.memory_mib, ratio), MOST_MIB)
            found.add(int(most) - cell.memory_usage_mib - cell.held_mib)
    sizes = _sizes(case)
    return sorted({edge // size * size for edge in found for size in sizes if edge >= size})


def _sizes(case: Case) -> set[int]:
    """Return the page sizes of the host in MiB, at least 1."""
    return {1} | {max(1, pages.size_kib // KIB_PER_MIB) for cell in case.host.cells for pages in cell.pages}


def _amounts(case: Case, edges: Sequence[int], giver: int, taker: int, number: int) -> set[int]:
    """Return the amounts of memory that are worth a trial with so many vCPUs: no other is the smallest that fits."""
    guest = case.guest
    gives, takes = guest.cells[giver].memory_mib, guest.cells[taker].memory_mib
    step = max(1, (guest.cells[giver].pagesize_kib or 0) // KIB_PER_MIB)
    found = {0, *(gives - edge for edge in edges), *(edge - takes for edge in edges)}
    found |= {mib + -(takes + mib) % size for mib in found for size in _sizes(case)}
    moved = [mib for mib in found if -takes < mib < gives and mib % step == 0]
    bare = demands(_moved(guest, giver, taker, number, 0), case.limits)
    return {
        mib
        for mib in moved
        if _fits_somewhere(case, bare[giver], gives - mib) and _fits_somewhere(case, bare[taker], takes + mib)
    }


def _fits_somewhere(case: Case, demand: Demand, mib: int) -> bool:
    wanted = demand._replace(memory_mib=mib)
    return any(shortfall(cell, wanted) is None for cell in case.host.cells)
