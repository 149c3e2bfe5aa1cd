# SPDX-License-Identifier: Apache-2.0
"""Which servers go where, as numbers of servers that are alike, solved by OR-tools CP-SAT.

Servers are alike where every host answers them alike; those on one host that hold the same in the same host cells are a
stack. A variable is the number that leaves a stack, or that arrives at a host, so that the model does not grow with the
number of servers.
"""

from __future__ import annotations

import importlib
import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, TypeAlias

from numaplace import exception
from numaplace.planning.demand import Amounts, Slot

__all__ = [
    'HOSTS',
    'LEAVE',
    'LOAD',
    'ROOM',
    'SCALE',
    'Cells',
    'Cut',
    'Problem',
    'Proposal',
    'Stack',
    'check_installed',
    'solve',
]

#: What is reached first, before the moves are the fewest: hosts left by their servers; room for new guests; the fewest
#: hosts with servers; the smallest of the largest shares of a resource that hosts use.
LEAVE, ROOM, HOSTS, LOAD = 'leave', 'room', 'hosts', 'load'

_WORKERS = 4
#: Shares are counted in thousandths.
SCALE = 1000
#: The share of the time in which the goal is sought; the fewest moves to it get the rest.
_FIRST = 0.6
#: The least time of a search, in seconds.
_LEAST_SECONDS = 0.1
#: How far a bound may be off as a float.
_ROUNDING = 1e-6
#: More guest cells than this do not arrive at a host cell.
_MOST = 1_000_000

#: Number of a class, and a host.
Arrival: TypeAlias = tuple[int, str]
#: Host cells of a server, in order; none of a server that floats.
Cells: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Stack:
    """Servers of a class on a host that hold the same there.

    :param gives: what is free there once one has left
    """

    kind: int
    host: str
    gives: Amounts
    number: int


@dataclass(frozen=True, slots=True)
class Cut:
    """What is not possible: as many arrivals or more, unless more leave.

    :param arrivals: numbers by class and host
    :param departures: numbers by stack, of those hosts; those that are not named are zero
    :param exact: it excludes these numbers alone
    """

    arrivals: Mapping[Arrival, int]
    departures: Mapping[int, int]
    exact: bool = False


