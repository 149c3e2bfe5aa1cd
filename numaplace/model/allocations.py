# SPDX-License-Identifier: Apache-2.0
"""What counts on a host: the only rule for what a server holds, and where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from numaplace import cpuset, exception
from numaplace.model import Host, HostCell, Placement
from numaplace.model.records import HostRecord, InstanceRecord, Side

__all__ = ['held_on', 'holds', 'recount', 'release']


def holds(instance: InstanceRecord) -> tuple[Side, ...]:
    """Return what a server holds.

    A server in a move holds both sides of it, from the claim until the move is over, wherever the guest runs. Any other
    server holds its place, or nothing without a host.
    """
    if instance.move is not None and not instance.move.has_ended:
        return instance.move.old, instance.move.new
    if instance.host is None:
        return ()
    return (Side(instance.host, instance.flavor, instance.placement),)


def held_on(host_name: str, instances: Iterable[InstanceRecord]) -> list[Placement]:
    """Return the placements that count on a host."""
    return [side.placement for instance in instances for side in holds(instance) if side.host == host_name]


def release(host: Host, placement: Placement) -> Host:
    """Return a host without what a server holds there, as :meth:`numaplace.model.Host.release`.

    Hardware may have gone under its servers (:func:`numaplace.compute.resource_tracker.refresh` by force): what the
    host has no more is counted nowhere, and a dedicated CPU that is in another cell now is counted there.

    :raises: as :meth:`numaplace.model.Host.release`, if the host has what it does not count
    """
    dedicated = {cell.id: cell.shape.dedicated_cpus for cell in host.cells}
    known = {device.address for device in host.devices.known}
    devices = tuple([one for one in placement.devices if one.device.address in known])
    resources = tuple([name for name in placement.resources if host.resources.total(name)])
    elsewhere = cpuset.union([one.taken & ~dedicated.get(one.host_cell, 0) for one in placement.cells])
    if not elsewhere and all(one.host_cell in dedicated for one in placement.cells):
        return host.release(replace(placement, devices=devices, resources=resources))
    cells = {cell.id: _without(cell, elsewhere) for cell in host.cells}
    for one in placement.cells:
        if one.host_cell in cells:
            left = replace(one, taken=one.taken & dedicated[one.host_cell])
            cells[one.host_cell] = cells[one.host_cell].release(left)
    # The totals count the whole guest, which floats no more than it did.
    counted = replace(host, cells=tuple(cells.values()), floating_vcpus=host.floating_vcpus + placement.guest.vcpus)
    return counted.release(replace(placement, cells=(), devices=devices, resources=resources))


def _without(cell: HostCell, cpus: int) -> HostCell:
    """Return a host cell without those of some CPUs that are dedicated there, if they are pinned."""
    if loose := cpus & cell.shape.dedicated_cpus & ~cell.pinned_cpus:
        raise exception.CPUUnpinningInvalid(f'host cell {cell.id}: CPUs {cpuset.text(loose)} to unpin are not pinned')
    return replace(cell, pinned_cpus=cell.pinned_cpus & ~cpus)


def recount(
    hosts: Mapping[str, HostRecord], before: InstanceRecord | None, after: InstanceRecord | None
) -> dict[str, Host]:
    """Return the hosts by name, with their usage after a change of one server.

    :param before: the server as it was, or None for a new one
    :param after: the server as it will be, or None for one that is deleted
    :raises: the faults of :meth:`numaplace.model.Host.release` if the usage of a host does not include what the
        server releases, and of :meth:`numaplace.model.Host.consume` if the server takes what is in use
    """
    counted = {name: record.host for name, record in hosts.items()}
    taken = list(holds(after)) if after else []
    given_back = []
    for side in holds(before) if before else ():
        if side in taken:
            taken.remove(side)
        else:
            given_back.append(side)
    for side in given_back:
        try:
            counted[side.host] = release(counted[side.host], side.placement)
        except exception.NumaplaceException as error:
            uuid = before.uuid if before else ''
            raise type(error)(f'server {uuid} on host {side.host!r}: {error}') from error
    for side in taken:
        counted[side.host] = counted[side.host].consume(side.placement)
    return counted
