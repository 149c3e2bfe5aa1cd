# SPDX-License-Identifier: Apache-2.0
"""Every query and every transaction."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from typing import TypeVar, cast

from sqlalchemy.engine import Connection, Engine

from numaplace import exception
from numaplace.db import aggregates, convert, faults, fleets, hosts, rows, schema, server_groups, servers
from numaplace.db import engine as engines
from numaplace.db.engine import default_url
from numaplace.db.flavor_transactions import FlavorTransactions
from numaplace.db.grouping import Grouping
from numaplace.db.records import HostUsage, InstanceRequest, MigrationRecord
from numaplace.db.repeated_requests import RepeatedRequests
from numaplace.db.retry import repeated, retry
from numaplace.db.several_claims import SeveralClaims
from numaplace.db.tables import INSTANCES
from numaplace.model import GrantedDevice, Host, Placement, Refusal, allocations, held
from numaplace.model.fleet import Fleet, in_aggregates
from numaplace.model.records import HostRecord, InstanceRecord, Side

__all__ = ['Database', 'connect', 'default_url', 'upgrade']

#: How :meth:`Database.change_instance` refuses; never, if its `change` never does.
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


def _owners(placement: Placement, instance_uuid: str) -> dict[str, str]:
    return {granted.device.address: instance_uuid for granted in placement.devices}


def _with_its_devices(answer: Placement | Refusal, found: HostUsage, domain_uuid: str) -> Placement | Refusal:
    """Return the placement of a domain that becomes a server, with the PCI devices that it has."""
    if isinstance(answer, Refusal) or not found.host.devices:
        return answer
    addresses = set(_owners(answer, domain_uuid))
    addresses |= {address for one in found.unmanaged if one.uuid == domain_uuid for address in one.devices}
    its = [device for device in found.host.devices.known if device.address in addresses]
    return replace(answer, devices=tuple(map(GrantedDevice, its)))


def _with_left(name: str, host: Host, sides: Iterable[Side]) -> Host:
    """Return a host on which a domain keeps the PCI devices that it had there as a server."""
    stay = [one.device.address for side in sides if side.host == name for one in side.placement.devices]
    return replace(host, devices=host.devices.with_held([*host.devices.held, *stay])) if stay else host


def _leave(
    connection: Connection, server: InstanceRecord, sides: Iterable[Side], known: Mapping[str, HostRecord]
) -> None:
    """Store the domain of a server that is deleted as one that numaplace does not manage."""
    for side in sides:
        domain = held.left(server.uuid, server.domain_name, side.placement, known[side.host].host)
        hosts.add_domain(connection, side.host, domain)


def _owners_on(host_name: str, instances: Iterable[InstanceRecord]) -> dict[str, str]:
    """Return the UUIDs of servers by the addresses of the PCI devices that they hold on a host."""
    found: dict[str, str] = {}
    for instance in instances:
        for placement in allocations.held_on(host_name, [instance]):
            found |= _owners(placement, instance.uuid)
    return found


class Database(FlavorTransactions, Grouping, RepeatedRequests, SeveralClaims):
    """An open database. Each method is one transaction, and returns records."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # Connections to a file that wait for their next transaction: SQLAlchemy takes longer to hand one out than the
        # file takes to begin one, and a file's connection needs no check. That of a server may be lost.
        self._idle: list[Connection] = []
        self._keeps_idle = engine.dialect.name == 'sqlite'
        self._process = os.getpid()
        #: The connection of the transaction that holds all others, while one is rehearsed.
        self._rehearsed: Connection | None = None

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
    def _connected(self) -> Iterator[Connection]:
        """Yield a connection without a transaction."""
        self._check_process()
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

    def _check_process(self) -> None:
        """Make sure that the connections are not those of a parent process.

        :raises: :class:`~numaplace.exception.UnknownDatabase` for a file, whose locks belong to a process: a child
            that continued with it would write to a deleted journal
        """
        if os.getpid() == self._process:
            return
        if self._keeps_idle:
            raise exception.UnknownDatabase('the database was opened by another process: open it after the fork')
        self._engine.dispose(close=False)
        self._process = os.getpid()

    @contextmanager
    def _transaction(
        self, happened: Callable[[Connection], bool] | None = None, *, reads: bool = False
    ) -> Iterator[Connection]:
        """Begin a transaction, and commit it if the body completes.

        :param happened: returns, in a later transaction, whether the database holds what this one stored; called if the
            connection is lost during the commit. It waits for a commit in progress, by a lock that this one held
        :param reads: it writes nothing, and sees the database as of one moment
        :raises: :class:`~numaplace.exception.LostConnection` if the database stored nothing of it,
            :class:`~numaplace.exception.UnknownOutcome` if that is unknown,
            :class:`~numaplace.exception.ConcurrentUpdate` if another transaction conflicted
        """
        try:
            if self._rehearsed is not None:
                with self._rehearsed.begin_nested():
                    yield self._rehearsed
                return
            with self._connected() as connection:
                engines.begin(connection, reads=reads)
                yield connection
                self._commit(connection, happened, reads=reads)
        except faults.ERRORS as error:
            raise faults.fault(self._engine.url, error) from error

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """Undo at the end all that the body writes; until then it sees its own writes, and nobody else does.

        It is one transaction: the rows that it writes, on SQLite the whole file, are locked up to its end.

        :raises: as :meth:`claim`
        """
        try:
            with self._connected() as connection:
                engines.begin(connection)
                self._rehearsed = connection
                try:
                    yield
                finally:
                    self._rehearsed = None
                    with suppress(*faults.ERRORS):  # of a lost connection, which undoes it too
                        connection.rollback()
        except faults.ERRORS as error:
            raise faults.fault(self._engine.url, error) from error

    def _commit(self, connection: Connection, happened: Callable[[Connection], bool] | None, *, reads: bool) -> None:
        try:
            connection.commit()
        except faults.ERRORS as error:
            # SQLAlchemy would keep the connection for the next, with a transaction that may still be open.
            connection.invalidate()
            fault = faults.fault(self._engine.url, error)
            if not isinstance(fault, exception.LostConnection):
                raise fault from error
            if not reads:
                self._find_outcome(happened, fault)
        except BaseException:
            # An interrupt: SQLAlchemy assumes that the transaction ended, but it may be open for the next user.
            connection.invalidate()
            raise

    def _find_outcome(self, happened: Callable[[Connection], bool] | None, error: exception.LostConnection) -> None:
        """Find out whether a transaction whose commit got no answer happened; return if it did."""
        unknown = exception.UnknownOutcome(f'{error}; whether the change was stored is not known')
        if happened is None:
            raise unknown from error

        def ask() -> bool:
            try:
                with self._engine.connect() as connection:
                    engines.begin(connection)  # and never committed: `happened` may try the same change
                    return happened(connection)
            except faults.ERRORS as lost:
                raise faults.fault(self._engine.url, lost) from lost

        try:
            found = retry(ask)
        except (exception.LostConnection, exception.ConcurrentUpdate):
            raise unknown from error
        if not found:
            raise error

    # --- hosts

    @repeated
    def hosts(self, unread: rows.Unread | None = None) -> list[HostRecord]:
        """Return all hosts by name.

        :param unread: collects the hosts whose rows cannot be read, by name
        :raises: :class:`~numaplace.exception.InvalidObject` for such a row, without `unread`
        """
        with self._transaction(reads=True) as connection:
            found = hosts.find_all(connection, unread=unread).values()
            return in_aggregates(found, aggregates.find_all(connection))

    @repeated
    def host(self, name: str) -> HostRecord:
        """Return a host.

        :raises: :class:`~numaplace.exception.NotFound`
        """
        with self._transaction(reads=True) as connection:
            return in_aggregates([hosts.find(connection, name)], aggregates.find_all(connection))[0]

    @repeated
    def create_host(self, record: HostRecord) -> HostRecord:
        """Store a new host.

        :raises: :class:`~numaplace.exception.AlreadyExists`, :class:`~numaplace.exception.Invalid`
        """
        record = replace(record, uuid=record.uuid or str(uuid.uuid4()))
        with self._transaction(lambda later: hosts.is_stored(later, record)) as connection:
            hosts.insert(connection, record)
            return hosts.find(connection, record.name)

    @repeated
    def holders(self, name: str, unread: rows.Unread | None = None) -> tuple[HostRecord, list[InstanceRecord]]:
        """Return a host, and the servers that hold something on it by number, as of one moment.

        :param unread: as for :meth:`instances`
        :raises: :class:`~numaplace.exception.NotFound`, :class:`~numaplace.exception.InvalidObject`
        """
        with self._transaction(reads=True) as connection:
            record = hosts.checked(connection, {name: hosts.find(connection, name)})[name]
            return record, servers.find_all(connection, on_host=name, unread=unread)[0]

    def change_host(
        self,
        name: str,
        change: Callable[[HostRecord, list[InstanceRecord]], HostRecord],
        unread: rows.Unread | None = None,
        instead: Host | None = None,
    ) -> HostRecord:
        """Replace a stored host with what `change` returns for it and the servers that hold something on it.

        One transaction with a lock on the row, so that a claim made in between is not lost.

        :param unread: as for :meth:`instances`
        :param instead: what `change` gets in place of the stored cells and usage, which need not be readable then
        :raises: :class:`~numaplace.exception.NotFound`, :class:`~numaplace.exception.ConcurrentUpdate`
        """
        # A commit that got no answer can be repeated, whether it happened or not.
        with self._transaction(lambda _later: False) as connection:
            # The host is locked first: then nobody changes its servers.
            record = hosts.find(connection, name, instead, lock=True)
            instances, _ = servers.find_all(connection, on_host=name, unread=unread)
            changed = change(record, instances)
            hosts.replace(connection, record, changed, _owners_on(name, instances))
            return hosts.find(connection, name)

    @repeated
    def switch_host(
        self, name: str, *, status: str | None = None, state: str | None = None, zone: str | None = None
    ) -> HostRecord:
        """Change the status, the state and the availability zone of a host; its servers are not read.

        Callers use :func:`numaplace.compute.resource_tracker.switch`.

        :raises: :class:`~numaplace.exception.NotFound`, :class:`~numaplace.exception.ConcurrentUpdate`
        """
        with self._transaction(lambda _later: False) as connection:
            record = hosts.find(connection, name, lock=True)
            changed = replace(
                record,
                status=status or record.status,
                state=state or record.state,
                availability_zone=zone or record.availability_zone,
            )
            hosts.replace(connection, record, changed)
            if state is not None:
                hosts.set_state(connection, record.number, state)
            return hosts.find(connection, name)

    @repeated
    def report_up(self, name: str, until: datetime) -> bool:
        """Store until when a host is up, as its agent says; after that it is down for everybody who reads it.

        :returns: whether there is such a host
        """
        with self._transaction(lambda _later: False) as connection:
            return hosts.report_up(connection, name, until)

    @repeated
    def delete_host(self, name: str) -> None:
        """Delete a host: one transaction with a lock on the row, so that no server is placed on it in the meantime.

        :raises: :class:`~numaplace.exception.NotFound`, :class:`~numaplace.exception.Conflict` if servers hold
            something on it, :class:`~numaplace.exception.ConcurrentUpdate`
        """
        with self._transaction(lambda later: hosts.is_gone(later, record)) as connection:
            record = hosts.find(connection, name, lock=True)
            if number := servers.count(connection, name):
                noun, them = ('servers', 'them') if number > 1 else ('server', 'it')
                raise exception.Conflict(f'host {name!r} has {number} {noun}: delete {them} first')
            hosts.delete(connection, record)

    @repeated
    def fleet(self, *, lists_servers: bool = True) -> Fleet:
        """Return all hosts, servers and flavors as of one moment, with what cannot be read.

        :param lists_servers: see :func:`numaplace.db.fleets.find`
        """
        with self._transaction(reads=True) as connection:
            return fleets.find(connection, lists_servers=lists_servers)

    # --- instances

    @repeated
    def instances(self, host: str | None = None, unread: rows.Unread | None = None) -> list[InstanceRecord]:
        """Return all servers by number, or those that hold something on one host.

        :param unread: collects the servers whose rows cannot be read, by UUID
        :raises: :class:`~numaplace.exception.InvalidObject` for such a row, without `unread`
        """
        with self._transaction(reads=True) as connection:
            return servers.find_all(connection, on_host=host, unread=unread)[0]

    @repeated
    def strays(self, unread: rows.Unread) -> None:
        """Collect the servers whose rows do not name each host on which they hold something, which may be any."""
        with self._transaction(reads=True) as connection:
            servers.find_all(connection, servers.IS_STRAY, unread=unread)

    @repeated
    def instance(self, name_or_uuid: str) -> InstanceRecord:
        """Return a server; a UUID takes precedence over a name.

        :raises: :class:`~numaplace.exception.NotFound`; :class:`~numaplace.exception.Conflict` if several have the name
        """
        with self._transaction(reads=True) as connection:
            return servers.find(connection, servers.find_uuid(connection, name_or_uuid))[0]

    @repeated
    def instances_of(self, uuids: Collection[str]) -> list[InstanceRecord]:
        """Return servers by number, as of one moment; UUIDs without one are left out."""
        with self._transaction(reads=True) as connection:
            return servers.find_all(connection, INSTANCES.c.uuid.in_(uuids))[0]

    @repeated
    def instance_uuid(self, name_or_uuid: str) -> str:
        """Return the UUID of a server, even if its rows cannot be read.

        :raises: as :meth:`instance`
        """
        with self._transaction(reads=True) as connection:
            return servers.find_uuid(connection, name_or_uuid)

    def claim(
        self,
        request: InstanceRequest,
        host_name: str,
        place: Callable[[Host], Placement | Refusal],
        *,
        storing: Callable[[], object] | None = None,
    ) -> InstanceRecord | Refusal:
        """Place a server on a host and store it together with its usage.

        One transaction, because the usage is derived from the servers: neither may be stored without the other. It
        locks the host before it reads it: rivals wait, which takes less time than to place a guest again.
        Callers use :func:`numaplace.compute.claims.instance_claim`.

        :param place: decides from the current host; a refusal leaves the database unchanged. So does a domain on the
            host that has the name
        :param storing: called immediately before the commit
        :raises: :class:`~numaplace.exception.NotFound` for an unknown host,
            :class:`~numaplace.exception.AlreadyExists` for a known UUID, as :meth:`for_request`,
            :class:`~numaplace.exception.ConcurrentUpdate` if the database prefers another transaction
        """
        with self._transaction(lambda later: servers.is_stored(later, request.uuid, host_name)) as connection:
            refusal = server_groups.refuse(connection, request.group, [host_name], request.uuid)
            if refusal is not None:
                return refusal
            # The host first: its row is the lock that every writer takes before it writes anything else.
            found = hosts.lock_usage(connection, host_name)
            if request.adopted_name is None:
                taken = held.name_taken(found.unmanaged, request.uuid, request.name)
                placement = place(found.host) if taken is None else taken
            else:  # what domains hold, this one too, they have already
                placement = _with_its_devices(place(held.hold(found.host, ())), found, request.uuid)
            if isinstance(placement, Refusal):
                return placement
            if request.adopted_name is not None:  # its own devices are no longer those of a domain
                others = [holding for holding in found.unmanaged if holding.uuid != request.uuid]
                found = replace(found, host=held.hold(found.host, others))
            self._carry_out(connection, request.uuid)
            hosts.replace_usage(connection, found, found.host.consume(placement))
            new = convert.new_instance(request, host_name, placement)
            instance = servers.insert(connection, new, frozenset([holding.name for holding in found.unmanaged]))
            if placement.devices:
                owners = _owners(placement, request.uuid)
                hosts.replace_devices(connection, found, found.host.consume(placement), owners)
            if request.adopted_name is not None:
                hosts.forget_domain(connection, host_name, request.uuid)
            if storing is not None:
                storing()
            return instance

    def change_instance(
        self,
        instance_uuid: str,
        change: Callable[[InstanceRecord, Mapping[str, HostRecord]], InstanceRecord | RefusalType | None],
        *,
        more_hosts: Iterable[str] = (),
        is_left: bool = False,
    ) -> InstanceRecord | RefusalType:
        """Replace a server with what `change` returns, together with the usage of all hosts concerned.

        One transaction, for the same reason as :meth:`claim`. The rows of all hosts on which the server holds something
        before or after it are locked, in the order of their numbers, so that two crossing moves cannot deadlock. They
        are written even if the usage stays the same: their generations show that what counts there has changed.
        Callers use the functions in :mod:`numaplace.compute.claims` and :mod:`numaplace.compute.migration`.

        :param change: takes the current server and hosts by name; returns the new server, None to delete it, or a
            refusal, which leaves the database unchanged
        :param more_hosts: names of the hosts to which the server moves
        :param is_left: the domain of a server that is deleted stays, as one that numaplace does not manage
        :returns: the server as it is stored then, as it was before it was deleted, or the refusal
        :raises: :class:`~numaplace.exception.NotFound` if there is no such server or host,
            :class:`~numaplace.exception.ConcurrentUpdate` if another change of the server came first,
            the faults of :func:`numaplace.model.allocations.recount`, and what `change` raises
        """
        # The hosts are locked after the server is read, which another transaction may change in the meantime: a write
        # notices that, but a transaction that writes nothing has to check.
        before = after = None
        with self._transaction(lambda later: before is None or servers.has_become(later, before, after)) as connection:
            # Before the hosts: two members that are placed at once would wait for each other otherwise.
            group = server_groups.group_of(connection, instance_uuid) if more_hosts else None
            refusal = server_groups.refuse(connection, group, more_hosts, instance_uuid)
            before, known = servers.find(connection, instance_uuid, more_hosts, lock=True)
            try:
                changed = change(before, known)
                if refusal is not None and not isinstance(changed, Refusal):
                    # Only those that place a server name more hosts, and any of them may refuse.
                    changed = cast(RefusalType, refusal)
                counted = {} if isinstance(changed, Refusal) else allocations.recount(known, before, changed)
            except exception.NumaplaceException:
                servers.check_same(connection, before)
                raise
            if isinstance(changed, Refusal):
                servers.check_same(connection, before)
                return changed
            sides = allocations.holds(before) if changed is None and is_left else ()
            self._carry_out(connection, instance_uuid)
            for name, host in counted.items():
                hosts.replace_usage(connection, known[name], host)
            if changed is None:
                servers.delete(connection, before)
            else:  # before its devices, whose rows name it: it may be gone by now
                after = servers.replace(connection, before, changed)
            for name, host in counted.items():
                owners = _owners_on(name, [changed] if changed else [])
                hosts.replace_devices(connection, known[name], _with_left(name, host, sides), owners)
            _leave(connection, before, sides, known)
            return before if after is None else after

    def discard(self, instance_uuid: str) -> list[str]:
        """Delete the rows of a server unread. The stored usage of its hosts stays, so it has to be repaired.

        Callers use :func:`numaplace.compute.audit.discard`.

        :returns: the names of the hosts that it held something on
        :raises: :class:`~numaplace.exception.InstanceNotFound`, :class:`~numaplace.exception.ConcurrentUpdate`
        """
        with self._transaction(lambda later: servers.is_gone(later, instance_uuid)) as connection:
            return servers.discard(connection, instance_uuid)

    # --- moves

    @repeated
    def migrations(
        self,
        *,
        instance_uuid: str | None = None,
        host: str | None = None,
        status: str | None = None,
        unread: rows.Unread | None = None,
    ) -> list[MigrationRecord]:
        """Return moves by number, including those that are over.

        :param instance_uuid: only moves of this server
        :param host: only moves from or to this host
        :param status: only moves of this status
        :param unread: collects the moves whose rows cannot be read, by number
        :raises: :class:`~numaplace.exception.InvalidObject` for such a row, without `unread`
        """
        with self._transaction(reads=True) as connection:
            return servers.find_moves(connection, instance_uuid=instance_uuid, host=host, status=status, unread=unread)
