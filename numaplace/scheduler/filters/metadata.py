# SPDX-License-Identifier: Apache-2.0
"""What the aggregates of a host say."""

from collections.abc import Callable
from typing import TypeVar

from numaplace.model.records import HostRecord

__all__ = ['least', 'merged', 'values']

N = TypeVar('N', int, float)


def values(host: HostRecord, key: str) -> set[str]:
    """Return the values of a key, one for each aggregate that has it."""
    return {aggregate.metadata[key] for aggregate in host.aggregates if key in aggregate.metadata}


def merged(host: HostRecord) -> dict[str, set[str]]:
    """Return all metadata by key; values that are lists, separated by commas, are taken apart."""
    found: dict[str, set[str]] = {}
    for aggregate in host.aggregates:
        for key, value in aggregate.metadata.items():
            found.setdefault(key, set()).update(word.strip() for word in value.split(','))
    return found


def least(host: HostRecord, key: str, kind: Callable[[str], N], default: N) -> N:
    """Return the smallest number of a key; the default without one, or if one of them is not a number."""
    try:
        return min(map(kind, values(host, key)), default=default)
    except ValueError:
        return default
