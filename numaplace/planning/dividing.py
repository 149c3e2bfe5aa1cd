# SPDX-License-Identifier: Apache-2.0
"""Divide what arrives at hosts among their cells; what has no room there gets a place by swaps between hosts.

Where that is not enough, one more host keeps servers.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, combinations, islice
from typing import Any

from numaplace.planning.demand import Slot
from numaplace.planning.mending import HostNumbers, Number, Spots, mend
from numaplace.planning.relaxation import sizes
from numaplace.planning.solver import Arrival, Cells, Problem, Proposal, check_installed

__all__ = ['Division', 'divide', 'emptied']

#: So many ways to use the cells of a host are tried for a server of several cells at most.
_MOST_WAYS = 100
#: Seconds to divide what arrives at one host.
_EACH = 0.05
#: With more moves than are allowed, up to so many times, another host is kept; with more of them no place is sought.
_NEARLY = 1.1
#: So many moves a server takes at least that has no place after the cells were filled.
_MOVES = 2
#: How many parts of a host the sizes of servers are counted in.
_PARTS = 100_000


@dataclass(frozen=True, slots=True)
class Division:
    """Numbers with host cells.

    :param kept: hosts that keep servers
    :param moves: how many it takes, or would take if places were sought for all
    """

    proposal: Proposal
    kept: frozenset[str]
    moves: int


def emptied(problem: Problem, kept: Collection[str]) -> Proposal:
    """Return that all servers leave the other hosts, and have no place."""
    departures, arrivals = dict[int, int](), Counter[Arrival]()
    for row, stack in enumerate(problem.stacks):
        if stack.host not in kept:
            departures[row] = stack.number
            arrivals[stack.kind, stack.host] += stack.number
    return Proposal(departures, arrivals, len(kept), 0, 0)


def divide(problem: Problem, kept: Collection[str], proposal: Proposal, until: float) -> Division:
    """Return numbers with the host cells of those that arrive.

    :param kept: hosts that are to keep servers; what arrives at others has no place yet
    :param proposal: numbers as of :meth:`~numaplace.planning.solver.Problem.merged`
    :param until: when to end, in seconds of the monotonic clock; servers without a place stay where they are
    """
    weights, numbers = sizes(problem), _Numbers(problem)
    for host in kept:
        numbers.open(host)
    leaving, arriving, homeless = dict[str, Counter[int]](), dict[str, Counter[int]](), Counter[int]()
    for row, amount in proposal.departures.items():
        leaving.setdefault(problem.stacks[row].host, Counter())[problem.stacks[row].kind] += amount
    for (kind, host), amount in proposal.arrivals.items():
        arriving.setdefault(host, Counter())[kind] += amount
    for host, place in numbers.places.items():
        numbers.fill(place, arriving.get(host, Counter()), leaving.get(host, Counter()), weights)
    for wanted in arriving.values():
        homeless += wanted
    waiting = Counter({stack.host: 0 for stack in problem.stacks if stack.host not in numbers.places})
    for stack in problem.stacks:
        if stack.host in waiting:
            waiting[stack.host] += stack.number
    order = sorted(waiting, key=lambda host: (waiting[host], host))
    spots, most = numbers.spots(), math.inf if problem.most_moves is None else problem.most_moves
    while True:
        is_found = mend(spots, homeless, weights, _half(until), _NEARLY * most) and spots.moves <= most
        if is_found or not order or spots.moves > _NEARLY * most or time.monotonic() > until:
            break
        spots.add(numbers.open(order.pop(), is_empty=True))
    moves = spots.moves + (_MOVES * homeless.total() if spots.moves > most else 0)
    return Division(numbers.proposal(homeless, order), frozenset(numbers.places), moves)


def _half(until: float) -> float:
    """Return when half of the time is over."""
    now = time.monotonic()
    return now + (until - now) / 2


@dataclass(slots=True)
class _Numbers:
    """The numbers of all hosts that keep servers."""

    problem: Problem
    places: dict[str, HostNumbers] = field(default_factory=dict)
    departures: dict[int, Number] = field(default_factory=dict)
    _totals: Counter[int] = field(default_factory=Counter)
    _names: set[str] = field(default_factory=set)
    _floating: set[str] = field(default_factory=set)
    _ways: dict[tuple[int, tuple[int, ...]], list[dict[Slot, int]]] = field(default_factory=dict)
    _rows: dict[str, list[int]] = field(default_factory=dict)
    _kinds: dict[str, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        problem = self.problem
        self._names = {name for needs in problem.needs for need in needs for name in need}
        self._floating = {*problem.floating} | {host for kind, host in problem.pairs if problem.floats[kind]}
        for row, stack in enumerate(problem.stacks):
            self._totals[stack.kind] += stack.number
            self._rows.setdefault(stack.host, []).append(row)
        for kind, host in problem.pairs:
            self._kinds.setdefault(host, []).append(kind)

    def spots(self) -> Spots:
        """Return the cells of all hosts that keep servers."""
        names = {(slot[0] is None, slot[1]) for host in self.problem.rooms for slot in self._counted(host)}
        spots = Spots(len(self.problem.needs), names)
        spots.add(*self.places.values())
        return spots

    def _counted(self, host: str) -> list[Slot]:
        """Return which slots of a host limit what it takes."""
        room, is_floating = self.problem.rooms[host], host in self._floating
        return [slot for slot in room if slot[1] in self._names and (slot[0] is not None or is_floating)]

    def open(self, host: str, *, is_empty: bool = False) -> HostNumbers:
        """Let a host keep servers, and return its numbers.

        :param is_empty: all of its servers leave, until some return
        """
        room = self.problem.rooms[host]
        place = self.places[host] = HostNumbers([], {slot: room[slot] for slot in self._counted(host)})
        for row in self._rows.get(host, ()):
            stack = self.problem.stacks[row]
            takes = {slot: -amount for slot, amount in stack.gives.items() if slot in place.free}
            number = self.departures[row] = Number(stack.kind, False, 0, stack.number, takes)
            place.numbers.append(number)
            place.change(number, stack.number if is_empty else 0)
        cells = tuple(sorted({cell for cell, _name in self.problem.rooms[host] if cell is not None}))
        for kind in self._kinds.get(host, ()):
            if self._totals[kind]:
                for takes in self._ways_of(kind, cells):
                    there = {slot: amount for slot, amount in takes.items() if slot in place.free}
                    used = tuple(sorted({cell for cell, _name in takes if cell is not None}))
                    place.numbers.append(Number(kind, True, 0, self._totals[kind], there, used))
        return place

    def _ways_of(self, kind: int, cells: tuple[int, ...]) -> list[dict[Slot, int]]:
        if (kind, cells) not in self._ways:
            self._ways[kind, cells] = list(islice(_ways(self.problem.needs[kind], cells), _MOST_WAYS))
        return self._ways[kind, cells]

    def fill(self, place: HostNumbers, wanted: Counter[int], leaving: Counter[int], weights: Sequence[float]) -> None:
        """Let servers of classes leave the cells of a host, so that as much as can arrives.

        :param wanted: how many arrive by class; those that have no room are left
        """
        if not (wanted or leaving):
            return
        check_installed()
        from ortools.sat.python import cp_model  # noqa: PLC0415

        model, variables = cp_model.CpModel(), list[tuple[Number, Any]]()
        taken, by_kind = dict[Slot, tuple[list[Any], list[int]]](), dict[tuple[int, bool], list[Any]]()
        for number in place.numbers:
            most = min(number.most, (wanted if number.is_arrival else leaving)[number.kind])
            if most:
                variable = model.new_int_var(0, most, '')
                variables.append((number, variable))
                by_kind.setdefault((number.kind, number.is_arrival), []).append(variable)
                for slot, amount in number.takes.items():
                    terms = taken.setdefault(slot, ([], []))
                    terms[0].append(variable)
                    terms[1].append(amount)
        for (kind, is_arrival), each in by_kind.items():
            total = cp_model.LinearExpr.sum(each)
            model.add(total <= wanted[kind] if is_arrival else total == leaving[kind])
        for slot, terms in taken.items():
            model.add(cp_model.LinearExpr.weighted_sum(*terms) <= place.free[slot])
        arriving = [(number, variable) for number, variable in variables if number.is_arrival]
        worth = [max(1, round(_PARTS * weights[number.kind])) for number, _variable in arriving]
        model.maximize(cp_model.LinearExpr.weighted_sum([variable for _number, variable in arriving], worth))
        solver = cp_model.CpSolver()
        solver.parameters.max_time_in_seconds, solver.parameters.num_workers = _EACH, 1
        if solver.solve(model) in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            for number, variable in variables:
                place.change(number, solver.value(variable))
                wanted[number.kind] -= solver.value(variable) if number.is_arrival else 0

    def proposal(self, homeless: Counter[int], closed: Sequence[str]) -> Proposal:
        """Return all numbers.

        :param homeless: how many servers of each class have no place: they stay, on hosts that were to be left
            if there are any
        :param closed: these hosts, the one with the fewest servers first
        """
        left, departures, arrivals = +homeless, Counter[int](), Counter[Arrival]()
        cells = dict[Arrival, Counter[Cells]]()
        for row in chain(*[self._rows[host] for host in reversed(closed)], self.departures):
            stack = self.problem.stacks[row]
            leaving = self.departures[row].value if row in self.departures else stack.number
            stays = min(leaving, left[stack.kind])
            left[stack.kind] -= stays
            departures[row] = leaving - stays
        for host, place in self.places.items():
            for number in place.numbers:
                if number.is_arrival and number.value:
                    arrivals[number.kind, host] += number.value
                    cells.setdefault((number.kind, host), Counter())[number.cells] += number.value
        return Proposal(+departures, arrivals, len(self.places), 0, 0, cells)


def _ways(needs: Sequence[Mapping[str, int]], ids: Sequence[int]) -> Iterator[dict[Slot, int]]:
    """Yield what a server may take of the cells of a host, and of the host as a whole."""
    *cells, whole = needs
    alike = [(need, cells.count(need)) for place, need in enumerate(cells) if cells.index(need) == place]
    for takes in _chosen(alike, ids):
        takes.update({(None, name): amount for name, amount in whole.items()})
        yield {slot: amount for slot, amount in takes.items() if amount}


def _chosen(alike: Sequence[tuple[Mapping[str, int], int]], ids: Sequence[int]) -> Iterator[dict[Slot, int]]:
    """Yield what guest cells may take, of which some are alike."""
    if not alike:
        yield {}
        return
    (need, number), *others = alike
    for cells in combinations(ids, number):
        for takes in _chosen(others, [cell for cell in ids if cell not in cells]):
            yield {(cell, name): amount for cell in cells for name, amount in need.items()} | takes
