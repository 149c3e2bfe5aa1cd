# SPDX-License-Identifier: Apache-2.0
"""How useful a host stays: which guests its cells can still take, before and after a placement.

A free CPU is worth more the more guests of different shapes can have it. A shape is a number of guest cells with so
many CPUs and so much memory each. For each shape of a mix the CPUs are counted that guests of this shape alone could
fill, times the share that these guests have of all CPUs that are asked for. So what breaks a place of a wide guest
costs much, what fills a leftover costs little, and places that nobody asks for cost nothing. The same is counted for
whole free cores, for the large pages of each size, and for the cells beside free devices.

Where no mix is given, it has every width of 1, 2, 4, 8 ... CPUs in guests of 1, 2, 4 ... cells, all alike, and a CPU
counts only with its share of the memory of its cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest
from typing import NamedTuple, TypeAlias

from numaplace.fit import cells
from numaplace.fit.cell_demand import Demand, demands
from numaplace.model import Guest, GuestCell, Host, HostCell, Pages
from numaplace.units import KIB_PER_MIB

__all__ = ['ANY', 'Mix', 'Shape', 'losses', 'price']

#: A CPU that no guest of the mix could fill any more weighs as much as this many idle CPUs, in the choice of a host.
_IDLE_CPUS = 20


class Shape(NamedTuple):
    """A kind of guest: its cells, what each of them needs, and how many guests are of this kind."""

    cells: int
    cpus: int
    memory_mib: int
    guests: int


class _Width(NamedTuple):
    """What a guest cell needs, and the numbers of such cells that guests have, with their weights.

    :param memory_mib: None for the CPUs' share of the memory of a host cell
    """

    cpus: int
    memory_mib: int | None
    numbers: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Mix:
    """The guests that are expected. Equal ones are the same object if they come from :meth:`of`.

    :param total: sum of the weights, by which idle CPUs are weighed
    """

    widths: tuple[_Width, ...]
    total: int

    @classmethod
    def of(cls, shapes: Iterable[tuple[int, int, int, int]]) -> Mix:
        """Return the mix of some shapes, weighed by the CPUs that their guests ask for; ANY if there are none.

        :param shapes: as :class:`Shape`
        """
        return _mix(tuple(Shape(*each) for each in shapes))


@lru_cache(maxsize=16)
def _mix(shapes: tuple[Shape, ...]) -> Mix:
    if not shapes:
        return ANY
    widths: dict[tuple[int, int], dict[int, int]] = {}
    for shape in shapes:
        weights = widths.setdefault((shape.cpus, shape.memory_mib), {})
        weights[shape.cells] = weights.get(shape.cells, 0) + shape.guests * shape.cells * shape.cpus
    return Mix(
        tuple(_Width(*width, tuple(sorted(weights.items()))) for width, weights in widths.items()),
        sum(shape.guests * shape.cells * shape.cpus for shape in shapes),
    )


#: All shapes alike. About ten fit a host of today, some of which nobody asks for, so that an idle CPU weighs more here:
#: as two CPUs that one of the shapes cannot have any more.
ANY = Mix(tuple(_Width(1 << width, None, tuple((1 << number, 1) for number in range(7))) for width in range(11)), 40)


class _Room(NamedTuple):
    """What a cell has left of one kind.

    :param all_cpus: of the cell, for which `all_mib` is; 0 where no memory goes with the CPUs
    """

    cpus: int
    free_mib: int = 0
    all_cpus: int = 0
    all_mib: int = 0

    def with_memory(self) -> int:
        """Return the CPUs that have their share of the memory."""
        return min(self.cpus, self.free_mib * self.all_cpus // self.all_mib) if self.all_mib else self.cpus

    def places(self, width: _Width) -> int:
        """Return how many guest cells fit."""
        if not self.all_mib or width.memory_mib is None:
            return self.with_memory() // width.cpus
        return min(self.cpus // width.cpus, self.free_mib // width.memory_mib)


#: How many guest cells of each width of a mix fit, without the zeros at the end.
_Places: TypeAlias = tuple[int, ...]


class _Left(NamedTuple):
    """What is left of a cell: the idle CPUs that have their memory, and the places by kind of room.

    :param places: of the CPUs, of those in whole free cores, and of those with large pages of each size
    """

    idle: int
    places: tuple[_Places, ...]

    def beside_devices(self) -> _Left:
        """Return it with the CPUs counted once more: guests that request devices want these."""
        return _Left(self.idle, (*self.places, self.places[0]))


def losses(host_cells: Sequence[HostCell], guest: Guest, mix: Mix = ANY) -> list[int]:
    """Return for each cell of a host how much of its usefulness is lost if the first cell of a guest goes there.

    A cell that does not fit it loses all.
    """
    left = [_left(cell, mix) for cell in host_cells]
    demand = demands(guest, None)[0]
    return _losses(left, [_left_after(cell, guest.cells[0], demand, mix) for cell in host_cells], mix)


def price(host: Host, guest: Guest, mix: Mix = ANY) -> int:
    """Return what a guest costs on a host: the usefulness that is lost, and what is left idle beside it.

    The host with the lowest price is the one to take: of equal losses the fullest one, so that empty hosts stay empty.
    The cells are chosen one after the other, each where least is lost; whether they are possible together is not asked.
    A guest without cells costs what the host has left.
    """
    near = _beside_devices(host, guest)
    left = [_counted(_left(cell, mix), cell, near) for cell in host.cells]
    before, used = _usefulness(left, mix), set[int]()
    for guest_cell, demand in zip(guest.cells, demands(guest, None), strict=True):
        after = [
            None if place in used else _left_after(cell, guest_cell, demand, mix)
            for place, cell in enumerate(host.cells)
        ]
        if near:
            after = [each and _counted(each, cell, near) for each, cell in zip(after, host.cells, strict=True)]
        fitting = [place for place, each in enumerate(after) if each is not None]
        if not fitting:
            return _price(before, left, mix)
        lost = _losses(left, after, mix)
        best = min(fitting, key=lost.__getitem__)
        used.add(best)
        left[best] = after[best] or left[best]
    return _price(before - _usefulness(left, mix), left, mix)


def _price(lost: int, left: Iterable[_Left], mix: Mix) -> int:
    return _IDLE_CPUS * lost + mix.total * sum([each.idle for each in left])


def _beside_devices(host: Host, guest: Guest) -> frozenset[int | None]:
    """Return the cells beside free devices; none for a guest that is to have devices itself."""
    if not host.devices or guest.pci_requests:
        return frozenset()
    return frozenset([device.numa_node for device in host.devices.free])


def _counted(left: _Left, cell: HostCell, near: frozenset[int | None]) -> _Left:
    return left.beside_devices() if cell.id in near else left


def _losses(left: Sequence[_Left], after: Sequence[_Left | None], mix: Mix) -> list[int]:
    """Return what is lost by each cell if it has what it has after; all by one that has nothing then."""
    lost = [0] * len(left)
    for kind, now in enumerate(_by_kind(left)):
        before, known = _room_for_shapes(tuple(sorted(now)), mix), dict[tuple[_Places, _Places], int]()
        for place, each in enumerate(after):
            if each is None:
                lost[place] += before
            elif kind >= len(each.places) or now[place] == each.places[kind]:
                continue  # what others have of this kind stays
            elif (change := (now[place], each.places[kind])) in known:
                lost[place] += known[change]
            else:
                then = sorted([*now[:place], change[1], *now[place + 1 :]])
                known[change] = before - _room_for_shapes(tuple(then), mix)
                lost[place] += known[change]
    return lost


def _usefulness(left: Sequence[_Left], mix: Mix) -> int:
    return sum([_room_for_shapes(tuple(sorted(places)), mix) for places in _by_kind(left)])


def _by_kind(left: Sequence[_Left]) -> Iterable[tuple[_Places, ...]]:
    return zip_longest(*[each.places for each in left], fillvalue=())


@lru_cache(maxsize=65536)
def _room_for_shapes(places: tuple[_Places, ...], mix: Mix) -> int:
    """Return the CPUs that guests of each shape alone could fill, times its weight, added up over all shapes.

    :param places: of each cell, sorted so that hosts that are alike are asked about once
    """
    total = 0
    for width, fitting in zip(mix.widths, zip_longest(*places, fillvalue=0), strict=False):
        for number, weight in width.numbers if any(fitting) else ():
            if number <= len(fitting):
                total += weight * number * width.cpus * _most_guests(fitting, number)
    return total


def _most_guests(fitting: Sequence[int], number: int) -> int:
    """Return how many guests fit that need a number of different cells each.

    :param fitting: how many of their cells each host cell takes
    """
    guests = sum(fitting) // number
    while guests and (possible := sum([min(each, guests) for each in fitting]) // number) < guests:
        guests = possible
    return guests


def _left(cell: HostCell, mix: Mix) -> _Left:
    key = _Left, mix
    found: _Left | None = cell.memo.get(key)
    if found is None:
        found = _find_left(cell, mix)
        cells.remember(cell.memo, key, found)
    return found


def _find_left(cell: HostCell, mix: Mix) -> _Left:
    rooms = _rooms(cell)
    return _Left(rooms[0].with_memory(), tuple([_places(room, mix) for room in rooms]))


def _places(room: _Room, mix: Mix) -> _Places:
    found = [room.places(width) for width in mix.widths]
    while found and not found[-1]:
        found.pop()
    return tuple(found)


def _rooms(cell: HostCell) -> list[_Room]:
    shape, smallest = cell.shape, cell.smallest_pages
    cpus = (shape.dedicated_cpus or shape.shared_cpus).bit_count()
    free = cell.free_cpus.bit_count() if shape.dedicated_cpus else cpus
    whole = sum([core.bit_count() for core in cell.whole_cores]) if shape.threads_per_core > 1 else 0
    large = [each for each in cell.pages if each is not smallest and each.total]
    return [
        _Room(free, max(cell.free_memory_mib, 0), cpus, max(shape.memory_mib, 1)),
        _Room(whole),
        *[_Room(free, *_mib(each, cpus)) for each in large],
    ]


def _mib(pages: Pages, cpus: int) -> tuple[int, int, int]:
    size_kib = pages.size_kib
    return max(pages.free, 0) * size_kib // KIB_PER_MIB, cpus, max(pages.total * size_kib // KIB_PER_MIB, 1)


def _left_after(cell: HostCell, guest_cell: GuestCell, demand: Demand, mix: Mix) -> _Left | None:
    """Return what is left of a cell after it takes a guest cell; None if it does not take it."""
    key = _Left, guest_cell, demand, mix
    if key not in cell.memo:
        fits = cells.shortfall(cell, demand) is None
        left = _find_left(cell.consume(cells.place(cell, guest_cell, demand)), mix) if fits else None
        cells.remember(cell.memo, key, left)
    found: _Left | None = cell.memo[key]
    return found
