# SPDX-License-Identifier: Apache-2.0
"""Find columns that hit all given sets and can still be matched to rows: the part of the search for networks."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from functools import reduce
from operator import or_

from numaplace import cpuset

__all__ = ['cover']

_Node = tuple[str, int]
_SOURCE, _SINK = ('source', 0), ('sink', 0)


def cover(rows: Sequence[int], sets: Sequence[int]) -> list[int | None] | None:
    """Match some rows to columns so that each set has a matched column.

    Columns that are in the same sets are alike, so the choice is between kinds of columns: exponential in the number
    of sets, polynomial in everything else.

    :param rows: for each row the mask of its columns
    :param sets: masks of columns
    :returns: for each row its column or None, or None if there is no such matching
    """
    smallest_first = tuple(sorted(set(sets), key=lambda wanted: (wanted.bit_count(), wanted)))
    for kinds in _choices(smallest_first, (), sum(map(bool, rows))):
        matched = _match(rows, kinds)
        if matched is not None:
            return matched
    return None


def _choices(sets: tuple[int, ...], chosen: tuple[int, ...], most: int) -> Iterator[tuple[int, ...]]:
    """Yield tuples of at most `most` masks of alike columns; one column of each, taken together, hit all sets."""
    if not sets:
        yield chosen
        return
    if len(chosen) == most:
        return
    kinds: defaultdict[tuple[bool, ...], int] = defaultdict(int)
    for column in cpuset.ids(sets[0]):
        kinds[tuple(bool(wanted >> column & 1) for wanted in sets)] |= 1 << column
    for hits, columns in sorted(kinds.items(), key=lambda kind: (-sum(kind[0]), kind[1])):
        rest = tuple(wanted for wanted, hit in zip(sets, hits, strict=True) if not hit)
        yield from _choices(rest, (*chosen, columns), most)


def _match(rows: Sequence[int], kinds: Sequence[int]) -> list[int | None] | None:
    """Match a distinct column of each kind to a distinct row: a flow from kinds through columns to rows.

    Late rows are matched first, so that early rows keep their choice of low columns.
    """
    residual: defaultdict[_Node, set[_Node]] = defaultdict(set)
    wanted = reduce(or_, kinds, 0)
    for number, columns in enumerate(kinds):
        residual[_SOURCE].add(('kind', number))
        for column in cpuset.ids(columns):
            residual['kind', number].add(('column', column))
            residual['column', column].add(('chosen', column))
    for row, mask in enumerate(rows):
        residual['row', -row].add(_SINK)
        for column in cpuset.ids(mask & wanted):
            residual['chosen', column].add(('row', -row))
    for _ in kinds:
        if not _push(residual):
            return None
    return [
        next((column for kind, column in residual['row', -row] if kind == 'chosen'), None) for row in range(len(rows))
    ]


def _push(residual: defaultdict[_Node, set[_Node]]) -> bool:
    """Send one unit from the source to the sink and turn the edges of its path around; False if there is no path."""
    came_from: dict[_Node, _Node] = {_SOURCE: _SOURCE}
    queue = deque([_SOURCE])
    while queue and _SINK not in came_from:
        node = queue.popleft()
        for neighbour in sorted(residual[node]):
            if neighbour not in came_from:
                came_from[neighbour] = node
                queue.append(neighbour)
    if _SINK not in came_from:
        return False
    node = _SINK
    while node != _SOURCE:
        before = came_from[node]
        residual[before].discard(node)
        residual[node].add(before)
        node = before
    return True
