# SPDX-License-Identifier: Apache-2.0
"""The names in a database, for completion: read quickly, without creating anything."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from numaplace.db import engine as engines
from numaplace.db.tables import AGGREGATES, FLAVORS, HOSTS, INSTANCES, SERVER_GROUPS

__all__ = ['KINDS', 'names']

_COLUMNS = {
    'aggregate': AGGREGATES.c.name,
    'flavor': FLAVORS.c.name,
    'group': SERVER_GROUPS.c.name,
    'host': HOSTS.c.host,
    'server': INSTANCES.c.display_name,
    'zone': HOSTS.c.availability_zone,
}
#: What has names.
KINDS = tuple(_COLUMNS)


def names(url: str | None, kind: str, start: str = '', most: int = 1000) -> list[str]:
    """Return the names of one kind that begin with a text, sorted and unique; none if the file does not exist.

    :param url: as for :func:`numaplace.db.api.connect`; the tables are not checked
    :param kind: one of KINDS
    :param most: how many are returned
    :raises: :class:`~numaplace.exception.UnknownDatabase`, and the errors of oslo.db
    """
    opened = engines.open_url(url or engines.default_url())
    if opened.get_backend_name() == 'sqlite' and not Path(opened.database or '').is_file():
        return []
    column = _COLUMNS[kind]
    query = sa.select(column).where(column.startswith(start, autoescape=True)).distinct().order_by(column).limit(most)
    engine = engines.create(opened)
    try:
        with engine.connect() as connection:
            return [name for name in connection.scalars(query) if isinstance(name, str)]
    finally:
        engine.dispose()
