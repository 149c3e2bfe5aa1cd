# SPDX-License-Identifier: Apache-2.0
"""The joint choice: which guest cell goes to which host cell, each host cell at most once.

Guest cells are rows, host cells are columns in the order of the strategy; ``rows[g]`` is the mask of the columns that
guest cell g fits. The answer is the lexicographically first, so it does not depend on how it is found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from operator import or_
from typing import Protocol

from numaplace import cpuset
from numaplace.fit.cover import cover

__all__ = ['Accepts', 'first_assignment', 'hall_violator']


class Accepts(Protocol):
    """Judges the columns of an assignment; monotone if more columns never turn a yes into a no."""

    monotone: bool

    def __call__(self, columns: int) -> bool:
        """Return whether an assignment may use exactly the columns of this mask."""


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
        """Match one more row, moving others if need be; linear in the number of fitting pairs.

        :param tried: mask of the columns that may not be touched
        :returns: -1 if it is matched, otherwise `tried` with all columns that were tried in vain
        """
        candidates = self.rows[row] & ~tried
        if free := candidates & ~self.used:
            self._match(row, (free & -free).bit_length() - 1)
            return -1
        while candidates:
            low = candidates & -candidates
            column = low.bit_length() - 1
            tried = self.augment(self.row_of[column], tried | low)
            if tried < 0:
                self._match(row, column)
                return -1
            candidates &= ~tried
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

    The search keeps a complete assignment beside each prefix, and asks before each step which columns leave later
    rows a choice, so it never enters a dead end: one augmenting path a row, at most rows x rows x columns steps in
    all. With sets, a column may also need a cover, which is exponential in the number of distinct sets alone. What
    `accepts` refuses is met only at the end, or where the columns are all determined, so with it the search is
    exponential at worst.

    :param sets: masks of columns of which an assignment must use at least one each
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
    return next(_walk(rows, sets, accepts, (), witness), None)


def _greedy(rows: Sequence[int]) -> tuple[int, ...] | None:
    """Return the first assignment if no row ever has to make way for a later one, as in most searches."""
    used, columns = 0, []
    for row in rows:
        free = row & ~used
        if not free:
            return None
        low = free & -free
        used |= low
        columns.append(low.bit_length() - 1)
    return tuple(columns)


def _walk(
    rows: Sequence[int], sets: Sequence[int], accepts: Accepts | None, prefix: tuple[int, ...], witness: list[int]
) -> Iterator[tuple[int, ...]]:
    """Yield the assignments that begin with a prefix; `witness` is one of them."""
    row, fixed = len(prefix), cpuset.mask(prefix)
    if accepts is not None:
        reachable = reduce(or_, rows[row:], fixed)
        if (accepts.monotone or reachable.bit_count() == len(rows)) and not accepts(reachable):
            return
    if row == len(rows):
        yield prefix
        return
    for column in cpuset.ids(rows[row] & _spare(rows, row, fixed, witness)):
        step = (*prefix, column)
        found = witness if witness[row] == column else _repair(rows, sets, step, witness)
        if found is not None:
            yield from _walk(rows, sets, accepts, step, found)


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
