# SPDX-License-Identifier: Apache-2.0
"""What the solver counts: what servers need and give back, and what host cells and hosts have, as amounts by name.

The amounts are necessary for the fit, not sufficient: which CPUs and cores are free, and what filters say, is asked
afterwards, move by move.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from math import isfinite
from typing import TypeAlias

from numaplace.db.capacity import limits
from numaplace.fit.cell_demand import Demand, demands
from numaplace.fleet.cell_room import cpus_left, ram_left
from numaplace.model import Guest, HostCell, Placement, limit
from numaplace.model.records import HostRecord
from numaplace.units import KIB_PER_MIB

__all__ = ['Amounts', 'Slot', 'changed_room', 'dedicated', 'given', 'has_room', 'needed', 'room', 'size']

#: A host cell by its id, or None for the whole host; and the name of a resource.
Slot: TypeAlias = tuple[int | None, str]
#: Amounts by slot.
Amounts: TypeAlias = dict[Slot, int]

_CPUS, _SHARED, _RAM, _PLAIN, _VCPUS, _MEMORY = 'cpus', 'shared', 'ram', 'plain', 'vcpus', 'memory'


def needed(guest: Guest) -> tuple[dict[str, int], ...]:
    """Return what each cell of a guest needs in its host cell, and at the end what the guest needs of the host."""
    shared = sum([cell.shared_vcpus.bit_count() for cell in guest.cells]) if guest.cells else guest.vcpus
    return (
        *(_of_cell(demand) for demand in demands(guest, None)),
        {_VCPUS: shared, _MEMORY: guest.memory_mib},
    )


def _of_cell(demand: Demand) -> dict[str, int]:
    found = {_CPUS: demand.dedicated + demand.emulator}
    if demand.is_shared:
        found |= {_SHARED: demand.shared, _RAM: demand.memory_mib}
    if demand.pagesize_kib and demand.pagesize_kib > 0:
        found[f'pages.{demand.pagesize_kib}'] = demand.memory_mib * KIB_PER_MIB // demand.pagesize_kib
    elif demand.is_pinned and not demand.pagesize_kib:
        found[_PLAIN] = demand.memory_mib
    return {name: amount for name, amount in found.items() if amount}


def dedicated(guest: Guest) -> int:
    """Return how many CPUs a guest takes for itself at least, with that of an isolated emulator."""
    return sum([demand.dedicated + demand.emulator for demand in demands(guest, None)])


def given(placement: Placement) -> Amounts:
    """Return what is free once a server has left its host, at least as much as the fit counts."""
    guest, found = placement.guest, Counter[Slot]()
    for placed in placement.cells:
        cell, memory_mib = placed.host_cell, placed.guest_cell.memory_mib
        found[cell, _CPUS] += placed.taken.bit_count()
        found[cell, _SHARED] += placed.guest_cell.shared_vcpus.bit_count()
        found[cell, _RAM] += memory_mib
        if placed.pagesize_kib:
            found[cell, f'pages.{placed.pagesize_kib}'] += memory_mib * KIB_PER_MIB // placed.pagesize_kib
        found[cell, _PLAIN] += memory_mib
    found[None, _VCPUS] = guest.vcpus
    found[None, _MEMORY] = guest.memory_mib
    return {slot: amount for slot, amount in found.items() if amount}


def room(record: HostRecord) -> Amounts:
    """Return what a host has left; what has no limit is not named, and what is overcommitted is zero."""
    return {slot: max(0, int(amount)) for slot, amount in _left(record, record.host.cells) if isfinite(amount)}


def changed_room(record: HostRecord, before: HostRecord) -> Amounts:
    """Return as :func:`room` what a host has left, of those cells alone that were others before."""
    known = {id(cell) for cell in before.host.cells}
    cells = [cell for cell in record.host.cells if id(cell) not in known]
    return {slot: max(0, int(amount)) for slot, amount in _left(record, cells) if isfinite(amount)}


def _left(record: HostRecord, cells: Iterable[HostCell]) -> Iterator[tuple[Slot, float]]:
    ratios, host = limits(record), record.host
    for cell in cells:
        yield (cell.id, _CPUS), cell.free_cpus.bit_count()
        yield (cell.id, _SHARED), cpus_left(cell, ratios)
        yield (cell.id, _RAM), ram_left(cell, ratios)
        for pages in cell.pages:
            yield (cell.id, f'pages.{pages.size_kib}'), pages.free
        smallest = cell.smallest_pages
        plain_mib = cell.free_memory_mib if smallest is None else smallest.free * smallest.size_kib // KIB_PER_MIB
        yield (cell.id, _PLAIN), plain_mib
    shared = host.shared_cpus.bit_count()
    yield (None, _VCPUS), limit(shared, ratios.cpu_allocation_ratio) - host.shared_vcpus_used
    if all(cell.shape.is_general for cell in host.cells):
        most_mib = limit(host.memory_mib, ratios.ram_allocation_ratio)
        yield (None, _MEMORY), most_mib - host.general_memory_used_mib - host.held_mib


def has_room(room: Amounts, needs: tuple[dict[str, int], ...]) -> bool:
    """Return whether some cell has room for each guest cell by itself, and the host for a guest without cells."""
    *cells, whole = needs
    if not cells:
        return all(amount <= room.get((None, name), amount) for name, amount in whole.items())
    ids = {slot[0] for slot in room if slot[0] is not None}
    return all(
        any(all(amount <= room.get((cell, name), amount) for name, amount in need.items()) for cell in ids)
        for need in cells
    )


def size(guest: Guest) -> tuple[int, int, int]:
    """Return how large a guest is, to try larger ones first: its widest cell, its vCPUs and its memory."""
    widest = max([cell.vcpus.bit_count() for cell in guest.cells], default=0)
    return widest, guest.vcpus, guest.memory_mib
