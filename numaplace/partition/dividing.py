# SPDX-License-Identifier: Apache-2.0
"""Divide a guest over host cells: how many vCPUs and how much memory each guest cell has, and where it is bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from numaplace import cpuset, exception
from numaplace.model import DEDICATED, CpuTopology, Guest, GuestCell, Host, HostCell, Wish
from numaplace.model.wish import AUTO_MODE, INTERLEAVE, PIN_TO_CORE
from numaplace.partition import shares
from numaplace.partition.distribution import deal

__all__ = ['Partition', 'cpus', 'divide', 'divide_over', 'usable']


@dataclass(frozen=True, slots=True)
class Partition:
    """A guest with cells of its own, and the id of the host cell that each of them is bound to."""

    guest: Guest
    bindings: tuple[int, ...]


def divide(host: Host, guest: Guest, wish: Wish) -> Partition:
    """Divide a guest over all the host cells that host mode or node mode names.

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
    """Divide a guest over host cells: a guest cell for each of them, in their order.

    Evenly in host mode and node mode; in auto mode in proportion to the CPUs of the host cells.

    :raises: :class:`~numaplace.exception.InvalidPartition`
    """
    threads = _threads(nodes, guest, wish)
    sizes = [cores * threads for cores in _cores(nodes, guest, wish, threads)]
    memory = _memory(sizes, guest, wish)
    masks = deal(wish.distribution, sizes, threads)
    dedicated = wish.pinning == PIN_TO_CORE
    cells = tuple(
        GuestCell(
            number,
            shared_vcpus=0 if dedicated else mask,
            dedicated_vcpus=mask if dedicated else 0,
            memory_mib=memory_mib,
            pagesize_kib=wish.pagesize_kib,
            cpu_policy=DEDICATED if dedicated else None,
        )
        for number, (mask, memory_mib) in enumerate(zip(masks, memory, strict=True))
    )
    topology = _topology(sizes, threads)
    return Partition(replace(guest, cells=cells, cpu_topology=topology, wish=None), tuple(node.id for node in nodes))


def cpus(node: HostCell, wish: Wish) -> int:
    """Return the mask of the CPUs of a host cell that the vCPUs of such a guest may run on."""
    return node.shape.dedicated_cpus if wish.pinning == PIN_TO_CORE else node.shape.shared_cpus


def _threads(nodes: Sequence[HostCell], guest: Guest, wish: Wish) -> int:
    """Return the threads of a core of the guest: as many as a core of its host cells has."""
    threads = min(node.shape.threads_per_core for node in nodes)
    if wish.distribution == INTERLEAVE:
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


def _cores(nodes: Sequence[HostCell], guest: Guest, wish: Wish, threads: int) -> list[int]:
    """Return the number of guest cores in each guest cell."""
    cores = guest.vcpus // threads
    if cores < len(nodes):
        what = f'{cores} cores of {threads} threads' if threads > 1 else f'{cores} vCPUs'
        raise exception.InvalidPartition(
            f'{len(nodes)} guest cells are more than {what}: expected at least one for each cell', 'cells'
        )
    weights = [cpus(node, wish).bit_count() for node in nodes]
    if wish.mode == AUTO_MODE and len(set(weights)) > 1 and all(weights):
        found = shares.proportional(cores, weights)
        if not all(found):
            raise exception.InvalidPartition(
                f'{guest.vcpus} vCPUs leave a guest cell without vCPUs in proportion to {weights} CPUs', 'vcpus'
            )
        return found
    if cores % len(nodes) and not wish.remainder_first:
        what = f'are {cores} cores of {threads} threads, which ' if threads > 1 else ''
        raise exception.InvalidPartition(
            f'{guest.vcpus} vCPUs {what}do not divide evenly over {len(nodes)} guest cells: expected a multiple of '
            f"{len(nodes) * threads} vCPUs, or remainder 'first'",
            'vcpus',
        )
    return shares.even(cores, len(nodes))


def _memory(sizes: Sequence[int], guest: Guest, wish: Wish) -> list[int]:
    """Return the memory of each guest cell in MiB: in proportion to its vCPUs where those are unequal on purpose."""
    total = guest.memory_mib - wish.tier_mib
    if total < len(sizes):
        raise exception.InvalidPartition(
            f'memory of {total} MiB for {len(sizes)} guest cells: expected at least 1 MiB for each', 'memory_mib'
        )
    if wish.mode == AUTO_MODE and len(set(sizes)) > 1:
        return shares.proportional(total, sizes)
    if total % len(sizes) and not wish.remainder_first:
        raise exception.InvalidPartition(
            f'memory of {total} MiB does not divide evenly over {len(sizes)} guest cells: expected a multiple of '
            f"{len(sizes)} MiB, or remainder 'first'",
            'memory_mib',
        )
    return shares.even(total, len(sizes))


def _topology(sizes: Sequence[int], threads: int) -> CpuTopology:
    """Return a socket for each guest cell, or one for each core where the cells are unequal."""
    if len(set(sizes)) > 1:
        return CpuTopology(sockets=sum(sizes) // threads, cores=1, threads=threads)
    return CpuTopology(sockets=len(sizes), cores=sizes[0] // threads, threads=threads)
