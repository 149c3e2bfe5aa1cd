# SPDX-License-Identifier: Apache-2.0
"""Sizes of memory: how they are written and how they convert."""

import re
from fractions import Fraction

from numaplace import exception

__all__ = ['KIB_PER_MIB', 'parse_kib', 'size']

KIB_PER_MIB = 1024

_SIZE = re.compile(r'(?P<number>\d+(?:\.\d+)?)(?P<prefix>[KMGTPEZYRQ]?)i?(?P<unit>b|bit|B)', re.ASCII)
_POWER = {prefix: power for power, prefix in enumerate(('', *'KMGTPEZYRQ'))}


def parse_kib(text: str) -> int:
    """Parse a size with a unit into KiB: ``2MB``, ``1GiB``, ``2048KB``; ``b`` and ``bit`` are bits.

    :raises: :class:`~numaplace.exception.Invalid` if it is no size, or no whole number of KiB
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None or len(text) > 32:
        raise exception.Invalid(f"{text!r} is no size: expected a number with a unit such as '2MB' or '1GiB'")
    octets = Fraction(match['number']) * 1024 ** _POWER[match['prefix']]
    if match['unit'] != 'B':
        octets /= 8
    kib = octets / 1024
    if kib.denominator != 1 or kib < 1:
        raise exception.Invalid(f'{text!r} is not a whole number of KiB')
    return int(kib)


def size(kib: int) -> str:
    """Write a size for people: ``4K``, ``2M``, ``1G``; what is no whole number of a unit keeps the smaller one."""
    for unit in 'KMGT':
        if kib % 1024 or kib == 0 or unit == 'T':
            return f'{kib}{unit}'
        kib //= 1024
    return f'{kib}P'
