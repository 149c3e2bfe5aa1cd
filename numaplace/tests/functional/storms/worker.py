# SPDX-License-Identifier: Apache-2.0
"""A process that does one operation after the other and writes down each."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import sqlalchemy as sa

from numaplace import exception
from numaplace.db import api
from numaplace.model import Refusal
from numaplace.tests.functional.storms import fuse, ledger, verbs
from numaplace.tests.functional.storms.journal import BEGUN, DONE, REFUSED, Entry, Journal
from numaplace.tests.functional.storms.watch import Watch

__all__ = ['Choose', 'Worker', 'claim', 'run', 'run_until', 'run_until_killed']

#: Seconds until a database that does not come back is a failure.
_PATIENCE_S = 60

Choose: TypeAlias = Callable[[api.Database, random.Random, list[verbs.Seen]], verbs.Operation]


@dataclass(frozen=True)
class Worker:
    """Who does it, where, and the journal to write in.

    :param seed: with the number it says what the dice show
    """

    url: str
    seed: str
    number: int
    path: Path


def run(worker: Worker, count: int, choose: Choose = verbs.choose) -> None:
    """Do so many operations; anything that is no fault of the product's own ends the process with a traceback."""
    _run(worker, range(count), choose)


def run_until(worker: Worker, stop: Path) -> None:
    """Do one operation after the other until a file appears."""
    _run(worker, itertools.takewhile(lambda _number: not stop.exists(), itertools.count()))


def run_until_killed(worker: Worker, moments: int | None) -> None:
    """Do one operation after the other, and die after so many moments of that, or by somebody else's hand."""
    _run(worker, itertools.count(), verbs.choose_move, moments=moments)


def claim(worker: Worker) -> None:
    """Create one server."""
    _run(worker, range(1), lambda database, dice, _seen: verbs.claim(database, dice))


def _run(worker: Worker, numbers: Iterable[int], choose: Choose = verbs.choose, *, moments: int | None = None) -> None:
    burning = nullcontext() if moments is None else fuse.light(moments)
    with api.connect(worker.url) as database, ledger.plain(worker.url) as eyes:
        hosts = dict(tuple(row) for row in eyes.execute(sa.text('SELECT id, host FROM compute_nodes')))
        with Watch(hosts).watching() as watch, burning:
            hands = _Hands(worker.number, random.Random(f'{worker.seed}/{worker.number}'), database, eyes, watch)
            journal = Journal(worker.path)
            for number in numbers:
                hands.turn(number, choose, journal)


@dataclass(frozen=True)
class _Hands:
    worker: int
    dice: random.Random
    database: api.Database
    eyes: sa.Connection
    watch: Watch

    def turn(self, number: int, choose: Choose, journal: Journal) -> None:
        """Look around, do something, and write down how it ended."""
        begin = time.monotonic_ns()
        operation = choose(self.database, self.dice, self._look())
        names = operation.verb, operation.server, operation.about
        entry = Entry(self.worker, number, *names, begin, end=0, outcome=BEGUN, group=operation.group)
        journal.write(entry)
        self.watch.commits, self.watch.unanswered, self.watch.deadlocks = [], [], 0
        entry = replace(entry, **self._try(operation), end=time.monotonic_ns())
        commits = self.watch.commits
        if entry.outcome == DONE and not commits:
            commits = self.watch.unanswered[-1:]  # the product found out that it happened all the same
        answered, deadlocks = bool(self.watch.commits), self.watch.deadlocks
        journal.write(replace(entry, commits=commits, answered=answered, deadlocks=deadlocks))

    def _try(self, operation: verbs.Operation) -> dict:
        try:
            answer = operation.act()
        except exception.NumaplaceException as error:
            return {'outcome': type(error).__name__, 'message': str(error)}
        if isinstance(answer, Refusal):
            return {'outcome': REFUSED}
        return {'outcome': DONE, 'told': answer}

    def _look(self) -> list[verbs.Seen]:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                seen = verbs.look(self.eyes)
                self.eyes.rollback()  # the next look is a new one
            except sa.exc.DBAPIError:
                if time.monotonic() > deadline:
                    raise
                self.eyes.invalidate()
                self.eyes.rollback()
                time.sleep(0.02)
            else:
                return seen
