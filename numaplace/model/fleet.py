# SPDX-License-Identifier: Apache-2.0
"""Many hosts with their servers, as of one moment, wherever they were read from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from numaplace.model.allocations import holds
from numaplace.model.flavor import Flavor
from numaplace.model.grouping import Aggregate, ServerGroup
from numaplace.model.records import HostRecord, InstanceRecord

__all__ = [
    'MOST_UNITS',
    'Aggregate',
    'Fleet',
    'Inventory',
    'Provider',
    'Remark',
    'Unread',
    'candidates',
    'in_aggregates',
    'with_servers',
]

#: What placement takes for max_unit where a provider states none.
MOST_UNITS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Unread:
    """A row, or more than one, that is not part of the fleet.

    :param code: why: ``row.unreadable``, ``host.twice``, ``cell.unreachable`` or ``libvirt.unreadable``
    :param place: the table and column, or the database, that it is in
    :param key: the row's UUID or name
    :param fault: what is wrong, in one line
    :param host: the host that it concerns, where that is known
    :param server: UUID of the server that it concerns, where it concerns one
    """

    code: str
    place: str
    key: str
    fault: str
    host: str | None = None
    server: str | None = None


@dataclass(frozen=True, slots=True)
class Remark:
    """What is wrong in a source and cannot be seen in the fleet: a finding, with the fields of one.

    :param code: a key of :data:`numaplace.fleet.findings.CODES`
    """

    code: str
    host: str | None = None
    server: str | None = None
    cell: int | None = None
    found: str = ''
    expected: str = ''
    subject: str = ''


@dataclass(frozen=True, slots=True)
class Inventory:
    """How much of a resource class a provider has for placement; amounts in the unit of the class.

    :param min_unit: the least that one consumer gets; `max_unit` is the most
    :param step_size: what it gets is a multiple of this
    """

    total: int
    reserved: int = 0
    allocation_ratio: float = 1.0
    min_unit: int = 1
    max_unit: int = MOST_UNITS
    step_size: int = 1

    @property
    def capacity(self) -> int:
        """What placement allocates at most."""
        return int((self.total - self.reserved) * self.allocation_ratio)


@dataclass(frozen=True, slots=True)
class Provider:
    """A host in the placement service.

    :param inventories: by resource class
    :param allocations: amounts by consumer UUID and resource class
    """

    host: str
    uuid: str
    inventories: Mapping[str, Inventory] = field(default_factory=dict)
    allocations: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    traits: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Fleet:
    """Hosts with their servers, and what is known around them.

    :param hosts: by name; each with its usage as it is stored
    :param servers: all of them, with and without a host; those in a move hold both of its sides
    :param flavors: by name; a server keeps its own copy
    :param providers: by host name; empty where placement was not read
    :param unread: what could not be read
    :param remarks: findings that the source itself made
    :param server_groups: those of the database of numaplace; an exported file has none
    :param unlisted: number of servers that are not in `servers`: their hosts have the UUIDs, and more was not asked for
    """

    hosts: tuple[HostRecord, ...] = ()
    servers: tuple[InstanceRecord, ...] = ()
    flavors: tuple[Flavor, ...] = ()
    aggregates: tuple[Aggregate, ...] = ()
    providers: tuple[Provider, ...] = ()
    unread: tuple[Unread, ...] = ()
    remarks: tuple[Remark, ...] = ()
    server_groups: tuple[ServerGroup, ...] = ()
    unlisted: int = 0


def candidates(fleet: Fleet) -> Fleet:
    """Return a fleet with its hosts as filters are asked about them: with their aggregates and their servers."""
    places = [(server.uuid, side.host) for server in fleet.servers for side in holds(server)]
    return replace(fleet, hosts=tuple(with_servers(in_aggregates(fleet.hosts, fleet.aggregates), places)))


def with_servers(hosts: Iterable[HostRecord], places: Iterable[tuple[str, str]]) -> list[HostRecord]:
    """Return hosts with the UUIDs of the servers that hold something there, beside those that they have.

    :param places: UUIDs of servers and names of their hosts, in pairs
    """
    on: dict[str, set[str]] = {}
    for uuid, name in places:
        on.setdefault(name, set()).add(uuid)
    return [replace(host, servers=host.servers | on[host.name]) if host.name in on else host for host in hosts]


def in_aggregates(hosts: Iterable[HostRecord], aggregates: Iterable[Aggregate]) -> list[HostRecord]:
    """Return hosts with their aggregates, one of which may be their availability zone; others keep their zone."""
    joined: dict[str, list[Aggregate]] = {}
    for aggregate in sorted(aggregates, key=lambda each: each.name):
        for name in aggregate.hosts:
            joined.setdefault(name, []).append(aggregate)
    return [_joined(host, joined[host.name]) if host.name in joined else host for host in hosts]


def _joined(host: HostRecord, aggregates: list[Aggregate]) -> HostRecord:
    zones = [aggregate.zone for aggregate in aggregates if aggregate.zone]
    return replace(host, aggregates=tuple(aggregates), availability_zone=zones[-1] if zones else host.availability_zone)
