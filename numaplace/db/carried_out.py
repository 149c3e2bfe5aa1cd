# SPDX-License-Identifier: Apache-2.0
"""What was done of requests that may be delivered twice, within a transaction."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from numaplace import exception
from numaplace.db import rows
from numaplace.db.tables import CARRIED_OUT

__all__ = ['find', 'forget', 'key', 'record']


def key(request_uuid: str, server_uuid: str) -> str:
    """Return the UUID that stands for what a request does to a server."""
    return str(uuid.uuid5(uuid.UUID(request_uuid), server_uuid))


def record(connection: Connection, keys: Iterable[str]) -> None:
    """Record that something is done; another process that does one of these at the same time waits.

    :raises: :class:`~numaplace.exception.AlreadyCarriedOut`
    """
    try:
        rows.insert_all(connection, CARRIED_OUT, [{'uuid': each} for each in keys], known='')
    except exception.AlreadyExists:
        raise exception.AlreadyCarriedOut('this request was carried out before') from None


def find(connection: Connection, keys: Iterable[str]) -> set[str]:
    """Return which of these are recorded."""
    return set(connection.scalars(sa.select(CARRIED_OUT.c.uuid).where(CARRIED_OUT.c.uuid.in_(list(keys)))))


def forget(connection: Connection, before: datetime) -> None:
    """Delete what was recorded before a moment."""
    connection.execute(sa.delete(CARRIED_OUT).where(CARRIED_OUT.c.created_at < before.replace(tzinfo=None)))
