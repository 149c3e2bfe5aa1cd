# SPDX-License-Identifier: Apache-2.0
"""The rows of servers and of their moves within a transaction: how they are read, guarded and written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace as replaced
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from numaplace import exception
from numaplace.db import convert, hosts, rows, server_groups
from numaplace.db.consistency import expect
from numaplace.db.records import MigrationRecord
from numaplace.db.tables import HOSTS, INSTANCE_EXTRAS, INSTANCES, MIGRATIONS
from numaplace.model.records import ENDED, SHELVED_OFFLOADED, HostRecord, InstanceRecord, Move

__all__ = [
    'IS_STRAY',
    'check_same',
    'count',
    'delete',
    'discard',
    'find',
    'find_all',
    'find_moves',
    'find_uuid',
    'has_become',
    'insert',
    'insert_all',
    'is_gone',
    'is_stored',
    'replace',
]

# SELECT instances.*, instance_extra.*, migrations.* FROM instances LEFT JOIN instance_extra
# LEFT JOIN migrations ON the migration is in progress ORDER BY instances.id
_IS_MOVE = sa.and_(MIGRATIONS.c.instance_uuid == INSTANCES.c.uuid, MIGRATIONS.c.status.not_in(ENDED))
_SELECT = (
    sa.select(*(column for fields in convert.SERVER for column in fields.selected))
    .outerjoin_from(INSTANCES, INSTANCE_EXTRAS, INSTANCE_EXTRAS.c.instance_uuid == INSTANCES.c.uuid)
    .outerjoin(MIGRATIONS, _IS_MOVE)
    .order_by(INSTANCES.c.id)
)
# Nobody asks for the number of this row, which PostgreSQL would return.
_INSERT_EXTRA = sa.insert(INSTANCE_EXTRAS).inline()

_UUID, _NAME, _HOST, _SOURCE, _DEST = map(
    [column for fields in convert.SERVER for column in fields.columns].index,
    (
        INSTANCES.c.uuid,
        INSTANCES.c.display_name,
        INSTANCES.c.host,
        MIGRATIONS.c.source_compute,
        MIGRATIONS.c.dest_compute,
    ),
)


def find_all(
    connection: Connection,
    *criteria: sa.ColumnElement[bool],
    on_host: str | None = None,
    more_hosts: Iterable[str] = (),
    lock: bool = False,
    unread: rows.Unread | None = None,
) -> tuple[list[InstanceRecord], dict[str, HostRecord]]:
    """Return servers by number, and the hosts on which they hold something, by name.

    :param on_host: only the servers that hold something on this host
    :param more_hosts: names of additional hosts to return; names without a host are left out
    :param lock: lock these hosts as :func:`numaplace.db.hosts.lock_all`
    :param unread: collects the servers whose rows cannot be read, by UUID; without it the first one raises
    """
    query = _SELECT.where(*criteria)
    if on_host is not None:
        holders = _holders(on_host)
        query = query.join(holders, holders.c.uuid == INSTANCES.c.uuid)
    found = connection.execute(query).all()
    held = _names(row[index] for row in found for index in (_HOST, _SOURCE, _DEST))
    # A server can be read without its hosts, whose own rows may be the ones that cannot be read.
    unread_hosts: rows.Unread | None = None if unread is None else {}
    look = hosts.lock_all if lock else hosts.find_all
    known = look(connection, held | set(more_hosts), unread=unread_hosts)
    gone = held - set(known) - set(unread_hosts or ())
    if gone and connection.execute(query).all() != found:
        raise exception.ConcurrentUpdate(f'host {min(gone)!r} was deleted by another transaction')
    in_moves = Counter(row[_UUID] for row in found)
    by_name = {name: record.host for name, record in known.items()}

    def read(row: Sequence[Any]) -> InstanceRecord:
        for index, column in ((_HOST, 'host'), (_SOURCE, 'source_compute'), (_DEST, 'dest_compute')):
            expect(column, row[index] not in gone, row[index], 'the name of a host')
        expect('status', in_moves[row[_UUID]] == 1, 'in progress', 'one move in progress')
        return convert.instance_record(row, by_name)

    records = rows.read_all(found, read, _named, unread)
    return records, known


def _named(row: Sequence[Any]) -> tuple[object, str]:
    return row[_UUID], f'server {row[_NAME]!r} ({row[_UUID]})'


_HOSTS = sa.select(HOSTS.c.host)
#: Servers whose rows do not name each host on which they hold something: they may hold it on any.
IS_STRAY = sa.or_(
    sa.and_(INSTANCES.c.host.is_(None), INSTANCES.c.vm_state != SHELVED_OFFLOADED),
    *(column.not_in(_HOSTS) for column in (INSTANCES.c.host, MIGRATIONS.c.source_compute, MIGRATIONS.c.dest_compute)),
    sa.and_(INSTANCE_EXTRAS.c.migration_context.is_not(None), MIGRATIONS.c.id.is_(None)),
    INSTANCE_EXTRAS.c.id.is_(None),
)


def count(connection: Connection, on_host: str) -> int:
    """Return how many servers hold something on a host."""
    return connection.execute(sa.select(sa.func.count()).select_from(_holders(on_host))).scalar_one()


def _holders(host_name: str) -> sa.Subquery:
    """Select the servers that are on a host, or have a side of a move there.

    Two queries, because each uses an index; ``OR`` over both tables would not.
    """
    return sa.union(
        sa.select(INSTANCES.c.uuid.label('uuid')).where(INSTANCES.c.host == host_name),
        sa.select(MIGRATIONS.c.instance_uuid.label('uuid')).where(
            _concerns(host_name), MIGRATIONS.c.status.not_in(ENDED)
        ),
    ).subquery()


def _concerns(host_name: str) -> sa.ColumnElement[bool]:
    return sa.or_(MIGRATIONS.c.source_compute == host_name, MIGRATIONS.c.dest_compute == host_name)


def find(
    connection: Connection, instance_uuid: str, more_hosts: Iterable[str] = (), *, lock: bool = False
) -> tuple[InstanceRecord, dict[str, HostRecord]]:
    """Return a server, and by name the hosts on which it holds something and the additional ones.

    :param lock: lock these hosts as :func:`numaplace.db.hosts.lock_all`
    :raises: :class:`~numaplace.exception.InstanceNotFound`, :class:`~numaplace.exception.NotFound` for a host
    """
    found, known = find_all(connection, INSTANCES.c.uuid == instance_uuid, more_hosts=more_hosts, lock=lock)
    if not found:
        raise _no_server(instance_uuid)
    for name in more_hosts:
        if name not in known:
            raise exception.NotFound(f'there is no host {name!r}')
    return found[0], known


def find_uuid(connection: Connection, name_or_uuid: str) -> str:
    """Return the UUID of a server and read nothing else of it; a UUID takes precedence over a name.

    :raises: :class:`~numaplace.exception.InstanceNotFound`; :class:`~numaplace.exception.Conflict` if several have the
        name
    """
    either = sa.or_(INSTANCES.c.uuid == name_or_uuid, INSTANCES.c.display_name == name_or_uuid)
    found: list[str] = list(connection.scalars(sa.select(INSTANCES.c.uuid).where(either).order_by(INSTANCES.c.id)))
    if name_or_uuid in found:
        return name_or_uuid
    if not found:
        raise _no_server(name_or_uuid)
    if len(found) > 1:
        uuids = ', '.join(found[:5])
        raise exception.Conflict(f'{len(found)} servers have the name {name_or_uuid!r}: name one by UUID: {uuids}')
    return found[0]


def _no_server(name_or_uuid: str) -> exception.InstanceNotFound:
    return exception.InstanceNotFound(f'there is no server {name_or_uuid!r}')


def _names(places: Iterable[Any]) -> set[str]:
    return {name for name in places if isinstance(name, str)}


def find_moves(
    connection: Connection,
    *,
    instance_uuid: str | None = None,
    host: str | None = None,
    status: str | None = None,
    unread: rows.Unread | None = None,
) -> list[MigrationRecord]:
    """Return moves by number, including those that are over.

    :param unread: as for :func:`numaplace.db.rows.read_all`, by number

    :param instance_uuid: only moves of this server
    :param host: only moves from or to this host
    :param status: only moves of this status
    """
    query = sa.select(*convert.MIGRATION.selected).order_by(MIGRATIONS.c.id)
    if instance_uuid is not None:
        query = query.where(MIGRATIONS.c.instance_uuid == instance_uuid)
    if host is not None:
        query = query.where(_concerns(host))
    if status is not None:
        query = query.where(MIGRATIONS.c.status == status)
    return rows.read_all(
        connection.execute(query),
        convert.migration_record,
        lambda row: (row[0], f'migration {row[0]} of server {row[2]}'),
        unread,
    )


def insert(connection: Connection, record: InstanceRecord, taken_names: Collection[str] = ()) -> InstanceRecord:
    """Store a new server.

    :param taken_names: of domains on its host; it gets a number whose domain name is none of them
    :returns: the server with its number
    :raises: :class:`~numaplace.exception.AlreadyExists` for a known UUID
    """
    known, values = f'a server with the UUID {record.uuid!r} exists', convert.INSTANCE.write(record)
    stored = replaced(record, number=rows.insert(connection, INSTANCES, values, known=known))
    while stored.adopted_name is None and (
        stored.domain_name in taken_names or _adopted(connection, [stored.domain_name])
    ):
        # Numbers are never used twice: the next one names another domain.
        connection.execute(sa.delete(INSTANCES).where(INSTANCES.c.id == stored.number))
        stored = replaced(stored, number=rows.insert(connection, INSTANCES, values, known=known))
    connection.execute(_INSERT_EXTRA, convert.extra_values(record))
    return stored


def insert_all(
    connection: Connection, records: Sequence[InstanceRecord], taken_names: Mapping[str, Collection[str]]
) -> list[InstanceRecord]:
    """Store new servers, none of them adopted, as :func:`insert` does each.

    :param taken_names: of domains, by the name of a host
    """
    known = f'one of {len(records)} servers exists, by its UUID'
    rows.insert_all(connection, INSTANCES, [convert.INSTANCE.write(record) for record in records], known=known)
    stored_now = sa.select(INSTANCES.c.uuid, INSTANCES.c.id).where(INSTANCES.c.uuid.in_([one.uuid for one in records]))
    numbers = {row.uuid: row.id for row in connection.execute(stored_now)}
    stored = [replaced(record, number=numbers[record.uuid]) for record in records]
    adopted = _adopted(connection, [record.domain_name for record in stored])
    free, others = list[InstanceRecord](), list[InstanceRecord]()
    for record in stored:
        is_taken = record.domain_name in adopted or record.domain_name in taken_names.get(record.host or '', ())
        (others if is_taken else free).append(record)
    if free:
        connection.execute(_INSERT_EXTRA, [convert.extra_values(record) for record in free])
    for record in others:  # once more, until its number names a domain that there is not
        connection.execute(sa.delete(INSTANCES).where(INSTANCES.c.id == record.number))
        free.append(insert(connection, record, taken_names.get(record.host or '', ())))
    by_uuid = {record.uuid: record for record in free}
    return [by_uuid[record.uuid] for record in records]


def _adopted(connection: Connection, domain_names: Sequence[str]) -> set[str]:
    """Return which of these names domains have that were adopted."""
    return set(connection.scalars(sa.select(INSTANCES.c.domain_name).where(INSTANCES.c.domain_name.in_(domain_names))))


def replace(connection: Connection, before: InstanceRecord, after: InstanceRecord) -> InstanceRecord:
    """Write the rows of a server only if they are unchanged, by its generation.

    :returns: the server as it is stored now
    :raises: :class:`~numaplace.exception.ConcurrentUpdate`
    """
    generation = before.generation + 1
    values = convert.INSTANCE.write(after) | {'generation': generation}
    result = connection.execute(sa.update(INSTANCES).where(*_is_same(before)).values(values))
    rows.check_guard(result, f'server {before.uuid!r}')
    move = after.move and _store_move(connection, after.uuid, after.move)
    is_its = INSTANCE_EXTRAS.c.instance_uuid == after.uuid
    extra = convert.extra_values(replaced(after, move=move))
    connection.execute(sa.update(INSTANCE_EXTRAS).where(is_its).values(extra))
    return replaced(
        after,
        placement=convert.as_stored(after.placement) if after.host else after.placement,
        generation=generation,
        move=None if move is None or move.has_ended else move,
        old_format='',
    )


def _store_move(connection: Connection, instance_uuid: str, move: Move) -> Move:
    if move.number is not None:
        connection.execute(sa.update(MIGRATIONS).where(MIGRATIONS.c.id == move.number).values(status=move.status))
        return move
    values = convert.migration_values(instance_uuid, move)
    number = rows.insert(connection, MIGRATIONS, values, known=f'a migration with the UUID {move.uuid!r} exists')
    return replaced(move, number=number, new=replaced(move.new, placement=convert.as_stored(move.new.placement)))


def delete(connection: Connection, record: InstanceRecord) -> None:
    """Delete the rows of a server only if they are unchanged.

    :raises: :class:`~numaplace.exception.ConcurrentUpdate`
    """
    result = connection.execute(sa.delete(INSTANCES).where(*_is_same(record)))
    rows.check_guard(result, f'server {record.uuid!r}')


def discard(connection: Connection, instance_uuid: str) -> list[str]:
    """Delete the rows of a server, whatever they contain, only if it does not change in the meantime.

    The generations of its hosts show that what counts there was changed, as when their usage changes too.

    :returns: the names of the hosts that it held something on
    :raises: :class:`~numaplace.exception.InstanceNotFound`, :class:`~numaplace.exception.ConcurrentUpdate`
    """
    is_it = INSTANCES.c.uuid == instance_uuid
    generation = connection.scalar(sa.select(INSTANCES.c.generation).where(is_it))
    if generation is None:
        raise _no_server(instance_uuid)
    names = sorted(server_groups.places(connection, is_it)[instance_uuid])
    hosts.lock_names(connection, names)
    for name in names:
        hosts.count_change(connection, name)
    deleted = sa.delete(INSTANCES).where(is_it, INSTANCES.c.generation == generation)
    rows.check_guard(connection.execute(deleted), f'server {instance_uuid!r}')
    return names


def check_same(connection: Connection, record: InstanceRecord) -> None:
    """Make sure that a server has not changed since it was read.

    :raises: :class:`~numaplace.exception.ConcurrentUpdate`
    """
    if connection.scalar(sa.select(INSTANCES.c.id).where(*_is_same(record))) is None:
        raise exception.ConcurrentUpdate(f'server {record.uuid!r} was changed by another transaction')


def _is_same(record: InstanceRecord) -> tuple[sa.ColumnElement[bool], ...]:
    return INSTANCES.c.uuid == record.uuid, INSTANCES.c.generation == record.generation


def is_gone(connection: Connection, instance_uuid: str) -> bool:
    """Return whether a server is deleted, once all transactions that change it are over."""
    return rows.is_gone(connection, INSTANCES.c.uuid == instance_uuid)


def is_stored(connection: Connection, instance_uuid: str, host_name: str) -> bool:
    """Return whether a server is stored, once all transactions that change a host are over."""
    hosts.lock(connection, host_name)
    return connection.scalar(sa.select(INSTANCES.c.id).where(INSTANCES.c.uuid == instance_uuid)) is not None


def has_become(connection: Connection, before: InstanceRecord, after: InstanceRecord | None) -> bool:
    """Return whether a change of a server was stored, once all transactions that change the server are over.

    :param after: the server as it was stored, or None if it was deleted
    :raises: :class:`~numaplace.exception.UnknownOutcome` if others have changed it since, so that this is unknown
    """
    is_it = INSTANCES.c.uuid == before.uuid
    connection.execute(sa.select(INSTANCES.c.id).where(is_it).with_for_update())
    found = find_all(connection, is_it)[0]
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
