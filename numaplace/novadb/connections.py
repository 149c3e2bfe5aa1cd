# SPDX-License-Identifier: Apache-2.0
"""Open Nova's databases for reading: URLs, templates of URLs, and one consistent snapshot of each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from numaplace import exception

__all__ = ['snapshot', 'url_of_cell']

#: Seconds to wait for a server that does not answer.
_PATIENCE_S = 10
#: How a read-only transaction that sees one moment begins, by kind of database: options of SQLAlchemy, and statements.
_BEGIN: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    'sqlite': ({'isolation_level': 'AUTOCOMMIT'}, ('PRAGMA query_only = ON', 'BEGIN')),
    'mysql': (
        {'isolation_level': 'AUTOCOMMIT'},
        (
            'SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ',
            'START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY',
        ),
    ),
    'postgresql': ({'isolation_level': 'REPEATABLE READ', 'postgresql_readonly': True}, ()),
}
_FORMS = 'mysql+pymysql://USER:PASSWORD@HOST/NAME or postgresql+psycopg2://USER:PASSWORD@HOST/NAME'


def url_of_cell(text: str, main: str | None) -> str:
    """Return the URL of a cell's database; a mapping may be a template, which the main database's URL fills in.

    Source: Nova's documentation of "Template URLs in Cell Mappings".

    :param main: ``[database] connection``
    :raises: :class:`~numaplace.exception.UnknownDatabase` for a template that cannot be filled in
    """
    if '{' not in text:
        return text
    if not main:
        raise exception.UnknownDatabase(
            'its URL is a template, which needs [database] connection: expected that option in the nova.conf'
        )
    parts = urlsplit(main)
    try:
        return text.format(
            scheme=parts.scheme,
            username=parts.username,
            password=parts.password,
            hostname=parts.hostname,
            port=parts.port,
            path=parts.path.lstrip('/'),
            query=parts.query,
            fragment=parts.fragment,
        )
    except (KeyError, IndexError, ValueError) as error:
        raise exception.UnknownDatabase(f'its URL is a template with an unknown part: {error}') from None


@contextmanager
def snapshot(url: str) -> Iterator[Connection]:
    """Yield a connection to a database in a read-only transaction that sees one moment.

    :raises: :class:`~numaplace.exception.UnknownDatabase` if it cannot be opened or read; no password is shown
    """
    engine = _engine(url)
    try:
        options, statements = _BEGIN[engine.dialect.name]
        with engine.connect().execution_options(**options) as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
            yield connection
    except SQLAlchemyError as error:
        raise exception.UnknownDatabase(f'{engine.url!r}: {_reason(error)}') from None
    finally:
        engine.dispose()


def _engine(text: str) -> Engine:
    try:
        url = sa.make_url(text)
        kind = url.get_backend_name()
        if kind not in _BEGIN:
            raise ArgumentError('')
        return sa.create_engine(url, poolclass=sa.NullPool, connect_args=_arguments(url, kind))
    except ArgumentError:
        raise exception.UnknownDatabase(f'not the URL of a database: expected {_FORMS}') from None
    except (NoSuchModuleError, ImportError) as error:
        raise exception.UnknownDatabase(f'there is no driver for it here ({error}): expected {_FORMS}') from None


def _arguments(url: URL, kind: str) -> dict[str, Any]:
    return {} if kind == 'sqlite' or 'connect_timeout' in url.query else {'connect_timeout': _PATIENCE_S}


def _reason(error: SQLAlchemyError) -> str:
    original = getattr(error, 'orig', None) or error
    words = original.args[-1] if original.args else original
    return ' '.join(str(words).split()) or type(original).__name__
