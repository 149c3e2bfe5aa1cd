# SPDX-License-Identifier: Apache-2.0
"""Processes that find the hosts of their servers as a scheduler does: by an index, or by reading all hosts."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from numaplace import conf
from numaplace.compute import claims
from numaplace.db import api
from numaplace.db.records import InstanceRequest
from numaplace.model import Refusal
from numaplace.scheduler import select
from numaplace.scheduler.filters import Request
from numaplace.scheduler.fresh import FreshIndex
from numaplace.scheduler.policy import Policy
from numaplace.tests.functional.storms import verbs, worker

__all__ = ['counts', 'run']

#: How often a server is placed; otherwise something else is done, mostly with one that is there.
_PLACES = 0.5


def run(who: worker.Worker, count: int, *, by_index: bool) -> None:
    """Do so many operations, and write beside the journal how often a claim was tried, and won."""
    placer = _Placer(by_index)
    worker.run(who, count, placer.choose)
    _counts_of(who.path).write_text(json.dumps(placer.counts))


def counts(paths: list[Path]) -> Counter[str]:
    """Return how many claims all processes tried, and how many were won."""
    return sum((Counter(json.loads(_counts_of(path).read_text())) for path in paths), Counter())


def _counts_of(journal: Path) -> Path:
    return journal.with_suffix('.json')


@dataclass
class _Placer:
    by_index: bool
    counts: Counter[str] = field(default_factory=Counter)
    index: FreshIndex | None = None

    def __post_init__(self) -> None:
        # All CPUs of a host are those of the storms: a limit of the configuration would be one more thing to check.
        self.policy = Policy.of(conf.load([]))

    def choose(self, database: api.Database, dice: random.Random, seen: list[verbs.Seen]) -> verbs.Operation:
        """Return what to do next."""
        if dice.random() < _PLACES:
            return verbs.place(dice, partial(self._find, database))
        return verbs.choose(database, dice, seen)

    def _find(self, database: api.Database, asked: InstanceRequest) -> claims.Claim | Refusal:
        """Claim the best host for a server."""

        def claim(host: str, **options: Any) -> claims.Claim | Refusal:
            self.counts['tried'] += 1
            answer = claims.instance_claim(database, asked, host, **options)
            self.counts['won'] += isinstance(answer, claims.Claim)
            return answer

        if self.by_index:
            self.index = self.index or FreshIndex(database)
            found = self.index.select(Request(asked), self.policy, claim=claim)
        else:
            # Shuffled, so that all hosts are read: the database does not say which come first.
            policy = replace(self.policy, shuffles=True)
            found = select.select(database, Request(asked), policy, claim=claim)
        return found.claim if isinstance(found, select.Selection) else Refusal.of()
