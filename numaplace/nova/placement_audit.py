# SPDX-License-Identifier: Apache-2.0
"""A small audit of a placement that Nova has made: CPUs and pages that the guest would not get as placed."""

from __future__ import annotations

from collections.abc import Iterator

from numaplace import cpuset, units
from numaplace.model import ISOLATE, CellPlacement, Guest, GuestCell, Host, HostCell, Placement
from numaplace.units import KIB_PER_MIB

__all__ = ['faults']


def faults(host: Host, guest: Guest, placement: Placement) -> list[str]:
    """Return what is wrong with a placement, in words; an empty list for a valid one.

    :param host: as it was before the placement is counted
    :param guest: what was requested
    """
    cells = {cell.id: cell for cell in host.cells}
    found: list[str] = []
    taken: set[int] = set()
    for number, (asked, placed) in enumerate(zip(guest.cells, placement.cells, strict=True)):
        emulator = number == 0 and guest.emulator_policy == ISOLATE
        if placed.host_cell in taken or placed.host_cell not in cells:
            found.append(f'guest cell {number} is on host cell {placed.host_cell}, which it cannot have')
            continue
        taken.add(placed.host_cell)
        host_cell = cells[placed.host_cell]
        found += [f'guest cell {number}: {fault}' for fault in _of_cell(host_cell, asked, placed, emulator=emulator)]
    return found


def _of_cell(host_cell: HostCell, asked: GuestCell, placed: CellPlacement, *, emulator: bool) -> Iterator[str]:
    if asked.is_pinned:
        yield from _of_pins(host_cell, asked, placed)
        if emulator and not placed.emulator_cpus:
            yield "no CPU is kept for the emulator's threads"
    if asked.pagesize_kib is not None:
        yield from _of_pages(host_cell, placed)


def _of_pins(host_cell: HostCell, asked: GuestCell, placed: CellPlacement) -> Iterator[str]:
    pinned = cpuset.mask(vcpu for vcpu, _cpu in placed.pins)
    if loose := asked.dedicated_vcpus & ~pinned:
        yield f'{_are("vCPU", loose)} pinned to nothing'
    once, twice = placed.emulator_cpus, 0
    for _vcpu, cpu in placed.pins:
        twice |= once & 1 << cpu
        once |= 1 << cpu
    if twice:
        yield f'{_are("CPU", twice)} given out twice'
    if foreign := placed.taken & ~host_cell.free_cpus:
        yield f'{_are("CPU", foreign)} not free in host cell {host_cell.id}'


def _are(noun: str, cpus: int) -> str:
    return f'{noun}s {cpuset.text(cpus)} are' if cpus.bit_count() > 1 else f'{noun} {cpuset.text(cpus)} is'


def _of_pages(host_cell: HostCell, placed: CellPlacement) -> Iterator[str]:
    size_kib = placed.pagesize_kib
    if size_kib is None or size_kib <= 0:
        yield 'no size of pages was chosen'
        return
    free = next((pages.free for pages in host_cell.pages if pages.size_kib == size_kib), 0)
    needed_kib = placed.guest_cell.memory_mib * KIB_PER_MIB
    if needed_kib > free * size_kib or needed_kib % size_kib:
        yield (
            f'{placed.guest_cell.memory_mib} MiB cannot be had in pages of {units.size(size_kib)}, '
            f'of which host cell {host_cell.id} has {free} free'
        )
