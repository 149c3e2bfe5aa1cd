# SPDX-License-Identifier: Apache-2.0
"""The host cells that lie nearest to each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from numaplace.model import HostCell

__all__ = ['distance', 'nearest']

#: What a host that names no distances is taken to have; the kernel's defaults.
_LOCAL, _REMOTE = 10, 20

T = TypeVar('T')


def distance(one: HostCell, other: HostCell) -> int:
    """Return the distance of two host cells, there and back."""
    return _one_way(one, other) + _one_way(other, one)


def _one_way(start: HostCell, end: HostCell) -> int:
    return dict(start.shape.distances).get(end.id, _LOCAL if start.id == end.id else _REMOTE)


def nearest(nodes: Sequence[HostCell], number: int, judge: Callable[[Sequence[HostCell]], T]) -> T | None:
    """Return the answer for the set with the smallest sum of distances; of equals, the first in the order of `nodes`.

    Branch and bound over the sets of that size. The problem is that of a lightest clique: exponential in the number of
    host cells at worst, and cheap where many sets are accepted, since whatever is not nearer than the best one so far
    is neither completed nor asked about.

    :param judge: what a set is good for; falsy for a set that will not do
    :returns: the answer of `judge` for the best set, or None if none will do
    """
    between = [[distance(one, other) for other in nodes] for one in nodes]
    best: T | None = None
    bound = float('inf')

    def extend(chosen: tuple[int, ...], length: int) -> None:
        nonlocal best, bound
        if length >= bound:
            return
        if len(chosen) == number:
            answer = judge([nodes[place] for place in chosen])
            if answer:
                best, bound = answer, length
            return
        start = chosen[-1] + 1 if chosen else 0
        for place in range(start, len(nodes) - (number - len(chosen)) + 1):
            extend((*chosen, place), length + sum(between[place][other] for other in chosen))

    extend((), 0)
    return best
