# SPDX-License-Identifier: Apache-2.0
"""CPU sets as integers: bit N is CPU N. Parse and write the kernel's list format."""

from collections.abc import Iterable, Iterator

from numaplace import exception

__all__ = ['MAX_CPU', 'first', 'ids', 'mask', 'parse', 'text', 'union']

#: The largest CPU number that a list may name; no kernel supports as many.
MAX_CPU = 65535

_FORMS = "a list such as '0-3,8,^2'"


def mask(cpus: Iterable[int]) -> int:
    """Return the mask of CPU numbers.

    :raises: :class:`~numaplace.exception.Invalid` for a number outside 0..MAX_CPU
    """
    result = 0
    for cpu in cpus:
        if not 0 <= cpu <= MAX_CPU:
            raise exception.Invalid(f'CPU number {cpu} is outside 0..{MAX_CPU}')
        result |= 1 << cpu
    return result


def ids(cpus: int) -> Iterator[int]:
    """Iterate over the CPU numbers of a mask, ascending."""
    while cpus:
        low = cpus & -cpus
        yield low.bit_length() - 1
        cpus ^= low


def union(masks: Iterable[int]) -> int:
    """Return the mask of the CPUs that are in any of some masks."""
    result = 0
    for cpus in masks:
        result |= cpus
    return result


def first(cpus: int, number: int) -> int:
    """Return the mask of the lowest `number` CPUs of a mask (fewer if it has fewer)."""
    result = 0
    while cpus and number:
        low = cpus & -cpus
        result |= low
        cpus ^= low
        number -= 1
    return result


def _number(word: str, rule: str) -> int:
    word = word.strip()
    if not (word.isascii() and word.isdigit()) or len(word) > 9 or int(word) > MAX_CPU:
        raise exception.Invalid(
            f'invalid CPU list element {rule!r}: expected {_FORMS} with CPU numbers up to {MAX_CPU}'
        )
    return int(word)


def parse(spec: str) -> int:
    """Parse a CPU list: numbers, ranges, and exclusions with a caret, in any order.

    Exclusions override inclusions regardless of the order; empty elements are skipped
    (the rules of Nova's configuration and extra specs).

    :param spec: for example ``0-14,60-74`` or ``0-3,^2``
    :returns: the mask
    :raises: :class:`~numaplace.exception.Invalid` naming the element that is not a CPU, range or exclusion
    """
    taken = rejected = 0
    for rule in spec.split(','):
        rule = rule.strip()
        if not rule:
            continue
        start, dash, end = rule.removeprefix('^').partition('-')
        low = _number(start, rule)
        high = _number(end, rule) if dash else low
        if low > high:
            raise exception.Invalid(f'invalid CPU range {rule!r}: it ends before it starts; expected {_FORMS}')
        span = (1 << (high + 1)) - (1 << low)
        if rule.startswith('^'):
            rejected |= span
        else:
            taken |= span
    return taken & ~rejected


def text(cpus: int, *, ranges: bool = True) -> str:
    """Write a mask as a CPU list, ``1,3,5-6``; without `ranges`, ``1,3,5,6``."""
    if not ranges:
        return ','.join(map(str, ids(cpus)))
    parts = []
    while cpus:
        start = (cpus & -cpus).bit_length() - 1
        shifted = cpus >> start
        length = (~shifted & (shifted + 1)).bit_length() - 1
        parts.append(str(start) if length == 1 else f'{start}-{start + length - 1}')
        cpus = (shifted >> length) << (start + length)
    return ','.join(parts)
