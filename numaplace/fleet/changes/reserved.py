# SPDX-License-Identifier: Apache-2.0
"""Fewer reserved pages: the least memory that the operator gives back so that a guest fits."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from math import inf
from typing import Any, NamedTuple

from numaplace.fit.cell_demand import Demand, demands
from numaplace.fit.cells import shortfall
from numaplace.fit.memory import backing_pages
from numaplace.fleet.changes.base import Case, Change, Trial
from numaplace.model import HostCell, Pages
from numaplace.units import KIB_PER_MIB

__all__ = ['RESERVED', 'fewer_reserved']

RESERVED = 'reserved_pages'


class _Lift(NamedTuple):
    """Pages of one size in one host cell that are reserved no more.

    :param mib: their memory
    """

    mib: float
    size_kib: int
    number: int


_NONE = _Lift(0, 0, 0)


def fewer_reserved(case: Case) -> Change | None:
    """Return the smallest memory of reserved pages after which the guest fits, for a guest with cells of its own.

    The cheapest assignment of guest cells to host cells is taken at once, in guest cells ** 2 x host cells; only where
    networks or devices exclude it, choices are tried in the order of their memory.
    """
    is_reserved = any(pages.reserved for cell in case.host.cells for pages in cell.pages)
    if not is_reserved or not 0 < len(case.guest.cells) <= len(case.host.cells):
        return None
    wanted = demands(case.guest, case.limits)
    by_demand = {demand: [_lift(cell, demand) for cell in case.host.cells] for demand in set(wanted)}
    lifts = [by_demand[demand] for demand in wanted]
    columns = _cheapest([[inf if lift is None else lift.mib for lift in row] for row in lifts])
    if columns is None:
        return None
    chosen = [_NONE] * len(case.host.cells)
    for row, column in zip(lifts, columns, strict=True):
        chosen[column] = row[column] or _NONE
    if _takes(case, chosen):
        return _change(case, chosen)
    choices = [sorted({_NONE, *(row[column] or _NONE for row in lifts)}) for column in range(len(case.host.cells))]
    if not _takes(case, [options[-1] for options in choices]):
        return None
    return next((_change(case, lifted) for lifted in _by_cost(choices) if _takes(case, lifted)), None)


def _lift(cell: HostCell, demand: Demand) -> _Lift | None:
    """Return the least reserved memory that a demand needs in a host cell, or None if it does not fit even then."""
    if shortfall(cell, demand) is None:
        return _NONE
    smallest = cell.smallest_pages
    if demand.pagesize_kib:
        candidates = backing_pages(cell, demand.pagesize_kib)
    else:
        candidates = [] if smallest is None else [smallest]
    found = []
    for pages in candidates:
        number = -(-demand.memory_mib * KIB_PER_MIB // pages.size_kib) - pages.free
        lift = _Lift(number * pages.size_kib / KIB_PER_MIB, pages.size_kib, number)
        if 0 < number <= pages.reserved and shortfall(_lifted(cell, lift), demand) is None:
            found.append(lift)
    return min(found, default=None)


def _lifted(cell: HostCell, lift: _Lift) -> HostCell:
    return replace(cell, pages=tuple([_less(pages, lift) for pages in cell.pages]))


def _less(pages: Pages, lift: _Lift) -> Pages:
    return replace(pages, reserved=pages.reserved - lift.number) if pages.size_kib == lift.size_kib else pages


def _takes(case: Case, chosen: Sequence[_Lift]) -> bool:
    cells = [_lifted(cell, lift) if lift.number else cell for cell, lift in zip(case.host.cells, chosen, strict=True)]
    return case.takes(Trial(replace(case.host, cells=tuple(cells)), case.guest, case.networks))


def _change(case: Case, chosen: Sequence[_Lift]) -> Change:
    before, after = list[dict[str, Any]](), list[dict[str, Any]]()
    for cell, lift in zip(case.host.cells, chosen, strict=True):
        for pages in cell.pages:
            if lift.number and pages.size_kib == lift.size_kib:
                place = {'host_cell': cell.id, 'pagesize_kib': pages.size_kib}
                before.append({**place, 'reserved': pages.reserved})
                after.append({**place, 'reserved': pages.reserved - lift.number})
    return Change(RESERVED, (sum([lift.mib for lift in chosen]),), before, after)


def _by_cost(choices: Sequence[Sequence[_Lift]]) -> Iterator[list[_Lift]]:
    """Yield one of each, by the sum of their memory: the choices of a cell are sorted."""
    serial = count()
    waiting: list[tuple[float, int, tuple[int, ...], int]] = [(0.0, next(serial), (0,) * len(choices), 0)]
    while waiting:
        _mib, _serial, places, last = heapq.heappop(waiting)
        yield [options[place] for options, place in zip(choices, places, strict=True)]
        for column in range(last, len(choices)):
            if places[column] + 1 < len(choices[column]):
                more = (*places[:column], places[column] + 1, *places[column + 1 :])
                mib = sum([options[place].mib for options, place in zip(choices, more, strict=True)])
                heapq.heappush(waiting, (mib, next(serial), more, column))


def _cheapest(costs: Sequence[Sequence[float]]) -> list[int] | None:
    """Return for each row a column of its own, with the least sum of costs; None if the sum is always infinite.

    The Hungarian method: shortest augmenting paths with potentials, rows ** 2 x columns.
    """
    matching = _Matching(costs)
    if not all(matching.add(row) for row in range(1, len(costs) + 1)):
        return None
    return [matching.owner.index(row, 1) - 1 for row in range(1, len(costs) + 1)]


class _Matching:
    """The cheapest columns of the first rows. Rows and columns count from 1; column 0 holds the row that comes next."""

    def __init__(self, costs: Sequence[Sequence[float]]) -> None:
        self._costs, self._width = costs, len(costs[0]) + 1
        self._of_row, self._of_column = [0.0] * (len(costs) + 1), [0.0] * self._width
        self.owner = [0] * self._width

    def add(self, row: int) -> bool:
        """Give one more row a column; return False if there is none."""
        self.owner[0] = row
        least, came = [inf] * self._width, [0] * self._width
        done, column = {0}, 0
        while self.owner[column]:
            done.add(column)
            self._compare(column, least, came, done)
            step, column = min([(least[other], other) for other in range(self._width) if other not in done])
            if step == inf:
                return False
            self._shift(step, least, done)
        while column:
            self.owner[column] = self.owner[came[column]]
            column = came[column]
        return True

    def _compare(self, column: int, least: list[float], came: list[int], done: set[int]) -> None:
        """Note where the row of a column reaches other columns at less cost."""
        row = self.owner[column]
        for other in range(1, self._width):
            reduced = self._costs[row - 1][other - 1] - self._of_row[row] - self._of_column[other]
            if other not in done and reduced < least[other]:
                least[other], came[other] = reduced, column

    def _shift(self, step: float, least: list[float], done: set[int]) -> None:
        for other in range(self._width):
            if other in done:
                self._of_row[self.owner[other]] += step
                self._of_column[other] -= step
            else:
                least[other] -= step
