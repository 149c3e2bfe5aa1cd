# SPDX-License-Identifier: Apache-2.0
"""Sees which hosts each transaction of this process changed, and to which generation.

Every change of a host raises its generation by one, and it is read inside the transaction that holds the row. So the
generations order all changes of a host, whichever process made them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

__all__ = ['Watch', 'is_deadlock']


def is_deadlock(error: BaseException) -> bool:
    """Return whether a server ended a transaction because it and another one waited for each other."""
    return getattr(error, 'pgcode', None) == '40P01' or error.args[:1] == (1213,)


class Watch:
    """Collects ``{host name: generation}`` for each transaction that changed hosts.

    :param hosts: names by number
    :ivar commits: of those that were committed
    :ivar unanswered: of those whose commit failed
    :ivar deadlocks: number of transactions that the server ended because they waited for each other
    """

    def __init__(self, hosts: Mapping[int, str]) -> None:
        self.hosts = hosts
        self.commits: list[dict[str, int]] = []
        self.unanswered: list[dict[str, int]] = []
        self.deadlocks = 0
        self._changed: set[int] = set()
        self._committing = False

    @contextmanager
    def watching(self) -> Iterator[Watch]:
        """Watch all engines of this process."""
        hooks = {
            'before_cursor_execute': self._notice,
            'commit': self._commit,
            'begin': self._begin,
            'handle_error': self._fail,
        }
        for name, hook in hooks.items():
            sa.event.listen(sa.Engine, name, hook)
        try:
            yield self
        finally:
            for name, hook in hooks.items():
                sa.event.remove(sa.Engine, name, hook)

    def _notice(
        self, _connection: Any, _cursor: Any, statement: str, _parameters: Any, context: Any, *_rest: Any
    ) -> None:
        if statement.startswith('UPDATE compute_nodes'):
            (values,) = context.compiled_parameters
            assert values['read_number'] in self.hosts, f'the number of no host in {values}'
            self._changed.add(values['read_number'])

    def _begin(self, _connection: sa.Connection) -> None:
        self._changed, self._committing = set(), False

    def _commit(self, connection: sa.Connection) -> None:
        if not self._changed:
            return
        numbers = ', '.join(map(str, sorted(self._changed)))
        query = f'SELECT host, generation FROM compute_nodes WHERE id IN ({numbers})'
        self.commits.append(dict(tuple(row) for row in connection.exec_driver_sql(query)))
        self._committing = True

    def _fail(self, context: Any) -> None:
        self.deadlocks += is_deadlock(context.original_exception)
        if self._committing:
            self.unanswered.append(self.commits.pop())
        self._changed, self._committing = set(), False
