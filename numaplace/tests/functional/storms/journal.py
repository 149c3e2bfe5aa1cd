# SPDX-License-Identifier: Apache-2.0
"""What each process did, line by line, in files that survive it."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from numaplace.tests.functional.storms.ledger import Cell, Holding

__all__ = ['BEGUN', 'DONE', 'KILLED', 'REFUSED', 'Entry', 'Journal', 'entries', 'summary']

#: Outcomes; any other is the class of the fault. What was begun and has no other line was killed.
BEGUN, DONE, REFUSED, KILLED = 'begun', 'done', 'refused', 'killed'


@dataclass(frozen=True)
class Entry:
    """An operation and how it ended.

    :param server: the server, or the host, that it changes
    :param about: the servers and hosts on which it depends
    :param begin: when the process looked for something to do, by the clock that all processes share
    :param commits: the generations that its transactions gave to hosts
    :param told: what the server holds afterwards, as the process was told
    :param answered: whether the database confirmed the commits; otherwise the process found out that they happened
    :param group: UUID of the group that a new server is in, or None
    :param deadlocks: how many of its transactions the server ended because they and others waited for each other
    """

    worker: int
    number: int
    verb: str
    server: str
    about: tuple[str, ...]
    begin: int
    end: int
    outcome: str
    message: str = ''
    commits: list[dict[str, int]] = field(default_factory=list)
    told: list[Holding] = field(default_factory=list)
    answered: bool = True
    deadlocks: int = 0
    group: str | None = None


class Journal:
    """An append-only file; a line that was written survives the process."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, entry: Entry) -> None:
        """Append a line at once."""
        os.write(self._file, json.dumps(asdict(entry)).encode() + b'\n')


def entries(paths: Iterable[Path]) -> list[Entry]:
    """Read journals: one entry for each operation."""
    operations: dict[tuple[Path, int], Entry] = {}
    for path in paths:
        for line in path.read_text().splitlines() if path.exists() else ():
            entry = _entry(json.loads(line))
            operations[path, entry.number] = replace(entry, outcome=KILLED) if entry.outcome == BEGUN else entry
    return list(operations.values())


def _entry(values: dict) -> Entry:
    told = [
        Holding(*row, tuple(Cell(cell[0], tuple(cell[1]), *cell[2:]) for cell in cells), tuple(devices))
        for *row, cells, devices in values.pop('told')
    ]
    return Entry(**values, told=told)


def summary(found: Sequence[Entry]) -> str:
    """Return how many deadlocks there were, and how many of which verb ended how."""
    counts = Counter((entry.verb, entry.outcome) for entry in found)
    words = ', '.join(f'{count} {verb} {outcome}' for (verb, outcome), count in sorted(counts.items()))
    return f'{sum(entry.deadlocks for entry in found)} deadlocks; {words}'
