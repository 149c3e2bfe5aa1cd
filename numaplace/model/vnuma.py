# SPDX-License-Identifier: Apache-2.0
"""What a guest requests of automatic vNUMA: to be divided over host cells instead of defining its own cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from numaplace import exception
from numaplace.model.cpu_topology import UNLIMITED, CpuTopology

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
    :param remainder_first: what does not divide evenly goes to the first guest cells instead of being an error
    :param pinning: PIN_TO_NODE or PIN_TO_CORE
    :param keep: number of cores that stay free in each host cell with PIN_TO_CORE
    :param tier_mib: how much of the guest's memory comes from host cells without CPUs (auto mode)
    :param pagesize_kib: page size of all guest cells, as in :class:`~numaplace.model.GuestCell`
    :param max_topology: the most sockets, cores of a socket, and threads of a core
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
    max_topology: CpuTopology = UNLIMITED

    def check(self, memory_mib: int) -> None:
        """Check what does not depend on a host.

        :param memory_mib: memory of the guest
        :raises: :class:`~numaplace.exception.InvalidPartition`
        """
        if self.mode not in MODES:
            raise exception.InvalidPartition(f'mode {self.mode!r}: expected {_either(MODES)}', 'mode')
        if self.distribution not in DISTRIBUTIONS:
            raise exception.InvalidPartition(
                f'distribution {self.distribution!r}: expected {_either(DISTRIBUTIONS)}', 'distribution'
            )
        if self.mode == NODE_MODE and self.nodes is None:
            raise exception.InvalidPartition(
                f'mode {NODE_MODE!r} needs to know in which host cells: '
                "expected a nodeset with it, such as '1' or '0-3,^2'",
                'mode',
            )
        if self.mode != HOST_MODE and self.cells is not None:
            raise exception.InvalidPartition(
                f'cells {self.cells}: mode {self.mode!r} makes one guest cell for each host cell; '
                f'a number of cells goes with mode {HOST_MODE!r}',
                'cells',
            )
        if self.tier_mib and (self.mode != AUTO_MODE or not 0 < self.tier_mib < memory_mib):
            raise exception.InvalidPartition(
                f'tier {self.tier_mib} MiB: expected mode {AUTO_MODE!r} and a part of the memory of '
                f'{memory_mib} MiB, more than none and less than all',
                'tier_mib',
            )


def _either(words: Sequence[str]) -> str:
    return f'{", ".join(words[:-1])} or {words[-1]}'
