# SPDX-License-Identifier: Apache-2.0
"""The problem of :mod:`numaplace.planning.solver` without whole numbers: a linear program, fast where many hosts are.

The cells of a host are one here, as of :meth:`~numaplace.planning.solver.Problem.merged`. The program says which hosts
are best left by their servers, and what no plan can pass. Then it is rounded: one class after the other gets whole
numbers, those of large servers first, and what is still open adapts.
"""

from __future__ import annotations

import importlib
import math
import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from numaplace.planning.demand import Slot
from numaplace.planning.solver import Arrival, Problem, Proposal, check_installed

__all__ = ['MODULE', 'Choice', 'Rounding', 'choose', 'sizes']

#: Where the solver of linear programs is.
MODULE = 'ortools.linear_solver.pywraplp'
#: How far a number may be off a whole one as a float.
_ROUNDING = 1e-6
#: From which part on a number is rounded up, if it may be.
_UP = 0.7
#: The same, the least and the most, when hosts are rounded once more.
_TRIED = 0.5, 0.9
#: So often the numbers of a class are rounded before all are at once.
_MOST_STEPS = 12
#: So many hosts are rounded once more at once.
_AT_ONCE = 20
#: Costs by share of a host: of servers without a place, of servers that there are not, and of room that is not there.
_HOMELESS, _INVENTED, _OVERFULL = 1e3, 1e4, 2e4


@dataclass(slots=True)
class _Column:
    """A number of servers of a class that leave a stack, or that arrive at a host."""

    variable: Any
    kind: int
    host: str
    least: float
    most: float
    stack: int | None = None
    low: float = 0.0
    high: float = math.inf

    def __post_init__(self) -> None:
        self.low, self.high = self.least, self.most

    @property
    def is_arrival(self) -> bool:
        """Whether it takes room."""
        return self.stack is None


@dataclass(slots=True)
class Choice:
    """Which hosts keep servers.

    :param kept: their names
    :param hosts: a bound of the number of hosts
    :param moves: a bound of the moves to as few
    """

    kept: frozenset[str]
    hosts: int
    moves: int


class _Program:
    """Variables and constraints; with hosts that are kept, or with a variable for each host that says so."""

    def __init__(self, problem: Problem, kept: frozenset[str] | None) -> None:
        check_installed(MODULE)
        pywraplp: Any = importlib.import_module(MODULE)  # an extra

        self.problem, self.kept = problem, kept
        self.solver = pywraplp.Solver.CreateSolver('GLOP')
        self._settings = pywraplp.MPSolverParameters()
        self._settings.SetIntegerParam(self._settings.INCREMENTALITY, self._settings.INCREMENTALITY_ON)
        self._settings.SetIntegerParam(self._settings.PRESOLVE, self._settings.PRESOLVE_OFF)
        self._infinity = self.solver.infinity()
        self.columns: list[list[_Column]] = [[] for _ in problem.needs]
        self.is_kept: dict[str, Any] = {}
        self.overfull: dict[str, Any] = {}
        self.amounts, self.weights = _amounts(problem), sizes(problem)
        self.rows: dict[tuple[str, Slot], Any] = {}
        self.flows = [self.solver.Constraint(0, 0) for _ in problem.needs]
        self.moves = self.solver.Objective()
        self.moves.SetMinimization()
        self._add_rows()
        self._add_departures()
        self._add_arrivals()

    def solve(self) -> bool:
        """Solve from the last solution on; return whether there is one."""
        return bool(self.solver.Solve(self._settings) == self.solver.OPTIMAL)

    def _new(self, most: float) -> Any:
        return self.solver.NumVar(0, most, '')

    def _add_rows(self) -> None:
        """Give each slot of a host that counts what it has when it is empty."""
        problem, held = self.problem, Counter[tuple[str, Slot]]()
        for stack in problem.stacks:
            for slot, amount in stack.gives.items():
                held[stack.host, slot] += amount * stack.number
        floating = problem.floating | {host for kind, host in problem.pairs if problem.floats[kind]}
        names = {name for needs in problem.needs for need in needs for name in need}
        for host, room in problem.rooms.items():
            if self.kept is not None and host not in self.kept:
                continue
            flexible = self._flexible(host)
            for slot, free in room.items():
                if slot[1] in names and (slot[0] is not None or host in floating):
                    used = held[host, slot]
                    row = self.rows[host, slot] = self.solver.Constraint(-self._infinity, free)
                    if flexible is not None:
                        row.SetCoefficient(flexible, -float(free + used))
                    if host in self.is_kept:
                        row.SetUb(-used)

    def _flexible(self, host: str) -> Any:
        """Return by how much of itself a host has room: as it is kept, or beyond what it has; None for neither."""
        if self.kept is not None:
            found = self.overfull[host] = self._new(self._infinity)
            self.moves.SetCoefficient(found, _OVERFULL)
            return found
        if host in self.problem.fixed:
            return None
        found = self.is_kept[host] = self._new(1)
        return found

    def _add_departures(self) -> None:
        for number, stack in enumerate(self.problem.stacks):
            least = stack.number if self.kept is not None and stack.host not in self.kept else 0
            variable = self.solver.NumVar(least, stack.number, '')
            self.columns[stack.kind].append(_Column(variable, stack.kind, stack.host, least, stack.number, number))
            self.moves.SetCoefficient(variable, 1)
            self.flows[stack.kind].SetCoefficient(variable, -1)
            for slot, amount in stack.gives.items():
                if (stack.host, slot) in self.rows:
                    self.rows[stack.host, slot].SetCoefficient(variable, -float(amount))
            if stack.host in self.is_kept:  # those of a host that is not kept all leave
                row = self.solver.Constraint(stack.number, self._infinity)
                row.SetCoefficient(variable, 1)
                row.SetCoefficient(self.is_kept[stack.host], stack.number)

    def _add_arrivals(self) -> None:
        problem = self.problem
        totals = Counter[int]()
        for stack in problem.stacks:
            totals[stack.kind] += stack.number
        for kind, host in problem.pairs:
            if totals[kind] and (self.kept is None or host in self.kept):
                self._arrive(kind, host, totals[kind])

    def _arrive(self, kind: int, host: str, most: int) -> None:
        """Let servers of a class arrive at a host: in its cell, and at the host as a whole."""
        *cells, whole = self.problem.needs[kind]
        column = _Column(self._new(most), kind, host, 0, most)
        self.columns[kind].append(column)
        self.flows[kind].SetCoefficient(column.variable, 1)
        self._take(host, None, whole, column.variable)
        for cell, need in enumerate(cells):
            self._take(host, cell, need, column.variable)

    def _take(self, host: str, cell: int | None, need: Mapping[str, int], variable: Any) -> None:
        for name, amount in need.items():
            if (row := self.rows.get((host, (cell, name)))) is not None:
                row.SetCoefficient(variable, float(amount))


