# SPDX-License-Identifier: Apache-2.0
"""How the values of fields are read: each reader returns a plain value, or raises ValueError with what it expected."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from numaplace import cpuset

__all__ = ['boolean', 'cores', 'cpus', 'integer', 'items', 'names', 'number', 'one_of', 'pins', 'sets', 'string']


def integer(value: Any) -> int:
    """Read a whole number."""
    if type(value) is int:
        return value
    if isinstance(value, float) and value.is_integer():  # page sizes that passed through a division
        return int(value)
    raise ValueError('an integer')


def number(value: Any) -> float:
    """Read a number."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise ValueError('a number')


def boolean(value: Any) -> bool:
    """Read a truth value."""
    if isinstance(value, bool):
        return value
    raise ValueError('true or false')


def string(value: Any) -> str:
    """Read a text."""
    if isinstance(value, str):
        return value
    raise ValueError('a string')


def items(value: Any) -> Iterable[Any]:
    """Read a list, whose items are not looked at."""
    if type(value) is list or isinstance(value, list | set | frozenset | tuple):  # the second takes five times as long
        return value
    raise ValueError('a list')


@lru_cache(maxsize=65536)  # the same lists come again and again: of a host's cores, and of equal hosts
def _mask(cpus: tuple[int, ...]) -> int:
    result = 0
    for cpu in cpus:
        if cpu > cpuset.MAX_CPU:
            raise ValueError
        result |= 1 << cpu
    return result


@lru_cache(maxsize=16384)
def _masks(lists: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
    return tuple(map(_mask, lists))


_CPUS = f'a list of CPU numbers up to {cpuset.MAX_CPU}'


def cpus(value: Any) -> int:
    """Read CPU numbers into a mask."""
    try:
        if value.__class__ is dict:
            raise TypeError
        return _mask(tuple(value))
    except (TypeError, ValueError):
        raise ValueError(_CPUS) from None


def cores(value: Any) -> tuple[int, ...]:
    """Read lists of CPU numbers into masks."""
    lists = items(value)
    try:
        if dict in map(type, lists):
            raise TypeError
        return _masks(tuple(map(tuple, lists)))
    except (TypeError, ValueError):
        raise ValueError(_CPUS) from None


def names(value: Any) -> frozenset[str]:
    """Read a set of texts."""
    return frozenset(map(string, items(value)))


def pins(value: Any) -> tuple[tuple[int, int], ...]:
    """Read an object of vCPU to CPU into pairs by vCPU."""
    if not isinstance(value, Mapping):
        raise ValueError('an object of vCPU to CPU')
    try:
        return tuple(sorted((int(vcpu), integer(cpu)) for vcpu, cpu in value.items()))
    except ValueError:
        raise ValueError('an object of vCPU to CPU') from None


def sets(value: Any) -> tuple[tuple[int, int], ...]:
    """Read an object of number to CPU numbers into pairs of number and mask, by number."""
    if not isinstance(value, Mapping):
        raise ValueError('an object of number to CPU numbers')
    try:
        return tuple(sorted((int(key), cpus(found)) for key, found in value.items()))
    except ValueError:
        raise ValueError('an object of number to CPU numbers') from None


def one_of(*known: str) -> Callable[[Any], str]:
    """Return a reader of one of these words."""

    def read(value: Any) -> str:
        if value in known:
            return str(value)
        raise ValueError(' or '.join(known))

    return read
