# SPDX-License-Identifier: Apache-2.0
"""Amounts divided into whole shares."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ['even', 'proportional']


def even(total: int, parts: int) -> list[int]:
    """Divide an amount evenly; what is left over goes to the first shares, one each."""
    share, rest = divmod(total, parts)
    return [share + (number < rest) for number in range(parts)]


def proportional(total: int, weights: Sequence[int]) -> list[int]:
    """Divide an amount in proportion to positive weights, by largest remainders; ties go to the first share."""
    whole = sum(weights)
    shares = [total * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda number: (-(total * weights[number] % whole), number))
    for number in by_remainder[: total - sum(shares)]:
        shares[number] += 1
    return shares
