# SPDX-License-Identifier: Apache-2.0
"""What has changed of hosts since they were read: the generations of all rows are compared, within a transaction.

No clock counts, and no order of commits: a transaction that was open for hours shows as soon as it is committed. A
number is never given to a second row, and a generation only grows. So hosts whose numbers and whose sum of generations
are the same are unchanged, and the database adds up a few dozen of them in each row of its answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from numaplace.db.tables import AGGREGATE_HOSTS, AGGREGATES, HOSTS

__all__ = ['NOTHING', 'SUMS', 'Changes', 'Known', 'find']

#: Hosts by their numbers that are added up in one row; a number of so many bits fits in a column.
_TOGETHER: Final = 32
#: Rows of sums whose hosts a query compares, and all of them together; for more, all hosts are compared.
_AT_ONCE, _MOST_SUMS = 15, 300

_ID, _GENERATION = HOSTS.c.id, HOSTS.c.generation
#: The sum of different powers of two says which numbers there are.
_NUMBERS = sa.func.sum(sa.cast(1, sa.BigInteger).bitwise_lshift(_ID % _TOGETHER))
#: The query that shows whether anything has changed.
SUMS = sa.select((_ID // _TOGETHER).label('several'), _NUMBERS, sa.func.sum(_GENERATION)).group_by(sa.text('several'))
_ROWS = sa.select(_ID, _GENERATION, HOSTS.c.host).order_by(_ID)
_AGGREGATES = sa.select(AGGREGATES.c.id, AGGREGATES.c.generation)
_MEMBERS = sa.select(AGGREGATE_HOSTS.c.aggregate_id, HOSTS.c.host).join(
    HOSTS, HOSTS.c.id == AGGREGATE_HOSTS.c.compute_node_id
)


class _Row(NamedTuple):
    generation: int
    name: str


@dataclass(frozen=True, slots=True)
class Known:
    """The state of a database that somebody knows.

    :param sums: numbers and generations of hosts, added up, by number // 32
    :param rows: hosts by number
    :param members: by the number and generation of an aggregate, the names of its hosts
    """

    sums: Mapping[int, tuple[Any, Any]] = field(default_factory=dict)
    rows: Mapping[int, _Row] = field(default_factory=dict)
    members: Mapping[tuple[int, int], frozenset[str]] = field(default_factory=dict)


#: What is known before the first look.
NOTHING: Final = Known()


class Changes(NamedTuple):
    """What has changed since the last look.

    :param versions: numbers and generations of hosts that are new or changed themselves, by name
    :param moved: hosts of aggregates that changed, and those that were in them
    :param gone: hosts that are deleted
    :param known: what is known now
    """

    versions: Mapping[str, tuple[int, int]]
    moved: frozenset[str]
    gone: frozenset[str]
    known: Known


def find(connection: Connection, known: Known) -> Changes:
    """Return what has changed, as of the moment of the transaction.

    The database adds up all hosts, from an index alone; the detail is linear in what has changed.
    """
    sums = {int(number): (numbers, total) for number, numbers, total in connection.execute(SUMS)}
    differing = [number for number in sums.keys() | known.sums.keys() if sums.get(number) != known.sums.get(number)]
    stored = {number: _Row(generation, name) for number, generation, name in _rows(connection, differing)}
    compared = known.rows if len(differing) > _MOST_SUMS else _numbers(differing)
    before = {number: known.rows[number] for number in compared if number in known.rows}
    changed = {row.name: (number, row.generation) for number, row in stored.items() if before.get(number) != row}
    gone = {row.name for row in before.values()} - {row.name for row in stored.values()}
    members, moved = _members(connection, known.members)
    rows = known.rows
    if changed or gone:
        rows = {**{number: row for number, row in rows.items() if number not in before}, **stored}
    return Changes(changed, frozenset(moved - gone), frozenset(gone), Known(sums, rows, members))


def _rows(connection: Connection, sums: Sequence[int]) -> Iterator[Any]:
    if len(sums) > _MOST_SUMS:
        yield from connection.execute(_ROWS)
    else:
        for first in range(0, len(sums), _AT_ONCE):
            yield from connection.execute(_ROWS.where(_ID.in_(_numbers(sums[first : first + _AT_ONCE]))))


def _numbers(sums: Iterable[int]) -> list[int]:
    return [number for first in sums for number in range(first * _TOGETHER, (first + 1) * _TOGETHER)]


def _members(
    connection: Connection, known: Mapping[tuple[int, int], frozenset[str]]
) -> tuple[Mapping[tuple[int, int], frozenset[str]], set[str]]:
    """Return the members of all aggregates, and the hosts of those that have changed, of before and of now."""
    stored = {(number, generation) for number, generation in connection.execute(_AGGREGATES)}
    if stored == known.keys():
        return known, set()
    found: dict[int, set[str]] = {number: set() for number, _generation in stored - known.keys()}
    for number, name in connection.execute(_MEMBERS.where(AGGREGATE_HOSTS.c.aggregate_id.in_(list(found)))):
        found[number].add(name)
    now = {key: frozenset(found[key[0]]) if key[0] in found else known[key] for key in stored}
    differing = [known[key] for key in known.keys() - stored] + [now[key] for key in stored - known.keys()]
    return now, set().union(*differing)
