# SPDX-License-Identifier: Apache-2.0
"""What a guest must keep to on a host beside the host's own size."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ['Limits', 'Networks']


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
