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
from sqlalchemy.engine import URL, Connection, Engine, ExceptionContext, RootTransaction
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from numaplace import exception
from numaplace.db import faults
from numaplace.db.statements import execute

__all__ = ['begin', 'create', 'default_url', 'open_url']

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
#: What each session of a server begins with, where %d is that number.
_SET_UP = {
    'mysql': (
        'SET SESSION innodb_lock_wait_timeout = %d',
        'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED',
    ),
    'postgresql': (
        "SET lock_timeout = '%ds'",
        'SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED',
    ),
}

#: What a transaction begins with. On SQLite, one that reads first and writes later fails at once if another one wrote
#: in between, whatever the timeout; one that begins as a writer waits.
_BEGIN = {'sqlite': 'BEGIN IMMEDIATE'}
#: For one transaction, while the session stays as it was set up: SQLAlchemy's own way costs statements beside, on
#: PostgreSQL also in the transactions that come after.
_BEGIN_READER = {
    'sqlite': 'BEGIN',
    'mysql': 'SET TRANSACTION ISOLATION LEVEL REPEATABLE READ',
    'postgresql': 'SET TRANSACTION ISOLATION LEVEL REPEATABLE READ',
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
    """Return an engine whose errors are oslo.db's; nothing is opened yet. See :func:`begin` for its transactions.

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
    if url.database in (None, '', ':memory:'):
        raise faults.unknown(url, 'it would be gone with the command; expected sqlite:///FILE')
    # Connections that wait for their next transaction are not counted: see numaplace.db.api.
    engine = sa.create_engine(url, connect_args={'timeout': _LOCK_TIMEOUT}, max_overflow=-1)
    # What else oslo.db registers is for savepoints, and listeners of an engine cost each statement some of its time.
    event.listen(engine, 'handle_error', exc_filters.handler, retval=True)
    event.listen(engine, 'handle_error', _keep_connected)
    event.listen(engine, 'connect', _set_up_sqlite)
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
    waiting, isolation = _SET_UP[name]
    event.listen(engine, 'connect', _set_up_server([waiting % _LOCK_TIMEOUT, isolation]))
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
    # SQLAlchemy takes an interrupt for a lost connection, and closes it before its cursor: then the file stays locked
    # for as long as anybody has the traceback.
    if not isinstance(context.original_exception, Exception):
        context.is_disconnect = False


def _set_up_sqlite(connection: Any, _record: object) -> None:
    # Else the driver begins transactions by itself, deferred and not before tables are created.
    connection.isolation_level = None
    connection.execute('PRAGMA foreign_keys = ON')


def begin(connection: Connection, *, reads: bool = False) -> RootTransaction:
    """Begin a transaction that sees what others committed, and guards what it replaces.

    Not by an event of the engine: where there is one, each statement asks for all that there could be.

    :param reads: it writes nothing, and sees the database at one moment
    """
    transaction = connection.begin()
    text = (_BEGIN_READER if reads else _BEGIN).get(connection.dialect.name)
    if text is not None:
        execute(connection, text)
    return transaction
