# SPDX-License-Identifier: Apache-2.0
"""The database of a cell: its hosts, and its servers with their moves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from sys import intern
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from numaplace import exception, wire
from numaplace.model import Flavor, Guest, Host, Placement
from numaplace.model.fleet import Unread
from numaplace.model.records import DISABLED, DOWN, ENABLED, ENDED, GONE, UP, HostRecord, InstanceRecord, Move, Side
from numaplace.novadb import rows
from numaplace.novadb.occupants import Occupant, Share
from numaplace.novadb.rows import select, utc, whole
from numaplace.request import image_names
from numaplace.wire import details

__all__ = ['CellContent', 'read_cell']

#: Source: Nova 34, the states in which its resource tracker counts a move.
_MOVING_TASKS = frozenset(
    {
        'resize_prep',
        'resize_migrating',
        'resize_migrated',
        'resize_finish',
        'rebuilding',
        'rebuild_block_device_mapping',
        'rebuild_spawning',
        'migrating',
    }
)
_RESIZED = 'resized'
_IMAGE = 'image_'
#: A service that has not reported for that long is down, as ``[DEFAULT] service_down_time`` of Nova has it.
_SERVICE_DOWN = timedelta(seconds=60)


@dataclass(slots=True)
class CellContent:
    """What was read of a cell.

    :param servers: empty unless they are listed
    :param occupants: the same servers, whether or not they are listed
    :param nodes: names of the hosts by the UUIDs of their compute nodes, which are those of their resource providers
    :param moves: UUIDs of the moves in progress, which have allocations before the servers have a context
    """

    hosts: list[HostRecord] = field(default_factory=list)
    servers: list[InstanceRecord] = field(default_factory=list)
    occupants: list[Occupant] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)
    nodes: dict[str, str] = field(default_factory=dict)
    moves: set[str] = field(default_factory=set)


def read_cell(connection: Connection, name: str, now: datetime, *, lists_servers: bool = True) -> CellContent:
    """Read a cell; a row that cannot be read is named and left out.

    Two passes over its servers' metadata and one over everything else. Without a list of the servers, their metadata
    are not read, and of those that are in no move only what their hosts count.

    :param now: the moment, to tell which services report
    """
    found = CellContent()
    _read_hosts(connection, name, found, now)
    known = {record.name: record.host for record in found.hosts}
    moves = _read_moves(connection)
    images = _read_metadata(connection, 'instance_system_metadata') if lists_servers else {}
    metadata = _read_metadata(connection) if lists_servers else {}
    seen: set[str] = set()
    for row in select(connection, _SERVERS if lists_servers else _OCCUPANTS):
        around = _Around(known, moves.get(row.uuid), images.pop(row.uuid, {}), metadata.pop(row.uuid, {}))
        try:
            if row.uuid in seen:
                raise exception.InvalidObject('another row is about the same instance')
            if lists_servers or _is_moving(row, around):
                server = _server(row, around)
                found.occupants.append(Occupant.of(server))
                found.servers += [server] if lists_servers else []
            else:
                found.occupants.append(_occupant(row))
        except rows.UNREADABLE as error:
            place = f'{name}: {"instances" if "vcpus" in str(error) else "instance_extra"}'
            found.unread += [
                Unread('row.unreadable', place, row.uuid, str(error), host, row.uuid)
                for host in _hosts_of(row, around.move)
            ]
        seen.add(row.uuid)
    found.moves = {move.uuid for move in moves.values()}
    return found


def _hosts_of(row: sa.Row[Any], move: sa.Row[Any] | None) -> list[str | None]:
    """Return the hosts that a server may hold something on."""
    hosts = {row.host} | ({move.source_compute, move.dest_compute} if move else set())
    return sorted(hosts - {None}) or [None]


# --- hosts

_HOSTS = """
SELECT id, uuid, host, hypervisor_hostname, hypervisor_type, numa_topology, cpu_info, supported_instances, created_at,
       cpu_allocation_ratio, ram_allocation_ratio
