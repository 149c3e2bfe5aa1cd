# SPDX-License-Identifier: Apache-2.0
"""Servers of a Nova as their hosts count them, and the totals of hosts, which Nova's rows do not hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from numaplace.model import Host
from numaplace.model.allocations import holds
from numaplace.model.records import HostRecord, InstanceRecord

__all__ = ['Occupant', 'Share', 'with_totals']


class Share(NamedTuple):
    """What a server holds of the whole of a host."""

    host: str
    vcpus: int
    memory_mib: int
    floating_vcpus: int


@dataclass(frozen=True, slots=True)
class Occupant:
    """A server as its hosts count it.

    :param host: where it is
    :param shares: what it holds, both sides of a move
    :param move: UUID of that move
    """

    uuid: str
    host: str | None
    shares: tuple[Share, ...]
    move: str | None = None

    @classmethod
    def of(cls, server: InstanceRecord) -> Occupant:
        """Return what is counted of a server."""
        shares = []
        for side in holds(server):
            guest, is_placed = side.placement.guest, bool(side.placement.cells)
            shares.append(Share(side.host, guest.vcpus, guest.memory_mib, 0 if is_placed else guest.vcpus))
        return cls(server.uuid, server.host, tuple(shares), None if server.move is None else server.move.uuid)


def with_totals(hosts: Iterable[HostRecord], occupants: Iterable[Occupant]) -> list[HostRecord]:
    """Return hosts with the totals of their servers: Nova's own ones include what is reserved for the host."""
    by_host: dict[str, list[Share]] = {}
    for occupant in occupants:
        for share in occupant.shares:
            by_host.setdefault(share.host, []).append(share)
    return [replace(record, host=_with_sums(record.host, by_host.get(record.name, ()))) for record in hosts]


def _with_sums(host: Host, held: Sequence[Share]) -> Host:
    return replace(
        host,
        vcpus_used=sum([share.vcpus for share in held]),
        memory_used_mib=sum([share.memory_mib for share in held]),
        floating_vcpus=sum([share.floating_vcpus for share in held]),
    )
