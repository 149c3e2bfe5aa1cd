# SPDX-License-Identifier: Apache-2.0
"""The sockets of a divided guest."""

from __future__ import annotations

import math
from collections.abc import Sequence

from numaplace import exception
from numaplace.model import CpuTopology
from numaplace.model.cpu_topology import block, divisors

__all__ = ['allowed', 'arrange']


def arrange(masks: Sequence[int], threads: int, most: CpuTopology) -> CpuTopology:
    """Return the topology with the fewest sockets of which none lies in two cells.

    If `most` allows too few sockets for that, they get the largest possible dies (:attr:`numaplace.model.Guest.dies`).

    :param masks: the vCPUs of each guest cell, whole cores
    :param threads: threads of a core
    :param most: the most sockets, and cores of a socket
    :raises: :class:`~numaplace.exception.InvalidPartition` if no sockets and cores within `most` have that many vCPUs
    """
    cores = sum(mask.bit_count() for mask in masks) // threads
    together = block(masks) // threads
    found = [CpuTopology(sockets, cores // sockets, threads) for sockets in allowed(cores, most)]
    if not found:
        raise exception.InvalidPartition(
            f'no sockets:cores within {most.sockets}:{most.cores} have {cores} cores', 'vcpus'
        )

    def rank(topology: CpuTopology) -> tuple[bool, int, int]:
        die = math.gcd(topology.cores, together)
        return die == topology.cores, die, topology.sockets

    return max(found, key=rank)


def allowed(cores: int, most: CpuTopology) -> list[int]:
    """Return the numbers of sockets over which that many cores divide evenly within the limits."""
    return [sockets for sockets in divisors(cores) if sockets <= most.sockets and cores // sockets <= most.cores]
