# SPDX-License-Identifier: Apache-2.0
"""Amounts divided into whole shares."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ['even', 'proportional']


def even(total: int, parts: int) -> list[int]:
    """Divide an amount evenly; what is left over goes to the first shares, one each."""
    share, rest = divmod(total, parts)
    return [share + (number < rest) for number in range(parts)]


def proportional(total: int, weights: Sequence[int], most: Sequence[int]) -> list[int]:
    """Divide an amount in proportion to positive weights, by largest remainders; ties go to the first share.

    No share is empty, and none exceeds its limit; what exceeds it is divided over the others in the same way.

    :param most: the limit of each share, at least 1; together at least `total`, which is at least one for each share
    """
    fixed: dict[int, int] = {}
    while True:
        numbers = [number for number in range(len(weights)) if number not in fixed]
        shares = _by_remainder(total - sum(fixed.values()), [weights[number] for number in numbers])
        found = dict(zip(numbers, shares, strict=True))
        over = {number: most[number] for number, share in found.items() if share > most[number]}
        under = {number: 1 for number, share in found.items() if share < 1}
        if not over and not under:
            return [(fixed | found)[number] for number in range(len(weights))]
        excess = sum(found[number] - limit for number, limit in over.items())
        fixed |= over if excess >= sum(1 - found[number] for number in under) else under


def _by_remainder(total: int, weights: Sequence[int]) -> list[int]:
    whole = sum(weights)
    shares = [total * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda number: (-(total * weights[number] % whole), number))
    for number in by_remainder[: total - sum(shares)]:
        shares[number] += 1
    return shares
