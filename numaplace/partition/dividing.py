# SPDX-License-Identifier: Apache-2.0
"""Divide a guest over host cells: how many vCPUs and how much memory each guest cell has, and where it is bound."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from numaplace import cpuset, exception
from numaplace.model import DEDICATED, Guest, GuestCell, Host, HostCell, Wish
from numaplace.model.vnuma import INTERLEAVE, PIN_TO_CORE
from numaplace.partition import shares
from numaplace.partition.distribution import deal
from numaplace.partition.sockets import arrange

__all__ = ['Partition', 'Share', 'bind', 'divide', 'divide_over', 'usable']


@dataclass(frozen=True, slots=True)
class Partition:
    """A guest with cells of its own, and the id of the host cell that each of them is bound to."""

    guest: Guest
    host_cell_ids: tuple[int, ...]


class Share(NamedTuple):
    """What a host cell, by its id, gets of a guest: whole cores, and memory."""

    host_cell: int
    vcpus: int
    memory_mib: int


def divide(host: Host, guest: Guest, wish: Wish) -> Partition:
    """Divide a guest over all the host cells that host mode or node mode selects.

    :param host: with host cells that have CPUs; usage does not matter
    :param guest: its vCPUs and memory are divided; cells that it has are replaced
    :raises: :class:`~numaplace.exception.InvalidPartition` if the wish cannot be met by any host of this shape
    """
    wish.check(guest.memory_mib)
    nodes = usable(host, wish)
    per_node = _cells_per_node(len(nodes), wish)
    return divide_over([node for node, number in zip(nodes, per_node, strict=True) for _ in range(number)], guest, wish)


def usable(host: Host, wish: Wish) -> list[HostCell]:
    """Return the host cells with CPUs that a wish allows, by id.

    :raises: :class:`~numaplace.exception.InvalidPartition` for a host cell that does not exist or has no CPUs
    """
    cells = {cell.id: cell for cell in sorted(host.cells, key=lambda cell: cell.id)}
    able = {cell_id: cell for cell_id, cell in cells.items() if cell.shape.shared_cpus | cell.shape.dedicated_cpus}
    if wish.nodes is None:
        found = list(able.values())
    else:
        known = cpuset.text(cpuset.mask(able)) or '(none)'
        for cell_id in cpuset.ids(wish.nodes):
            if cell_id not in able:
                lack = 'has no CPUs' if cell_id in cells else 'does not exist'
                raise exception.InvalidPartition(
                    f'nodeset {cpuset.text(wish.nodes)}: host cell {cell_id} {lack}; expected some of {known}', 'nodes'
                )
        found = [able[cell_id] for cell_id in cpuset.ids(wish.nodes)]
    if not found:
        raise exception.InvalidPartition('nodeset: no host cell is left: expected at least one', 'nodes')
    return found


def _cells_per_node(nodes: int, wish: Wish) -> list[int]:
    """Return how many guest cells share each host cell."""
    cells = nodes if wish.cells is None else wish.cells
    if cells < nodes:
        raise exception.InvalidPartition(
            f'cells {cells}: there are {nodes} host cells: expected at least one guest cell for each, '
            'or a smaller nodeset',
            'cells',
        )
    if cells % nodes and not wish.remainder_first:
        raise exception.InvalidPartition(
            f'cells {cells}: they do not divide evenly over {nodes} host cells: expected a multiple of {nodes}, '
            "or remainder 'first'",
            'cells',
        )
    return shares.even(cells, nodes)


def divide_over(nodes: Sequence[HostCell], guest: Guest, wish: Wish) -> Partition:
    """Divide a guest evenly over host cells: a guest cell for each of them, in their order.

    :raises: :class:`~numaplace.exception.InvalidPartition`
    """
    threads = _threads(nodes, guest, wish)
    cores = shares.even(_cores(len(nodes), guest, wish, threads), len(nodes))
    memory_mib = shares.even(_memory_mib(len(nodes), guest, wish), len(nodes))
    parts = [
        Share(node.id, number * threads, size) for node, number, size in zip(nodes, cores, memory_mib, strict=True)
    ]
    return bind(parts, threads, guest, wish)


def bind(parts: Sequence[Share], threads: int, guest: Guest, wish: Wish) -> Partition:
    """Divide a guest: a guest cell for each share, in their order.

    :param threads: threads of a core of the guest
    :raises: as :func:`numaplace.partition.distribution.deal`
    """
    sizes = [part.vcpus for part in parts]
    dedicated = wish.pinning == PIN_TO_CORE
    masks = deal(wish.distribution, sizes, threads)
    cells = tuple(
        GuestCell(
            number,
            shared_vcpus=0 if dedicated else mask,
            dedicated_vcpus=mask if dedicated else 0,
            memory_mib=part.memory_mib,
            pagesize_kib=wish.pagesize_kib,
            cpu_policy=DEDICATED if dedicated else None,
        )
        for number, (mask, part) in enumerate(zip(masks, parts, strict=True))
    )
    topology = arrange(masks, threads, wish.max_topology)
    return Partition(
        replace(guest, cells=cells, cpu_topology=topology, wish=None), tuple(part.host_cell for part in parts)
    )


def _threads(nodes: Iterable[HostCell], guest: Guest, wish: Wish) -> int:
    """Return the threads of a core of the guest: as many as a core of its host cells has, 1 where these differ.

    :raises: :class:`~numaplace.exception.InvalidPartition` if its vCPUs are no whole cores then
    """
    widths = {node.shape.threads_per_core for node in nodes}
    threads = widths.pop()
    if widths or wish.distribution == INTERLEAVE or threads > wish.max_topology.threads:
        return 1
    if guest.vcpus % threads and wish.remainder_first:
        return 1
    if guest.vcpus % threads:
        raise exception.InvalidPartition(
            f'{guest.vcpus} vCPUs are no whole cores of {threads} threads as the host has them: expected a multiple '
            f"of {threads}, distribution {INTERLEAVE!r}, or remainder 'first'",
            'vcpus',
        )
    return threads


def _cores(cells: int, guest: Guest, wish: Wish, threads: int) -> int:
    """Return the number of guest cores, which divide over the guest cells."""
    cores = guest.vcpus // threads
    if cores < cells:
        what = f'{cores} cores of {threads} threads' if threads > 1 else f'{cores} vCPUs'
        raise exception.InvalidPartition(
            f'{cells} guest cells are more than {what}: expected at least one for each cell', 'cells'
        )
    if cores % cells and not wish.remainder_first:
        what = f'are {cores} cores of {threads} threads, which ' if threads > 1 else ''
        raise exception.InvalidPartition(
            f'{guest.vcpus} vCPUs {what}do not divide evenly over {cells} guest cells: expected a multiple of '
            f"{cells * threads} vCPUs, or remainder 'first'",
            'vcpus',
        )
    return cores


def _memory_mib(cells: int, guest: Guest, wish: Wish) -> int:
    """Return the memory of the guest, which divides over the guest cells."""
    total = guest.memory_mib
    if total < cells:
        raise exception.InvalidPartition(
            f'memory of {total} MiB for {cells} guest cells: expected at least 1 MiB for each', 'memory_mib'
        )
    if total % cells and not wish.remainder_first:
        raise exception.InvalidPartition(
            f'memory of {total} MiB does not divide evenly over {cells} guest cells: expected a multiple of '
            f"{cells} MiB, or remainder 'first'",
            'memory_mib',
        )
    return total
