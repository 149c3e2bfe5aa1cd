# SPDX-License-Identifier: Apache-2.0
"""Nova's API database: cells, flavors, aggregates, and what servers were requested with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from numaplace import exception
from numaplace.model import Flavor
from numaplace.model.fleet import Aggregate, Unread
from numaplace.model.records import InstanceRecord, RequestSpec
from numaplace.novadb import rows
from numaplace.novadb.rows import select

__all__ = ['Cell', 'read_aggregates', 'read_cells', 'read_flavors', 'read_new_servers', 'read_request_specs']


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell mapping.

    :param url: of its database, or a template of one
    """

    name: str
    url: str


def read_cells(connection: Connection) -> list[Cell]:
    """Return all cells, with the one of servers without a host."""
    rows = select(connection, 'SELECT uuid, name, database_connection FROM cell_mappings ORDER BY id')
    return [Cell(row.name or row.uuid, row.database_connection or '') for row in rows]


def read_flavors(connection: Connection) -> list[Flavor]:
    """Return all flavors by name."""
    specs: dict[int, dict[str, str]] = defaultdict(dict)
    for row in select(connection, 'SELECT flavor_id, "key" AS name, value FROM flavor_extra_specs'):
        specs[row.flavor_id][row.name] = row.value or ''
    query = (
        'SELECT id, name, flavorid, vcpus, memory_mb, root_gb, ephemeral_gb, swap, is_public FROM flavors ORDER BY name'
    )
    return [
        Flavor(
            row.name,
            row.vcpus,
            row.memory_mb,
            row.root_gb or 0,
            specs.get(row.id, {}),
            row.flavorid,
            row.swap or 0,
            row.ephemeral_gb or 0,
            bool(row.is_public),
        )
        for row in select(connection, query)
    ]


def read_aggregates(connection: Connection) -> list[Aggregate]:
    """Return all aggregates by name."""
    metadata: dict[int, dict[str, str]] = defaultdict(dict)
    hosts: dict[int, list[str]] = defaultdict(list)
    for row in select(connection, 'SELECT aggregate_id, "key" AS name, value FROM aggregate_metadata'):
        metadata[row.aggregate_id][row.name] = row.value or ''
    for row in select(connection, 'SELECT aggregate_id, host FROM aggregate_hosts ORDER BY host'):
        hosts[row.aggregate_id].append(row.host)
    return [
        Aggregate(row.name, metadata.get(row.id, {}), tuple(hosts.get(row.id, ())))
        for row in select(connection, 'SELECT id, name FROM aggregates ORDER BY name')
    ]


def read_new_servers(connection: Connection) -> set[str]:
    """Return the UUIDs of the servers that are in no cell yet, for which placement may have allocations."""
    return {row.instance_uuid for row in select(connection, 'SELECT instance_uuid FROM build_requests')}


def read_request_specs(
    connection: Connection, servers: Mapping[str, InstanceRecord]
) -> tuple[dict[str, RequestSpec], list[Unread]]:
    """Return what servers were requested with by UUID, and the rows that cannot be read."""
    found, unread = {}, []
    for row in select(connection, 'SELECT instance_uuid, spec FROM request_specs ORDER BY id'):
        if row.instance_uuid in servers:
            try:
                found[row.instance_uuid] = _request_spec(rows.text(row.spec, 'spec'), servers[row.instance_uuid].flavor)
            except rows.UNREADABLE as error:
                keys = row.instance_uuid, str(error), None, row.instance_uuid
                unread.append(Unread('row.unreadable', 'request_specs', *keys))
    return found, unread


def _request_spec(source: Any, known: Flavor) -> RequestSpec:
    """Read a RequestSpec of Nova.

    :param known: the flavor that the server has, which is hardly ever another one
    """
    data = source.get('nova_object.data') if isinstance(source, Mapping) else None
    if not isinstance(data, Mapping):
        raise exception.InvalidObject('spec: expected a RequestSpec of Nova')
    zone, hosts = data.get('availability_zone'), data.get('force_hosts') or []
    if not isinstance(zone, str | None):
        raise exception.InvalidObject(f'spec: availability_zone is {zone!r:.60}: expected a name or null')
    if not isinstance(hosts, list) or not all(isinstance(name, str) for name in hosts):
        raise exception.InvalidObject(f'spec: force_hosts is {hosts!r:.60}: expected names of hosts')
    flavor = rows.flavor(data.get('flavor'), 'spec: flavor')
    return RequestSpec(known if flavor == known else flavor, zone, tuple(hosts), data.get('is_bfv') is True)
