# SPDX-License-Identifier: Apache-2.0
"""Statements that run again and again: compiled once, and run with the least that SQLAlchemy needs for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.util import EMPTY_DICT

__all__ = ['Answer', 'Statement', 'execute']


class Answer(NamedTuple):
    """What a statement did, in the driver's words.

    :param row: the first row that it returned, if it returned any
    """

    row: tuple[Any, ...] | None
    rowcount: int
    lastrowid: int | None


class _Context(DefaultExecutionContext):
    """One execution of one text whose parameters are the driver's already, and whose answer is read at once."""

    executemany = no_parameters = False

    def __init__(
        self, dialect: Dialect, connection: Connection, driver: Any, _options: object, text: str, parameters: Any
    ) -> None:
        self.dialect, self.root_connection = dialect, connection
        self.statement, self.parameters = text, [parameters]
        self.cursor = driver.cursor()

    def _setup_result_proxy(self) -> Any:
        cursor = self.cursor
        row = cursor.fetchone() if cursor.description else None
        answer = Answer(row, cursor.rowcount, cursor.lastrowid)
        cursor.close()
        return answer


def execute(connection: Connection, text: str, parameters: Any = ()) -> Answer:
    """Run a text.

    As :meth:`sqlalchemy.Connection.exec_driver_sql`, with the same events and the same errors, but what that makes of
    the answer takes longer than an SQLite file needs for the statement. So this calls what that calls.
    """
    run: Any = connection._execute_context
    answer: Answer = run(connection.dialect, _Context, text, parameters, EMPTY_DICT, text, parameters)
    return answer


class _Compiled(NamedTuple):
    """What is run on one database.

    :param parameters: names in the order of the text, each with what makes its value one of the driver's
    :param is_positional: whether the driver takes values by their order, not by their names
    """

    text: str
    parameters: tuple[tuple[str, Callable[[Any], Any] | None], ...]
    is_positional: bool


class Statement:
    """A statement that is compiled once for each database. No column takes a default of its table."""

    def __init__(self, construct: sa.Select[Any] | sa.Insert | sa.Update) -> None:
        self._construct = construct
        self._compiled: WeakKeyDictionary[Dialect, _Compiled] = WeakKeyDictionary()

    def run(self, connection: Connection, values: Mapping[str, Any]) -> Answer:
        """Run it.

        :param values: by names of columns and parameters, always the same ones
        """
        compiled = self._compiled.get(connection.dialect)
        if compiled is None:
            compiled = self._compiled[connection.dialect] = self._compile(connection.dialect, values)
        text, parameters, is_positional = compiled
        bound = [values[name] if process is None else process(values[name]) for name, process in parameters]
        if is_positional:
            return execute(connection, text, tuple(bound))
        return execute(connection, text, {name: value for (name, _), value in zip(parameters, bound, strict=True)})

    def _compile(self, dialect: Dialect, values: Mapping[str, Any]) -> _Compiled:
        compiled: Any = self._construct.compile(dialect=dialect, column_keys=list(values))
        names = compiled.positiontup if compiled.positional else list(compiled.params)
        types = {name: compiled.binds[name].type.dialect_impl(dialect) for name in names}
        parameters = tuple((name, types[name].bind_processor(dialect)) for name in names)
        return _Compiled(compiled.string, parameters, compiled.positional)
