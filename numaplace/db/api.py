# SPDX-License-Identifier: Apache-2.0
"""Every query and every transaction."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import Session

from numaplace import exception
from numaplace.db import convert, faults, holding, rows, schema
from numaplace.db import engine as engines
from numaplace.db.engine import default_url
from numaplace.db.models import ComputeNode, Instance, Migration
from numaplace.db.records import FlavorRecord, HostRecord, InstanceRecord, InstanceRequest, MigrationRecord
from numaplace.db.retry import repeated, retry
from numaplace.model import Host, Placement, Refusal

__all__ = ['Database', 'connect', 'default_url', 'upgrade']

#: How :meth:`Database.change_instance` refuses; never, if what it is given never does.
RefusalType = TypeVar('RefusalType', bound=Refusal)


def connect(url: str | None = None) -> Database:
    """Open a database; a new SQLite file is created with its tables.

    :param url: an SQLAlchemy URL of SQLite, MariaDB or PostgreSQL; by default :func:`default_url`
    :raises: :class:`~numaplace.exception.UnknownDatabase` if it cannot be opened, is not numaplace's, has no
        tables yet (MariaDB, PostgreSQL), or is of another release and needs an upgrade
    """
    engine = engines.create(engines.open_url(url or default_url()))
    try:
        schema.check(engine)
    except BaseException:
        engine.dispose()
        raise
    return Database(engine)


def upgrade(url: str | None = None) -> str:
    """Bring the tables of a database up to this release, creating them in an empty one.

    :returns: the revision that the tables are at now
    :raises: :class:`~numaplace.exception.UnknownDatabase` as :func:`connect`, and for any tables that are not ours
    """
    engine = engines.create(engines.open_url(url or default_url()))
    try:
        return schema.upgrade(engine)
    finally:
        engine.dispose()


class Database:
    """An open database. Each method is one transaction, and answers with records."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # Connections to a file that wait for their next transaction: SQLAlchemy takes longer to hand one out than the
        # file to begin one, and has nothing to find out about it. A server's may be gone.
        self._idle: list[Connection] = []
        self._keeps_idle = engine.dialect.name == 'sqlite'
        # The locks of a file are those of a process: a child that goes on with it would write to a deleted journal.
        self._process = os.getpid()

    def close(self) -> None:
        """Close all connections."""
        while self._idle:
            self._idle.pop().close()
        self._engine.dispose()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    @contextmanager
    def _transaction(
        self, happened: Callable[[Session], bool] | None = None, *, reads: bool = False
    ) -> Iterator[Session]:
        """Do as :meth:`_begin`, with a session."""
        with self._begin(happened, reads=reads) as connection, Session(connection) as session:
            yield session
            session.flush()

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        """Yield a connection that is in no transaction."""
        if self._keeps_idle and os.getpid() != self._process:
            raise exception.UnknownDatabase('the database was opened by another process: open it after the fork')
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._engine.connect()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        if self._keeps_idle and not connection.invalidated:
            self._idle.append(connection)
        else:
            connection.close()

    @contextmanager
    def _begin(self, happened: Callable[[Session], bool] | None = None, *, reads: bool = False) -> Iterator[Connection]:
        """Begin a transaction, and commit it where the body comes to its end.

        :param happened: asked in a later transaction where the database went away during the commit: whether it holds
            what this one stored. It waits for a commit that is still under way, by a lock that this one held
        :param reads: it writes nothing, and sees the database at one moment
        :raises: :class:`~numaplace.exception.LostConnection` if the database holds nothing of it,
            :class:`~numaplace.exception.UnknownOutcome` if that cannot be found out,
            :class:`~numaplace.exception.ConcurrentUpdate` if another transaction was in the way
        """
        try:
            with self._connected() as connection:
                engines.begin(connection, reads=reads)
                yield connection
                self._commit(connection, happened, reads=reads)
        except faults.ERRORS as error:
            raise faults.fault(self._engine.url, error) from error

    def _commit(self, connection: Connection, happened: Callable[[Session], bool] | None, *, reads: bool) -> None:
        try:
            connection.commit()
        except faults.ERRORS as error:
            # SQLAlchemy would keep the connection for the next, with a transaction that may still be open.
            connection.invalidate()
            fault = faults.fault(self._engine.url, error)
            if not isinstance(fault, exception.LostConnection):
                raise fault from error
            if not reads:
                self._settle(happened, fault)
        except BaseException:
            # An interrupt: SQLAlchemy takes the transaction for ended, which may be open, and would hand it on.
            connection.invalidate()
            raise

    def _settle(self, happened: Callable[[Session], bool] | None, error: exception.LostConnection) -> None:
        """Find out whether a transaction happened whose commit nobody answered; return if it did."""
        unknown = exception.UnknownOutcome(f'{error}; whether the change was stored is not known')
        if happened is None:
            raise unknown from error

        def ask() -> bool:
            try:
                with self._engine.connect() as connection:
                    engines.begin(connection)  # and never committed: it may have tried what it asks about
                    with Session(connection) as session:
                        return happened(session)
            except faults.ERRORS as lost:
                raise faults.fault(self._engine.url, lost) from lost

        try:
            found = retry(ask)
        except (exception.LostConnection, exception.ConcurrentUpdate):
            raise unknown from error
        if not found:
            raise error

    # --- flavors

    @repeated
    def flavors(self) -> list[FlavorRecord]:
        """Return all flavors by name."""
        with self._transaction(reads=True) as session:
            found = session.execute(sa.select(rows.FLAVORS).order_by(rows.FLAVORS.c.name))
            return [convert.flavor_record(row) for row in found.mappings()]

    @repeated
    def flavor(self, name_or_id: str) -> FlavorRecord:
        """Return a flavor; an id goes before a name.

        :raises: :class:`~numaplace.exception.NotFound`
        """
        with self._transaction(reads=True) as session:
            return rows.find_flavor(session, name_or_id)

    @repeated
    def create_flavor(self, flavor: FlavorRecord) -> FlavorRecord:
        """Store a new flavor.

        :raises: :class:`~numaplace.exception.AlreadyExists` for a known name or id,
            :class:`~numaplace.exception.Invalid` for a name that no database can hold
        """
        rows.check_name('flavor name', flavor.name)
        rows.check_name('flavor id', flavor.id)
        with self._transaction(lambda session: rows.is_flavor_stored(session, flavor)) as session:
            rows.insert_flavor(session, flavor)
        return flavor

    @repeated
    def change_extra_specs(
        self, name_or_id: str, *, change: Mapping[str, str] | None = None, remove: Iterable[str] = ()
    ) -> FlavorRecord:
        """Set extra specs of a flavor, and remove others.

        One transaction with a lock on the row, so that of two changes at a time both last.

        :raises: :class:`~numaplace.exception.NotFound` for an unknown flavor or a key to remove that it does not have
        """
        with self._transaction() as session:
            flavor = rows.find_flavor(session, name_or_id, lock=True)
            specs = {**flavor.extra_specs, **(change or {})}
            for key in remove:
                if key not in specs:
                    raise exception.NotFound(f'flavor {flavor.name!r} has no property {key!r}')
                del specs[key]
            session.execute(
                sa.update(rows.FLAVORS).where(rows.FLAVORS.c.flavorid == flavor.id).values(extra_specs=specs)
            )
        return replace(flavor, extra_specs=specs)

    @repeated
    def delete_flavor(self, name_or_id: str) -> None:
        """Delete a flavor; servers keep their copy of it.

        :raises: :class:`~numaplace.exception.NotFound`
        """
        with self._transaction(lambda session: rows.is_gone(session, rows.FLAVORS.c.flavorid == flavor.id)) as session:
            flavor = rows.find_flavor(session, name_or_id, lock=True)
            session.execute(sa.delete(rows.FLAVORS).where(rows.FLAVORS.c.flavorid == flavor.id))

    # --- hosts

    @repeated
    def hosts(self, unread: rows.Unread | None = None) -> list[HostRecord]:
        """Return all hosts by name.

        :param unread: takes in the hosts whose rows cannot be read, by name
        :raises: :class:`~numaplace.exception.InvalidObject` for such a row, without `unread`
        """
        with self._transaction(reads=True) as session:
            return list(rows.find_hosts(session.connection(), unread=unread).values())

    @repeated
    def host(self, name: str) -> HostRecord:
        """Return a host.

        :raises: :class:`~numaplace.exception.NotFound`
        """
        with self._transaction(reads=True) as session:
            return rows.find_host(session.connection(), name)

    @repeated
    def create_host(self, record: HostRecord) -> HostRecord:
        """Store a new host.

        :raises: :class:`~numaplace.exception.AlreadyExists`, :class:`~numaplace.exception.Invalid`
        """
        rows.check_name('host name', record.name)
        rows.check_name('availability zone', record.availability_zone)
        with self._transaction(lambda session: rows.is_host_stored(session, record)) as session:
            return convert.host_record(rows.insert_host(session, record))

    @repeated
    def holders(self, name: str, unread: rows.Unread | None = None) -> tuple[HostRecord, list[InstanceRecord]]:
        """Return a host, and the servers that hold something on it by number, as they are at one moment.

        :param unread: as of :meth:`instances`
        :raises: :class:`~numaplace.exception.NotFound`, :class:`~numaplace.exception.InvalidObject`
        """
        with self._transaction(reads=True) as session:
            record = rows.find_host(session.connection(), name)
            return record, rows.find_instances(session, on_host=name, unread=unread)[0]

    def change_host(
        self,
        name: str,
        change: Callable[[HostRecord, list[InstanceRecord]], HostRecord],
        unread: rows.Unread | None = None,
    ) -> HostRecord:
        """Replace what is stored of a host by what `change` makes of it and of the servers that hold something on it.

        One transaction guarded by the generation, so that a claim that came in between is not lost.

        :param unread: as of :meth:`instances`
        :raises: :class:`~numaplace.exception.NotFound`, :class:`~numaplace.exception.ConcurrentUpdate`
        """
        # Whatever became of a commit that nobody answered: it can be made again.
        with self._transaction(lambda _session: False) as session:
            # The host is read first: what its servers do after that changes its generation.
            record = rows.find_host(session.connection(), name)
            instances, _ = rows.find_instances(session, on_host=name, unread=unread)
            changed = change(record, instances)
            rows.check_name('availability zone', changed.availability_zone)
            rows.replace_host(session.connection(), record, changed)
            return rows.find_host(session.connection(), name)

    @repeated
    def delete_host(self, name: str) -> None:
        """Delete a host: one transaction guarded by the generation, so that no server comes to it meanwhile.

        :raises: :class:`~numaplace.exception.NotFound`, :class:`~numaplace.exception.Conflict` if servers hold
            something on it, :class:`~numaplace.exception.ConcurrentUpdate`
        """
        with self._transaction(lambda session: rows.is_gone(session, ComputeNode.uuid == record.uuid)) as session:
            record = rows.find_host(session.connection(), name)
            instances, _ = rows.find_instances(session, on_host=name)
            if number := len(instances):
                servers, them = ('servers', 'them') if number > 1 else ('server', 'it')
                raise exception.Conflict(f'host {name!r} has {number} {servers}: delete {them} first')
            result = session.execute(sa.delete(ComputeNode).where(*rows.is_as_read(record)))
            rows.check_guard(result, f'host {name!r}')

    # --- instances

    @repeated
    def instances(self, host: str | None = None, unread: rows.Unread | None = None) -> list[InstanceRecord]:
        """Return all servers by number, or those that hold something on one host.

        :param unread: takes in the servers whose rows cannot be read, by UUID
        :raises: :class:`~numaplace.exception.InvalidObject` for such a row, without `unread`
        """
        with self._transaction(reads=True) as session:
            return rows.find_instances(session, on_host=host, unread=unread)[0]

    @repeated
    def instance(self, name_or_uuid: str) -> InstanceRecord:
        """Return a server; a UUID goes before a name.

        :raises: :class:`~numaplace.exception.NotFound`; :class:`~numaplace.exception.Conflict` if several have the name
        """
        with self._transaction(reads=True) as session:
            return rows.find_instance(session, rows.find_uuid(session, name_or_uuid), ())[0]

    @repeated
    def instance_uuid(self, name_or_uuid: str) -> str:
        """Return the UUID of a server, whose rows may be such that nobody can read them.

        :raises: as :meth:`instance`
        """
        with self._transaction(reads=True) as session:
            return rows.find_uuid(session, name_or_uuid)

    def claim(
        self,
        request: InstanceRequest,
        host_name: str,
        place: Callable[[Host], Placement | Refusal],
        *,
        lock: bool = False,
        storing: Callable[[], object] | None = None,
    ) -> InstanceRecord | Refusal:
        """Place a server on a host and store it together with the usage that it makes.

        One transaction, because the usage is derived from the servers: neither may be stored without the other.
        Guarded by the generation of the host. Callers use :func:`numaplace.compute.claims.instance_claim`.

        :param place: decides by the host as it is now; a refusal leaves the database unchanged
        :param lock: let nobody change the host meanwhile
        :param storing: called before the commit, when nothing but that is missing
        :raises: :class:`~numaplace.exception.NotFound` for an unknown host,
            :class:`~numaplace.exception.AlreadyExists` for a known UUID,
            :class:`~numaplace.exception.ConcurrentUpdate` if another change of the host came first
        """
        rows.check_name('server name', request.name)
        with self._begin(lambda session: rows.is_stored(session, request.uuid, host_name)) as connection:
            found = rows.find_usage(connection, host_name, lock=lock)
            placement = place(found.host)
            if isinstance(placement, Refusal):
                return placement
            # The host goes first: its row is the lock that everybody takes before writing anything else.
            rows.replace_usage(connection, found, found.host.consume(placement))
            values = convert.instance_values(request, host_name)
            number = rows.insert_instance(connection, values, convert.instance_extra_values(request.uuid, placement))
            if storing is not None:
                storing()
            return convert.new_instance_record(request, number, values, convert.as_stored(placement))

    def change_instance(
        self,
        instance_uuid: str,
        change: Callable[[InstanceRecord, Mapping[str, HostRecord]], InstanceRecord | RefusalType | None],
        *,
        more_hosts: Iterable[str] = (),
        lock: bool = False,
    ) -> InstanceRecord | RefusalType:
        """Replace a server by what `change` makes of it, together with the usage of all hosts that it concerns.

        One transaction, for the reason of :meth:`claim`. The rows of all hosts on which the server holds something
        before or after it are written, in the order of their names, also where the usage stays: their generations say
        that what counts there was changed, and two moves that cross do not wait for each other in a circle.
        Callers use the verbs in :mod:`numaplace.compute.claims` and :mod:`numaplace.compute.migration`.

        :param change: takes the server and the hosts by name as they are now; returns the server as it shall be, None
            to delete it, or a refusal, which leaves the database unchanged
        :param more_hosts: names of the hosts that the server comes to
        :param lock: let nobody change the hosts meanwhile
        :returns: the server as it is stored then, as it was before it was deleted, or the refusal
        :raises: :class:`~numaplace.exception.NotFound` if there is no such server or host,
            :class:`~numaplace.exception.ConcurrentUpdate` if another change of the server or of a host came first,
            the faults of :func:`numaplace.db.holding.recount`, and what `change` raises
        """
        # The hosts are read after the server: another transaction may have changed meanwhile what it holds of them. A
        # write notices that; what writes nothing has to ask.
        before = after = None

        def happened(session: Session) -> bool:
            return before is None or rows.has_become(session, before, after)

        with self._transaction(happened) as session:
            before, hosts = rows.find_instance(session, instance_uuid, more_hosts, lock=lock)
            try:
                changed = change(before, hosts)
                counted = {} if isinstance(changed, Refusal) else holding.recount(hosts, before, changed)
            except exception.NumaplaceException:
                rows.check_same(session, before)
                raise
            if isinstance(changed, Refusal):
                rows.check_same(session, before)
                return changed
            for name, host in counted.items():
                rows.replace_usage(session.connection(), hosts[name], host)
            if changed is None:
                rows.delete_instance(session, before)
                return before
            after = rows.replace_instance(session, before, changed)
            return after

    def release(self, instance_uuid: str, *, lock: bool = False) -> InstanceRecord:
        """Delete a server and take all that it holds off its hosts.

        Callers use :func:`numaplace.compute.claims.release`.

        :param lock: as of :meth:`change_instance`
        :raises: as :meth:`change_instance`
        """
        return self.change_instance(instance_uuid, lambda _instance, _hosts: None, lock=lock)

    def discard(self, instance_uuid: str) -> list[str]:
        """Delete the rows of a server unread. The usage of its hosts stays as it is stored, so it has to be repaired.

        Callers use :func:`numaplace.compute.audit.discard`.

        :returns: the names of the hosts that it held something on
        :raises: :class:`~numaplace.exception.InstanceNotFound`, :class:`~numaplace.exception.ConcurrentUpdate`
        """
        with self._transaction(lambda session: rows.is_gone(session, Instance.uuid == instance_uuid)) as session:
            return rows.discard_instance(session, instance_uuid)

    # --- moves

    @repeated
    def migrations(
        self, *, instance_uuid: str | None = None, host: str | None = None, status: str | None = None
    ) -> list[MigrationRecord]:
        """Return moves by number, those that are over too.

        :param instance_uuid: only moves of this server
        :param host: only moves from or to this host
        :param status: only moves of this status
        """
        criteria = [Migration.instance_uuid == instance_uuid] if instance_uuid is not None else []
        if host is not None:
            criteria.append(sa.or_(Migration.source_compute == host, Migration.dest_compute == host))
        if status is not None:
            criteria.append(Migration.status == status)
        with self._transaction(reads=True) as session:
            found = session.scalars(sa.select(Migration).where(*criteria).order_by(Migration.id))
            return [convert.migration_record(row) for row in found]
