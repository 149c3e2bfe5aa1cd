# SPDX-License-Identifier: Apache-2.0
"""Rows within a transaction: how they are read, guarded and written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import sqlalchemy as sa
from oslo_db import exception as oslo_db
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session

from numaplace import exception
from numaplace.db import convert, faults, models
from numaplace.db.models import ComputeNode, Instance, InstanceExtra, Migration
from numaplace.db.records import OVER, FlavorRecord, HostRecord, HostUsage, InstanceRecord, Move
from numaplace.db.statements import Statement
from numaplace.model import Host

__all__ = [
    'FLAVORS',
    'Unread',
    'check_guard',
    'check_name',
    'check_same',
    'delete_instance',
    'discard_instance',
    'find_flavor',
    'find_host',
    'find_hosts',
    'find_instance',
    'find_instances',
    'find_usage',
    'find_uuid',
    'has_become',
    'insert',
    'insert_flavor',
    'insert_host',
    'insert_instance',
    'is_as_read',
    'is_flavor_stored',
    'is_gone',
    'is_host_stored',
    'is_stored',
    'replace_host',
    'replace_instance',
    'replace_usage',
]

#: Rows that cannot be read, by name or UUID, each with what is wrong with it.
Unread: TypeAlias = dict[str, exception.NumaplaceException]

FLAVORS = models.Base.metadata.tables['flavors']
_HOSTS = models.Base.metadata.tables['compute_nodes']
_INSTANCES = models.Base.metadata.tables['instances']
_EXTRAS = models.Base.metadata.tables['instance_extra']

# The statements of a claim are made once, and run without the ORM: it takes longer than the fit.
_SELECT_HOSTS = sa.select(_HOSTS).order_by(_HOSTS.c.host)
_USAGE = sa.select(
    _HOSTS.c.uuid,
    _HOSTS.c.generation,
    _HOSTS.c.numa_topology,
    _HOSTS.c.host_details,
    _HOSTS.c.vcpus_used,
    _HOSTS.c.memory_mb_used,
    _HOSTS.c.floating_vcpus,
).where(_HOSTS.c.host == sa.bindparam('name'))
_SELECT_USAGE, _LOCK_USAGE = Statement(_USAGE), Statement(_USAGE.with_for_update())
# The UUID too: a host of the same name may have been deleted and made again, with the same generation.
_HOST_AS_READ = sa.update(_HOSTS).where(
    _HOSTS.c.uuid == sa.bindparam('read_uuid'), _HOSTS.c.generation == sa.bindparam('read_generation')
)
_REPLACE_USAGE, _REPLACE_HOST = Statement(_HOST_AS_READ), Statement(_HOST_AS_READ)
_INSERT_INSTANCE = Statement(sa.insert(_INSTANCES))
_INSERT_EXTRA = Statement(sa.insert(_EXTRAS))

#: So many hosts are named in a query; more of them are read with all others.
_MAX_NAMES = 500

#: What is raised for a row that cannot be read.
_UNREADABLE = (exception.InvalidObject, exception.UsageInvalid)

#: Rows that were read are not used after a statement changed them.
_UNSYNCED = {'synchronize_session': False}


def check_name(what: str, name: str) -> None:
    """Refuse names that some database cannot hold."""
    if not 0 < len(name) <= models.NAME_LENGTH:
        raise exception.Invalid(f'{what} has {len(name)} characters: expected 1 to {models.NAME_LENGTH}')
    if '\0' in name or any('\ud800' <= character <= '\udfff' for character in name):
        raise exception.Invalid(f'{what} {name!r} holds a character that is no text: NUL, or a byte that is no UTF-8')


def insert(session: Session, *rows: models.Base, known: str) -> None:
    """Store new rows.

    :param known: what is wrong if one of their unique columns is known
    :raises: :class:`~numaplace.exception.AlreadyExists`
    """
    try:
        for row in rows:
            session.add(row)
            session.flush()
    except oslo_db.DBError as error:
        if not faults.is_duplicate(error):
            raise
        raise exception.AlreadyExists(known) from None


def insert_flavor(session: Session, flavor: FlavorRecord) -> None:
    """Store a new flavor; whoever stores the same one at a time waits for the other.

    :raises: :class:`~numaplace.exception.AlreadyExists`
    """
    try:
        session.execute(sa.insert(FLAVORS).values(convert.flavor_values(flavor)))
    except oslo_db.DBError as error:
        if not faults.is_duplicate(error):
            raise
        raise exception.AlreadyExists(f'a flavor {flavor.name!r} or with the id {flavor.id!r} exists') from None


def insert_host(session: Session, record: HostRecord) -> ComputeNode:
    """Store a new host, as :func:`insert_flavor` does.

    :raises: :class:`~numaplace.exception.AlreadyExists`
    """
    row = ComputeNode(host=record.name, uuid=record.uuid, generation=0, **convert.host_values(record))
    insert(session, row, known=f'a host {record.name!r} exists')
    return row


def find_flavor(session: Session, name_or_id: str, *, lock: bool = False) -> FlavorRecord:
    """Return a flavor; an id goes before a name.

    :param lock: keep others from changing it until the transaction ends
    :raises: :class:`~numaplace.exception.NotFound`
    """
    for column in (FLAVORS.c.flavorid, FLAVORS.c.name):
        query = sa.select(FLAVORS).where(column == name_or_id)
        row = session.execute(query.with_for_update() if lock else query).mappings().one_or_none()
        if row is not None:
            return convert.flavor_record(row)
    raise exception.NotFound(f'there is no flavor {name_or_id!r}')


def _take_down(unread: Unread | None, key: str, row: str, error: exception.NumaplaceException) -> None:
    """Take down that a row cannot be read; where nobody wants to know of it, that is a fault."""
    fault = type(error)(_unreadable(row, error))
    fault.__cause__ = error
    if unread is None:
        raise fault
    unread[key] = fault


def _unreadable(row: str, error: exception.NumaplaceException) -> str:
    return f'{row}: its row cannot be read: {error}'


def find_host(connection: Connection, name: str) -> HostRecord:
    """Return a host.

    :raises: :class:`~numaplace.exception.NotFound`, :class:`~numaplace.exception.InvalidObject`
    """
    found = find_hosts(connection, [name])
    if not found:
        raise _no_host(name)
    return found[name]


def find_usage(connection: Connection, name: str, *, lock: bool = False) -> HostUsage:
    """Return what a claim needs to know of a host.

    :param lock: wait for others that change it, and keep them from it until the transaction ends
    :raises: :class:`~numaplace.exception.NotFound`
    """
    row = (_LOCK_USAGE if lock else _SELECT_USAGE).run(connection, {'name': name}).row
    if row is None:
        raise _no_host(name)
    uuid, generation, *used = row
    try:
        host = convert.host(*used)
    except _UNREADABLE as error:
        raise type(error)(_unreadable(f'host {name!r}', error)) from error
    return HostUsage(name, host, uuid, generation)


def _no_host(name: str) -> exception.NotFound:
    return exception.NotFound(f'there is no host {name!r}')


def find_hosts(
    connection: Connection,
    names: Iterable[str] | None = None,
    *,
    lock: bool = False,
    unread: Unread | None = None,
) -> dict[str, HostRecord]:
    """Return hosts in the order of their names.

    :param names: whose; those that there are not are left out; None for all
    :param lock: wait in that order for others that change them, and keep them from it until the transaction ends
    :param unread: takes in the hosts whose rows cannot be read, by name; without it the first one is a fault
    """
    query = _SELECT_HOSTS if names is None else _SELECT_HOSTS.where(_HOSTS.c.host.in_(names))
    query = query.with_for_update() if lock else query
    found = {}
    for row in connection.execute(query):
        try:
            found[row.host] = convert.host_record(row)
        except _UNREADABLE as error:
            _take_down(unread, row.host, f'host {row.host!r}', error)
    return found


def find_instances(
    session: Session,
    *criteria: sa.ColumnElement[bool],
    on_host: str | None = None,
    more_hosts: Iterable[str] = (),
    lock: bool = False,
    unread: Unread | None = None,
) -> tuple[list[InstanceRecord], dict[str, HostRecord]]:
    """Return servers by number, and in the order of their names the hosts that these hold something on.

    :param on_host: only the servers that hold something on this host
    :param more_hosts: names of hosts that are wanted beside; those that there are not are left out
    :param lock: as of :func:`find_hosts`
    :param unread: takes in the servers whose rows cannot be read, by UUID; without it the first one is a fault
    """
    query = _instances_query(*criteria, on_host=on_host)
    try:
        return _read_instances(session, query, more_hosts, lock)
    except _UNREADABLE:
        each = session.execute(query.with_only_columns(Instance.uuid, Instance.display_name)).all()
    found: list[InstanceRecord] = []
    hosts: dict[str, HostRecord] = {}
    for uuid, name in each:
        try:
            records, of_it = _read_instances(session, query.where(Instance.uuid == uuid), more_hosts, lock)
        except _UNREADABLE as error:
            _take_down(unread, uuid, f'server {name!r} ({uuid})', error)
        else:
            found += records
            hosts |= of_it
    return found, dict(sorted(hosts.items()))


def _instances_query(
    *criteria: sa.ColumnElement[bool], on_host: str | None
) -> sa.Select[Instance, InstanceExtra, Migration]:
    # SELECT instances.*, instance_extra.*, migrations.* FROM instances JOIN instance_extra
    # LEFT JOIN migrations ON it is in progress WHERE criteria ORDER BY instances.id
    query = (
        sa.select(Instance, InstanceExtra, Migration)
        .join(InstanceExtra, InstanceExtra.instance_uuid == Instance.uuid)
        .outerjoin(Migration, sa.and_(Migration.instance_uuid == Instance.uuid, Migration.status.not_in(OVER)))
        .where(*criteria)
        .order_by(Instance.id)
    )
    if on_host is not None:
        holders = _holders(on_host)
        query = query.join(holders, holders.c.uuid == Instance.uuid)
    return query


def _read_instances(
    session: Session, query: sa.Select[Instance, InstanceExtra, Migration], more_hosts: Iterable[str], lock: bool
) -> tuple[list[InstanceRecord], dict[str, HostRecord]]:
    rows = session.execute(query, execution_options={'populate_existing': True}).all()
    names = {host for row, _extra, move in rows for host in _names(row, move)} | set(more_hosts)
    records = find_hosts(session.connection(), names if len(names) <= _MAX_NAMES else None, lock=lock)
    if gone := names - set(more_hosts) - set(records):
        raise exception.ConcurrentUpdate(f'host {min(gone)!r} was deleted by another transaction')
    hosts = {name: record.host for name, record in records.items()}
    return [convert.instance_record(row, extra, move, hosts) for row, extra, move in rows], records


def find_instance(
    session: Session, instance_uuid: str, more_hosts: Iterable[str], *, lock: bool = False
) -> tuple[InstanceRecord, dict[str, HostRecord]]:
    """Return a server, and in the order of their names the hosts that it holds something on, and more.

    :param lock: as of :func:`find_hosts`
    :raises: :class:`~numaplace.exception.InstanceNotFound`, :class:`~numaplace.exception.NotFound` for a host
    """
    found, hosts = find_instances(session, Instance.uuid == instance_uuid, more_hosts=more_hosts, lock=lock)
    if not found:
        raise exception.InstanceNotFound(f'there is no server {instance_uuid!r}')
    for name in more_hosts:
        if name not in hosts:
            raise exception.NotFound(f'there is no host {name!r}')
    return found[0], hosts


def find_uuid(session: Session, name_or_uuid: str) -> str:
    """Return the UUID of a server, of which nothing else is read; a UUID goes before a name.

    :raises: :class:`~numaplace.exception.InstanceNotFound`; :class:`~numaplace.exception.Conflict` if several have the
        name
    """
    either = sa.or_(Instance.uuid == name_or_uuid, Instance.display_name == name_or_uuid)
    found = list(session.scalars(sa.select(Instance.uuid).where(either).order_by(Instance.id)))
    if name_or_uuid in found:
        return name_or_uuid
    if not found:
        raise exception.InstanceNotFound(f'there is no server {name_or_uuid!r}')
    if len(found) > 1:
        uuids = ', '.join(found[:5])
        raise exception.Conflict(f'{len(found)} servers have the name {name_or_uuid!r}: name one by UUID: {uuids}')
    return found[0]


def _names(row: Instance, move: Migration | None) -> set[str]:
    names = {move.source_compute, move.dest_compute} if move else set()
    return names | {row.host} if row.host else names


def _holders(host_name: str) -> sa.Subquery:
    """Select the servers that are on a host, or have a side of a move there.

    Two queries that each take an index, as ``OR`` over both tables would not.
    """
    there = sa.or_(Migration.source_compute == host_name, Migration.dest_compute == host_name)
    return sa.union(
        sa.select(Instance.uuid.label('uuid')).where(Instance.host == host_name),
        sa.select(Migration.instance_uuid.label('uuid')).where(there, Migration.status.not_in(OVER)),
    ).subquery()


def is_as_read(record: HostRecord) -> tuple[sa.ColumnElement[bool], ...]:
    """Return the criteria for the row of a host that nobody changed since it was read."""
    # The UUID too: a host of the same name may have been deleted and made again, with the same generation.
    return ComputeNode.uuid == record.uuid, ComputeNode.generation == record.generation


def replace_usage(connection: Connection, read: HostRecord | HostUsage, used: Host) -> None:
    """Write what the servers of a host use, only if its row is as it was read: compare and swap of its generation.

    :raises: :class:`~numaplace.exception.ConcurrentUpdate`
    """
    _replace(_REPLACE_USAGE, connection, read, convert.usage_values(used))


def replace_host(connection: Connection, read: HostRecord, changed: HostRecord) -> None:
    """Write all of a host, as :func:`replace_usage` does.

    :raises: :class:`~numaplace.exception.ConcurrentUpdate`
    """
    _replace(_REPLACE_HOST, connection, read, convert.host_values(changed))


def _replace(
    statement: Statement, connection: Connection, read: HostRecord | HostUsage, values: Mapping[str, Any]
) -> None:
    guard = {'read_uuid': read.uuid, 'read_generation': read.generation, 'generation': read.generation + 1}
    answer = statement.run(connection, {**values, **guard, 'updated_at': models.now()})
    check_guard(answer, f'host {read.name!r}')


def insert_instance(connection: Connection, values: Mapping[str, Any], extra: Mapping[str, Any]) -> int:
    """Store a new server.

    :returns: its number
    :raises: :class:`~numaplace.exception.AlreadyExists` for a known UUID
    """
    try:
        answer = _INSERT_INSTANCE.run(connection, values)
        _INSERT_EXTRA.run(connection, extra)
    except oslo_db.DBError as error:
        if not faults.is_duplicate(error):
            raise
        raise exception.AlreadyExists(f'a server with the UUID {values["uuid"]!r} exists') from None
    # PostgreSQL returns it as a row.
    number: Any = answer.row[0] if answer.row else answer.lastrowid
    return int(number)


def replace_instance(session: Session, before: InstanceRecord, after: InstanceRecord) -> InstanceRecord:
    """Write the rows of a server only if they are as they were read, by its generation.

    :returns: the server as it is stored now
    :raises: :class:`~numaplace.exception.ConcurrentUpdate`
    """
    values = convert.changed_instance_values(after) | {'generation': before.generation + 1}
    result = session.execute(sa.update(Instance).where(*_is_same(before)).values(values), execution_options=_UNSYNCED)
    check_guard(result, f'server {before.uuid!r}')
    move = after.move and _store_move(session, after.uuid, after.move)
    extra = convert.instance_extra_values(after.uuid, after.placement, move)
    session.execute(
        sa.update(InstanceExtra).where(InstanceExtra.instance_uuid == after.uuid).values(extra),
        execution_options=_UNSYNCED,
    )
    return replace(
        after,
        placement=convert.as_stored(after.placement) if after.host else after.placement,
        generation=before.generation + 1,
        move=None if move is None or move.is_over else move,
    )


def _store_move(session: Session, instance_uuid: str, move: Move) -> Move:
    if move.number is not None:
        changed = sa.update(Migration).where(Migration.id == move.number).values(status=move.status)
        session.execute(changed, execution_options=_UNSYNCED)
        return move
    row = Migration(**convert.migration_values(instance_uuid, move))
    insert(session, row, known=f'a migration with the UUID {move.uuid!r} exists')
    new = replace(move.new, placement=convert.as_stored(move.new.placement))
    return replace(move, number=row.id, new=new)


def delete_instance(session: Session, record: InstanceRecord) -> None:
    """Delete the rows of a server only if they are as they were read.

    :raises: :class:`~numaplace.exception.ConcurrentUpdate`
    """
    result = session.execute(sa.delete(Instance).where(*_is_same(record)), execution_options=_UNSYNCED)
    check_guard(result, f'server {record.uuid!r}')


def discard_instance(session: Session, instance_uuid: str) -> list[str]:
    """Delete the rows of a server, whatever is in them, only if nobody changes it meanwhile.

    The generations of its hosts say that what counts there was changed, as where the usage is changed with it.

    :returns: the names of the hosts that it held something on
    :raises: :class:`~numaplace.exception.InstanceNotFound`, :class:`~numaplace.exception.ConcurrentUpdate`
    """
    is_it = Instance.uuid == instance_uuid
    generation = session.scalar(sa.select(Instance.generation).where(is_it))
    if generation is None:
        raise exception.InstanceNotFound(f'there is no server {instance_uuid!r}')
    on = sa.select(Instance.host).where(is_it, Instance.host.is_not(None))
    moves = Migration.instance_uuid == instance_uuid, Migration.status.not_in(OVER)
    sides = [sa.select(column).where(*moves) for column in (Migration.source_compute, Migration.dest_compute)]
    names = sorted(session.scalars(sa.union(on, *sides)))
    for name in names:
        changed = sa.update(ComputeNode).where(ComputeNode.host == name).values(generation=ComputeNode.generation + 1)
        session.execute(changed, execution_options=_UNSYNCED)
    deleted = sa.delete(Instance).where(is_it, Instance.generation == generation)
    check_guard(session.execute(deleted, execution_options=_UNSYNCED), f'server {instance_uuid!r}')
    return names


def check_same(session: Session, record: InstanceRecord) -> None:
    """Make sure that nobody changed a server since it was read.

    :raises: :class:`~numaplace.exception.ConcurrentUpdate`
    """
    if session.scalar(sa.select(Instance.id).where(*_is_same(record))) is None:
        raise exception.ConcurrentUpdate(f'server {record.uuid!r} was changed by another transaction')


def _is_same(record: InstanceRecord) -> tuple[sa.ColumnElement[bool], ...]:
    return Instance.uuid == record.uuid, Instance.generation == record.generation


def is_flavor_stored(session: Session, flavor: FlavorRecord) -> bool:
    """Return whether a flavor is there as it was to be stored, once the transaction that did it is over."""
    try:
        insert_flavor(session, flavor)
    except exception.AlreadyExists:
        session.rollback()
        found = session.execute(sa.select(FLAVORS).where(FLAVORS.c.flavorid == flavor.id)).mappings().one_or_none()
        return found is not None and convert.flavor_record(found) == flavor
    return False


def is_host_stored(session: Session, record: HostRecord) -> bool:
    """Return whether a host is there, once the transaction that stored it is over."""
    try:
        insert_host(session, record)
    except exception.AlreadyExists:
        session.rollback()
        return session.scalar(sa.select(ComputeNode.id).where(ComputeNode.uuid == record.uuid)) is not None
    return False


def is_gone(session: Session, criterion: sa.ColumnElement[bool]) -> bool:
    """Return whether there is no such row, once all transactions that change it are over."""
    return session.execute(sa.select(sa.literal(1)).where(criterion).with_for_update()).first() is None


def is_stored(session: Session, instance_uuid: str, host_name: str) -> bool:
    """Return whether a server is there, once all transactions that change a host are over."""
    session.execute(sa.select(ComputeNode.id).where(ComputeNode.host == host_name).with_for_update())
    return session.scalar(sa.select(Instance.id).where(Instance.uuid == instance_uuid)) is not None


def has_become(session: Session, before: InstanceRecord, after: InstanceRecord | None) -> bool:
    """Return whether a change of a server was stored, once all transactions that change the server are over.

    :param after: the server as it was stored, or None if it was deleted
    :raises: :class:`~numaplace.exception.UnknownOutcome` if others changed it since, so that nobody can say
    """
    session.execute(sa.select(Instance.id).where(Instance.uuid == before.uuid).with_for_update())
    found = find_instances(session, Instance.uuid == before.uuid)[0]
    if after is None:
        return not found
    if found and found[0].generation == before.generation:
        return False
    if found == [after]:
        return True
    raise exception.UnknownOutcome(
        f'the database went away while server {before.uuid!r} was stored, and others changed the server since; '
        'whether the change was stored is not known'
    )


def check_guard(result: Any, what: str) -> None:
    """Make sure that a guarded statement found its row.

    :raises: :class:`~numaplace.exception.ConcurrentUpdate`
    """
    if result.rowcount != 1:
        raise exception.ConcurrentUpdate(f'{what} was changed by another transaction')
