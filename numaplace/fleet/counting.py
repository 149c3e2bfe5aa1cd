# SPDX-License-Identifier: Apache-2.0
"""The largest number that fits, and how many guests with cells fit where each cell has room for some."""

from __future__ import annotations

from collections.abc import Callable, Sequence

__all__ = ['MOST', 'largest', 'spread']

#: More guests than this on one host are not counted.
MOST = 1_000_000


def largest(most: int, fits: Callable[[int], bool], likely: int = 0) -> int:
    """Return the largest number up to `most` that fits; whatever is below one that fits, fits too.

    One call where `most` fits, otherwise logarithmic; two more at most where `likely` is the answer.

    :param likely: what it probably is
    """
    if most <= 0 or fits(most):
        return max(most, 0)
    low, high = 0, most
    for guess in (likely, likely + 1):
        if low < guess < high:
            low, high = (guess, high) if fits(guess) else (low, guess)
    while high - low > 1:
        middle = (low + high) // 2
        if fits(middle):
            low = middle
        else:
            high = middle
    return low


def spread(numbers: Sequence[float], each: int) -> int:
    """Return how many guests of some cells fit, each cell of a guest on another host cell.

    :param numbers: how many guest cells fit, by host cell
    :param each: number of the cells of a guest
    """
    own = [min(number, MOST) for number in numbers]
    if each == 1:
        return int(sum(own))
    return largest(int(sum(own) // each), lambda many: sum([min(many, one) for one in own]) >= each * many)