def _amounts(problem: Problem) -> Counter[str]:
    """Return how much all hosts have, by resource."""
    found = Counter[str]()
    for room in problem.rooms.values():
        for (_cell, name), amount in room.items():
            found[name] += amount
    for stack in problem.stacks:
        for (_cell, name), amount in stack.gives.items():
            found[name] += amount * stack.number
    return found


def sizes(problem: Problem) -> list[float]:
    """Return how large servers of each class are, as shares of a usual host."""
    amounts, hosts = _amounts(problem), max(1, len(problem.rooms))
    return [hosts * _weight(needs, amounts) for needs in problem.needs]


def _weight(needs: tuple[dict[str, int], ...], amounts: Counter[str]) -> float:
    """Return how large a server is, as a share of all."""
    return sum([amount / amounts[name] for need in needs for name, amount in need.items() if amounts[name]])


def choose(problem: Problem, least: int) -> Choice | None:
    """Return the hosts that keep servers: as few as the limit of the moves allows, so that the fewest servers move.

    :param least: a bound of the number of hosts
    """
    program = _Program(problem, None)
    solver, flags, fixed = program.solver, program.is_kept, len(problem.fixed)
    departures = [column for columns in program.columns for column in columns if not column.is_arrival]
    hosts = solver.Constraint(-solver.infinity(), least - fixed)
    for flag in flags.values():
        hosts.SetCoefficient(flag, 1)
    moves = math.inf
    if program.solve():
        moves = program.moves.Value()
    most = problem.most_moves
    if most is not None and moves > most:
        fewest = _fewest_hosts(program, hosts, departures, most)
        if fewest is None:
            return None
        least = max(least, fewest)
        hosts.SetUb(least - fixed)
        if not program.solve():
            return None
        moves = program.moves.Value()
    rated = sorted([(-flag.solution_value(), host) for host, flag in flags.items()])
    kept = frozenset([*problem.fixed, *(host for _value, host in rated[: least - fixed])])
    return Choice(kept, least, math.ceil(moves - _ROUNDING))


