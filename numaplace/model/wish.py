# SPDX-License-Identifier: Apache-2.0
"""What a guest asks of automatic vNUMA: to be divided over host cells instead of naming its own cells."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    'AUTO_MODE',
    'CONTIGUOUS',
    'DISTRIBUTIONS',
    'HOST_MODE',
    'INTERLEAVE',
    'MODES',
    'NODE_MODE',
    'PIN_TO_CORE',
    'PIN_TO_NODE',
    'ROUND_ROBIN',
    'SIBLINGS',
    'Wish',
]

#: One guest cell for each host cell; all in the named host cells; the fewest host cells, nearest to each other.
HOST_MODE, NODE_MODE, AUTO_MODE = MODES = ('host', 'node', 'auto')
#: How vCPUs are dealt to the guest cells.
CONTIGUOUS, SIBLINGS, ROUND_ROBIN, INTERLEAVE = DISTRIBUTIONS = ('contiguous', 'siblings', 'round-robin', 'interleave')
#: A vCPU floats over the shared CPUs of its host cell, or has a CPU of its own.
PIN_TO_NODE, PIN_TO_CORE = 'node', 'core'


@dataclass(frozen=True, slots=True)
class Wish:
    """How a guest is to be divided over host cells.

    :param mode: HOST_MODE, NODE_MODE or AUTO_MODE
    :param distribution: CONTIGUOUS, SIBLINGS, ROUND_ROBIN or INTERLEAVE
    :param nodes: mask of the host cells that may be used, or None for all
    :param cells: number of guest cells (host mode), or None for one for each host cell
    :param remainder_first: what does not divide evenly goes to the first guest cells, instead of being a fault
    :param pinning: PIN_TO_NODE or PIN_TO_CORE
    :param keep: number of cores that stay free in each host cell with PIN_TO_CORE
    :param tier_mib: how much of the guest's memory comes from host cells without CPUs (auto mode)
    :param pagesize_kib: page size of all guest cells, as in :class:`~numaplace.model.GuestCell`
    """

    mode: str = HOST_MODE
    distribution: str = CONTIGUOUS
    nodes: int | None = None
    cells: int | None = None
    remainder_first: bool = False
    pinning: str = PIN_TO_NODE
    keep: int = 1
    tier_mib: int = 0
    pagesize_kib: int | None = None
