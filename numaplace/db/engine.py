# SPDX-License-Identifier: Apache-2.0
"""Opens databases: URLs, connections, and how a transaction begins on each of them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from oslo_db.sqlalchemy import exc_filters
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from numaplace import exception
from numaplace.db import faults

__all__ = ['create', 'default_url', 'open_url', 'reader', 'writer']

#: Drivers of the plain forms; SQLAlchemy's own choices change with its releases.
_DRIVERS = {
    'sqlite': 'sqlite+pysqlite',
    'mysql': 'mysql+pymysql',
    'mariadb': 'mysql+pymysql',
    'postgresql': 'postgresql+psycopg2',
}
_FORMS = 'sqlite:///FILE, mysql+pymysql://USER:PASSWORD@HOST/NAME or postgresql+psycopg2://USER:PASSWORD@HOST/NAME'
#: Options of connections, unless the URL has them: seconds until a server that does not answer is given up, and text.
_QUERY = {
    'mysql': {'connect_timeout': '5', 'charset': 'utf8mb4'},
    'postgresql': {'connect_timeout': '5'},
}
#: Seconds that a transaction waits for another one that writes.
_LOCK_TIMEOUT = 30
#: What each session of a server begins with.
_SET_UP = {
    'mysql': (
        f'SET SESSION innodb_lock_wait_timeout = {_LOCK_TIMEOUT}',
        'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED',
    ),
    'postgresql': (
        f"SET lock_timeout = '{_LOCK_TIMEOUT}s'",
        'SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED',
    ),
}


def default_url() -> str:
    """Return the URL of the SQLite file in the user's data directory (``XDG_DATA_HOME``)."""
    home = os.environ.get('XDG_DATA_HOME')
    directory = Path(home) if home and Path(home).is_absolute() else Path.home() / '.local' / 'share'
    return URL.create('sqlite', database=str(directory / 'numaplace' / 'numaplace.sqlite')).render_as_string()


def open_url(text: str) -> URL:
    """Parse a URL and name its driver.

    :raises: :class:`~numaplace.exception.UnknownDatabase` if it is none of SQLite, MariaDB or PostgreSQL
    """
    try:
        url = sa.make_url(text)
    except (ArgumentError, ValueError):
        shown = re.sub(r'^(\w[\w+.-]*://)?.*@', r'\1***@', text, flags=re.DOTALL)
        raise exception.UnknownDatabase(f'database {shown!r} is no URL: expected {_FORMS}') from None
    backend = url.get_backend_name()
    if backend not in _DRIVERS:
        raise exception.UnknownDatabase(
            f'database {faults.describe(url)}: {backend!r} is not supported: expected {_FORMS}'
        )
    driver = url.drivername.partition('+')[2]
    default = _DRIVERS[backend]
    # MariaDB's own dialect would not take the options and types that are named for mysql.
    return url.set(drivername=f'{default.partition("+")[0]}+{driver}' if driver else default)


def create(url: URL) -> Engine:
    """Return an engine whose errors are oslo.db's; nothing is opened yet.

    :raises: :class:`~numaplace.exception.UnknownDatabase` if the driver is not installed
    """
    try:
        return _create_sqlite(url) if url.get_backend_name() == 'sqlite' else _create_server(url)
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise faults.unknown(url, f'the driver {url.drivername!r} is not installed ({error})') from None
    except (ArgumentError, TypeError) as error:
        raise faults.unknown(url, error) from None


def _create_sqlite(url: URL) -> Engine:
    """Return an engine for a file.

    Not by oslo.db, which opens the file anew for each transaction: whoever closes it last writes the whole journal
    back, at several times the cost of a claim.
    """
    engine = sa.create_engine(url, connect_args={'timeout': _LOCK_TIMEOUT})
    exc_filters.register_engine(engine)
    event.listen(engine, 'connect', _set_up_sqlite)
    event.listen(engine, 'begin', _begin_sqlite)
    return engine


def _create_server(url: URL) -> Engine:
    from oslo_db.sqlalchemy import engines  # noqa: PLC0415 - a file must not pay for the dialects of servers

    name = url.get_backend_name()
    engine: Engine = engines.create_engine(
        url.set(query=_QUERY[name] | url.query),
        # Whoever opens a database wants to know at once that it is not there; see numaplace.db.retry for the others.
        max_retries=0,
        mysql_sql_mode='TRADITIONAL',
        thread_checkin=False,
    )
    event.listen(engine, 'connect', _set_up_server(_SET_UP[name]))
    if name == 'mysql':
        event.listen(engine, 'begin', _begin_mysql)
    return engine


def _set_up_server(statements: Sequence[str]) -> Callable[[Any, object], None]:
    def set_up(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        cursor.close()
        connection.commit()

    return set_up


def _begin_mysql(connection: Connection) -> None:
    # For one transaction, while the session stays at READ COMMITTED: SQLAlchemy's own way costs four more statements.
    if connection.get_execution_options().get('reads', False):
        connection.exec_driver_sql('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ')


def _set_up_sqlite(connection: Any, _record: object) -> None:
    # Else the driver begins transactions by itself, deferred and not before tables are created.
    connection.isolation_level = None
    connection.execute('PRAGMA foreign_keys = ON')


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later fails at once if another one wrote in between,
    # whatever the timeout; one that begins as a writer waits.
    writes = connection.get_execution_options().get('writes', False)
    connection.exec_driver_sql('BEGIN IMMEDIATE' if writes else 'BEGIN')


def reader(engine: Engine) -> Engine:
    """Return an engine whose transactions see the database at one moment."""
    if engine.dialect.name == 'postgresql':
        return engine.execution_options(isolation_level='REPEATABLE READ')
    return engine.execution_options(reads=True)


def writer(engine: Engine) -> Engine:
    """Return an engine whose transactions write: they see what others committed, and guard what they replace."""
    return engine.execution_options(writes=True)
