# SPDX-License-Identifier: Apache-2.0
"""Makes the database fail at one moment of what this process does with it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pymysql
import sqlalchemy as sa
from sqlalchemy.engine import RootTransaction

__all__ = ['ANSWERED', 'KINDS', 'Fault', 'failure', 'interrupt', 'loss', 'race']

#: Names of the moments that are no statements: before SQLAlchemy commits, before the database does, and after.
ENDING, COMMIT, ANSWERED = 'ending', 'commit', 'answered'
#: What stands before a statement that was executed, and whose rows wait to be read.
EXECUTED = 'executed: '

#: Raises; is given the driver's connection.
Kind = Callable[[Any], None]


def failure(connection: Any) -> None:
    """Fail as an SQLite does whose disk is full."""
    raise sqlite3.OperationalError('database or disk is full')


def interrupt(connection: Any) -> None:
    """Fail as somebody's Ctrl-C would."""
    raise KeyboardInterrupt


def race(connection: Any) -> None:
    """Fail as a database does whose other transactions are in the way."""
    module = type(connection).__module__.partition('.')[0]
    if module == 'sqlite3':
        error = sqlite3.OperationalError('database is locked')
        error.sqlite_errorname = 'SQLITE_BUSY'
        raise error
    if module == 'pymysql':
        raise pymysql.err.OperationalError(1213, 'Deadlock found when trying to get lock; try restarting transaction')
    # PostgreSQL's error has its code from the server alone.
    connection.cursor().execute("DO $$ BEGIN RAISE EXCEPTION 'could not serialize' USING ERRCODE = '40001'; END $$")


def loss(connection: Any) -> None:
    """Let the server end the connection, and find out."""
    is_mysql = type(connection).__module__.startswith('pymysql')
    try:
        connection.cursor().execute(
            f'KILL {connection.thread_id()}' if is_mysql else 'SELECT pg_terminate_backend(pg_backend_pid())'
        )
    finally:
        connection.cursor().execute('SELECT 1')


#: Kinds that make sense on a database.
KINDS: dict[str, tuple[Kind, ...]] = {
    'sqlite': (failure, interrupt, race),
    'mysql': (loss, interrupt, race),
    'postgresql': (loss, interrupt, race),
}


class Fault:
    """A fault at the so-and-so-manieth moment: a statement begins, the database commits, or has committed.

    An interrupt comes at others too: whenever the interpreter looks for it.

    :ivar struck: the moment at which it happened: a statement, or one of the others; None if there are not so many
    """

    def __init__(self, kind: Kind, number: int) -> None:
        self.struck: str | None = None
        self._kind = kind
        self._left = number

    @contextmanager
    def armed(self, dialect: sa.Dialect) -> Iterator[Fault]:
        """Let it happen to the connections of a dialect."""
        original = type(dialect).do_commit

        def do_commit(self_: sa.Dialect, connection: Any) -> None:
            self._pass(COMMIT, connection.driver_connection)
            original(self_, connection)
            if self._kind is not race:  # which is over by then
                self._pass(ANSWERED, connection.driver_connection)

        end: Any = RootTransaction._connection_commit_impl

        def commit(transaction: Any) -> None:
            self._pass(ENDING, None)
            end(transaction)

        listeners = {'do_execute': self._execute, 'do_execute_no_params': self._execute}
        if self._kind is interrupt:
            listeners['after_cursor_execute'] = self._executed
            RootTransaction._connection_commit_impl = commit  # type: ignore[method-assign]
        for name, listener in listeners.items():
            sa.event.listen(sa.Engine, name, listener)
        type(dialect).do_commit = do_commit
        try:
            yield self
        finally:
            type(dialect).do_commit = original
            RootTransaction._connection_commit_impl = end  # type: ignore[method-assign]
            for name, listener in listeners.items():
                sa.event.remove(sa.Engine, name, listener)

    def _execute(self, cursor: Any, statement: str, *_rest: Any) -> None:
        self._pass(statement, cursor.connection)

    def _executed(self, _connection: Any, cursor: Any, statement: str, *_rest: Any) -> None:
        self._pass(EXECUTED + statement, cursor.connection)

    def _pass(self, moment: str, connection: Any) -> None:
        self._left -= 1
        if self._left == -1 and self.struck is None:
            self.struck = moment
            self._kind(connection)