FROM compute_nodes WHERE deleted = 0 ORDER BY host, id
"""
_FREE_DEVICES = """
SELECT compute_node_id, COUNT(*) AS number FROM pci_devices WHERE deleted = 0 AND status = 'available'
GROUP BY compute_node_id
"""
_SERVICES = """
SELECT host, disabled, forced_down, last_seen_up, created_at FROM services
WHERE deleted = 0 AND "binary" = 'nova-compute'
"""


def _read_hosts(connection: Connection, cell: str, found: CellContent, now: datetime) -> None:
    services = {row.host: row for row in select(connection, _SERVICES)}
    devices = {row.compute_node_id: row.number for row in select(connection, _FREE_DEVICES)}
    seen: set[str] = set()
    for row in select(connection, _HOSTS):
        if row.hypervisor_type == 'ironic':
            continue
        name = row.host or row.hypervisor_hostname or row.uuid
        try:
            if name in seen:
                raise exception.InvalidObject(f'another compute node, {row.hypervisor_hostname!r}, has the same host')
            record = _host(row, name, services.get(name), now)
            if row.id in devices:
                record = replace(record, facts={**record.facts, 'pci_devices': devices[row.id]})
        except rows.UNREADABLE as error:
            code = 'host.twice' if name in seen else 'row.unreadable'
            found.unread.append(Unread(code, f'{cell}: compute_nodes', name, str(error), name))
        else:
            found.hosts.append(record)
            found.nodes[row.uuid] = name
        seen.add(name)


def _host(row: sa.Row[Any], name: str, service: sa.Row[Any] | None, now: datetime) -> HostRecord:
    host, old_format = Host(), ''
    if row.numa_topology is not None:
        topology = _object(row.numa_topology, 'numa_topology')
        host, old_format = wire.read_host(topology), wire.old_format(topology, 'NUMATopology')
    return HostRecord(
        name=name,
        host=host,
        uuid=row.uuid or '',
        facts=_facts(row),
        cpu_allocation_ratio=rows.number(row.cpu_allocation_ratio, 'cpu_allocation_ratio'),
        ram_allocation_ratio=rows.number(row.ram_allocation_ratio, 'ram_allocation_ratio'),
        status=DISABLED if service is None or service.disabled else ENABLED,
        state=GONE if service is None else UP if _reports(service, now) else DOWN,
        created_at=utc(row.created_at),
        old_format=old_format,
    )


def _reports(service: sa.Row[Any], now: datetime) -> bool:
    seen = utc(service.last_seen_up) or utc(service.created_at)
    return not service.forced_down and seen is not None and now - seen <= _SERVICE_DOWN


def _facts(row: sa.Row[Any]) -> dict[str, Any]:
    """Return what filters look at, by the names of :class:`~numaplace.model.records.HostRecord`; it may be missing."""
    try:
        cpu = rows.text(row.cpu_info or '{}', 'cpu_info')
        domains = rows.text(row.supported_instances or '[]', 'supported_instances')
    except exception.InvalidObject:
        return {}
    if not isinstance(cpu, dict) or not isinstance(domains, list):
        return {}
    topology = cpu.get('topology')
    sizes = [topology.get(part, 1) for part in ('cells', 'sockets', 'cores', 'threads')] if topology else []
    cpus = 1 if sizes else 0
    for size in sizes:
        cpus *= size if type(size) is int else 0
    facts = {
        'architecture': cpu.get('arch'),
        'cpu_model': cpu.get('model'),
        'cpu_vendor': cpu.get('vendor'),
        'cpus': cpus,
        'domains': domains,
    }
    return {key: value for key, value in facts.items() if value}


# --- servers

#: A server that is resized from one cell to another has a row in both, of which one is hidden; each tells both sides.
_SELECT = """
SELECT i.id, i.uuid, i.display_name, i.host, i.vm_state, i.task_state, i.vcpus, i.memory_mb, i.availability_zone,
       i.created_at, i.instance_type_id, {}
FROM instances i LEFT JOIN instance_extra e ON e.instance_uuid = i.uuid
WHERE i.deleted = 0 AND i.hidden IS NOT TRUE ORDER BY i.id
"""
_LONG = ('numa_topology', 'migration_context', 'flavor')
_SERVERS = _SELECT.format(', '.join([f'e.{name}' for name in _LONG]))
#: With the long columns of those alone that may be in a move.
_MAY_MOVE = f"i.vm_state = '{_RESIZED}' OR i.task_state IN {tuple(sorted(_MOVING_TASKS))}"
_OCCUPANTS = _SELECT.format(
    ', '.join(
        [
            'CASE WHEN e.numa_topology IS NULL THEN 1 ELSE 0 END AS floats',
            *(f'CASE WHEN {_MAY_MOVE} THEN e.{name} END AS {name}' for name in _LONG),
        ]
    )
)
_MOVES = """
SELECT id, uuid, instance_uuid, source_compute, dest_compute, status, migration_type, old_instance_type_id,
       new_instance_type_id, created_at, updated_at
