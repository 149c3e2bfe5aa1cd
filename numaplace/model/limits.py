# SPDX-License-Identifier: Apache-2.0
"""What a guest must keep to on a host, in addition to the host's size."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, inf

__all__ = ['Limits', 'Networks', 'limit']


def limit(amount: int, ratio: float) -> float:
    """Return how much of an amount may be used at an allocation ratio: whole vCPUs or MiB."""
    most = amount * ratio
    return floor(most) if -inf < most < inf else most


@dataclass(frozen=True, slots=True)
class Limits:
    """How far shared CPUs and memory of a host cell may be overcommitted."""

    cpu_allocation_ratio: float
    ram_allocation_ratio: float


@dataclass(frozen=True, slots=True)
class Networks:
    """The networks that a guest attaches to."""

    physnets: frozenset[str] = frozenset()
    tunneled: bool = False
