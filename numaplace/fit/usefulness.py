# SPDX-License-Identifier: Apache-2.0
"""How useful a host stays: which guests its cells can still take, before and after a placement.

A free CPU is worth more the more guests of different shapes can have it. So for every width of 1, 2, 4, 8 ... CPUs in a
cell, and for guests of 1, 2, 4 ... such cells, the CPUs are counted that guests of this shape alone could fill. A whole
free cell of 16 CPUs counts for five widths, 16 CPUs scattered over the same cell's leftovers of others for fewer: what
breaks a wide place costs much, what fills a leftover costs little, without any weights to choose. The same is counted
for whole free cores, and for the large pages of each size. A cell has a CPU only with its share of the memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import zip_longest
from typing import TypeAlias

from numaplace.fit import cells
from numaplace.fit.cell_demand import Demand, demands
from numaplace.model import Guest, GuestCell, Host, HostCell

__all__ = ['losses', 'price']

#: CPUs of a cell that have their share of memory, that are in whole free cores, and that have large pages of each size.
_Rooms: TypeAlias = tuple[int, ...]

#: How much lost usefulness an idle CPU of the host weighs as, in the choice of a host.
_IDLE = 10


def losses(host_cells: Sequence[HostCell], guest: Guest) -> list[int]:
    """Return for each cell of a host how much of its usefulness is lost if the first cell of a guest goes there.

    A cell that does not fit it loses all.
    """
    rooms = [_rooms(cell) for cell in host_cells]
    return _losses(rooms, [_rooms_after(cell, guest.cells[0], demands(guest, None)[0]) for cell in host_cells])


def price(host: Host, guest: Guest) -> int:
    """Return what a guest costs on a host: the usefulness that is lost, and what is left idle beside it.

    The host with the lowest price is the one to take: of equal losses the fullest one, so that empty hosts stay empty.
    The cells are chosen one after the other, each where least is lost; whether they are possible together is not asked.
    A guest without cells costs what the host has left.
    """
    rooms = [_rooms(cell) for cell in host.cells]
    before, used = _usefulness(rooms), set[int]()
    for guest_cell, demand in zip(guest.cells, demands(guest, None), strict=True):
        after = [
            None if place in used else _rooms_after(cell, guest_cell, demand) for place, cell in enumerate(host.cells)
        ]
        fitting = [place for place, left in enumerate(after) if left is not None]
        if not fitting:
            return before + _IDLE * sum([room[0] for room in rooms])
        lost = _losses(rooms, after)
        best = min(fitting, key=lost.__getitem__)
        used.add(best)
        rooms[best] = after[best] or ()
    return before - _usefulness(rooms) + _IDLE * sum([room[0] for room in rooms])


def _losses(rooms: Sequence[_Rooms], after: Sequence[_Rooms | None]) -> list[int]:
    before = _usefulness(rooms)
    return [
        before - (0 if left is None else _usefulness([*rooms[:place], left, *rooms[place + 1 :]]))
        for place, left in enumerate(after)
    ]


def _usefulness(rooms: Iterable[_Rooms]) -> int:
    return sum([_room_for_shapes(tuple(sorted(kind))) for kind in zip_longest(*rooms, fillvalue=0)])


@lru_cache(maxsize=65536)
def _room_for_shapes(cpus: tuple[int, ...]) -> int:
    """Return the CPUs that guests of each shape alone could fill, added up over all shapes.

    :param cpus: that each cell has, sorted so that hosts that are alike are asked about once
    """
    total, width = 0, 1
    while width <= max(cpus, default=0):
        fitting = [each // width for each in cpus]
        number = 1
        while number <= len(fitting):
            total += number * width * _most_guests(fitting, number)
            number *= 2
        width *= 2
    return total


def _most_guests(fitting: Sequence[int], number: int) -> int:
    """Return how many guests fit that need a number of different cells each.

    :param fitting: how many of their cells each host cell takes
    """
    guests = sum(fitting) // number
    while guests and (possible := sum([min(each, guests) for each in fitting]) // number) < guests:
        guests = possible
    return guests


def _rooms(cell: HostCell) -> _Rooms:
    found: _Rooms | None = cell.memo.get(_Rooms)
    if found is None:
        found = _find_rooms(cell)
        cells.remember(cell.memo, _Rooms, found)
    return found


def _find_rooms(cell: HostCell) -> _Rooms:
    shape, smallest = cell.shape, cell.smallest_pages
    cpus = (shape.dedicated_cpus or shape.shared_cpus).bit_count()
    free = cell.free_cpus.bit_count() if shape.dedicated_cpus else cpus
    with_memory = max(cell.free_memory_mib, 0) * cpus // max(shape.memory_mib, 1)
    whole = sum([core.bit_count() for core in cell.whole_cores]) if shape.threads_per_core > 1 else 0
    pages = [
        min(free, max(each.free, 0) * cpus // each.total) for each in cell.pages if each is not smallest and each.total
    ]
    return (min(free, with_memory), whole, *pages)


def _rooms_after(cell: HostCell, guest_cell: GuestCell, demand: Demand) -> _Rooms | None:
    """Return the rooms of a cell after it takes a guest cell; None if it does not."""
    key = _Rooms, guest_cell, demand
    if key not in cell.memo:
        fits = cells.shortfall(cell, demand) is None
        left = _find_rooms(cell.consume(cells.place(cell, guest_cell, demand))) if fits else None
        cells.remember(cell.memo, key, left)
    found: _Rooms | None = cell.memo[key]
    return found
