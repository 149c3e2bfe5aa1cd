# SPDX-License-Identifier: Apache-2.0
"""The rows of flavors within a transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from numaplace import exception
from numaplace.db import rows
from numaplace.db.tables import FLAVOR, FLAVORS
from numaplace.model import Flavor

__all__ = ['delete', 'find', 'find_all', 'has_become', 'insert', 'is_gone', 'is_stored', 'replace_extra_specs']

_SELECT = sa.select(*FLAVOR.selected)


def _record(row: Sequence[Any]) -> Flavor:
    return FLAVOR.make(Flavor, FLAVOR.read(row))


def _named(row: Sequence[Any]) -> tuple[object, str]:
    name = row[FLAVOR.columns.index(FLAVORS.c.name)]
    return name, f'flavor {name!r}'


def find_all(connection: Connection, unread: rows.Unread | None = None) -> list[Flavor]:
    """Return all flavors by name.

    :param unread: as for :func:`numaplace.db.rows.read_all`, by name
    """
    return rows.read_all(connection.execute(_SELECT.order_by(FLAVORS.c.name)), _record, _named, unread)


def find(connection: Connection, name_or_id: str, *, lock: bool = False) -> Flavor:
    """Return a flavor; an id takes precedence over a name.

    :param lock: keep others from changing it until the transaction ends
    :raises: :class:`~numaplace.exception.NotFound`
    """
    for column in (FLAVORS.c.flavorid, FLAVORS.c.name):
        found = _read(connection, _SELECT.where(column == name_or_id))
        if found is not None:
            break
    if found is not None and lock:
        # By its id, as it is written: two transactions that lock its entries of two indexes would wait for each other.
        found = _read(connection, _SELECT.where(FLAVORS.c.flavorid == found.id).with_for_update())
    if found is None:
        raise exception.NotFound(f'there is no flavor {name_or_id!r}')
    return found


def _read(connection: Connection, query: sa.Select[Any]) -> Flavor | None:
    row = connection.execute(query).one_or_none()
    return None if row is None else rows.read_all([row], _record, _named, None)[0]


def insert(connection: Connection, flavor: Flavor) -> None:
    """Store a new flavor.

    :raises: :class:`~numaplace.exception.AlreadyExists`
    """
    known = f'a flavor {flavor.name!r} or with the id {flavor.id!r} exists'
    rows.insert(connection, FLAVORS, FLAVOR.write(flavor), known=known)


def replace_extra_specs(connection: Connection, flavor: Flavor, specs: Mapping[str, str]) -> None:
    """Replace the extra specs of a flavor."""
    written = FLAVOR.write(replace(flavor, extra_specs=specs))
    connection.execute(sa.update(FLAVORS).where(FLAVORS.c.flavorid == flavor.id).values(written))


def has_become(connection: Connection, flavor: Flavor, specs: Mapping[str, str]) -> bool:
    """Return whether new extra specs of a flavor were stored, once all transactions that change it are over.

    :param flavor: as it was before
    :raises: :class:`~numaplace.exception.UnknownOutcome` if others have changed it since, so that this is unknown
    """
    found = _read(connection, _SELECT.where(FLAVORS.c.flavorid == flavor.id).with_for_update())
    if found == replace(flavor, extra_specs=specs):
        return True
    if found == flavor:
        return False
    raise exception.UnknownOutcome(
        f'the database went away while flavor {flavor.name!r} was stored, and others changed the flavor since; '
        'whether the change was stored is not known'
    )


def delete(connection: Connection, flavor: Flavor) -> None:
    """Delete a flavor."""
    connection.execute(sa.delete(FLAVORS).where(FLAVORS.c.flavorid == flavor.id))


def is_gone(connection: Connection, flavor: Flavor) -> bool:
    """Return whether a flavor is deleted, once all transactions that change it are over."""
    return rows.is_gone(connection, FLAVORS.c.flavorid == flavor.id)


def is_stored(connection: Connection, flavor: Flavor) -> bool:
    """Return whether a flavor is stored as intended, once the transaction that stores it is over."""
    try:
        insert(connection, flavor)
    except exception.AlreadyExists:
        connection.rollback()
        return _read(connection, _SELECT.where(FLAVORS.c.flavorid == flavor.id)) == flavor
    return False
