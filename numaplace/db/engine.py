# SPDX-License-Identifier: Apache-2.0
"""Open databases: URLs, connections, and how a transaction begins on each kind of database."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from oslo_db.sqlalchemy import exc_filters
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, ExceptionContext, RootTransaction
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from numaplace import exception
from numaplace.db import faults

__all__ = ['begin', 'create', 'default_file', 'default_url', 'open_url']

#: Drivers of the plain forms; SQLAlchemy's own choices change with its releases.
_DRIVERS = {
    'sqlite': 'sqlite+pysqlite',
    'mysql': 'mysql+pymysql',
    'mariadb': 'mysql+pymysql',
    'postgresql': 'postgresql+psycopg2',
}
_FORMS = 'sqlite:///FILE, mysql+pymysql://USER:PASSWORD@HOST/NAME or postgresql+psycopg2://USER:PASSWORD@HOST/NAME'
#: Options of connections, unless the URL has them: seconds to wait for a server that does not answer, and charset.
_QUERY = {
    'mysql': {'connect_timeout': '5', 'charset': 'utf8mb4'},
    'postgresql': {'connect_timeout': '5'},
}
#: Seconds that a transaction waits for another writer.
_LOCK_TIMEOUT = 30
#: Options of the pools, by kind of database.
_OPTIONS: dict[str, dict[str, Any]] = {
    # Connections that wait for their next transaction are not counted: see numaplace.db.api.
    'sqlite': {'max_overflow': -1},
    'mysql': {'pool_pre_ping': True, 'pool_recycle': 3600},
    'postgresql': {'pool_pre_ping': True, 'pool_recycle': 3600, 'client_encoding': 'utf8'},
}
#: The first statements of each session on a server, where %(wait)d is that number of seconds.
_SET_UP = {
    'mysql': (
        "SET SESSION sql_mode = 'TRADITIONAL'",
        'SET SESSION innodb_lock_wait_timeout = %(wait)d',
        'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED',
    ),
    'postgresql': (
        "SET lock_timeout = '%(wait)ds'",
        'SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED',
    ),
}

#: The first statement of a transaction on SQLite. One that reads first and writes later fails immediately if another
#: one wrote in between, whatever the timeout; one that begins as a writer waits.
_BEGIN_FILE_WRITER = 'BEGIN IMMEDIATE'
#: Milliseconds after which a writer of a file begins to wait anew: see :func:`_begin_file_writer`.
_FILE_WAIT_MS = 3
#: For one transaction; the session's settings stay. SQLAlchemy's own way costs additional statements, on PostgreSQL
#: also in later transactions.
_BEGIN_READER = {
    'sqlite': 'BEGIN',
    'mysql': 'SET TRANSACTION ISOLATION LEVEL REPEATABLE READ',
    'postgresql': 'SET TRANSACTION ISOLATION LEVEL REPEATABLE READ',
}


def default_file() -> Path | None:
    """Return the SQLite file in the user's data directory (``XDG_DATA_HOME``), or None for a user without a home."""
    home = os.environ.get('XDG_DATA_HOME')
    directory = Path(home) if home and Path(home).is_absolute() else None
    if directory is None and os.environ.get('HOME') != '':
        with suppress(RuntimeError):  # neither HOME nor an entry of the user
            directory = Path.home() / '.local' / 'share'
    return directory / 'numaplace' / 'numaplace.sqlite' if directory and directory.is_absolute() else None


def default_url() -> str:
    """Return the URL of the default file.

    :raises: :class:`~numaplace.exception.UnknownDatabase` if the user has no home
    """
    file = default_file()
    if file is None:
        raise exception.UnknownDatabase(
            'the default database is a file in your home directory, which is not known: set HOME or XDG_DATA_HOME to '
            'the absolute path of a directory, or name a database by --database URL or [numaplace] connection'
        )
    return URL.create('sqlite', database=str(file)).render_as_string()


