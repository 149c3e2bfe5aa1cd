# SPDX-License-Identifier: Apache-2.0
"""Which vCPUs go to which guest cell.

QEMU numbers the threads of a core next to each other, so with t threads per core, vCPU i belongs to core i // t.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from numaplace import exception
from numaplace.model.vnuma import CONTIGUOUS, INTERLEAVE, ROUND_ROBIN, SIBLINGS

__all__ = ['deal']


def deal(distribution: str, sizes: Sequence[int], threads: int) -> list[int]:
    """Return the mask of the vCPUs of each guest cell.

    :param sizes: number of vCPUs of each guest cell, whole cores
    :param threads: threads of a core of the guest
    :raises: :class:`~numaplace.exception.InvalidPartition` if a core would be split over two cells
    """
    return _DEALERS[distribution](sizes, threads)


def _contiguous(sizes: Sequence[int], _threads: int) -> list[int]:
    masks, start = [], 0
    for size in sizes:
        masks.append(_block(start, size))
        start += size
    return masks


def _siblings(sizes: Sequence[int], threads: int) -> list[int]:
    """Deal as hosts number the CPUs of a node, such as 0-14,60-74: each cell has a block in each t-th of the ids."""
    if any(size % (threads * threads) for size in sizes):
        raise exception.InvalidPartition(
            f'distribution {SIBLINGS!r}: {threads} equal blocks of whole cores of {threads} threads make multiples of '
            f'{threads * threads} vCPUs in each guest cell, not {", ".join(map(str, sizes))}; '
            f'a core would be split over two cells: expected {CONTIGUOUS!r} or {ROUND_ROBIN!r}',
            'distribution',
        )
    blocks = _contiguous([size // threads for size in sizes], threads)
    stride = sum(sizes) // threads
    return [sum(block << part * stride for part in range(threads)) for block in blocks]


def _round_robin(sizes: Sequence[int], threads: int) -> list[int]:
    """Deal whole cores in turn; a cell that is full is skipped."""
    masks = [0] * len(sizes)
    core = 0
    while core * threads < sum(sizes):
        for number, size in enumerate(sizes):
            if masks[number].bit_count() < size:
                masks[number] |= _block(core * threads, threads)
                core += 1
    return masks


def _block(start: int, size: int) -> int:
    return (1 << size) - 1 << start


#: Interleaved vCPUs are cores of one thread, dealt in turn.
_DEALERS: dict[str, Callable[[Sequence[int], int], list[int]]] = {
    CONTIGUOUS: _contiguous,
    SIBLINGS: _siblings,
    ROUND_ROBIN: _round_robin,
    INTERLEAVE: _round_robin,
}