FROM migrations WHERE deleted = 0 ORDER BY id
"""


@dataclass(frozen=True, slots=True)
class _Around:
    """What other tables have of a server."""

    hosts: Mapping[str, Host]
    move: sa.Row[Any] | None
    image_properties: Mapping[str, str]
    metadata: Mapping[str, str]


def _read_moves(connection: Connection) -> dict[str, sa.Row[Any]]:
    """Return the last move in progress of each server."""
    return {row.instance_uuid: row for row in select(connection, _MOVES) if row.status not in ENDED}


def _read_metadata(connection: Connection, table: str = 'instance_metadata') -> dict[str, dict[str, str]]:
    """Return metadata of servers by UUID; of system metadata only the properties of images."""
    images = table != 'instance_metadata'
    query = f'SELECT instance_uuid, "key" AS name, value FROM {table} WHERE deleted = 0'  # noqa: S608 - a constant
    if images:
        query += f' AND "key" LIKE \'{_IMAGE}%\''
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for row in select(connection, query):
        name = intern(row.name.removeprefix(_IMAGE) if images else row.name)
        found[row.instance_uuid][name] = intern(row.value or '')
    return found


def _server(row: sa.Row[Any], around: _Around) -> InstanceRecord:
    flavors = _flavors(row.flavor)
    guest = Guest(whole(row.vcpus, 'vcpus'), whole(row.memory_mb, 'memory_mb'))
    topology = None if row.numa_topology is None else _object(row.numa_topology, 'numa_topology')
    placed = None if topology is None else wire.read_placement(topology, around.hosts.get(row.host or ''))
    created_at = utc(row.created_at)
    if created_at is None:
        raise exception.InvalidObject(f'created_at is {row.created_at!r:.60}: expected a time')
    placement = details.join(Placement(guest), placed) if row.host else Placement(guest)
    record = InstanceRecord(
        uuid=row.uuid,
        name=row.display_name or '',
        number=row.id,
        host=row.host,
        flavor=flavors['cur'],
        image_properties=image_names.current(around.image_properties),
        placement=placement,
        availability_zone=row.availability_zone,
        vm_state=row.vm_state or '',
        created_at=created_at,
        metadata=around.metadata,
        old_format='' if topology is None else wire.old_format(topology, 'InstanceNUMATopology'),
    )
    return replace(record, move=_move(row, record, flavors, around)) if _is_moving(row, around) else record


def _is_moving(row: sa.Row[Any], around: _Around) -> bool:
    """Return whether Nova counts the move of a server, if it holds anything there."""
    may_move = row.vm_state == _RESIZED or row.task_state in _MOVING_TASKS
    return may_move and around.move is not None and row.host is not None


def _occupant(row: sa.Row[Any]) -> Occupant:
    """Return a server that is in no move, from its own row."""
    vcpus, memory_mib = whole(row.vcpus, 'vcpus'), whole(row.memory_mb, 'memory_mb')
    share = Share(row.host, vcpus, memory_mib, vcpus if row.floats else 0)
    return Occupant(row.uuid, row.host, () if row.host is None else (share,))


@lru_cache(maxsize=1024)  # the text of all servers of a flavor is the same
def _flavors(text: str | None) -> Mapping[str, Flavor]:
    """Return the flavors of a server: ``cur``, and in a move ``old`` and ``new``."""
    source = rows.text(text, 'flavor')
    if not isinstance(source, dict) or not source.get('cur'):
        raise exception.InvalidObject("flavor: expected an object with 'cur'")
    return {
        name: rows.flavor(value, f'flavor: {name}') for name in ('cur', 'old', 'new') if (value := source.get(name))
    }


def _move(row: sa.Row[Any], record: InstanceRecord, flavors: Mapping[str, Flavor], around: _Around) -> Move | None:
    """Return a move with both of its sides; None if its other side holds nothing yet, or nothing any more."""
    move: Any = around.move
    old_flavor = new_flavor = flavors['cur']
    if move.old_instance_type_id != move.new_instance_type_id:
        if row.instance_type_id == move.old_instance_type_id:
            new_flavor = flavors.get('new', new_flavor)
        else:
            old_flavor = flavors.get('old', old_flavor)
    sides = _sides(row, move, around.hosts)
    if sides is None:
        if record.placement.cells:
            return None
        sides = (None, None)
    places = [
        details.join(Placement(Guest(flavor.vcpus, flavor.memory_mib)), placed)
        for flavor, placed in zip((old_flavor, new_flavor), sides, strict=True)
    ]
    return Move(
        move.migration_type or '',
        move.status or '',
        Side(move.source_compute or '', old_flavor, places[0]),
        Side(move.dest_compute or '', new_flavor, places[1]),
        move.uuid or '',
        move.id,
        utc(move.updated_at) or utc(move.created_at),
    )


def _sides(row: sa.Row[Any], move: Any, hosts: Mapping[str, Host]) -> tuple[Placement | None, Placement | None] | None:
    """Return the topologies of a move's context; None if it has none of its own."""
    if row.migration_context is None:
        return None
    nowhere = Host()
    context = wire.read_context(
        _object(row.migration_context, 'migration_context'),
        hosts.get(move.source_compute or '', nowhere),
        hosts.get(move.dest_compute or '', nowhere),
    )
    return (context.old, context.new) if context.migration_id == move.id else None


def _object(source: Any, column: str) -> dict[str, Any]:
    """Parse a column that holds an object.

    :raises: :class:`~numaplace.exception.InvalidObject`
    """
    if not isinstance(source, str):
        raise exception.InvalidObject(f'{column} is {type(source).__name__}: expected text')
    try:
        return wire.load_row(source)
    except exception.InvalidObject as error:
        raise exception.InvalidObject(f'{column}: {error}'[:200]) from None
