# SPDX-License-Identifier: Apache-2.0
"""What the services have stored and logged."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy

__all__ = ['Line', 'Log', 'Rows', 'leader', 'tail']

_LINE = re.compile(r'\S+ \S+ (?P<pid>\d+) (?P<level>[A-Z]+) (?P<logger>\S+) (?P<text>.*)')


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a log."""

    pid: int
    level: str
    logger: str
    text: str


class Log:
    """What a service logs from the moment on at which this is made."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._start = file.stat().st_size

    def lines(self, logger: str, wanted: str = '') -> list[Line]:
        """Return the lines of a logger that hold a text."""
        return [line for line in self._lines() if line.logger == logger and wanted in line.text]

    def faults(self) -> list[Line]:
        """Return the lines of errors that numaplace has logged or is part of the way to."""
        return [
            line
            for line in self._lines()
            if 'shadow: fault of numaplace' in line.text
            or (line.level in ('ERROR', 'CRITICAL') and ('/numaplace/' in line.text or 'numaplace' in line.logger))
        ]

    def _lines(self) -> Iterator[Line]:
        with self._file.open('rb') as log:
            log.seek(self._start)
            for line in log.read().decode('utf-8', 'replace').splitlines():
                if match := _LINE.match(line):
                    yield Line(int(match['pid']), match['level'], match['logger'], match['text'])


class Rows:
    """The database of a cell of Nova."""

    def __init__(self, url: str) -> None:
        self._engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)

    def __enter__(self) -> 'Rows':
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.dispose()

    def guest(self, server: Any) -> list[dict[str, Any]] | None:
        """Return the cells of a server as they are stored; None if it has no NUMA topology."""
        return _cells(self._one('SELECT numa_topology FROM instance_extra WHERE instance_uuid = :key', server.id))

    def guest_json(self, server: Any) -> dict[str, Any]:
        """Return the NUMA topology of a server as it is stored."""
        return json.loads(self._one('SELECT numa_topology FROM instance_extra WHERE instance_uuid = :key', server.id))

    def host(self, name: str) -> list[dict[str, Any]]:
        """Return the cells of a host as they are stored."""
        return _cells(json.dumps(self.host_json(name)))

    def host_json(self, name: str) -> dict[str, Any]:
        """Return the NUMA topology of a host as it is stored."""
        return json.loads(self._one('SELECT numa_topology FROM compute_nodes WHERE host = :key AND deleted = 0', name))

    def _one(self, query: str, key: str) -> str | None:
        with self._engine.connect() as connection:
            return connection.execute(sqlalchemy.text(query), {'key': key}).scalar_one()


def _cells(text: str | None) -> list[dict[str, Any]] | None:
    return [cell['nova_object.data'] for cell in json.loads(text)['nova_object.data']['cells']] if text else None


def leader(pid: int) -> int:
    """Return the process that a process was started by, or with, as a service."""
    return os.getpgid(pid)


def tail(file: Path, lines: int = 30) -> str:
    """Return the last lines of a log that tell more than the course of things."""
    told = [line for line in file.read_text('utf-8', 'replace').splitlines() if ' DEBUG ' not in line]
    return '\n'.join(told[-lines:])
