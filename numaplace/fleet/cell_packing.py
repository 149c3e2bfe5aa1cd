# SPDX-License-Identifier: Apache-2.0
"""Pack guests of different cells on the cells of one host: a bound, and an exact search for small cases."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import inf
from typing import Any, TypeAlias

from numaplace.fit import cells
from numaplace.fit.cell_demand import Demand
from numaplace.fleet import cell_room
from numaplace.fleet.counting import MOST, spread
from numaplace.model import Guest, HostCell

__all__ = ['Packing']

_Cells: TypeAlias = tuple[HostCell, ...]

#: After so many states, or beyond so many guests, a search ends with its bounds.
_MOST_STATES, _MOST_GUESTS = 2_000, 400


class _TooManyError(Exception):
    """The search has reached its limit."""


class Packing:
    """Guests of one kind, whose cells differ or have to be near to networks.

    :param near: masks of host cells; each guest uses at least one of each
    """

    def __init__(self, guest: Guest, wanted: Sequence[Demand], near: Sequence[int]) -> None:
        self._guest, self._wanted, self._near = guest, wanted, near
        self._each = {demand: list(wanted).count(demand) for demand in wanted}
        self._known: dict[Any, int] = {}
        self._deepest = 0

    def bound(self, host_cells: _Cells) -> int:
        """Return an upper bound: each kind of guest cells by itself, and the CPUs of all cells together."""
        if not host_cells:
            return 0
        per_guest = sum(demand.dedicated + demand.emulator for demand in self._wanted)
        free = sum(cell.free_cpus.bit_count() for cell in host_cells)
        found: float = free // per_guest if per_guest and all(each.is_pinned for each in self._wanted) else inf
        room: list[float] = [0.0] * len(host_cells)
        for demand, number in self._each.items():
            own = [cell_room.at_most(cell, demand)[0] for cell in host_cells]
            room = [sum(pair) for pair in zip(room, own, strict=True)]
            found = min(found, spread(own, number))
        for mask in self._near:
            found = min(found, sum(own for column, own in enumerate(room) if mask >> column & 1))
        return int(min(found, MOST))

    def search(self, host_cells: _Cells, at_least: int, at_most: int, stop: Callable[[], bool]) -> tuple[int, int]:
        """Return the exact number twice, or better bounds; exponential, with a limited number of states.

        Host cells that have the same left are alike, so a state is asked about once.
        """
        try:
            exact = self._best(host_cells, 0, stop)
        except _TooManyError:
            return max(at_least, self._deepest), at_most
        return exact, exact

    def _best(self, host_cells: _Cells, depth: int, stop: Callable[[], bool]) -> int:
        self._deepest = max(self._deepest, depth)
        key = self._key(host_cells)
        known = self._known.get(key)
        if known is not None:
            self._deepest = max(self._deepest, depth + known)
            return known
        if len(self._known) + depth >= _MOST_STATES or depth > _MOST_GUESTS or stop():
            raise _TooManyError
        bound, best = self.bound(host_cells), 0
        tried = set()
        for child in self._children(host_cells) if bound else ():
            child_key = self._key(child)
            if child_key not in tried:
                tried.add(child_key)
                best = max(best, 1 + self._best(child, depth + 1, stop))
                if best >= bound:
                    break
        self._known[key] = best
        return best

    def _key(self, host_cells: _Cells) -> Any:
        near = [tuple([mask >> column & 1 for mask in self._near]) for column in range(len(host_cells))]
        return tuple(sorted(zip(near, map(_left, host_cells), strict=True)))

    def _children(self, host_cells: _Cells) -> Iterator[_Cells]:
        """Yield the host cells after each choice for one more guest; equal choices once for equal host cells."""
        lefts = [_left(cell) for cell in host_cells]

        def choose(number: int, used: int, now: _Cells) -> Iterator[_Cells]:
            if number == len(self._wanted):
                if all(used & mask for mask in self._near):
                    yield now
                return
            demand, seen = self._wanted[number], set()
            for column, cell in enumerate(host_cells):
                alike = (lefts[column], tuple([mask >> column & 1 for mask in self._near]))
                if used >> column & 1 or alike in seen or cells.shortfall(cell, demand) is not None:
                    continue
                seen.add(alike)
                placed = cells.place(cell, self._guest.cells[number], demand)
                after = (*now[:column], cell.consume(placed), *now[column + 1 :])
                yield from choose(number + 1, used | 1 << column, after)

        return choose(0, 0, host_cells)


def _left(cell: HostCell) -> Any:
    """Return what is left of a cell, without its numbers of CPUs: host cells that have the same left are alike."""
    shape, free = cell.shape, cell.free_cpus
    return (
        tuple([(core.bit_count(), (core & free).bit_count()) for core in shape.cores]),
        tuple([(pages.size_kib, pages.total, pages.free) for pages in cell.pages]),
        (shape.memory_mib, cell.memory_usage_mib + cell.held_mib, cell.cpu_usage),
        (shape.shared_cpus.bit_count(), shape.shared_cpus == shape.dedicated_cpus, shape.threads_per_core),
    )
