# SPDX-License-Identifier: Apache-2.0
"""The joint choice: which guest cell goes to which host cell, each host cell at most once.

Guest cells are rows, host cells are columns in the order of the strategy; ``rows[g]`` is the mask of the columns that
guest cell g fits. The answer is the lexicographically first, so it does not depend on how it is found.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from functools import reduce
from math import comb
from operator import or_
from typing import Protocol, TypeAlias

from numaplace import cpuset
from numaplace.fit.hitting_set import cover
from numaplace.fit.nearest import Candidate, Choice, nearest

__all__ = ['Accepts', 'first_assignment', 'hall_violator', 'nearest_assignment']


#: As many sets of columns are tried in order, at most, before the search for networks finds those that may do.
_MOST_CHOICES = 20_000


class Accepts(Protocol):
    """Judges the columns of an assignment."""

    def __call__(self, columns: int) -> bool:
        """Return whether an assignment may use exactly the columns of this mask."""

    def excludes(self, columns: int, most: int) -> bool:
        """Return whether it is known that no assignment to some columns of this mask, `most` at most, may be used."""

    def kinds(self) -> Sequence[Hashable]:
        """Return the kind of each column: which of several columns of a kind are used never changes the answer."""


class _Matching:
    """A matching of rows to columns that grows by augmenting paths (Kuhn's algorithm)."""

    def __init__(self, rows: Sequence[int], columns: Sequence[int | None] = ()) -> None:
        self.rows = rows
        self.row_of: dict[int, int] = {}
        self.used = 0
        for row, column in enumerate(columns):
            if column is not None:
                self._match(row, column)

    def _match(self, row: int, column: int) -> None:
        self.row_of[column] = row
        self.used |= 1 << column

    def augment(self, row: int, tried: int = 0) -> int:
        """Match one more row, moving others if needed; linear in the number of fitting pairs.

        :param tried: mask of the columns that may not be touched
        :returns: -1 if it is matched, otherwise `tried` plus all columns that were tried without success
        """
        path, columns = [row], list[int]()
        while path:
            candidates = self.rows[path[-1]] & ~tried
            if free := candidates & ~self.used:
                columns.append((free & -free).bit_length() - 1)
                for moved, column in zip(reversed(path), reversed(columns), strict=True):
                    self._match(moved, column)
                return -1
            if candidates:
                low = candidates & -candidates
                tried |= low
                columns.append(low.bit_length() - 1)
                path.append(self.row_of[columns[-1]])
            else:
                path.pop()
                if columns:
                    columns.pop()
        return tried

    def columns(self) -> list[int]:
        """Return the column of each row; all rows must be matched."""
        result = [-1] * len(self.rows)
        for column, row in self.row_of.items():
            result[row] = column
        return result


def hall_violator(rows: Sequence[int]) -> tuple[int, int] | None:
    """Return rows that compete for too few columns, or None if all rows can be matched.

    :returns: mask of rows and mask of all columns that any of them fits, fewer than the rows
    """
    matching = _Matching(rows)
    for row in range(len(rows)):
        tried = matching.augment(row)
        if tried >= 0:
            competing = cpuset.mask(matching.row_of[column] for column in cpuset.ids(tried))
            return competing | 1 << row, tried
    return None


def first_assignment(
    rows: Sequence[int], sets: Sequence[int] = (), accepts: Accepts | None = None
) -> tuple[int, ...] | None:
    """Return the lexicographically first assignment of rows to distinct columns, or None if there is none.

    The search keeps a complete assignment for each prefix. Before each step it computes which columns leave later
    rows a choice, so it never enters a dead end: one augmenting path per row, at most rows x rows x columns steps
    in all. With sets, a column may also need a cover, which is exponential only in the number of distinct sets.
    `accepts` judges whole sets of columns, so with it the search is exponential at worst: at most each set of columns
    is asked about once, and each set that a prefix may have is extended once.

    :param sets: masks of columns; an assignment must use at least one column of each
    :param accepts: judges the mask of all columns of an assignment
    """
    greedy = _greedy(rows) if accepts is None else None
    if greedy is not None and all(cpuset.mask(greedy) & wanted for wanted in sets):
        return greedy
    matching = _Matching(rows)
    if any(matching.augment(row) >= 0 for row in range(len(rows))):
        return None
    witness = _covering(rows, sets, (), matching.columns())
    if witness is None:
        return None
    if accepts is None:
        return _first(rows, sets, witness)
    return _first_accepted(rows, sets, accepts, witness)


def nearest_assignment(
    rows: Sequence[int], sets: Sequence[int], accepts: Accepts | None, costs: Sequence[Sequence[int]]
) -> tuple[int, ...] | None:
    """Return the first assignment to the columns with the least sum of costs, or None if there is none.

    Of sets of columns with equal sums the lexicographically first is taken. The search is that of
    :func:`numaplace.fit.nearest.nearest`, with one matching for each partial choice of rows that differ.

    :param sets: as in :func:`first_assignment`
    :param accepts: as in :func:`first_assignment`
    :param costs: of each pair of columns, symmetric; on the diagonal that of each column alone
    """
    columns = list(cpuset.ids(reduce(or_, rows)))
    kinds = [None] * len(costs) if accepts is None else accepts.kinds()

    def assign(places: tuple[int, ...]) -> tuple[int, ...] | None:
        chosen = _mask(columns, places)
        return first_assignment([row & chosen for row in rows], sets, accepts)

    def possible(places: tuple[int, ...]) -> bool:
        reachable = _mask(columns, places)
        if accepts is not None and accepts.excludes(reachable, len(rows)):
            return False
        return hall_violator([row & reachable for row in rows]) is None

    candidates = [
        Candidate(
            column,
            (),
            (),
            cost=costs[column][column],
            networks=cpuset.mask(number for number, wanted in enumerate(sets) if wanted >> column & 1),
            kind=(kinds[column], *(row >> column & 1 for row in rows)),
        )
        for column in columns
    ]
    between = [[costs[one][other] if one != other else 0 for other in columns] for one in columns]
    all_alike = accepts is None and len(set(rows)) == 1
    choice = Choice(candidates, between, (), (1 << len(sets)) - 1, assign, None if all_alike else possible)
    return nearest([choice], len(rows))


def _mask(columns: Sequence[int], places: Sequence[int]) -> int:
    return cpuset.mask(columns[place] for place in places)


def _greedy(rows: Sequence[int]) -> tuple[int, ...] | None:
    """Return the first assignment if no row has to move for a later one, as in most searches."""
    used, columns = 0, []
    for row in rows:
        free = row & ~used
        if not free:
            return None
        low = free & -free
        used |= low
        columns.append(low.bit_length() - 1)
    return tuple(columns)


#: The beginning of an assignment, and a complete one that begins so.
_Step: TypeAlias = tuple[tuple[int, ...], list[int]]


def _first(rows: Sequence[int], sets: Sequence[int], witness: list[int]) -> tuple[int, ...]:
    """Return the first assignment, made from any of them."""
    prefix: tuple[int, ...] = ()
    while len(prefix) < len(rows):
        prefix, witness = next(_steps(rows, sets, prefix, witness))
    return prefix


def _first_accepted(
    rows: Sequence[int], sets: Sequence[int], accepts: Accepts, witness: list[int]
) -> tuple[int, ...] | None:
    """Return the first assignment whose columns are accepted, made from any assignment.

    What may follow a prefix depends only on the set of its columns, so no set is entered twice. Of columns of one kind
    that the same rows fit and that are in the same sets, the first is used first: another choice comes later, and has
    the same answer.
    """
    twins = _twins(rows, sets, accepts.kinds())
    entered: set[int] = set()
    waiting: list[Iterator[_Step]] = [iter([((), witness)])]
    while waiting:
        step = next(waiting[-1], None)
        if step is None:
            waiting.pop()
            continue
        fixed = cpuset.mask(step[0])
        if fixed in entered:
            continue
        entered.add(fixed)
        reachable = reduce(or_, rows[len(step[0]) :], fixed)
        if accepts.excludes(reachable, len(rows)) or (reachable.bit_count() == len(rows) and not accepts(reachable)):
            continue
        choices = _choices_of_equal_rows(rows, sets, step[0], fixed, twins, accepts)
        if choices is None:
            waiting.append(_steps(rows, sets, *step, twins))
            continue
        for columns, chosen in choices:
            if accepts(columns):
                return step[0] + chosen
    return None


def _twins(rows: Sequence[int], sets: Sequence[int], kinds: Sequence[Hashable]) -> list[int]:
    """Return for each column the mask of the earlier ones that it could replace in any assignment."""
    alike: dict[Hashable, int] = {}
    found = []
    for column, kind in enumerate(kinds):
        key = kind, *(mask >> column & 1 for mask in (*rows, *sets))
        found.append(alike.get(key, 0))
        alike[key] = found[-1] | 1 << column
    return found


def _choices_of_equal_rows(  # noqa: PLR0917 - the state of one step
    rows: Sequence[int],
    sets: Sequence[int],
    prefix: tuple[int, ...],
    fixed: int,
    twins: Sequence[int],
    accepts: Accepts,
) -> Iterator[tuple[int, tuple[int, ...]]] | None:
    """Return the choices of columns for all rows after a prefix, in order, or None if these rows differ.

    Equal rows take columns in ascending order: another order is a later assignment to the same columns. With sets that
    no column of the prefix is in, few of many choices may do; then the answer is None, too.
    """
    rest, lacking = rows[len(prefix) :], [wanted for wanted in sets if not wanted & fixed]
    free = reduce(or_, rest, 0) & ~fixed
    if any(row != rest[0] for row in rest) or (lacking and comb(free.bit_count(), len(rest)) > _MOST_CHOICES):
        return None
    choices = _combinations((), fixed, free, len(rest), twins, accepts)
    return (choice for choice in choices if all(choice[0] & wanted for wanted in lacking))


def _combinations(  # noqa: PLR0917 - the state of one step
    chosen: tuple[int, ...], used: int, free: int, more: int, twins: Sequence[int], accepts: Accepts
) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield the ways to choose some more columns, with the mask of all that are used; leave out what is excluded."""
    if not more:
        yield used, chosen
        return
    whole = free
    while free.bit_count() >= more:
        if free != whole and accepts.excludes(used | free, used.bit_count() + more):
            return
        low = free & -free
        free ^= low
        column = low.bit_length() - 1
        if not twins[column] & ~used:
            yield from _combinations((*chosen, column), used | low, free, more - 1, twins, accepts)


def _steps(
    rows: Sequence[int], sets: Sequence[int], prefix: tuple[int, ...], witness: list[int], twins: Sequence[int] = ()
) -> Iterator[_Step]:
    """Yield each way to extend a prefix by one row so that it can be completed; `witness` begins with the prefix."""
    row, fixed = len(prefix), cpuset.mask(prefix)
    for column in cpuset.ids(rows[row] & _spare(rows, row, fixed, witness)):
        if twins and twins[column] & ~fixed:
            continue
        step = (*prefix, column)
        found = witness if witness[row] == column else _repair(rows, sets, step, witness)
        if found is not None:
            yield step, found


def _spare(rows: Sequence[int], row: int, fixed: int, witness: list[int]) -> int:
    """Return the mask of the columns that a row may take so that all later rows still find one.

    These are the columns that are free or the row's own, and those whose row can move to such a column: found
    backwards, each row once, in at most rows x rows steps.
    """
    used = cpuset.mask(witness[row + 1 :])
    spare = reduce(or_, rows[row:]) & ~fixed & ~used | 1 << witness[row]
    waiting = [(rows[later], 1 << witness[later]) for later in range(row + 1, len(rows))]
    while True:
        stuck = []
        for columns, own in waiting:
            if columns & spare:
                spare |= own
            else:
                stuck.append((columns, own))
        if len(stuck) == len(waiting):
            return spare
        waiting = stuck


def _repair(rows: Sequence[int], sets: Sequence[int], prefix: tuple[int, ...], witness: list[int]) -> list[int] | None:
    """Return a complete assignment that begins with a prefix, made from one that differs in the prefix's last row."""
    row, column = len(prefix) - 1, prefix[-1]
    if column not in witness:
        found = witness.copy()
        found[row] = column
        return _covering(rows, sets, prefix, found)
    loser = witness.index(column)
    columns: list[int | None] = list(witness)
    columns[loser], columns[row] = None, column
    matching = _Matching(rows, columns)
    if matching.augment(loser, cpuset.mask(prefix)) >= 0:
        return None
    return _covering(rows, sets, prefix, matching.columns())


def _covering(
    rows: Sequence[int], sets: Sequence[int], prefix: tuple[int, ...], complete: list[int]
) -> list[int] | None:
    """Return a complete assignment that begins with a prefix and uses a column of each set, or None."""
    if not sets:
        return complete
    used = cpuset.mask(complete)
    if all(used & wanted for wanted in sets):
        return complete
    fixed = cpuset.mask(prefix)
    open_sets = [wanted & ~fixed for wanted in sets if not wanted & fixed]
    open_rows = [0 if row < len(prefix) else mask & ~fixed for row, mask in enumerate(rows)]
    chosen = cover(open_rows, open_sets)
    if chosen is None:
        return None
    matching = _Matching(rows, [*prefix, *chosen[len(prefix) :]])
    for row in range(len(prefix), len(rows)):
        if chosen[row] is None:
            matching.augment(row, fixed)
    return matching.columns()
