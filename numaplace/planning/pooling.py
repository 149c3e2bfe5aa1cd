# SPDX-License-Identifier: Apache-2.0
"""On how few hosts all servers can be, as if what hosts have were in one pool: a linear program of one column a host.

It knows neither which class may go where nor which server is on which cell, so it stays small however many there are.
What it says is a bound, and a choice of the hosts to empty first.
"""

from __future__ import annotations

import importlib
import math
from collections import Counter
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from numaplace.planning.relaxation import MODULE, Choice
from numaplace.planning.solver import Problem, check_installed

__all__ = ['pool']

#: How far a bound may be off as a float.
_ROUNDING = 1e-4
#: By size of what a guest cell needs, how many servers each host has.
_Sizes: TypeAlias = dict[int, npt.NDArray[np.float64]]
#: So many sizes of one resource get a row of their own, those of most servers.
_MOST_SIZES = 24


@dataclass(slots=True)
class _Row:
    """How many guest cells of some size there are at least, and how many of this size each host holds at most.

    Sizes are counted by whole multiples: a sum of rounded shares is at most the rounded share of the sum.
    """

    needed: int
    held: npt.NDArray[np.float64]


def pool(problem: Problem, *, others_stay: bool = False) -> Choice | None:
    """Return the hosts that keep servers: as few as may be, of which the fewest servers move; None if it finds none.

    :param others_stay: only servers of the other hosts move, to what is free now: then it is no bound
    """
    check_installed(MODULE)
    hosts = list(problem.rooms)
    servers = Counter[str]()
    for stack in problem.stacks:
        servers[stack.host] += stack.number
    solver: Any = importlib.import_module(MODULE).Solver.CreateSolver('GLOP')  # an extra
    kept = [solver.NumVar(1 if host in problem.fixed else 0, 1, '') for host in hosts]
    for row in _rows(problem, hosts, others_stay=others_stay):
        constraint = solver.Constraint(1.0, solver.infinity())
        for variable, amount in zip(kept, row.held.tolist(), strict=True):
            constraint.SetCoefficient(variable, min(amount / row.needed, 1.0))
    number, stay = solver.Sum(kept), solver.Sum([servers[host] * each for host, each in zip(hosts, kept, strict=True)])
    total = sum(servers[host] for host in hosts)
    if problem.most_moves is not None:
        solver.Add(stay >= total - problem.most_moves)
    solver.Minimize(number)
    if solver.Solve() != solver.OPTIMAL:
        return None
    least = math.ceil(solver.Objective().Value() - _ROUNDING)
    solver.Add(number <= least)
    solver.Maximize(stay)
    if solver.Solve() != solver.OPTIMAL:
        return None
    moves = math.ceil(total - solver.Objective().Value() - _ROUNDING)
    rated = sorted([(-each.solution_value(), -servers[host], host) for host, each in zip(hosts, kept, strict=True)])
    return Choice(frozenset([host for _value, _number, host in rated[:least]]), least, moves)


def _rows(problem: Problem, hosts: list[str], *, others_stay: bool) -> list[_Row]:
    """Return what is counted: each resource by each size that servers need of it in a cell, or as a whole."""
    held, on = {host: Counter(room) for host, room in problem.rooms.items()}, dict[str, _Sizes]()
    row_of, rows = {host: row for row, host in enumerate(hosts)}, list[_Row]()
    for stack in problem.stacks:
        for slot, amount in stack.gives.items():
            if slot in held[stack.host] and not others_stay:
                held[stack.host][slot] += amount * stack.number
        *cells, whole = problem.needs[stack.kind]
        for need in cells or [whole]:
            for name, amount in need.items():
                on.setdefault(name, {}).setdefault(amount, np.zeros(len(hosts)))[row_of[stack.host]] += stack.number
    for name, numbers in on.items():
        rooms = [_rooms_of(held[host], name) for host in hosts]
        if not all(rooms):  # no limit is known of some host
            continue
        width = max(map(len, rooms))
        amounts = np.array([[*each, *[0] * (width - len(each))] for each in rooms])
        often = sorted(numbers, key=lambda size: -numbers[size].sum())[:_MOST_SIZES]
        for size in {math.gcd(*numbers), *often}:
            there = np.sum([amount // size * each for amount, each in numbers.items()], axis=0)
            has = (amounts // size).sum(axis=1) + (there if others_stay else 0)
            rows.append(_Row(int(there.sum()), has.astype(float)))
    return rows


def _rooms_of(held: Counter[Any], name: str) -> list[int]:
    """Return how much of a resource each cell of a host has, or else the host as a whole."""
    cells = [amount for (cell, each), amount in held.items() if each == name and cell is not None]
    return cells or [amount for (cell, each), amount in held.items() if each == name]
