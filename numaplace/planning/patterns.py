# SPDX-License-Identifier: Apache-2.0
"""On how few hosts all servers can be, when no guest cell is divided: by patterns of large guest cells.

A linear program has a column for each pattern, which says which large guest cells share a host cell. Small ones may be
divided, so that it is a bound; but they go only where a pattern leaves room for them, in all resources at once. So what
is left beside large guest cells counts only as far as small ones can use it.
"""

from __future__ import annotations

import importlib
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, TypeAlias

from numaplace.planning.relaxation import MODULE
from numaplace.planning.solver import Problem, check_installed

__all__ = ['fewest_hosts']

#: More patterns are too many: then fewer guest cells count as large.
_MOST_PATTERNS = 120
#: How far a bound may be off as a float.
_ROUNDING = 1e-4

#: Amounts by resource.
_Vector: TypeAlias = tuple[float, ...]


def fewest_hosts(problem: Problem) -> int:
    """Return a bound of the number of hosts with servers; 0 where no guests have cells, or host cells differ too much.

    :raises: as :func:`~numaplace.planning.solver.check_installed`
    """
    names = sorted({name for needs in problem.needs for need in needs[:-1] for name in need})
    items, hosts = _items(problem, names), _hosts(problem, names)
    types = sorted({cell for cells in hosts for cell in cells})
    patterns = _patterns(items, types) if items and types else []
    if not 0 < len(patterns) <= _MOST_PATTERNS:
        return 0
    program = _Program(hosts, items, types)
    large = {item for _cell, pattern in patterns for item in pattern}
    small = [item for item in items if item not in large]
    for cell, pattern in patterns:
        program.add(cell, pattern, small)
    return program.solve()


class _Program:
    """Variables and constraints: hosts that keep servers, how often each pattern is used, and what is small beside it.

    :param hosts: numbers of hosts by their cells
    :param items: numbers of guest cells by what they need
    :param types: all kinds of host cells
    """

    def __init__(self, hosts: Counter[tuple[_Vector, ...]], items: Counter[_Vector], types: Sequence[_Vector]) -> None:
        check_installed(MODULE)
        self._solver: Any = importlib.import_module(MODULE).Solver.CreateSolver('GLOP')  # an extra
        self._infinity = self._solver.infinity()
        self._cells = {cell: self._at_most_zero() for cell in types}
        self._arrivals = {item: self._solver.Constraint(number, self._infinity) for item, number in items.items()}
        self._hosts = list[Any]()
        for cells, number in hosts.items():
            self._hosts.append(self._solver.NumVar(0, number, ''))
            for cell, each in Counter(cells).items():
                self._cells[cell].SetCoefficient(self._hosts[-1], -each)

    def _at_most_zero(self) -> Any:
        return self._solver.Constraint(-self._infinity, 0)

    def add(self, cell: _Vector, pattern: tuple[_Vector, ...], small: Sequence[_Vector]) -> None:
        """Let cells have some large guest cells, and small ones in what is left."""
        used = self._solver.NumVar(0, self._infinity, '')
        self._cells[cell].SetCoefficient(used, 1)
        for item, number in Counter(pattern).items():
            self._arrivals[item].SetCoefficient(used, number)
        left = [has - sum([item[row] for item in pattern]) for row, has in enumerate(cell)]
        rooms = [self._at_most_zero() if math.isfinite(has) else None for has in left]
        for room, has, total in zip(rooms, left, cell, strict=True):
            if room is not None:
                room.SetCoefficient(used, -has / max(1, total))
        for item in small:
            if all(need <= has for need, has in zip(item, left, strict=True)):
                variable = self._solver.NumVar(0, self._infinity, '')
                self._arrivals[item].SetCoefficient(variable, 1)
                for room, need, total in zip(rooms, item, cell, strict=True):
                    if room is not None:
                        room.SetCoefficient(variable, need / max(1, total))

    def solve(self) -> int:
        """Return how many hosts are needed; 0 if it is not known."""
        self._solver.Minimize(self._solver.Sum(self._hosts))
        if self._solver.Solve() != self._solver.OPTIMAL:
            return 0
        found: int = math.ceil(self._solver.Objective().Value() - _ROUNDING)
        return found


def _items(problem: Problem, names: Sequence[str]) -> Counter[_Vector]:
    """Return how many guest cells there are by what they need."""
    found = Counter[_Vector]()
    for stack in problem.stacks:
        for need in problem.needs[stack.kind][:-1]:
            found[tuple([need.get(name, 0) for name in names])] += stack.number
    return found


def _hosts(problem: Problem, names: Sequence[str]) -> Counter[tuple[_Vector, ...]]:
    """Return how many hosts there are by what their cells have without servers that move."""
    held = {host: Counter(room) for host, room in problem.rooms.items()}
    for stack in problem.stacks:
        for slot, amount in stack.gives.items():
            if slot in held[stack.host]:
                held[stack.host][slot] += amount * stack.number
    found = Counter[tuple[_Vector, ...]]()
    for room in held.values():
        cells = sorted({cell for cell, _name in room if cell is not None})
        found[tuple(sorted([tuple([room.get((cell, name), math.inf) for name in names]) for cell in cells]))] += 1
    return found


def _patterns(items: Counter[_Vector], types: Sequence[_Vector]) -> list[tuple[_Vector, tuple[_Vector, ...]]]:
    """Return kinds of host cells with large guest cells in them: as many of the largest ones as the limit allows."""
    largest = tuple(map(max, zip(*types, strict=True)))
    order = sorted(
        items, key=lambda item: -max([need / has for need, has in zip(item, largest, strict=True) if has], default=0)
    )
    best: list[tuple[_Vector, tuple[_Vector, ...]]] = [(cell, ()) for cell in types]
    for number in range(1, len(order) + 1):
        every = ((cell, pattern) for cell in types for pattern in _packed(cell, order[:number], items))
        found = list(islice(every, _MOST_PATTERNS + 1))
        if len(found) > _MOST_PATTERNS:
            break
        best = found
    return best


def _packed(cell: _Vector, order: Sequence[_Vector], items: Counter[_Vector]) -> Iterator[tuple[_Vector, ...]]:
    """Yield what a host cell may have of some guest cells."""
    if not order:
        yield ()
        return
    item, number = order[0], 0
    while number <= items[item] and all(need * number <= has for need, has in zip(item, cell, strict=True)):
        left = tuple([has - need * number for need, has in zip(item, cell, strict=True)])
        for pattern in _packed(left, order[1:], items):
            yield (item,) * number + pattern
        number += 1
