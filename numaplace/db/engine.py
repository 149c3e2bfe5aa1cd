# SPDX-License-Identifier: Apache-2.0
"""Opens databases: URLs, connections, and how a transaction begins on each of them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from numaplace import exception

__all__ = ['create', 'default_url', 'describe', 'is_race', 'open_url', 'reader', 'unknown', 'writer']

#: Drivers of the plain forms; SQLAlchemy's own choices change with its releases.
_DRIVERS = {
    'sqlite': 'sqlite+pysqlite',
    'mysql': 'mysql+pymysql',
    'mariadb': 'mysql+pymysql',
    'postgresql': 'postgresql+psycopg2',
}
_FORMS = 'sqlite:///FILE, mysql+pymysql://USER:PASSWORD@HOST/NAME or postgresql+psycopg2://USER:PASSWORD@HOST/NAME'
#: Seconds until a server that does not answer is given up.
_CONNECT_TIMEOUT = 5
#: Seconds that a transaction waits for another one that writes.
_LOCK_TIMEOUT = 30
_WAIT = {'mysql': 'SET SESSION innodb_lock_wait_timeout = %d', 'postgresql': "SET lock_timeout = '%ds'"}
#: MariaDB: deadlock, lock wait timeout, record changed since the snapshot.
_MYSQL_RACES = frozenset({1213, 1205, 1020})
#: PostgreSQL: serialization failure, deadlock, lock timeout.
_POSTGRESQL_RACES = frozenset({'40001', '40P01', '55P03'})


def default_url() -> str:
    """Return the URL of the SQLite file in the user's data directory (``XDG_DATA_HOME``)."""
    home = os.environ.get('XDG_DATA_HOME')
    directory = Path(home) if home and Path(home).is_absolute() else Path.home() / '.local' / 'share'
    return URL.create('sqlite', database=str(directory / 'numaplace' / 'numaplace.sqlite')).render_as_string()


def describe(url: URL) -> str:
    """Return a URL as messages show it: without password and options."""
    return url.set(query={}).render_as_string(hide_password=True)


def unknown(url: URL, error: object) -> exception.UnknownDatabase:
    """Return the fault for a database that cannot be used, in one line."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    text = ' '.join(str(cause).split())
    if getattr(cause, 'sqlite_errorname', '').startswith('SQLITE_CANTOPEN'):
        text += '; expected a file in a directory that exists and can be written'
    if url.password:
        text = text.replace(str(url.password), '***')
    return exception.UnknownDatabase(f'database {describe(url)}: {text}')


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
        raise exception.UnknownDatabase(f'database {describe(url)}: {backend!r} is not supported: expected {_FORMS}')
    driver = url.drivername.partition('+')[2]
    default = _DRIVERS[backend]
    # MariaDB's own dialect would not take the options and types that are named for mysql.
    return url.set(drivername=f'{default.partition("+")[0]}+{driver}' if driver else default)


def create(url: URL) -> Engine:
    """Return an engine; nothing is opened yet.

    :raises: :class:`~numaplace.exception.UnknownDatabase` if the driver is not installed
    """
    sqlite = url.get_backend_name() == 'sqlite'
    options = {'timeout': _LOCK_TIMEOUT} if sqlite else {'connect_timeout': _CONNECT_TIMEOUT}
    try:
        engine = sa.create_engine(url, connect_args=options, pool_pre_ping=not sqlite)
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise unknown(url, f'the driver {url.drivername!r} is not installed ({error})') from None
    except (ArgumentError, TypeError) as error:
        raise unknown(url, error) from None
    if sqlite:
        event.listen(engine, 'connect', _set_up_sqlite)
        event.listen(engine, 'begin', _begin_sqlite)
    else:
        event.listen(engine, 'connect', _set_up_server(_WAIT[engine.dialect.name] % _LOCK_TIMEOUT))
    return engine


def _set_up_server(statement: str) -> Callable[[Any, object], None]:
    def set_up(connection: Any, _record: object) -> None:
        connection.cursor().execute(statement)
        connection.commit()

    return set_up


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
    if engine.dialect.name == 'sqlite':
        return engine
    return engine.execution_options(isolation_level='REPEATABLE READ')


def writer(engine: Engine) -> Engine:
    """Return an engine whose transactions write: they see what others committed, and guard what they replace."""
    if engine.dialect.name == 'sqlite':
        return engine.execution_options(writes=True)
    return engine.execution_options(isolation_level='READ COMMITTED')


def is_race(error: DBAPIError) -> bool:
    """Return whether an error means that another transaction was in the way, so that a repetition may succeed."""
    cause: Any = error.orig
    if getattr(cause, 'sqlite_errorname', '').startswith('SQLITE_BUSY'):
        return True
    if getattr(cause, 'pgcode', None) in _POSTGRESQL_RACES:
        return True
    return bool(getattr(cause, 'args', ())) and cause.args[0] in _MYSQL_RACES
