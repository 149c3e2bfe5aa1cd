# SPDX-License-Identifier: Apache-2.0
"""The vCPU topology of a guest, and how its cells divide it.

QEMU numbers vCPUs through the threads, cores, dies and sockets in this order, so that each of them is a block of
consecutive vCPUs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from numaplace import cpuset

__all__ = ['UNLIMITED', 'CpuTopology', 'block', 'divisors']


@dataclass(frozen=True, slots=True)
class CpuTopology:
    """The vCPU topology that a guest sees.

    :param cores: of a socket
    :param threads: of a core
    """

    sockets: int = 1
    cores: int = 1
    threads: int = 1


#: As the most sockets, cores and threads: more than any guest has.
UNLIMITED = CpuTopology(65536, 65536, 65536)


def block(cells: Iterable[int]) -> int:
    """Return the size of the largest blocks, all of one size from vCPU 0 on, of which none lies in two cells.

    :param cells: masks of the vCPUs of each cell; together all vCPUs
    """
    edges = 0
    for vcpus in cells:
        edges |= vcpus ^ vcpus << 1
    return math.gcd(*cpuset.ids(edges))


def divisors(number: int) -> list[int]:
    """Return the divisors of a positive number, in time O(sqrt(number))."""
    small = [factor for factor in range(1, math.isqrt(number) + 1) if number % factor == 0]
    return sorted({*small, *(number // factor for factor in small)})
