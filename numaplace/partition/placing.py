# SPDX-License-Identifier: Apache-2.0
"""Place a guest: by its own cells, divided over the host cells it names, or over the fewest and nearest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from numaplace import cpuset, exception, fit
from numaplace.model import Guest, Host, HostCell, Limits, Networks, Placement, Reason, Refusal, Wish, intern_shape
from numaplace.model.wish import AUTO_MODE, PIN_TO_CORE
from numaplace.partition import dividing
from numaplace.partition.dividing import Partition
from numaplace.partition.nearest import nearest
from numaplace.partition.tier import memory_nodes, with_memory

__all__ = ['place']

_Try = Callable[[Partition], Placement | Refusal]


def place(
    host: Host,
    guest: Guest,
    *,
    limits: Limits | None = None,
    devices: fit.Devices | None = None,
    networks: Networks | None = None,
    strategy: fit.Strategy = fit.SPREAD,
    bindings: Sequence[int] | None = None,
) -> Placement | Refusal:
    """Place any guest: by its own cells, or divided over host cells where it wishes so.

    Host mode and node mode are one fit. Auto mode finds the smallest number of host cells, and of these sets the one
    with the smallest sum of distances (ties go by id), in which the guest fits; its search is stated in
    ``numaplace.partition.nearest``.

    :param strategy: the order of the host cells for a guest without a wish
    :param bindings: as of :func:`numaplace.fit.place`, for a guest without a wish
    :returns: as :func:`numaplace.fit.place`; a guest that was divided has its cells in the placement. A wish that no
        host of this shape can meet is a refusal as well; :func:`numaplace.partition.divide` says what of it is wrong
    """
    wish = guest.wish
    if wish is None:
        return fit.place(
            host, guest, limits=limits, devices=devices, networks=networks, strategy=strategy, bindings=bindings
        )

    def attempt(partition: Partition) -> Placement | Refusal:
        return fit.place(
            _spare(host, partition.guest, wish),
            partition.guest,
            limits=limits,
            devices=devices,
            networks=networks,
            bindings=partition.bindings,
        )

    try:
        if wish.mode != AUTO_MODE:
            return attempt(dividing.divide(host, guest, wish))
        wish.check(guest.memory_mib)
        return _search(dividing.usable(host, wish), memory_nodes(host, wish), guest, wish, attempt)
    except exception.InvalidPartition as error:
        return Refusal.of(Reason('vnuma', subject=str(error)))


def _spare(host: Host, guest: Guest, wish: Wish) -> Host:
    """Return the host as a fit may use it: without the cores to keep.

    For a guest whose cores have threads only wholly free cores are left, so that no core of it lies on two of the host.
    """
    if wish.pinning != PIN_TO_CORE:
        return host
    threaded = guest.cpu_topology is not None and guest.cpu_topology.threads > 1
    return replace(host, cells=tuple(_spare_cell(cell, wish.keep, whole=threaded) for cell in host.cells))


def _spare_cell(cell: HostCell, keep: int, *, whole: bool) -> HostCell:
    cores = cell.shape.cores[keep:]
    if whole:
        width = cell.shape.threads_per_core
        cores = tuple(core for core in cores if core.bit_count() == width and not core & cell.pinned_cpus)
    left = cpuset.mask(cpu for core in cores for cpu in cpuset.ids(core)) | cell.pinned_cpus
    shape = intern_shape(replace(cell.shape, dedicated_cpus=cell.shape.dedicated_cpus & left))
    return replace(cell, shape=shape)


def _search(
    nodes: Sequence[HostCell], memory: Sequence[HostCell], guest: Guest, wish: Wish, attempt: _Try
) -> Placement | Refusal:
    def judge(chosen: Sequence[HostCell]) -> Placement | Refusal | None:
        partition = _divided(chosen, guest, wish)
        return _attempt_with_memory(partition, chosen, memory, wish, attempt) if partition else None

    for number in range(1, len(nodes) + 1):
        able = _able(nodes, number, guest, wish, attempt)
        answer = nearest(able, number, judge)
        if answer:
            return answer
    return _refuse(nodes, memory, guest, wish, attempt)


def _attempt_with_memory(
    partition: Partition, chosen: Sequence[HostCell], memory: Sequence[HostCell], wish: Wish, attempt: _Try
) -> Placement | Refusal:
    if not memory:
        return attempt(partition)
    for tiered in with_memory(partition, chosen, memory, wish):
        answer = attempt(tiered)
        if answer:
            break
    return answer


def _divided(chosen: Sequence[HostCell], guest: Guest, wish: Wish) -> Partition | None:
    with suppress(exception.InvalidPartition):  # what does not divide over three may over four
        return dividing.divide_over(chosen, guest, wish)
    return None


def _able(nodes: Sequence[HostCell], number: int, guest: Guest, wish: Wish, attempt: _Try) -> Sequence[HostCell]:
    """Leave out the host cells that do not fit the smallest share, where all shares are alike.

    Without it the search would ask about every set that such a host cell is in.
    """
    if len({dividing.cpus(node, wish).bit_count() for node in nodes}) > 1:
        return nodes
    partition = _divided([nodes[0]] * number, guest, wish)
    if partition is None:
        return ()
    alone = replace(partition.guest, cells=partition.guest.cells[-1:], emulator_policy=None)
    return [node for node in nodes if attempt(Partition(alone, (node.id,)))]


def _refuse(
    nodes: Sequence[HostCell], memory: Sequence[HostCell], guest: Guest, wish: Wish, attempt: _Try
) -> Placement | Refusal:
    """Say why a guest does not fit: of the largest number of host cells that it can be divided over."""
    number = next((number for number in range(len(nodes), 1, -1) if _divided(nodes[:number], guest, wish)), 1)
    partition = dividing.divide_over(nodes[:number], guest, wish)
    return _attempt_with_memory(partition, nodes[:number], memory, wish, attempt)
