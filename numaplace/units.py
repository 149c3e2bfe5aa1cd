# SPDX-License-Identifier: Apache-2.0
"""Sizes of memory: how they are written and how they convert."""

import re
from fractions import Fraction

from numaplace import exception

__all__ = ['KIB_PER_MIB', 'MOST_MIB', 'PAGE_SIZE', 'is_page_size', 'parse_kib', 'size']

KIB_PER_MIB = 1024

#: The most memory of a host or a guest: what the columns of the databases hold.
MOST_MIB = 2**31 - 1

#: What a page size has to be, for errors; the limit is far above the pages of any CPU.
PAGE_SIZE = 'a power of two of up to 2 ZiB'
_MOST_PAGE_KIB = 2**61

_SIZE = re.compile(r'(?P<number>\d+(?:\.\d+)?)(?P<prefix>[KMGTPEZYRQ]?)i?(?P<unit>b|bit|B)', re.ASCII)
_POWER = {prefix: power for power, prefix in enumerate(('', *'KMGTPEZYRQ'))}


def parse_kib(text: str) -> int:
    """Parse a size with a unit into KiB: ``2MB``, ``1GiB``, ``2048KB``; ``b`` and ``bit`` are bits.

    :raises: :class:`~numaplace.exception.Invalid` if it is not a size, or not a whole number of KiB
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None or len(text) > 32:
        raise exception.Invalid(f"{text!r} is not a size: expected a number with a unit such as '2MB' or '1GiB'")
    octets = Fraction(match['number']) * 1024 ** _POWER[match['prefix']]
    if match['unit'] != 'B':
        octets /= 8
    kib = octets / 1024
    if kib.denominator != 1 or kib < 1:
        raise exception.Invalid(f'{text!r} is not a whole number of KiB')
    return int(kib)


def is_page_size(kib: int) -> bool:
    """Return whether a size in KiB can be that of a page."""
    return kib.bit_count() == 1 and kib <= _MOST_PAGE_KIB


def size(kib: int) -> str:
    """Format a size in the largest unit that gives a whole number: ``4K``, ``2M``, ``1G``."""
    for unit in 'KMGT':
        if kib % 1024 or kib == 0 or unit == 'T':
            return f'{kib}{unit}'
        kib //= 1024
    return f'{kib}P'