def _fewest_hosts(program: _Program, hosts: Any, departures: list[_Column], most: int) -> int | None:
    """Return how many hosts must keep servers if only so many servers may move."""
    solver = program.solver
    limit = solver.Constraint(-solver.infinity(), most)
    hosts.SetUb(solver.infinity())
    for column in departures:
        limit.SetCoefficient(column.variable, 1)
        program.moves.SetCoefficient(column.variable, 0)
    for flag in program.is_kept.values():
        program.moves.SetCoefficient(flag, 1)
    if not program.solve():
        return None
    least: int = math.ceil(program.moves.Value() - _ROUNDING) + len(program.problem.fixed)
    for column in departures:
        program.moves.SetCoefficient(column.variable, 1)
    for flag in program.is_kept.values():
        program.moves.SetCoefficient(flag, 0)
    return least


class Rounding:
    """Whole numbers for a problem in which some hosts are left by their servers.

    :param kept: the other hosts
    :param try_: how many other ways to round came before
    """

    def __init__(self, problem: Problem, kept: frozenset[str], try_: int = 0) -> None:
        self._problem, self._program = problem, _Program(problem, kept)
        self._homeless, self._invented = list[Any](), list[Any]()
        #: Classes, and hosts of classes, whose numbers are not rounded so that they take more room.
        self._careful: set[int | tuple[int, str]] = set()
        self._dice = random.Random(try_)  # noqa: S311 - which hosts are tried, and how
        self._steps, self._up = Counter[int](), self._dice.uniform(*_TRIED) if try_ else _UP
        infinity = self._program.solver.infinity()
        for flow, weight in zip(self._program.flows, self._program.weights, strict=True):
            for costs, sign, found in ((_HOMELESS, 1, self._homeless), (_INVENTED, -1, self._invented)):
                found.append(self._program.solver.NumVar(0, infinity, ''))
                flow.SetCoefficient(found[-1], sign)
                self._program.moves.SetCoefficient(found[-1], 3 + costs * weight)

    def find(self, until: float, enough: float | None) -> Proposal | None:
        """Return departures and arrivals; servers without a place are on one host that was to be left.

        While there are some, some hosts of those with the most room are rounded once more; while there are too many
        moves, any hosts.

        :param until: when to end, in seconds of the monotonic clock
        :param enough: so few moves are few enough; None: the first numbers do
        """
        # Without whole numbers there are no moves: the first ones may take twice as long.
        is_whole, known = self._round(2 * until - time.monotonic()), sorted(self._program.overfull)
        while is_whole and enough is not None and time.monotonic() < until:
            is_short, cost = self._is_short(), self._program.moves.Value()
            if not is_short and cost <= enough:
                break
            before = self._values()
            among = self._rooms()[: 2 * _AT_ONCE] if is_short else known
            hosts = set(self._dice.sample(among, min(_AT_ONCE, (len(among) + 1) // 2)))
            self._up = self._dice.uniform(*_TRIED)
            self._bind([(column, value, value) for column, value in before if column.host not in hosts])
            self._bind([(column, column.least, column.most) for column, _value in before if column.host in hosts])
            if not self._round(until) or self._program.moves.Value() > cost:
                self._bind([(column, value, value) for column, value in before])
                self._program.solve()
        return self._proposal() if self._program.solve() else None

    def _round(self, until: float) -> bool:
        """Give all numbers that are not bound whole values; return whether all have some in time."""
        order = sorted(range(len(self._problem.needs)), key=lambda kind: -self._program.weights[kind])
        position = 0
        self._careful.clear()
        self._steps.clear()
        while self._program.solve():
            if position == len(order) or time.monotonic() > until:
                return position == len(order)
            # All is read before anything changes, which ends the solution.
            position, bounds = self._advance(order, position)
            self._bind(bounds)
        return False

    def _bind(self, bounds: Iterable[tuple[_Column, float, float]]) -> None:
        for column, low, high in bounds:
            column.low, column.high = low, high
            column.variable.SetBounds(low, high)

    def _values(self) -> list[tuple[_Column, float]]:
        """Return whole numbers that leave enough room."""
        columns = [column for columns in self._program.columns for column in columns]
        return [_safe((column, column.variable.solution_value())) for column in columns]

    def _is_short(self) -> bool:
        """Return whether a server has no place."""
        return any(variable.solution_value() > _ROUNDING for variable in self._homeless)

    def _rooms(self) -> list[str]:
        """Return the hosts that are kept, those with the most room first."""
        used, found = self._program.solver.ComputeConstraintActivities(), Counter[str]()
        for (host, (_cell, name)), row in self._program.rows.items():
            found[host] += (row.ub() - used[row.index()]) / max(1, self._program.amounts[name])
        return sorted(found, key=lambda host: (-found[host], host))

    def _advance(self, order: list[int], position: int) -> tuple[int, list[tuple[_Column, float, float]]]:
        """Return the class to go on with, and the bounds that round it; classes before it keep their whole numbers."""
        columns = self._program.columns
        bounds = list(self._repaired(order[position]))
        while not bounds and position < len(order):
            values = [(column, column.variable.solution_value()) for column in columns[order[position]]]
            broken = [(column, value) for column, value in values if not _is_whole(value)]
            self._steps[order[position]] += 1
            if broken and self._steps[order[position]] > _MOST_STEPS:
                bounds = [(column, whole, whole) for column, whole in map(_safe, values)]
            else:
                bounds = [self._rounded(column, value) for column, value in broken]
            if not bounds:
                position += 1
        fixed = [
            (column, value, value)
            for kind in order[:position]
            for column in columns[kind]
            if column.low != column.high
            for value in (float(round(column.variable.solution_value())),)
        ]
        return position, [*bounds, *fixed]

    def _repaired(self, kind: int) -> Iterator[tuple[_Column, float, float]]:
        """Take back what was rounded so that there is no room, or no server."""
        program = self._program
        is_invented = self._invented[kind].solution_value() > _ROUNDING
        full = {host for host, variable in program.overfull.items() if variable.solution_value() > _ROUNDING}
        new = {host for host in full if (kind, host) not in self._careful}
        if is_invented:
            is_invented = kind not in self._careful
            self._careful.add(kind)
        self._careful |= {(kind, host) for host in new}
        for column in program.columns[kind]:
            if column.host in new or (is_invented and column.is_arrival):
                yield column, column.least, column.most

    def _rounded(self, column: _Column, value: float) -> tuple[_Column, float, float]:
        is_up = value - math.floor(value) >= self._up
        if (column.kind, column.host) in self._careful or (column.is_arrival and column.kind in self._careful):
            is_up = not column.is_arrival
        return (column, math.ceil(value), column.high) if is_up else (column, column.low, math.floor(value))

    def _proposal(self) -> Proposal:
        """Return what is found: rounded so that there is room, and with as many arrivals of a class as departures."""
        departures, arrivals = Counter[int](), Counter[Arrival]()
        for column, value in self._values():
            if column.stack is None:
                arrivals[column.kind, column.host] += round(value)
            else:
                departures[column.stack] += round(value)
        self._even(departures, arrivals)
        left = {
            stack.host for number, stack in enumerate(self._problem.stacks) if departures[number] < stack.number
        } | {host for (_kind, host), number in arrivals.items() if number}
        return Proposal(+departures, +arrivals, len(left | self._problem.fixed), 0, 0)

    def _even(self, departures: Counter[int], arrivals: Counter[Arrival]) -> None:
        """Let as many servers of a class arrive as leave; the others are on one host that was to be left."""
        stacks, kept = self._problem.stacks, self._program.kept or frozenset()
        sizes = Counter[str]()
        excess = Counter[int]()
        for number, stack in enumerate(stacks):
            sizes[stack.host] += stack.number
            excess[stack.kind] += departures[number]
        for (kind, _host), amount in arrivals.items():
            excess[kind] -= amount
        order = sorted(sizes, key=lambda host: (-sizes[host], host))
        last = next((host for host in order if host not in kept), None)
        for number, stack in enumerate(stacks):
            if stack.host == last:
                stays = min(max(0, excess[stack.kind]), departures[number])
                departures[number] -= stays
                excess[stack.kind] -= stays
        pairs = set(self._problem.pairs)
        for kind, amount in excess.items():
            if amount > 0 and last is not None and (kind, last) in pairs:
                arrivals[kind, last] += amount
                excess[kind] = 0
        for number, stack in enumerate(stacks):
            stays = min(max(0, excess[stack.kind]), departures[number])
            departures[number] -= stays
            excess[stack.kind] -= stays
        for pair in list(arrivals):
            fewer = min(max(0, -excess[pair[0]]), arrivals[pair])
            arrivals[pair] -= fewer
            excess[pair[0]] += fewer


def _safe(value: tuple[_Column, float]) -> tuple[_Column, float]:
    """Return a whole number that leaves enough room."""
    column, number = value
    return column, float(math.floor(number + _ROUNDING) if column.is_arrival else math.ceil(number - _ROUNDING))


def _is_whole(value: float) -> bool:
    return abs(value - round(value)) <= _ROUNDING
