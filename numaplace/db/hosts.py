# SPDX-License-Identifier: Apache-2.0
"""The rows of hosts within a transaction: how they are read, guarded and written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace as replaced
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from numaplace import exception
from numaplace.db import convert, pci_devices, rows
from numaplace.db.capacity import ORDERS, ROOMS
from numaplace.db.columns import Fields
from numaplace.db.records import HostUsage
from numaplace.db.tables import HOSTS, UNMANAGED_DOMAINS
from numaplace.model import Host
from numaplace.model.holding import Holding
from numaplace.model.host_devices import NO_DEVICES
from numaplace.model.records import UP, HostRecord

__all__ = [
    'add_domain',
    'checked',
    'count_change',
    'delete',
    'find',
    'find_all',
    'forget_domain',
    'insert',
    'is_gone',
    'is_stored',
    'lock',
    'lock_all',
    'lock_names',
    'lock_usage',
    'lock_versions',
    'replace',
    'replace_devices',
    'replace_usage',
    'replace_usages',
    'report_up',
    'set_state',
    'up_until',
]

_SELECT = sa.select(*convert.HOST.selected).order_by(HOSTS.c.host)
_IS_NAMED = HOSTS.c.id == sa.select(HOSTS.c.id).where(HOSTS.c.host == sa.bindparam('name')).scalar_subquery()


def _locked(query: sa.Select[Any]) -> sa.Select[Any]:
    """Return a query for one host by its name that locks its row.

    The lock is that of the primary key, which all writes of the row use: two transactions that lock the entries of
    several indexes in different orders would wait for each other. It lets others refer to the host meanwhile.
    """
    return query.where(_IS_NAMED).with_for_update(key_share=True)


_SELECT_NAMED = sa.select(*convert.HOST.selected).where(HOSTS.c.host == sa.bindparam('name'))
_LOCK = _locked(sa.select(*convert.HOST.selected))
_LOCK_NUMBER = _locked(sa.select(HOSTS.c.id))
#: Several at once, and also by the primary key alone: another index has both columns.
_LOCK_SEVERAL, _LOCK_VERSIONS = (
    sa.select(*columns)
    .where(HOSTS.c.id.in_(sa.bindparam('numbers', expanding=True)))
    .order_by(HOSTS.c.id)
    .with_hint(HOSTS, 'FORCE INDEX (PRIMARY)', 'mysql')
    .with_for_update(key_share=True)
    for columns in (convert.HOST.selected, (HOSTS.c.id, HOSTS.c.generation))
)
_LOCK_USAGE = _locked(sa.select(*convert.USAGE.selected))
_IS_AS_READ = HOSTS.c.id == sa.bindparam('read_number'), HOSTS.c.generation == sa.bindparam('read_generation')
_REPLACE = sa.update(HOSTS).where(*_IS_AS_READ)
_DELETE = sa.delete(HOSTS).where(*_IS_AS_READ)

_UNTIL = HOSTS.c.up_until
_UP_UNTIL = Fields([_UNTIL])

_DOMAIN_HOST = UNMANAGED_DOMAINS.c.host
_SELECT_DOMAINS = sa.select(*convert.DOMAIN.selected).order_by(UNMANAGED_DOMAINS.c.name, UNMANAGED_DOMAINS.c.id)

_NUMBER, _NAME, _DEVICES = map(convert.HOST.columns.index, (HOSTS.c.id, HOSTS.c.host, HOSTS.c.pci_device_count))
_NUMBER_OF_USAGE, _DEVICES_OF_USAGE, _DOMAINS_OF_USAGE = map(
    convert.USAGE.columns.index, (HOSTS.c.id, HOSTS.c.pci_device_count, HOSTS.c.unmanaged_count)
)
_CAPACITY = [HOSTS.c[name] for name in ('unmanaged_count', *ORDERS, *ROOMS)]
_OLD_CAPACITY = 'what the host is chosen by'
_HOST_OF_DOMAIN = convert.DOMAIN.columns.index(_DOMAIN_HOST)

#: Most hosts that a query names; for more of them, all hosts are read.
_MAX_NAMES = 500


def find(connection: Connection, name: str, instead: Host | None = None, *, lock: bool = False) -> HostRecord:
    """Return a host.

    :param instead: as for :func:`numaplace.db.convert.host_record`
    :param lock: do as :func:`lock_all`
    :raises: :class:`~numaplace.exception.NotFound`, :class:`~numaplace.exception.InvalidObject`
    """
    row = connection.execute(_LOCK if lock else _SELECT_NAMED, {'name': name}).all()
    if not row:
        raise _no_host(name)
    return next(iter(_records(connection, row, instead=instead).values()))


def find_all(
    connection: Connection, names: Iterable[str] | None = None, *, unread: rows.Unread | None = None
) -> dict[str, HostRecord]:
    """Return hosts in the order of their names.

    :param names: only these; names without a host are left out; None for all hosts. More than fit in a query: all hosts
    :param unread: collects the hosts whose rows cannot be read, by name; without it the first one raises
    """
    wanted = None if names is None else list(names)
    query = _SELECT if wanted is None or len(wanted) > _MAX_NAMES else _SELECT.where(HOSTS.c.host.in_(wanted))
    return _records(connection, connection.execute(query).all(), unread)


def lock_all(
    connection: Connection, names: Iterable[str], *, unread: rows.Unread | None = None
) -> dict[str, HostRecord]:
    """Return hosts as :func:`find_all`; wait for others that change them, and block changes until the transaction ends.

    One after the other, in the order of their numbers, so that two transactions never wait for each other.
    """
    wanted = list(names)
    if len(wanted) == 1:
        found = connection.execute(_LOCK, {'name': wanted[0]}).all()
    else:
        numbers = list(connection.scalars(sa.select(HOSTS.c.id).where(HOSTS.c.host.in_(wanted))))
        found = connection.execute(_LOCK_SEVERAL, {'numbers': numbers}).all()
    return _records(connection, found, unread)


def lock_versions(connection: Connection, numbers: Iterable[int]) -> dict[int, int]:
    """Lock hosts unread, as :func:`lock_all`, and return their generations by number, without those that are gone."""
    found = connection.execute(_LOCK_VERSIONS, {'numbers': list(numbers)})
    return {row.id: row.generation for row in found}


def lock_names(connection: Connection, names: Iterable[str]) -> None:
    """Lock hosts unread, as :func:`lock_all`; those that are gone are left out."""
    lock_versions(connection, connection.scalars(sa.select(HOSTS.c.id).where(HOSTS.c.host.in_(list(names)))))


def _records(
    connection: Connection,
    found: Sequence[Sequence[Any]],
    unread: rows.Unread | None = None,
    instead: Host | None = None,
) -> dict[str, HostRecord]:
    """Return the hosts of rows by name, with the domains there that numaplace does not manage.

    :param instead: the host, whatever its row says; its PCI devices are those of its rows if these can be read
    """
    domains = _domains(connection, [row[_NAME] for row in found])
    devices = pci_devices.find(connection, [row[_NUMBER] for row in found if row[_DEVICES]])

    def read(row: Sequence[Any]) -> HostRecord:
        try:
            known = pci_devices.read(devices.get(row[_NUMBER], ()))
        except rows.UNREADABLE:
            if instead is None:
                raise
            known = NO_DEVICES
        return convert.host_record(row, domains.get(row[_NAME], ()), instead, known)

    return {record.name: record for record in rows.read_all(found, read, _named, unread)}


def _domains(connection: Connection, names: Sequence[str]) -> dict[str, list[Sequence[Any]]]:
    """Return the rows of domains by host, on hosts without a libvirt too: there, servers were released.

    :param names: of hosts
    """
    found: dict[str, list[Sequence[Any]]] = {}
    if names:
        query = _SELECT_DOMAINS if len(names) > _MAX_NAMES else _SELECT_DOMAINS.where(_DOMAIN_HOST.in_(names))
        for row in connection.execute(query):
            found.setdefault(row[_HOST_OF_DOMAIN], []).append(row)
    return found


def _named(row: Sequence[Any]) -> tuple[object, str]:
    name = row[_NAME]
    return name, f'host {name!r}'


def lock_usage(connection: Connection, name: str) -> HostUsage:
    """Return what a claim needs to know of a host; lock it as :func:`lock_all`.

    :raises: :class:`~numaplace.exception.NotFound`
    """
    row = connection.execute(_LOCK_USAGE, {'name': name}).first()
    if row is None:
        raise _no_host(name)
    # After the lock, so that it is what the last holder of the lock stored.
    domains = _domains(connection, [name]).get(name, ()) if row[_DOMAINS_OF_USAGE] else ()
    number = row[_NUMBER_OF_USAGE]
    try:
        devices = pci_devices.find(connection, [number]) if row[_DEVICES_OF_USAGE] else {}
        return convert.host_usage(name, row, domains, pci_devices.read(devices.get(number, ())))
    except rows.UNREADABLE as error:
        raise rows.unreadable(f'host {name!r}', error) from error


def lock(connection: Connection, name: str) -> int | None:
    """Lock a host unread, as :func:`lock_all`, and return its number; None if there is no such host."""
    number: int | None = connection.scalar(_LOCK_NUMBER, {'name': name})
    return number


def _no_host(name: str) -> exception.NotFound:
    return exception.NotFound(f'there is no host {name!r}')


def insert(connection: Connection, record: HostRecord) -> None:
    """Store a new host.

    :raises: :class:`~numaplace.exception.AlreadyExists`
    """
    values = {**convert.host_values(record), 'generation': 0}
    number = rows.insert(connection, HOSTS, values, known=f'a host {record.name!r} exists')
    pci_devices.insert(connection, number, record.host.devices)
    _insert_domains(connection, record.name, record.unmanaged)


def _insert_domains(connection: Connection, name: str, unmanaged: Iterable[Holding]) -> None:
    if values := [convert.domain_values(name, holding) for holding in unmanaged]:
        connection.execute(sa.insert(UNMANAGED_DOMAINS), values)


def replace_usage(connection: Connection, read: HostRecord | HostUsage, used: Host) -> None:
    """Write what the servers of a host use, only if its row is unchanged since it was locked, by its generation.

    The PCI devices are not part of it: see :func:`replace_devices`.

    :raises: :class:`~numaplace.exception.ConcurrentUpdate`
    """
    _replace(connection, read, convert.usage_values(replaced(read, host=used)))


def replace_usages(connection: Connection, changed: Iterable[tuple[HostRecord, Host]]) -> None:
    """Write what the servers of hosts use, each as :func:`replace_usage`, all of which are locked."""
    values = [
        {**convert.usage_values(replaced(read, host=used)), **_guard(read), 'generation': read.generation + 1}
        for read, used in changed
    ]
    connection.execute(_REPLACE, values)


def replace_devices(
    connection: Connection, read: HostRecord | HostUsage, used: Host, owners: Mapping[str, str]
) -> None:
    """Write what has changed of the PCI devices of a host that is locked; servers have to be stored before.

    :param owners: as for :func:`numaplace.db.pci_devices.replace`
    """
    if read.number is not None:
        pci_devices.replace(connection, read.number, read.host.devices, used.devices, owners)


def replace(
    connection: Connection, read: HostRecord, changed: HostRecord, owners: Mapping[str, str] | None = None
) -> None:
    """Write a whole host, with the domains there that numaplace does not manage, as :func:`replace_usage` does.

    :param owners: UUIDs of the servers there by the addresses of the PCI devices that they hold
    :raises: :class:`~numaplace.exception.ConcurrentUpdate`
    """
    values = convert.host_values(changed)
    if changed.state == read.state:
        del values['state']  # a silent agent is no operator who says that the host is down
    _replace(connection, read, values)
    addresses = [address for holding in changed.unmanaged for address in holding.devices]
    held = changed.host.devices.with_held(addresses)
    replace_devices(connection, read, replaced(changed.host, devices=held), owners or {})
    if owners is not None and read.number is not None and held.taken:
        pci_devices.settle(connection, read.number, owners)
    if gone := set(read.unmanaged) - set(changed.unmanaged):
        are_gone = UNMANAGED_DOMAINS.c.uuid.in_([holding.uuid for holding in gone])
        connection.execute(sa.delete(UNMANAGED_DOMAINS).where(_DOMAIN_HOST.in_([read.name]), are_gone))
    _insert_domains(connection, read.name, [one for one in changed.unmanaged if one not in read.unmanaged])


def set_state(connection: Connection, number: int | None, state: str) -> None:
    """Write what an operator says of the state of a locked host; one that is up is heard anew."""
    values = {'state': state} | ({'up_until': None} if state == UP else {})
    connection.execute(sa.update(HOSTS).where(HOSTS.c.id == number).values(values))


def report_up(connection: Connection, name: str, until: datetime) -> bool:
    """Write until when a host is up; return whether there is such a host. Its generation and its times stay."""
    change = sa.update(HOSTS).where(_IS_NAMED).values(up_until=until, updated_at=HOSTS.c.updated_at)
    return connection.execute(change, {'name': name}).rowcount == 1


def up_until(connection: Connection, names: Sequence[str]) -> dict[str, datetime]:
    """Return until when hosts are up, as their agents say; those without an agent are left out."""
    found: dict[str, datetime] = {}
    for first in range(0, len(names), _MAX_NAMES):
        some = names[first : first + _MAX_NAMES]
        query = sa.select(HOSTS.c.host, *_UP_UNTIL.selected).where(HOSTS.c.host.in_(some), _UNTIL.is_not(None))
        found |= {name: _UP_UNTIL.read(values)['up_until'] for name, *values in connection.execute(query)}
    return found


def _replace(connection: Connection, read: HostRecord | HostUsage, values: Mapping[str, Any]) -> None:
    result = connection.execute(_REPLACE, {**values, **_guard(read), 'generation': read.generation + 1})
    rows.check_guard(result, f'host {read.name!r}')


def forget_domain(connection: Connection, name: str, domain_uuid: str) -> None:
    """Delete the row of a domain that a server is now, on a host that is locked."""
    is_it = _DOMAIN_HOST.in_([name]), UNMANAGED_DOMAINS.c.uuid == domain_uuid
    connection.execute(sa.delete(UNMANAGED_DOMAINS).where(*is_it))
    _store_capacity(connection, name)


def add_domain(connection: Connection, name: str, holding: Holding) -> None:
    """Store a domain that was a server, on a host that is locked."""
    is_it = _DOMAIN_HOST.in_([name]), UNMANAGED_DOMAINS.c.uuid == holding.uuid
    connection.execute(sa.delete(UNMANAGED_DOMAINS).where(*is_it))
    _insert_domains(connection, name, [holding])
    _store_capacity(connection, name)


def _store_capacity(connection: Connection, name: str) -> None:
    """Write what a locked host is chosen by, after a change of the domains that it counts, and how many there are."""
    record = find(connection, name)
    connection.execute(sa.update(HOSTS).where(HOSTS.c.id == record.number).values(convert.domain_columns(record)))


def checked(connection: Connection, known: Mapping[str, HostRecord]) -> dict[str, HostRecord]:
    """Return hosts read in the transaction; those whose rows say otherwise what they are chosen by, as old rows.

    A write of such a host makes it right, as it does with an old format.
    """
    query = sa.select(HOSTS.c.host, *_CAPACITY)
    if len(known) == 1:
        query = query.where(HOSTS.c.host.in_(known))
    stored = {name: values for name, *values in connection.execute(query)}
    return {
        name: record
        if stored[name] == list(convert.domain_columns(record).values())
        else replaced(record, old_format=record.old_format or _OLD_CAPACITY)
        for name, record in known.items()
    }


def delete(connection: Connection, read: HostRecord) -> None:
    """Delete a host only if its row is unchanged.

    :raises: :class:`~numaplace.exception.ConcurrentUpdate`
    """
    rows.check_guard(connection.execute(_DELETE, _guard(read)), f'host {read.name!r}')


def _guard(read: HostRecord | HostUsage) -> dict[str, Any]:
    return {'read_number': read.number, 'read_generation': read.generation}


def count_change(connection: Connection, name: str) -> None:
    """Lock a host and increment its generation, so that others notice a change that its row does not show."""
    number = lock(connection, name)
    connection.execute(sa.update(HOSTS).where(HOSTS.c.id == number).values(generation=HOSTS.c.generation + 1))


def is_gone(connection: Connection, record: HostRecord) -> bool:
    """Return whether a host is deleted, once all transactions that change it are over."""
    return rows.is_gone(connection, HOSTS.c.id == record.number)


def is_stored(connection: Connection, record: HostRecord) -> bool:
    """Return whether a host is stored, once the transaction that stores it is over."""
    try:
        insert(connection, record)
    except exception.AlreadyExists:
        connection.rollback()
        return connection.scalar(sa.select(HOSTS.c.id).where(HOSTS.c.uuid == record.uuid)) is not None
    return False
