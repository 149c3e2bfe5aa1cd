# SPDX-License-Identifier: Apache-2.0
"""Fewer vCPUs or less memory: the smallest share of either after which a guest fits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from numaplace.fleet.changes.base import Case, Change, with_cells
from numaplace.model import Guest
from numaplace.units import KIB_PER_MIB

__all__ = ['MEMORY', 'VCPUS', 'smaller_amounts']

VCPUS, MEMORY = 'vcpus', 'memory'


def smaller_amounts(case: Case) -> Change | None:
    """Return the smaller share of vCPUs or of memory; of equal ones that of vCPUs.

    vCPUs leave the guest cell that has most of them, one after the other. Memory leaves the guest cells that have
    most, which are then alike; a guest that numaplace divides keeps its memory.
    """
    return min((change for change in (_fewer_vcpus(case), _less_memory(case)) if change), key=_cost, default=None)


def _cost(change: Change) -> tuple[float, ...]:
    return change.cost


def _fewer_vcpus(case: Case) -> Change | None:
    total = case.guest.vcpus
    if not case.has_memory():
        return None
    for guest in _each_fewer(case.guest):
        if case.takes_guest(guest):
            return Change(VCPUS, ((total - guest.vcpus) / total, 0), total, guest.vcpus)
    return None


def _each_fewer(guest: Guest) -> Iterator[Guest]:
    """Yield the guest with one vCPU less each time; each cell keeps one."""
    if not guest.cells:
        for number in range(guest.vcpus - 1, 0, -1):
            yield replace(guest, vcpus=number, cpu_topology=None)
        return
    cells = list(guest.cells)
    for _ in range(guest.vcpus - len(cells)):
        place = max(range(len(cells)), key=lambda place: (cells[place].vcpus.bit_count(), place))
        cell = cells[place]
        left = ~(1 << cell.vcpus.bit_length() - 1)
        cells[place] = replace(cell, shared_vcpus=cell.shared_vcpus & left, dedicated_vcpus=cell.dedicated_vcpus & left)
        yield with_cells(guest, cells)


def _less_memory(case: Case) -> Change | None:
    guest = case.guest
    if guest.wish is not None:
        return None
    most = max([cell.memory_mib for cell in guest.cells], default=guest.memory_mib)
    sizes = {pages.size_kib // KIB_PER_MIB for cell in case.host.cells for pages in cell.pages}
    steps = {1, *sizes} - {0} if guest.cells else {1}

    def takes(limit_mib: int) -> bool:
        return case.takes_guest(_limited(guest, limit_mib))

    limit_mib = 0
    for step in sorted(steps, reverse=True):
        limit_mib = _largest(takes, step, limit_mib, most)
    if not limit_mib:
        return None
    left = _limited(guest, limit_mib).memory_mib
    return Change(MEMORY, ((guest.memory_mib - left) / guest.memory_mib, 1), guest.memory_mib, left)


def _limited(guest: Guest, limit_mib: int) -> Guest:
    if not guest.cells:
        return replace(guest, memory_mib=limit_mib)
    return with_cells(guest, [replace(cell, memory_mib=min(cell.memory_mib, limit_mib)) for cell in guest.cells])


def _largest(takes: Callable[[int], bool], step: int, begin: int, end: int) -> int:
    """Return the largest multiple of a step between two amounts that is taken, or the first amount if none is.

    Pages of the size of the step back every multiple up to the largest. The few beyond it that larger pages back are
    found with the larger step, which comes first.
    """
    low, high = begin // step + 1, -(-end // step)
    if high <= low or not takes(low * step):
        return begin
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if takes(middle * step) else (low, middle)
    return low * step
