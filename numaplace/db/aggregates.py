# SPDX-License-Identifier: Apache-2.0
"""The rows of aggregates within a transaction, and the rules of availability zones."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from numaplace import exception
from numaplace.db import hosts, rows, servers
from numaplace.db.columns import Fields
from numaplace.db.tables import AGGREGATE_HOSTS, AGGREGATES, HOSTS
from numaplace.model.grouping import Aggregate

__all__ = ['change', 'delete', 'find', 'find_all', 'insert', 'lock']

_FIELDS = Fields(AGGREGATES.c[name] for name in ('name', 'metadata'))
_MEMBERS = (
    sa.select(AGGREGATES.c.name, HOSTS.c.host)
    .join_from(AGGREGATES, AGGREGATE_HOSTS, AGGREGATE_HOSTS.c.aggregate_id == AGGREGATES.c.id)
    .join(HOSTS, HOSTS.c.id == AGGREGATE_HOSTS.c.compute_node_id)
    .order_by(HOSTS.c.host)
)


def find_all(connection: Connection, on: Collection[str] | None = None) -> list[Aggregate]:
    """Return all aggregates by name.

    :param on: only these of their hosts; None for all
    :raises: :class:`~numaplace.exception.InvalidObject` for a row that cannot be read
    """
    found = connection.execute(sa.select(*_FIELDS.selected).order_by(AGGREGATES.c.name)).all()
    members: dict[str, list[str]] = {}
    if found:
        query = _MEMBERS if on is None else _MEMBERS.where(HOSTS.c.host.in_(on))
        for name, host in connection.execute(query):
            members.setdefault(name, []).append(host)
    return rows.read_all(
        found,
        lambda row: _FIELDS.make(Aggregate, _FIELDS.read(row), hosts=tuple(members.get(row[0], ()))),
        lambda row: (row[0], f'aggregate {row[0]!r}'),
        None,
    )


def find(connection: Connection, name: str) -> Aggregate:
    """Return an aggregate.

    :raises: :class:`~numaplace.exception.NotFound`
    """
    for aggregate in find_all(connection):
        if aggregate.name == name:
            return aggregate
    raise exception.NotFound(f'there is no aggregate {name!r}')


def insert(connection: Connection, aggregate: Aggregate) -> None:
    """Store a new aggregate, which has no hosts yet.

    :raises: :class:`~numaplace.exception.AlreadyExists`
    """
    known = f'an aggregate {aggregate.name!r} exists'
    rows.insert(connection, AGGREGATES, _FIELDS.write(aggregate), known=known)


def change(connection: Connection, before: Aggregate, after: Aggregate) -> None:
    """Replace an aggregate that was found and locked in this transaction.

    :raises: :class:`~numaplace.exception.AlreadyExists` for the name of another one,
        :class:`~numaplace.exception.NotFound` for an unknown host,
        :class:`~numaplace.exception.Conflict` if a host would be in two zones, or its servers would change their zone
    """
    others = [each for each in find_all(connection) if each.name != before.name]
    if after.name in [each.name for each in others]:
        raise exception.AlreadyExists(f'an aggregate {after.name!r} exists')
    _check_zones(connection, [*others, before], [*others, after])
    number = connection.scalar(sa.select(AGGREGATES.c.id).where(AGGREGATES.c.name == before.name))
    values = {**_FIELDS.write(after), 'generation': AGGREGATES.c.generation + 1}
    connection.execute(sa.update(AGGREGATES).where(AGGREGATES.c.id == number).values(values))
    connection.execute(sa.delete(AGGREGATE_HOSTS).where(AGGREGATE_HOSTS.c.aggregate_id == number))
    for name in after.hosts:
        member = {'aggregate_id': number, 'compute_node_id': _number(connection, name)}
        connection.execute(sa.insert(AGGREGATE_HOSTS), member)


def lock(connection: Connection) -> None:
    """Let changes of aggregates wait for each other: the rules of zones are about all of them."""
    connection.execute(sa.select(AGGREGATES.c.id).order_by(AGGREGATES.c.id).with_for_update()).all()


def delete(connection: Connection, name: str) -> None:
    """Delete an aggregate.

    :raises: :class:`~numaplace.exception.NotFound`, :class:`~numaplace.exception.Conflict` if it has hosts
    """
    if members := find(connection, name).hosts:
        raise exception.Conflict(
            f'aggregate {name!r} has {len(members)} hosts, such as {members[0]!r}: remove them first'
        )
    connection.execute(sa.delete(AGGREGATES).where(AGGREGATES.c.name == name))


def _number(connection: Connection, host: str) -> int:
    number: int | None = connection.scalar(sa.select(HOSTS.c.id).where(HOSTS.c.host == host))
    if number is None:
        raise exception.NotFound(f'there is no host {host!r}')
    return number


def _zones(aggregates: Iterable[Aggregate]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for aggregate in aggregates:
        for host in aggregate.hosts if aggregate.zone else ():
            found.setdefault(host, set()).add(str(aggregate.zone))
    return found


def _check_zones(connection: Connection, before: list[Aggregate], after: list[Aggregate]) -> None:
    """Refuse two zones for a host, and another zone for servers (Nova 34, `is_safe_to_update_az`)."""
    old, new = _zones(before), _zones(after)
    hosts.lock_names(connection, [host for host in old.keys() | new.keys() if new.get(host) != old.get(host)])
    for host in sorted(old.keys() | new.keys()):
        zones = new.get(host, set())
        if len(zones) > 1:
            raise exception.Conflict(
                f'host {host!r} would be in several availability zones: {", ".join(sorted(zones))}'
            )
        if zones == old.get(host, set()):
            continue
        hosts.lock(connection, host)
        if number := servers.count(connection, host):
            raise exception.Conflict(
                f'host {host!r} has {number} servers, whose availability zone would change: move or delete them first'
            )