@dataclass(slots=True)
class Problem:
    """What is asked.

    :param rooms: what each host has left
    :param needs: by class, what each guest cell needs, and last the whole guest
    :param floats: by class, whether it has no cells
    :param pairs: classes and the hosts that may take them
    :param leaves: hosts that their servers leave
    :param fixed: hosts that keep some server
    :param wanted: a class and how many new guests of it need room
    :param floating: hosts with servers that have no cells
    :param most_moves: how many servers may move; None for any number
    :param loads: for LOAD by host, how much is used and how much there is
    :param weights: for LOAD by class, how much a server uses at least where it arrives
    :param freed: for LOAD by stack, how much less is used once a server has left
    :param cuts: what is known not to be possible
    """

    goal: str
    rooms: Mapping[str, Amounts]
    needs: list[tuple[dict[str, int], ...]]
    floats: list[bool]
    stacks: list[Stack]
    pairs: list[Arrival]
    leaves: frozenset[str] = frozenset()
    fixed: frozenset[str] = frozenset()
    floating: frozenset[str] = frozenset()
    wanted: tuple[int, int] | None = None
    most_moves: int | None = None
    loads: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    weights: list[int] = field(default_factory=list)
    freed: list[int] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)

    @property
    def is_divided(self) -> bool:
        """Whether a host has several cells."""
        return any(len({cell for cell, _name in room} - {None}) > 1 for room in self.rooms.values())

    def merged(self) -> Problem:
        """Return the problem with all cells of a host as one, 0: it allows no less, and there are fewer numbers.

        What a cell has left is counted by whole multiples of what all servers need.
        """
        divisors = Counter[str]()
        for each in chain(*self.needs):
            for name, amount in each.items():
                divisors[name] = math.gcd(divisors[name], amount)
        for stack in self.stacks:
            for (_cell, name), amount in stack.gives.items():
                divisors[name] = math.gcd(divisors[name], amount)
        stacks = [replace(stack, gives=_merged(stack.gives)) for stack in self.stacks]
        needs = list[tuple[dict[str, int], ...]]()
        for *cells, whole in self.needs:
            total = Counter[str]()
            for cell in cells:
                total.update(cell)
            needs.append((dict(total), whole) if cells else (whole,))
        return replace(
            self, rooms={host: _joint(room, divisors) for host, room in self.rooms.items()}, stacks=stacks, needs=needs
        )


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the solver found.

    :param departures: numbers by stack
    :param arrivals: numbers by class and host
    :param reached: how much of the goal: servers left behind, guests without room, hosts, or the largest share
    :param best: a bound: less is not possible
    :param fewest: a bound of the moves to what is reached
    :param cells: by class and host, how many arrive at which host cells; empty where any will do
    """

    departures: Mapping[int, int]
    arrivals: Mapping[Arrival, int]
    reached: int
    best: int
    fewest: int
    cells: Mapping[Arrival, Counter[Cells]] = field(default_factory=dict)


def _joint(room: Amounts, divisors: Mapping[str, int]) -> Amounts:
    """Return what is left of a host in all, of resources that are limited in each cell."""
    found, cells = dict[Slot, int](), {cell for cell, _name in room if cell is not None}
    for name in {name for _cell, name in room}:
        divisor = max(1, divisors.get(name, 1))
        parts = [room[cell, name] // divisor * divisor for cell in cells if (cell, name) in room]
        if parts and len(parts) == len(cells):
            found[0, name] = sum(parts)
        if (None, name) in room:
            found[None, name] = room[None, name]
    return found


def _merged(amounts: Amounts) -> Amounts:
    found = Counter[Slot]()
    for (cell, name), amount in amounts.items():
        found[None if cell is None else 0, name] += amount
    return dict(found)


def check_installed(module: str = 'ortools.sat.python.cp_model') -> None:
    """Make sure that a solver is there.

    :param module: which is imported; that of CP-SAT takes its time
    :raises: :class:`~numaplace.exception.InvalidConfiguration`
    """
    try:
        for name in (module.rpartition('.')[0], module):  # of an extra
            importlib.import_module(name)
    except ImportError as error:
        raise exception.InvalidConfiguration(
            f"the solver is not installed ({error}): expected the extra 'planning', as in "
            '`pip install numaplace[planning]`'
        ) from None


def solve(problem: Problem, seconds: float) -> Proposal | None:
    """Return the best that is found in time; None if nothing is.

    :raises: as :func:`check_installed`
    """
    check_installed()
    end = time.monotonic() + seconds
    model = _Model(problem)
    goal = model.goal()
    found = model.minimize(goal, max(_LEAST_SECONDS, seconds * _FIRST))
    if found is None:
        return None
    reached, best = found
    model.model.add(goal <= reached)
    again = model.minimize(model.moves(), max(_LEAST_SECONDS, end - time.monotonic()))
    return Proposal(model.departures, model.arrivals, reached, best, again[1] if again and best == reached else 0)


class _Model:
    """Variables and constraints."""

    def __init__(self, problem: Problem) -> None:
        from ortools.sat.python import cp_model  # noqa: PLC0415

        self._cp, self.model, self._problem = cp_model, cp_model.CpModel(), problem
        self._variables: list[Any] = []
        #: What was found last.
        self.departures: dict[int, int] = {}
        self.arrivals: dict[Arrival, int] = {}
        stacks = problem.stacks
        totals = [0] * len(problem.needs)
        for stack in stacks:
            totals[stack.kind] += stack.number
        if problem.wanted is not None:
            totals[problem.wanted[0]] = problem.wanted[1]
        self._out = {number: self._new(stack.number) for number, stack in enumerate(stacks)}
        self._into = {pair: self._new(totals[pair[0]]) for pair in problem.pairs if totals[pair[0]]}
        self._active = self._activity() if problem.goal == HOSTS else {}
        self._flow(totals)
        self._returns = self._returning() if problem.goal == ROOM else []
        self._rooms()
        if problem.most_moves is not None:
            self.model.add(self.moves() <= problem.most_moves)
        for cut in problem.cuts:
            self._cut(cut)

    def moves(self) -> Any:
        """Return the number of moves: of servers that leave their hosts, and again of those that must return there."""
        return self._cp.LinearExpr.sum([*self._out.values(), *self._returns])

    def goal(self) -> Any:
        """Return what is to be small."""
        problem = self._problem
        if problem.goal == LEAVE:
            return sum(
                stack.number - self._out[number]
                for number, stack in enumerate(problem.stacks)
                if stack.host in problem.leaves
            )
        if problem.goal == ROOM:
            kind, number = problem.wanted or (0, 0)
            return number - sum(variable for (each, _host), variable in self._into.items() if each == kind)
        return sum(self._active.values()) if problem.goal == HOSTS else self._largest()

    def minimize(self, goal: Any, seconds: float) -> tuple[int, int] | None:
        """Return the smallest value that is found, and a bound; what is found before is a hint for the next."""
        self.model.minimize(goal)
        solver = self._cp.CpSolver()
        solver.parameters.max_time_in_seconds = seconds
        solver.parameters.num_workers = _WORKERS
        solver.parameters.random_seed = 1
        if solver.solve(self.model) not in (self._cp.OPTIMAL, self._cp.FEASIBLE):
            return None
        self.model.clear_hints()  # type: ignore[no-untyped-call]  # of OR-tools
        for variable in self._variables:
            self.model.add_hint(variable, solver.value(variable))
        self.departures = {number: value for number, each in self._out.items() if (value := solver.value(each))}
        self.arrivals = {pair: value for pair, each in self._into.items() if (value := solver.value(each))}
        return round(solver.objective_value), math.ceil(solver.best_objective_bound - _ROUNDING)

    def _new(self, most: int) -> Any:
        variable = self.model.new_int_var(0, most, '')
        self._variables.append(variable)
        return variable

    def _flow(self, totals: list[int]) -> None:
        """Let as many servers of a class arrive as leave; of new guests, as many as are wanted at most."""
        problem, out, into = self._problem, dict[int, list[Any]](), dict[int, list[Any]]()
        for number, stack in enumerate(problem.stacks):
            out.setdefault(stack.kind, []).append(self._out[number])
        for (kind, _host), variable in self._into.items():
            into.setdefault(kind, []).append(variable)
        add = self._cp.LinearExpr.sum
        for kind in range(len(totals)):
            if problem.wanted is not None and kind == problem.wanted[0]:
                self.model.add(add(into.get(kind, [])) <= totals[kind])
            else:
                self.model.add(add(into.get(kind, [])) == add(out.get(kind, [])))

    def _returning(self) -> list[Any]:
        """Return how many servers of a class arrive where they were, as no others of it do: by way of another host."""
        leaving, everywhere = dict[Arrival, list[Any]](), dict[int, list[Any]]()
        for number, stack in enumerate(self._problem.stacks):
            leaving.setdefault((stack.kind, stack.host), []).append(self._out[number])
            everywhere.setdefault(stack.kind, []).append(self._out[number])
        found, add = [], self._cp.LinearExpr.sum
        for pair, arriving in self._into.items():
            if pair in leaving:
                found.append(self._new(_MOST))
                self.model.add(found[-1] >= add(leaving[pair]) + arriving - add(everywhere[pair[0]]))
        return found

    def _rooms(self) -> None:
        """Let each slot take what it has and what leaves it."""
        problem = self._problem
        used: dict[tuple[str, Slot], list[tuple[Any, int]]] = {}
        held: dict[tuple[str, Slot], int] = {}
        for (kind, host), variable in self._into.items():
            for slot, amount, each in self._taken(kind, host, variable):
                used.setdefault((host, slot), []).append((each, amount))
        for number, stack in enumerate(problem.stacks):
            for slot, amount in stack.gives.items():
                if (stack.host, slot) in used:
                    used[stack.host, slot].append((self._out[number], -amount))
                    held[stack.host, slot] = held.get((stack.host, slot), 0) + amount * stack.number
        floating = problem.floating | {host for kind, host in self._into if problem.floats[kind]}
        for (host, slot), terms in used.items():
            if slot in problem.rooms[host] and (slot[0] is not None or host in floating):
                most, active = problem.rooms[host][slot], self._active.get(host, 1)
                # What is left of a host without servers is not there: a bound that adds up over the hosts.
                gone = (most + held.get((host, slot), 0)) * (1 - active)
                self.model.add(self._sum(terms) + gone <= most)

    def _sum(self, terms: Iterable[tuple[Any, int]]) -> Any:
        """Return a weighted sum, much faster than one addition after the other."""
        variables, amounts = [], []
        for variable, amount in terms:
            variables.append(variable)
            amounts.append(amount)
        return self._cp.LinearExpr.weighted_sum(variables, amounts)

    def _taken(self, kind: int, host: str, variable: Any) -> Iterator[tuple[Slot, int, Any]]:
        """Yield slots, amounts and how often each is taken by arrivals of a class at a host."""
        *cells, whole = self._problem.needs[kind]
        for name, amount in whole.items():
            yield (None, name), amount, variable
        ids = sorted({slot[0] for slot in self._problem.rooms[host] if slot[0] is not None})
        alike: dict[tuple[tuple[str, int], ...], int] = {}
        for need in cells:
            key = tuple(sorted(need.items()))
            alike[key] = alike.get(key, 0) + 1
        by_cell: dict[int, list[Any]] = {}
        for need_key, number in alike.items():
            chosen = {cell: self._new(_MOST) for cell in ids}
            self.model.add(sum(chosen.values()) == number * variable)
            for cell, each in chosen.items():
                by_cell.setdefault(cell, []).append(each)
                for name, amount in need_key:
                    yield (cell, name), amount, each
        if len(cells) > 1:  # one host cell each
            for terms in by_cell.values():
                self.model.add(sum(terms) <= variable)

    def _activity(self) -> dict[str, Any]:
        """Return by host whether it has servers: a variable, or 1."""
        problem, found = self._problem, dict[str, Any].fromkeys(self._problem.fixed, 1)
        for number, stack in enumerate(problem.stacks):
            self.model.add(stack.number - self._out[number] <= stack.number * self._is_active(stack.host, found))
        for (_kind, host), variable in self._into.items():
            self.model.add(variable <= _MOST * self._is_active(host, found))
        return found

    def _is_active(self, host: str, found: dict[str, Any]) -> Any:
        if host not in found:
            found[host] = self.model.new_bool_var('')
            self._variables.append(found[host])
        return found[host]

    def _largest(self) -> Any:
        """Return the largest share that a host uses, in thousandths."""
        problem, terms = self._problem, dict[str, list[tuple[Any, int]]]()
        for number, stack in enumerate(problem.stacks):
            terms.setdefault(stack.host, []).append((self._out[number], -problem.freed[number]))
        for (kind, host), variable in self._into.items():
            terms.setdefault(host, []).append((variable, problem.weights[kind]))
        largest = self._new(_MOST)
        for host, (used, total) in problem.loads.items():
            if total:
                self.model.add(SCALE * (used + self._sum(terms.get(host, []))) <= largest * total)
        return largest

    def _cut(self, cut: Cut) -> None:
        """Exclude what is not possible: fewer arrivals at some host, or more departures."""
        ways = [self._when(self._into[pair] <= number - 1) for pair, number in cut.arrivals.items()]
        hosts = {host for _kind, host in cut.arrivals}
        for number, stack in enumerate(self._problem.stacks):
            left = cut.departures.get(number, 0)
            if (cut.exact or stack.host in hosts) and left < stack.number:
                ways.append(self._when(self._out[number] >= left + 1))
            if cut.exact and left:
                ways.append(self._when(self._out[number] <= left - 1))
        if cut.exact:
            ways += [self._when(variable >= cut.arrivals.get(pair, 0) + 1) for pair, variable in self._into.items()]
        self.model.add_bool_or(ways)

    def _when(self, constraint: Any) -> Any:
        literal = self.model.new_bool_var('')
        self.model.add(constraint).only_enforce_if(literal)
        return literal
