# SPDX-License-Identifier: Apache-2.0
"""Translate the errors of databases and drivers to numaplace's exceptions.

oslo.db recognizes deadlocks (including those of Galera's certification), lost connections and duplicates by the texts
of drivers. Other errors are recognized here by codes, which no server translates.
"""

from __future__ import annotations

from typing import Any

from oslo_db import exception as oslo_db
from sqlalchemy.engine import URL
from sqlalchemy.exc import DataError, SQLAlchemyError

from numaplace import exception

__all__ = ['ERRORS', 'describe', 'fault', 'is_duplicate', 'unknown']

#: All errors of a database that may end a transaction.
ERRORS = (SQLAlchemyError, oslo_db.DBError, oslo_db.DBInvalidUnicodeParameter, OverflowError, UnicodeEncodeError)
#: PostgreSQL: serialization failure, deadlock, lock timeout.
_POSTGRESQL_RACES = frozenset({'40001', '40P01', '55P03'})
#: PostgreSQL: shut down, crashed, starting up. Class 08 means lost connections too.
_POSTGRESQL_GONE = frozenset({'57P01', '57P02', '57P03'})
_POSTGRESQL_DUPLICATE = '23505'
#: MariaDB: the record was changed since the transaction began; oslo.db before 18 does not know it.
_MYSQL_RACE = 1020
#: MariaDB: too many connections, shutting down, killed: oslo.db treats them as errors of the statement.
_MYSQL_GONE = frozenset({1040, 1053, 1317, 1927})


def describe(url: URL) -> str:
    """Return a URL as messages show it: without password and options."""
    return url.set(query={}).render_as_string(hide_password=True)


def unknown(url: URL, error: object) -> exception.UnknownDatabase:
    """Return the fault for a database that cannot be used, in one line."""
    return exception.UnknownDatabase(_line(url, error))


def fault(url: URL, error: BaseException) -> exception.NumaplaceException:
    """Return the fault for an error of the database, in one line."""
    cause = _cause(error)
    if isinstance(cause, exception.NumaplaceException):
        return cause
    if isinstance(error, oslo_db.DBDeadlock) or _is_race(cause):
        return exception.ConcurrentUpdate(f'database {describe(url)}: another transaction was in the way')
    if isinstance(error, oslo_db.DBConnectionError) or _is_gone(cause):
        return exception.LostConnection(_line(url, cause))
    if isinstance(cause, UnicodeEncodeError):
        return exception.Invalid(f'{cause.object!r} holds a character that is not text: a byte that is not UTF-8')
    if isinstance(cause, OverflowError) or _is_about_data(error):
        return exception.Invalid(f'a value is larger than the database holds: {" ".join(str(cause).split())}')
    return unknown(url, cause)


def is_duplicate(error: BaseException) -> bool:
    """Return whether an error says that a row of that name or id exists."""
    return isinstance(error, oslo_db.DBDuplicateEntry) or _sqlstate(_cause(error)) == _POSTGRESQL_DUPLICATE


def _line(url: URL, error: object) -> str:
    cause = _cause(error) if isinstance(error, BaseException) else error
    text = ' '.join(str(cause).split())
    if getattr(cause, 'sqlite_errorname', '').startswith('SQLITE_CANTOPEN'):
        text += '; expected a file in a directory that exists and can be written'
    if url.password:
        text = text.replace(str(url.password), '***')
    return f'database {describe(url)}: {text}'


def _cause(error: BaseException) -> BaseException:
    """Return the driver's error, which SQLAlchemy wraps, which oslo.db wraps."""
    if isinstance(error, oslo_db.DBInvalidUnicodeParameter):
        encoding: BaseException = error.__context__ or error
        return encoding
    inner: object = getattr(error, 'inner_exception', None) or getattr(error, 'orig', None)
    return _cause(inner) if isinstance(inner, BaseException) else error


def _sqlstate(cause: Any) -> str | None:
    """Return PostgreSQL's code of an error: psycopg2 and psycopg call it by different names."""
    state: str | None = getattr(cause, 'pgcode', None) or getattr(cause, 'sqlstate', None)
    return state


def _mysql_code(cause: BaseException) -> object:
    return cause.args[0] if cause.args else None


def _is_race(cause: BaseException) -> bool:
    busy: bool = getattr(cause, 'sqlite_errorname', '').startswith('SQLITE_BUSY')
    return busy or _sqlstate(cause) in _POSTGRESQL_RACES or _mysql_code(cause) == _MYSQL_RACE


def _is_gone(cause: BaseException) -> bool:
    state = _sqlstate(cause)
    if state is not None:
        return state in _POSTGRESQL_GONE or state.startswith('08')
    # libpq's own errors, such as a refused connection, have no code; all errors of a server have one.
    libpq = (
        type(cause).__module__.partition('.')[0].startswith('psycopg') and type(cause).__name__ == 'OperationalError'
    )
    return libpq or _mysql_code(cause) in _MYSQL_GONE


def _is_about_data(error: BaseException) -> bool:
    return isinstance(error, oslo_db.DBDataError) or isinstance(getattr(error, 'inner_exception', error), DataError)
