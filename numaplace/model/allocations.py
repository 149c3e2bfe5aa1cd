# SPDX-License-Identifier: Apache-2.0
"""What counts on a host: the only rule for what a server holds, and where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from numaplace import exception
from numaplace.model import Host, Placement
from numaplace.model.records import HostRecord, InstanceRecord, Side

__all__ = ['held_on', 'holds', 'recount']


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
            counted[side.host] = counted[side.host].release(side.placement)
        except exception.NumaplaceException as error:
            uuid = before.uuid if before else ''
            raise type(error)(f'server {uuid} on host {side.host!r}: {error}') from error
    for side in taken:
        counted[side.host] = counted[side.host].consume(side.placement)
    return counted
