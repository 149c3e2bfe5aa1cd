# SPDX-License-Identifier: Apache-2.0
"""The rows of server groups within a transaction, and where their members are."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from numaplace import exception
from numaplace.db import rows
from numaplace.db.columns import Fields
from numaplace.db.tables import INSTANCES, MIGRATIONS, SERVER_GROUPS
from numaplace.model import Refusal
from numaplace.model.grouping import ServerGroup
from numaplace.model.records import ENDED

__all__ = ['delete', 'find', 'find_all', 'group_of', 'insert', 'lock', 'on_hosts', 'places', 'refuse']

_FIELDS = Fields(SERVER_GROUPS.c[name] for name in ('uuid', 'name', 'policy', 'max_server_per_host'))
_SELECT = sa.select(*_FIELDS.selected)
_IS_OVER = MIGRATIONS.c.status.in_(ENDED)
_NAMES: sa.BindParameter[str] = sa.bindparam('names', expanding=True)
#: One query for each column, since each has an index.
_ON_HOSTS = sa.union_all(
    sa.select(INSTANCES.c.uuid, INSTANCES.c.host).where(INSTANCES.c.host.in_(_NAMES)),
    *(
        sa.select(MIGRATIONS.c.instance_uuid, column).where(column.in_(_NAMES), ~_IS_OVER)
        for column in (MIGRATIONS.c.source_compute, MIGRATIONS.c.dest_compute)
    ),
)
_GROUP_OF = sa.select(INSTANCES.c.server_group_uuid).where(INSTANCES.c.uuid == sa.bindparam('uuid'))


def places(connection: Connection, *criteria: sa.ColumnElement[bool]) -> dict[str, frozenset[str]]:
    """Return the hosts on which servers hold something, both of those in a move, by the servers' UUID.

    Nothing else of their rows need be readable.
    """
    moves = sa.and_(MIGRATIONS.c.instance_uuid == INSTANCES.c.uuid, ~_IS_OVER)
    query = (
        sa.select(INSTANCES.c.uuid, INSTANCES.c.host, MIGRATIONS.c.source_compute, MIGRATIONS.c.dest_compute)
        .outerjoin_from(INSTANCES, MIGRATIONS, moves)
        .where(*criteria)
    )
    found: dict[str, frozenset[str]] = {}
    for uuid, *names in connection.execute(query):
        here = frozenset([name for name in names if name and isinstance(name, str)])
        found[uuid] = found[uuid] | here if uuid in found else here
    return found


def on_hosts(connection: Connection, names: Collection[str] | None) -> list[tuple[str, str]]:
    """Return the UUIDs of servers and the hosts on which they hold something, in pairs, some of them twice.

    :param names: of hosts, at most as many as a query names; None for all
    """
    if names is None:
        return [(uuid, name) for uuid, hosts in places(connection).items() for name in hosts]
    return [(uuid, name) for uuid, name in connection.execute(_ON_HOSTS, {'names': list(names)})]


def _read(connection: Connection, query: sa.Select[Any]) -> list[ServerGroup]:
    found = connection.execute(query).all()
    groups = rows.read_all(found, _FIELDS.read, lambda row: (row[1], f'server group {row[1]!r}'), None)
    return [
        _FIELDS.make(ServerGroup, values, members=places(connection, INSTANCES.c.server_group_uuid == values['uuid']))
        for values in groups
    ]


def find_all(connection: Connection) -> list[ServerGroup]:
    """Return all server groups by name."""
    return _read(connection, _SELECT.order_by(SERVER_GROUPS.c.name))


def find(connection: Connection, name_or_uuid: str) -> ServerGroup:
    """Return a server group; a UUID takes precedence over a name.

    :raises: :class:`~numaplace.exception.NotFound`
    """
    for column in (SERVER_GROUPS.c.uuid, SERVER_GROUPS.c.name):
        if found := _read(connection, _SELECT.where(column == name_or_uuid)):
            return found[0]
    raise exception.NotFound(f'there is no server group {name_or_uuid!r}')


def lock(connection: Connection, uuid: str) -> ServerGroup:
    """Return a server group; until the transaction ends, no other member is placed.

    Whoever places a member locks the group before any host.

    :raises: :class:`~numaplace.exception.NotFound`
    """
    connection.execute(sa.select(SERVER_GROUPS.c.id).where(SERVER_GROUPS.c.uuid == uuid).with_for_update()).all()
    return find(connection, uuid)


def group_of(connection: Connection, instance_uuid: str) -> str | None:
    """Return the UUID of the group of a server, which never changes but for the end of the group."""
    group: str | None = connection.scalar(_GROUP_OF, {'uuid': instance_uuid})
    return group


def refuse(connection: Connection, group: str | None, hosts: Iterable[str], instance_uuid: str) -> Refusal | None:
    """Return why a server may not be placed on hosts by the policy of its group, which stays locked; or None.

    :param group: UUID of the group, or None for a server without one
    :raises: :class:`~numaplace.exception.NotFound` if the group was deleted
    """
    if group is None:
        return None
    locked = lock(connection, group)
    refusals = (locked.refuse(host, instance_uuid) for host in hosts)
    return next((refusal for refusal in refusals if refusal is not None), None)


def insert(connection: Connection, group: ServerGroup) -> None:
    """Store a new server group.

    :raises: :class:`~numaplace.exception.AlreadyExists`
    """
    known = f'a server group {group.name!r} exists'
    rows.insert(connection, SERVER_GROUPS, _FIELDS.write(group), known=known)


def delete(connection: Connection, name_or_uuid: str) -> None:
    """Delete a server group; its members stay where they are, without a policy.

    :raises: :class:`~numaplace.exception.NotFound`
    """
    group = lock(connection, find(connection, name_or_uuid).uuid)
    is_member = INSTANCES.c.server_group_uuid == group.uuid
    values = {'server_group_uuid': None, 'generation': INSTANCES.c.generation + 1}
    connection.execute(sa.update(INSTANCES).where(is_member).values(values))
    connection.execute(sa.delete(SERVER_GROUPS).where(SERVER_GROUPS.c.uuid == group.uuid))
