# SPDX-License-Identifier: Apache-2.0
"""Every query and every transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from oslo_db import exception as oslo_db
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from numaplace import exception
from numaplace.db import convert, faults, models, schema
from numaplace.db import engine as engines
from numaplace.db.engine import default_url
from numaplace.db.models import ComputeNode, Instance, InstanceExtra
from numaplace.db.records import FlavorRecord, HostRecord, InstanceRecord, InstanceRequest
from numaplace.db.retry import repeated, retry
from numaplace.model import Host, Placement, Refusal

__all__ = ['Database', 'connect', 'default_url', 'upgrade']


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
        self._reader = engines.reader(engine)
        self._writer = engines.writer(engine)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    @contextmanager
    def _transaction(self, engine: Engine, happened: Callable[[Session], bool] | None = None) -> Iterator[Session]:
        """Begin a transaction, and commit it where the body comes to its end.

        :param happened: asked in a later transaction where the database went away during the commit: whether it holds
            what this one stored. It waits for a commit that is still under way, by a lock that this one held
        :raises: :class:`~numaplace.exception.LostConnection` if the database holds nothing of it,
            :class:`~numaplace.exception.UnknownOutcome` if that cannot be found out,
            :class:`~numaplace.exception.ConcurrentUpdate` if another transaction was in the way
        """
        with self._faults(), Session(engine) as session:
            yield session
            session.flush()
            try:
                with self._faults():
                    session.commit()
            except exception.LostConnection as error:
                if engine is not self._reader:
                    self._settle(happened, error)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except faults.ERRORS as error:
            raise faults.fault(self._engine.url, error) from error

    def _settle(self, happened: Callable[[Session], bool] | None, error: exception.LostConnection) -> None:
        """Find out whether a transaction happened whose commit nobody answered; return if it did."""
        unknown = exception.UnknownOutcome(f'{error}; whether the change was stored is not known')
        if happened is None:
            raise unknown from error

        def ask() -> bool:
            with self._faults(), Session(self._writer) as session:
                return happened(session)

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
        with self._transaction(self._reader) as session:
            rows = session.execute(sa.select(_FLAVORS).order_by(_FLAVORS.c.name))
            return [convert.flavor_record(row) for row in rows.mappings()]

    @repeated
    def flavor(self, name_or_id: str) -> FlavorRecord:
        """Return a flavor; an id goes before a name.

        :raises: :class:`~numaplace.exception.NotFound`
        """
        with self._transaction(self._reader) as session:
            return _flavor(session, name_or_id)

    def create_flavor(self, flavor: FlavorRecord) -> FlavorRecord:
        """Store a new flavor.

        :raises: :class:`~numaplace.exception.AlreadyExists` for a known name or id,
            :class:`~numaplace.exception.Invalid` for a name that no database can hold
        """
        _check_name('flavor name', flavor.name)
        _check_name('flavor id', flavor.id)
        with self._transaction(self._writer) as session:
            try:
                session.execute(sa.insert(_FLAVORS).values(convert.flavor_values(flavor)))
            except oslo_db.DBError as error:
                if not faults.is_duplicate(error):
                    raise
                raise exception.AlreadyExists(f'a flavor {flavor.name!r} or with the id {flavor.id!r} exists') from None
        return flavor

    def change_extra_specs(
        self, name_or_id: str, *, change: Mapping[str, str] | None = None, remove: Iterable[str] = ()
    ) -> FlavorRecord:
        """Set extra specs of a flavor, and remove others.

        One transaction with a lock on the row, so that of two changes at a time both last.

        :raises: :class:`~numaplace.exception.NotFound` for an unknown flavor or a key to remove that it does not have
        """
        with self._transaction(self._writer) as session:
            flavor = _flavor(session, name_or_id, lock=True)
            specs = {**flavor.extra_specs, **(change or {})}
            for key in remove:
                if key not in specs:
                    raise exception.NotFound(f'flavor {flavor.name!r} has no property {key!r}')
                del specs[key]
            session.execute(sa.update(_FLAVORS).where(_FLAVORS.c.flavorid == flavor.id).values(extra_specs=specs))
        return replace(flavor, extra_specs=specs)

    def delete_flavor(self, name_or_id: str) -> None:
        """Delete a flavor; servers keep their copy of it.

        :raises: :class:`~numaplace.exception.NotFound`
        """
        with self._transaction(self._writer) as session:
            flavor = _flavor(session, name_or_id, lock=True)
            session.execute(sa.delete(_FLAVORS).where(_FLAVORS.c.flavorid == flavor.id))

    # --- hosts

    @repeated
    def hosts(self) -> list[HostRecord]:
        """Return all hosts by name."""
        with self._transaction(self._reader) as session:
            return [
                convert.host_record(row) for row in session.scalars(sa.select(ComputeNode).order_by(ComputeNode.host))
            ]

    @repeated
    def host(self, name: str) -> HostRecord:
        """Return a host.

        :raises: :class:`~numaplace.exception.NotFound`
        """
        with self._transaction(self._reader) as session:
            return _host(session, name)

    def create_host(self, record: HostRecord) -> HostRecord:
        """Store a new host.

        :raises: :class:`~numaplace.exception.AlreadyExists`, :class:`~numaplace.exception.Invalid`
        """
        _check_name('host name', record.name)
        _check_name('availability zone', record.availability_zone)
        with self._transaction(self._writer) as session:
            row = ComputeNode(host=record.name, uuid=record.uuid, generation=0, **convert.host_values(record))
            _insert(session, row, known=f'a host {record.name!r} exists')
            return convert.host_record(row)

    def change_host(self, name: str, change: Callable[[HostRecord, list[InstanceRecord]], HostRecord]) -> HostRecord:
        """Replace what is stored of a host by what `change` makes of it and of its servers.

        One transaction guarded by the generation, so that a claim that came in between is not lost.

        :raises: :class:`~numaplace.exception.NotFound`, :class:`~numaplace.exception.ConcurrentUpdate`
        """
        # Whatever became of a commit that nobody answered: it can be made again.
        with self._transaction(self._writer, lambda _session: False) as session:
            record = _host(session, name)
            changed = change(record, _instances(session, Instance.host == name))
            _check_name('availability zone', changed.availability_zone)
            _replace_host(session, record, convert.host_values(changed))
            return _host(session, name)

    def delete_host(self, name: str) -> None:
        """Delete a host: one transaction guarded by the generation, so that no server comes to it meanwhile.

        :raises: :class:`~numaplace.exception.NotFound`, :class:`~numaplace.exception.Conflict` if it has servers,
            :class:`~numaplace.exception.ConcurrentUpdate`
        """
        with self._transaction(self._writer) as session:
            record = _host(session, name)
            number = session.scalar(sa.select(sa.func.count()).where(Instance.host == name))
            if number:
                raise exception.Conflict(
                    f'host {name!r} has {number} server{"s" if number > 1 else ""}: delete them first'
                )
            result = session.execute(sa.delete(ComputeNode).where(*_as_read(record)))
            _check_guard(result, record)

    # --- instances

    @repeated
    def instances(self, host: str | None = None) -> list[InstanceRecord]:
        """Return all servers by number, or those of one host."""
        with self._transaction(self._reader) as session:
            return _instances(session, *([] if host is None else [Instance.host == host]))

    @repeated
    def instance(self, name_or_uuid: str) -> InstanceRecord:
        """Return a server; a UUID goes before a name.

        :raises: :class:`~numaplace.exception.NotFound`; :class:`~numaplace.exception.Conflict` if several have the name
        """
        with self._transaction(self._reader) as session:
            either = sa.or_(Instance.uuid == name_or_uuid, Instance.display_name == name_or_uuid)
            found = _instances(session, either)
        found = [record for record in found if record.uuid == name_or_uuid] or found
        if not found:
            raise exception.NotFound(f'there is no server {name_or_uuid!r}')
        if len(found) > 1:
            uuids = ', '.join(record.uuid for record in found[:5])
            raise exception.Conflict(f'{len(found)} servers have the name {name_or_uuid!r}: name one by UUID: {uuids}')
        return found[0]

    def claim(
        self, request: InstanceRequest, host_name: str, place: Callable[[HostRecord], Placement | Refusal]
    ) -> InstanceRecord | Refusal:
        """Place a server on a host and store it together with the usage that it makes.

        One transaction, because the usage is derived from the servers: neither may be stored without the other.
        Guarded by the generation of the host. Callers use :func:`numaplace.compute.claims.instance_claim`.

        :param place: decides by the host as it is now; a refusal leaves the database unchanged
        :raises: :class:`~numaplace.exception.NotFound` for an unknown host,
            :class:`~numaplace.exception.AlreadyExists` for a known UUID,
            :class:`~numaplace.exception.ConcurrentUpdate` if another change of the host came first
        """
        _check_name('server name', request.name)
        with self._transaction(self._writer, lambda session: _is_stored(session, request.uuid, host_name)) as session:
            record = _host(session, host_name)
            placement = place(record)
            if isinstance(placement, Refusal):
                return placement
            used = record.host.consume(placement)
            # The host goes first: its row is the lock that everybody takes before writing anything else.
            _replace_host(session, record, convert.usage_values(used))
            row = Instance(**convert.instance_values(request, host_name))
            extra = InstanceExtra(**convert.instance_extra_values(request.uuid, placement))
            _insert(session, row, extra, known=f'a server with the UUID {request.uuid!r} exists')
            return convert.instance_record(row, extra, used)

    def release(self, instance_uuid: str) -> InstanceRecord:
        """Delete a server and take its usage off its host: one transaction, for the reason of :meth:`claim`.

        Callers use :func:`numaplace.compute.claims.release`.

        :raises: :class:`~numaplace.exception.NotFound`, :class:`~numaplace.exception.ConcurrentUpdate`, and the faults
            of :meth:`numaplace.model.Host.release` if the usage of the host does not hold the server
        """
        host_name = ''

        def is_gone(session: Session) -> bool:
            return not _is_stored(session, instance_uuid, host_name)

        with self._transaction(self._writer, is_gone) as session:
            for instance in _instances(session, Instance.uuid == instance_uuid):
                host_name = instance.host
                record = _host(session, instance.host)
                _replace_host(session, record, convert.usage_values(_without(record, instance)))
                session.execute(sa.delete(Instance).where(Instance.uuid == instance_uuid))
                return instance
        raise exception.NotFound(f'there is no server {instance_uuid!r}')


_FLAVORS = models.Base.metadata.tables['flavors']


def _check_name(what: str, name: str) -> None:
    """Refuse names that some database cannot hold."""
    if not 0 < len(name) <= models.NAME_LENGTH:
        raise exception.Invalid(f'{what} has {len(name)} characters: expected 1 to {models.NAME_LENGTH}')
    if '\0' in name or any('\ud800' <= character <= '\udfff' for character in name):
        raise exception.Invalid(f'{what} {name!r} holds a character that is no text: NUL, or a byte that is no UTF-8')


def _insert(session: Session, *rows: models.Base, known: str) -> None:
    try:
        for row in rows:
            session.add(row)
            session.flush()
    except oslo_db.DBError as error:
        if not faults.is_duplicate(error):
            raise
        raise exception.AlreadyExists(known) from None


def _flavor(session: Session, name_or_id: str, *, lock: bool = False) -> FlavorRecord:
    for column in (_FLAVORS.c.flavorid, _FLAVORS.c.name):
        query = sa.select(_FLAVORS).where(column == name_or_id)
        row = session.execute(query.with_for_update() if lock else query).mappings().one_or_none()
        if row is not None:
            return convert.flavor_record(row)
    raise exception.NotFound(f'there is no flavor {name_or_id!r}')


def _host(session: Session, name: str) -> HostRecord:
    row = session.scalars(
        sa.select(ComputeNode).where(ComputeNode.host == name), execution_options={'populate_existing': True}
    ).one_or_none()
    if row is None:
        raise exception.NotFound(f'there is no host {name!r}')
    return convert.host_record(row)


def _instances(session: Session, *criteria: sa.ColumnElement[bool]) -> list[InstanceRecord]:
    query = (
        sa.select(Instance, InstanceExtra, ComputeNode)
        .join(InstanceExtra, InstanceExtra.instance_uuid == Instance.uuid)
        .join(ComputeNode, ComputeNode.host == Instance.host)
        .where(*criteria)
        .order_by(Instance.id)
    )
    hosts: dict[str, Host] = {}
    records = []
    for row, extra, node in session.execute(query):
        if node.host not in hosts:
            hosts[node.host] = convert.host_record(node).host
        records.append(convert.instance_record(row, extra, hosts[node.host]))
    return records


def _is_stored(session: Session, instance_uuid: str, host_name: str) -> bool:
    """Return whether a server is there, once all transactions that change a host are over."""
    session.execute(sa.select(ComputeNode.id).where(ComputeNode.host == host_name).with_for_update())
    return session.scalar(sa.select(Instance.id).where(Instance.uuid == instance_uuid)) is not None


def _without(record: HostRecord, instance: InstanceRecord) -> Host:
    try:
        return record.host.release(instance.placement)
    except exception.NumaplaceException as error:
        raise type(error)(f'server {instance.uuid} on host {record.name!r}: {error}') from error


def _as_read(record: HostRecord) -> tuple[sa.ColumnElement[bool], ...]:
    # The UUID too: a host of the same name may have been deleted and made again, with the same generation.
    return ComputeNode.uuid == record.uuid, ComputeNode.generation == record.generation


def _replace_host(session: Session, record: HostRecord, values: Mapping[str, Any]) -> None:
    """Write the row of a host only if it is as it was read: compare and swap of its generation."""
    result = session.execute(
        sa.update(ComputeNode).where(*_as_read(record)).values(generation=record.generation + 1, **values),
        execution_options={'synchronize_session': False},
    )
    _check_guard(result, record)


def _check_guard(result: Any, record: HostRecord) -> None:
    if result.rowcount != 1:
        raise exception.ConcurrentUpdate(f'host {record.name!r} was changed by another transaction')