def open_url(text: str) -> URL:
    """Parse a URL and name its driver.

    :raises: :class:`~numaplace.exception.UnknownDatabase` if it is not SQLite, MariaDB or PostgreSQL
    """
    try:
        url = sa.make_url(text)
    except (ArgumentError, ValueError):
        shown = re.sub(r'^(\w[\w+.-]*://)?.*@', r'\1***@', text, flags=re.DOTALL)
        raise exception.UnknownDatabase(f'database {shown!r} is not a URL: expected {_FORMS}') from None
    backend = url.get_backend_name()
    if backend not in _DRIVERS:
        raise exception.UnknownDatabase(
            f'database {faults.describe(url)}: {backend!r} is not supported: expected {_FORMS}'
        )
    driver = url.drivername.partition('+')[2]
    default = _DRIVERS[backend]
    # MariaDB's own dialect would ignore the options and types for mysql.
    return url.set(drivername=f'{default.partition("+")[0]}+{driver}' if driver else default)


def create(url: URL) -> Engine:
    """Return an engine that raises oslo.db's errors; nothing is opened yet. See :func:`begin` for its transactions.

    oslo.db's own function reopens a file for each transaction, and the last one to close it writes the whole journal
    back, which costs several times as much as a claim. On a server, its pool adds a rollback after each commit.

    :raises: :class:`~numaplace.exception.UnknownDatabase` if the driver is not installed
    """
    name = url.get_backend_name()
    if name == 'sqlite' and url.database in (None, '', ':memory:'):
        raise faults.unknown(url, 'it would be gone with the command; expected sqlite:///FILE')
    options = _OPTIONS[name] | ({'connect_args': {'timeout': _LOCK_TIMEOUT}} if name == 'sqlite' else {})
    try:
        # Each user of a connection ends its transaction, so the pool has nothing to roll back.
        engine = sa.create_engine(url.set(query=_QUERY.get(name, {}) | url.query), pool_reset_on_return=None, **options)
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise faults.unknown(url, f'the driver {url.drivername!r} is not installed ({error})') from None
    except (ArgumentError, TypeError) as error:
        raise faults.unknown(url, error) from None
    # oslo.db's other listeners are for savepoints, and each listener of an engine slows down every statement.
    event.listen(engine, 'handle_error', exc_filters.handler, retval=True)
    if name == 'sqlite':
        event.listen(engine, 'handle_error', _keep_connected)
        event.listen(engine, 'connect', _set_up_sqlite)
    else:
        event.listen(engine, 'connect', _set_up_server([text % {'wait': _LOCK_TIMEOUT} for text in _SET_UP[name]]))
    return engine


def _set_up_server(statements: Sequence[str]) -> Callable[[Any, object], None]:
    def set_up(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        cursor.close()
        connection.commit()

    return set_up


def _keep_connected(context: ExceptionContext) -> None:
    # SQLAlchemy treats an interrupt as a lost connection, and closes it before its cursor: then the file stays locked
    # as long as anything holds the traceback.
    if not isinstance(context.original_exception, Exception):
        context.is_disconnect = False


def _set_up_sqlite(connection: Any, _record: object) -> None:
    # Otherwise the driver begins transactions itself: deferred, and none before it creates tables.
    connection.isolation_level = None
    connection.text_factory = _text
    connection.execute('PRAGMA foreign_keys = ON')


def _text(stored: bytes) -> str | bytes:
    """Return a text of a file; bytes that are not UTF-8 would end the whole query."""
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return stored


def begin(connection: Connection, *, reads: bool = False) -> RootTransaction:
    """Begin a transaction that sees what others committed, and protects what it replaces.

    It is not an event of the engine: if there is one, each statement looks up all possible events.

    :param reads: it writes nothing, and sees the database as of one moment
    """
    transaction = connection.begin()
    name = connection.dialect.name
    if reads:
        connection.exec_driver_sql(_BEGIN_READER[name])
    elif name == 'sqlite':
        _begin_file_writer(connection)
    return transaction


def _begin_file_writer(connection: Connection) -> None:
    """Begin a transaction that writes a file; wait for those of others.

    SQLite does not queue writers: each tries again after pauses, which get longer from 1 to 100 ms, so those that have
    waited longest have the least chance. This wait starts with the shortest pause again and again.
    """
    driver: Any = connection.connection.driver_connection
    until = time.monotonic() + _LOCK_TIMEOUT
    driver.execute(f'PRAGMA busy_timeout = {_FILE_WAIT_MS}')
    try:
        while time.monotonic() < until:
            try:
                driver.execute(_BEGIN_FILE_WRITER)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    break
            else:
                return
        connection.exec_driver_sql(_BEGIN_FILE_WRITER)  # which raises SQLAlchemy's error
    finally:
        driver.execute(f'PRAGMA busy_timeout = {_LOCK_TIMEOUT * 1000}')
