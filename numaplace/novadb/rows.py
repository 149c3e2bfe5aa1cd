# SPDX-License-Identifier: Apache-2.0
"""Values of Nova's rows: JSON columns and the numbers beside them, each with what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from numaplace import exception
from numaplace.model import Flavor

__all__ = ['UNREADABLE', 'flavor', 'number', 'select', 'text', 'utc', 'whole']

#: What is raised for a row that cannot be read.
UNREADABLE = (exception.InvalidObject, exception.IncompatibleObjectVersion)
#: Rows that a server sends at a time.
_BATCH = 500
_LARGEST = 2**53


def select(connection: Connection, query: str, **values: Any) -> Iterator[sa.Row[Any]]:
    """Yield the rows of a query, which are never all in memory.

    :param query: names that are words of SQL are in double quotes, whatever the database wants
    """
    if connection.dialect.name == 'mysql':
        query = query.replace('"', '`')
    yield from connection.execution_options(yield_per=_BATCH).execute(sa.text(query), values)


def whole(value: Any, column: str) -> int:
    """Read an amount.

    :raises: :class:`~numaplace.exception.InvalidObject` unless it is a whole number from 0
    """
    if type(value) is int and 0 <= value <= _LARGEST:
        return value
    raise exception.InvalidObject(f'{column} is {value!r:.60}: expected a whole number from 0')


def number(value: Any, column: str) -> float | None:
    """Read a ratio; 0 and NULL stand for none.

    :raises: :class:`~numaplace.exception.InvalidObject` unless it is a number
    """
    if value is None:
        return None
    if isinstance(value, int | float) and 0 <= value < float('inf'):
        return float(value) or None
    raise exception.InvalidObject(f'{column} is {value!r:.60}: expected a number from 0')


def utc(value: Any) -> datetime | None:
    """Return a time of a row, which Nova stores in UTC; None for what is none."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else None


def text(value: Any, column: str) -> Any:
    """Parse JSON of any form.

    :raises: :class:`~numaplace.exception.InvalidObject`
    """
    try:
        return json.loads(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise exception.InvalidObject(f'{column} is not JSON: {error}'[:200]) from None


def flavor(source: Any, column: str) -> Flavor:
    """Read a Flavor object of Nova.

    :raises: :class:`~numaplace.exception.InvalidObject`
    """
    data = source.get('nova_object.data') if isinstance(source, Mapping) else None
    if not isinstance(data, Mapping):
        raise exception.InvalidObject(f'{column}: expected a Flavor of Nova')
    specs = data.get('extra_specs') or {}
    if not isinstance(specs, Mapping) or not all(isinstance(word, str) for pair in specs.items() for word in pair):
        raise exception.InvalidObject(f'{column}: extra_specs is {specs!r:.60}: expected an object of name to string')
    return Flavor(
        name=str(data.get('name')),
        vcpus=whole(data.get('vcpus'), f'{column}: vcpus'),
        memory_mib=whole(data.get('memory_mb'), f'{column}: memory_mb'),
        disk_gib=whole(data.get('root_gb') or 0, f'{column}: root_gb'),
        extra_specs=dict(specs),
        id=str(data.get('flavorid')),
        swap_mib=whole(data.get('swap') or 0, f'{column}: swap'),
        ephemeral_gib=whole(data.get('ephemeral_gb') or 0, f'{column}: ephemeral_gb'),
        is_public=bool(data.get('is_public', True)),
    )
