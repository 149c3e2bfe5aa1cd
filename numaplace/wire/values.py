# SPDX-License-Identifier: Apache-2.0
"""How the values of fields are read: each reader returns a plain value, or raises ValueError with what it expected."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from numaplace import cpuset

__all__ = [
    'boolean',
    'cores',
    'cpus',
    'integer',
    'integers_by_name',
    'integers_by_number',
    'items',
    'names',
    'number',
    'one_of',
    'pins',
    'string',
    'strings',
    'strings_by_name',
]


def integer(value: Any) -> int:
    """Read a whole number."""
    if type(value) is int:
        return value
    if isinstance(value, float) and value.is_integer():  # page sizes that result from a division
        return int(value)
    raise ValueError('an integer')


def number(value: Any) -> float:
    """Read a number."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise ValueError('a number')


def boolean(value: Any) -> bool:
    """Read a boolean."""
    if isinstance(value, bool):
        return value
    raise ValueError('true or false')


def string(value: Any) -> str:
    """Read a string."""
    if isinstance(value, str):
        return value
    raise ValueError('a string')


def strings(value: Any) -> tuple[str, ...]:
    """Read a list of strings."""
    return tuple(map(string, items(value)))


def strings_by_name(value: Any) -> dict[str, str]:
    """Read an object of name to string."""
    if isinstance(value, Mapping) and all(isinstance(word, str) for pair in value.items() for word in pair):
        return dict(value)
    raise ValueError('an object of name to string')


def items(value: Any) -> Iterable[Any]:
    """Read a list without checking its items."""
    if type(value) is list or isinstance(value, list | set | frozenset | tuple):  # isinstance takes five times as long
        return value
    raise ValueError('a list')


@lru_cache(maxsize=65536)  # the same lists recur: those of a host's cores, and of equal hosts
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
_PINS = f'an object of vCPU to CPU, numbers up to {cpuset.MAX_CPU}'
_INTEGERS = 'an object of name to integer'


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
    if not value and type(value) is list:
        return ()
    lists = items(value)
    try:
        if dict in map(type, lists):
            raise TypeError
        return _masks(tuple(map(tuple, lists)))
    except (TypeError, ValueError):
        raise ValueError(_CPUS) from None


def names(value: Any) -> frozenset[str]:
    """Read a set of strings."""
    return frozenset(map(string, items(value)))


def pins(value: Any) -> tuple[tuple[int, int], ...]:
    """Read an object of vCPU to CPU into pairs by vCPU."""
    if not isinstance(value, Mapping):
        raise ValueError(_PINS)
    try:
        return tuple(sorted((_cpu(int(vcpu)), _cpu(integer(cpu))) for vcpu, cpu in value.items()))
    except (TypeError, ValueError):
        raise ValueError(_PINS) from None


def _cpu(number: int) -> int:
    """Return a number that is valid in a mask."""
    if not 0 <= number <= cpuset.MAX_CPU:
        raise ValueError
    return number


def integers_by_name(value: Any) -> dict[str, int]:
    """Read an object of name to whole number."""
    if type(value) is not dict and not isinstance(value, Mapping):  # isinstance takes five times as long
        raise ValueError(_INTEGERS)
    try:
        return {string(key): integer(number) for key, number in value.items()}
    except ValueError:
        raise ValueError(_INTEGERS) from None


def integers_by_number(value: Any) -> tuple[tuple[int, int], ...]:
    """Read an object of number to whole number into pairs, in its order."""
    if not value and type(value) is dict:
        return ()
    try:
        return tuple([(int(key), number) for key, number in integers_by_name(value).items()])
    except ValueError:
        raise ValueError('an object of number to integer') from None


def one_of(*known: str) -> Callable[[Any], str]:
    """Return a reader that accepts one of these words."""

    def read(value: Any) -> str:
        if value in known:
            return str(value)
        raise ValueError(' or '.join(known))

    return read
