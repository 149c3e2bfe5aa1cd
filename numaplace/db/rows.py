# SPDX-License-Identifier: Apache-2.0
"""Helpers for the rows of every table: valid names, inserts, guards, and rows that cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any, TypeAlias, TypeVar

import sqlalchemy as sa
from oslo_db import exception as oslo_db
from sqlalchemy.engine import Connection

from numaplace import exception
from numaplace.db import faults

__all__ = ['UNREADABLE', 'Unread', 'cause', 'check_guard', 'insert', 'insert_all', 'is_gone', 'read_all', 'unreadable']

R = TypeVar('R')
T = TypeVar('T')

#: Rows that cannot be read, by name or UUID, each with what is wrong with it.
Unread: TypeAlias = dict[str, exception.NumaplaceException]

#: What is raised for a row that cannot be read.
UNREADABLE = (exception.InvalidObject, exception.UsageInvalid)


def insert(connection: Connection, table: sa.Table, values: Mapping[str, Any], *, known: str) -> int:
    """Store a new row; another process that stores the same one at the same time waits.

    :param known: the message if a unique column has a value that is stored already
    :returns: its number
    :raises: :class:`~numaplace.exception.AlreadyExists`
    """
    with _known(known):
        key: Any = connection.execute(_insert_into(table), values).inserted_primary_key
    return int(key[0])


def insert_all(connection: Connection, table: sa.Table, several: Sequence[Mapping[str, Any]], *, known: str) -> None:
    """Store new rows, as :func:`insert`."""
    with _known(known):
        connection.execute(_insert_several(table), several)


@contextmanager
def _known(message: str) -> Iterator[None]:
    try:
        yield
    except oslo_db.DBError as error:
        if not faults.is_duplicate(error):
            raise
        raise exception.AlreadyExists(message) from None


# Made once for each table: SQLAlchemy caches what it derives from a statement with it.
_insert_into = lru_cache(maxsize=None)(sa.insert)


@cache
def _insert_several(table: sa.Table) -> sa.Insert:
    return sa.insert(table).inline()  # nobody asks for the numbers


def check_guard(result: sa.CursorResult[Any], what: str) -> None:
    """Make sure that a guarded statement found its row.

    :raises: :class:`~numaplace.exception.ConcurrentUpdate`
    """
    if result.rowcount != 1:
        raise exception.ConcurrentUpdate(f'{what} was changed by another transaction')


def is_gone(connection: Connection, criterion: sa.ColumnElement[bool]) -> bool:
    """Return whether there is no such row, once all transactions that change it are over."""
    return connection.execute(sa.select(sa.literal(1)).where(criterion).with_for_update()).first() is None


def read_all(
    found: Iterable[R], read: Callable[[R], T], name: Callable[[R], tuple[object, str]], unread: Unread | None
) -> list[T]:
    """Return the records of rows; one that cannot be read does not stop the others.

    :param read: returns the record of a row
    :param name: returns the key of a row in `unread`, and what it is called in the message
    :param unread: collects the rows that cannot be read; without it the first one raises
    :raises: :class:`~numaplace.exception.InvalidObject`, :class:`~numaplace.exception.UsageInvalid`
    """
    records = []
    for row in found:
        try:
            records.append(read(row))
        except UNREADABLE as error:
            key, what = name(row)
            fault = unreadable(what, error)
            if unread is None:
                raise fault from error
            unread[str(key)] = fault
    return records


def unreadable(row: str, error: exception.NumaplaceException) -> exception.NumaplaceException:
    """Return the fault of a row that cannot be read."""
    fault = type(error)(f'{row}: its row cannot be read: {error}')
    fault.__cause__ = error
    return fault


def cause(fault: BaseException) -> str:
    """Return why a row cannot be read, without its name."""
    return str(fault.__cause__ or fault)
