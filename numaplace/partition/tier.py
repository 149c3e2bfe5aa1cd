# SPDX-License-Identifier: Apache-2.0
"""Memory of a guest from host cells without CPUs, such as HBM or CXL: guest cells without vCPUs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from numaplace import exception
from numaplace.model import GuestCell, Host, HostCell, Wish
from numaplace.partition.dividing import Partition
from numaplace.partition.nearest import distance
from numaplace.partition.shares import even

__all__ = ['memory_nodes', 'with_memory']


def memory_nodes(host: Host, wish: Wish) -> list[HostCell]:
    """Return the host cells without CPUs, by id; none for a wish without a tier.

    :raises: :class:`~numaplace.exception.InvalidPartition` if the wish needs some and there are none
    """
    if not wish.tier_mib:
        return []
    found = [cell for cell in host.cells if not cell.shape.shared_cpus | cell.shape.dedicated_cpus]
    if not found:
        raise exception.InvalidPartition(
            f'tier {wish.tier_mib} MiB: expected a host with cells without CPUs, such as HBM or CXL memory', 'tier_mib'
        )
    return sorted(found, key=lambda cell: cell.id)


def with_memory(
    partition: Partition, chosen: Sequence[HostCell], nodes: Sequence[HostCell], wish: Wish
) -> Iterator[Partition]:
    """Yield the partition with the memory of the tier on the nearest host cell, on the two nearest, and so on."""
    nearest = sorted(nodes, key=lambda node: (sum(distance(node, other) for other in chosen), node.id))
    for number in range(1, len(nearest) + 1):
        first = len(partition.guest.cells)
        cells = tuple(
            GuestCell(first + place, 0, 0, memory_mib, pagesize_kib=wish.pagesize_kib)
            for place, memory_mib in enumerate(even(wish.tier_mib, number))
        )
        bindings = tuple(node.id for node in nearest[:number])
        yield Partition(replace(partition.guest, cells=partition.guest.cells + cells), partition.bindings + bindings)
