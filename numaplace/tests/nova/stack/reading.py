# SPDX-License-Identifier: Apache-2.0
"""What the services have stored and logged."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import sqlalchemy

__all__ = ['Line', 'Log', 'Rows', 'cells', 'leader', 'tail']

_LINE = re.compile(r'\S+ \S+ (?P<pid>\d+) (?P<level>[A-Z]+) (?P<logger>\S+) (?P<text>.*)')

#: Servers with what they hold, and the hosts of the move whose context they have.
_HOLDERS = """
SELECT instances.host, numa_topology, migration_context, source_compute, dest_compute
FROM instances
JOIN instance_extra ON instance_extra.instance_uuid = instances.uuid
LEFT JOIN migrations ON migrations.id = JSON_VALUE(migration_context, '$."nova_object.data".migration_id')
WHERE instances.deleted = 0
"""


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

    def guest_xml(self, server: Any) -> ElementTree.Element:
        """Return the last XML of a guest that was made or has arrived."""
        *_, line = [line for line in self._lines() if 'guest XML: ' in line.text and server.id in line.text]
        text = line.text.partition('guest XML: ')[2]
        return ElementTree.fromstring(text[: text.rindex('</domain>') + len('</domain>')])

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
        topology = self._one('SELECT numa_topology FROM instance_extra WHERE instance_uuid = :key', server.id)
        return cells(json.loads(topology)) if topology else None

    def guest_json(self, server: Any) -> dict[str, Any]:
        """Return the NUMA topology of a server as it is stored."""
        return json.loads(self._one('SELECT numa_topology FROM instance_extra WHERE instance_uuid = :key', server.id))

    def host(self, name: str) -> list[dict[str, Any]]:
        """Return the cells of a host as they are stored."""
        return cells(self.host_json(name))

    def host_json(self, name: str) -> dict[str, Any]:
        """Return the NUMA topology of a host as it is stored."""
        return json.loads(self._one('SELECT numa_topology FROM compute_nodes WHERE host = :key AND deleted = 0', name))

    def held(self, host: str) -> list[dict[str, Any]]:
        """Return the NUMA topologies that a host holds: of its servers, and of both sides of moves under way."""
        topologies = []
        for server_host, topology, text, source, destination in self._all(_HOLDERS):
            context = json.loads(text)['nova_object.data'] if text else None
            if context is None:
                sides = [(server_host, json.loads(topology) if topology else None)]
            else:
                sides = [(source, context['old_numa_topology']), (destination, context['new_numa_topology'])]
            topologies += [found for side, found in sides if side == host and found]
        return topologies

    def _all(self, query: str) -> list[Any]:
        with self._engine.connect() as connection:
            return list(connection.execute(sqlalchemy.text(query)))

    def _one(self, query: str, key: str) -> str | None:
        with self._engine.connect() as connection:
            return connection.execute(sqlalchemy.text(query), {'key': key}).scalar_one()


def cells(topology: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the cells of a stored NUMA topology."""
    return [cell['nova_object.data'] for cell in topology['nova_object.data']['cells']]


def leader(pid: int) -> int:
    """Return the process that a process was started by, or with, as a service."""
    return os.getpgid(pid)


def tail(file: Path, lines: int = 30) -> str:
    """Return the last lines of a log that tell more than the course of things."""
    told = [line for line in file.read_text('utf-8', 'replace').splitlines() if ' DEBUG ' not in line]
    return '\n'.join(told[-lines:])
