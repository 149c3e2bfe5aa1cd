# SPDX-License-Identifier: Apache-2.0
"""Many hosts at once: the files of each host, and the result of each host."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from numaplace import exception
from numaplace.cli import names, progress
from numaplace.operations import host_records, sources

if TYPE_CHECKING:
    from numaplace.cli.main import App
    from numaplace.db.api import Database
    from numaplace.libvirt.numbering import Numbering
    from numaplace.libvirt.topology import Options
    from numaplace.model.records import HostRecord

__all__ = ['Hosts', 'Importer', 'Outcome', 'Report', 'find']

#: The name of a host ends before the first of these, so that a copy such as a.xml.orig is a second file of host a.
_ENDING = re.compile(r'(?<=.)\.(capabilities|lstopo|numactl|lscpu|xml|json|txt)(?=\.|$)', re.IGNORECASE)
#: Most names in one line.
_SHOWN = 3

_REGISTERED, _REFRESHED, _REFUSED = 'registered', 'refreshed', 'refused'


@dataclass(frozen=True, slots=True)
class Hosts:
    """The files of each host.

    :param paths: by name of the host, in the order in which they are read
    :param skipped: names in the directory that are hidden, end with ~, or do not belong to files
    """

    paths: dict[str, list[str]]
    skipped: tuple[str, ...] = ()


def find(pairs: Iterable[str], directory: str | None) -> Hosts:
    """Return the files of each host; none of them is read.

    :param pairs: words NAME=FILE
    :param directory: holds files that are named after hosts
    :raises: :class:`~numaplace.exception.Invalid` if the directory cannot be read, or has no files
    """
    paths: dict[str, list[str]] = {}
    for pair in pairs:
        name, _, path = pair.partition('=')
        paths.setdefault(name, []).append(path)
    skipped: list[str] = []
    for entry in _entries(directory):
        if _is_skipped(entry):
            skipped.append(entry.name)
        else:
            paths.setdefault(_ENDING.split(entry.name, 1)[0], []).append(entry.path)
    if not paths:
        raise exception.Invalid(f'--directory {directory}: there are no files: expected some named after hosts')
    return Hosts(paths, tuple(skipped))


def _entries(directory: str | None) -> list[os.DirEntry[str]]:
    if directory is None:
        return []
    try:
        with os.scandir(directory) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise exception.Invalid(
            f'--directory {directory}: cannot be read: {reason}; expected a directory of files named after hosts'
        ) from error


def _is_skipped(entry: os.DirEntry[str]) -> bool:
    # A dangling link is a host that cannot be read.
    return entry.name.startswith('.') or entry.name.endswith('~') or (os.path.exists(entry) and not entry.is_file())


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a host.

    :param result: ``registered``, ``refreshed`` or ``refused``
    :param error: why it was refused
    """

    name: str
    result: str
    error: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class Report:
    """The results of all hosts so far.

    :param skipped: how many entries of the directory were skipped
    :param warned: for each kind of warning, its text for the first host, and all hosts that it applies to
    """

    skipped: int = 0
    outcomes: list[Outcome] = field(default_factory=list)
    warned: dict[str, tuple[str, list[str]]] = field(default_factory=dict)

    @property
    def refused(self) -> list[Outcome]:
        """The hosts that were not stored."""
        return [outcome for outcome in self.outcomes if outcome.result == _REFUSED]

    def counts(self) -> tuple[tuple[str, ...], tuple[int, ...]]:
        """Return how many hosts there are of each result, as columns and a row."""
        counted = Counter(outcome.result for outcome in self.outcomes)
        columns = (_REGISTERED, _REFRESHED, _REFUSED)
        return (*columns, 'skipped'), (*(counted[name] for name in columns), self.skipped)

    def rows(self, only: Sequence[str]) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return the columns, and a row for each host.

        :param only: names of columns; empty for all; unknown names are ignored
        """
        known = ('name', 'result', 'error', 'warnings')
        columns = tuple(name for name in known if name in only) or known
        return columns, [tuple(_plain(getattr(each, name)) for name in columns) for each in self.outcomes]

    def add(self, outcome: Outcome, paths: Sequence[str]) -> None:
        """Add a host; its warnings are grouped with those that differ only in its name and files."""
        self.outcomes.append(outcome)
        for text in outcome.warnings:
            kind = text
            for own in (*paths, f"'{names.shorten(outcome.name)}'"):
                kind = kind.replace(own, '\0')
            self.warned.setdefault(kind, (text, []))[1].append(outcome.name)

    def lines(self) -> Iterator[tuple[bool, str]]:
        """Return a line for each kind of warning and for each refused host, each with whether it is a warning."""
        for text, (first, *others) in self.warned.values():
            about = f"host '{names.shorten(first)}'"
            if others:
                shown = ', '.join(map(names.shorten, others[:_SHOWN])) + (', ...' if len(others) > _SHOWN else '')
                about += f' and {len(others)} more ({shown})'
            yield True, f'{about}: {text}'
        for outcome in self.refused:
            yield False, f"host '{names.shorten(outcome.name)}': {outcome.error}"


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


@dataclass(frozen=True, slots=True)
class Importer:
    """Stores many hosts, each in a transaction of its own.

    :param architecture: that of all hosts whose files do not report it
    :param siblings: how the threads of a core are numbered on all hosts for which lscpu lists no cores
    :param refresh: whether registered hosts are refreshed; otherwise they are refused
    :param force: whether hosts are refreshed even if their servers hold what they no longer have
    :param zone: availability zone of all hosts, or None for that of the configuration or as it is stored
    :param connect: the libvirt of each host, as :func:`numaplace.operations.host_records.uri_of` takes it, or None
    """

    app: App
    architecture: str | None
    siblings: Numbering | None
    refresh: bool
    force: bool = False
    zone: str | None = None
    connect: str | None = None

    def run(self, database: Database, hosts: Hosts) -> Report:
        """Store the hosts one after the other, and write what the operator should know to stderr.

        Stored hosts stay, whatever ends the run.

        :raises: :class:`~numaplace.exception.UnknownDatabase` if the database goes away, and the faults of the
            configuration
        """
        options = host_records.options(self.app.conf)
        report = Report(len(hosts.skipped))
        if hosts.skipped:
            shown = ', '.join(map(names.shorten, hosts.skipped[:_SHOWN])) + (', ...' if hosts.skipped[_SHOWN:] else '')
            self.app.warn(f'hidden files, backups (~) and subdirectories are skipped: {len(hosts.skipped)} ({shown})')
        under_way = next(iter(hosts.paths))
        try:
            with progress.shown(self.app, 'hosts', len(hosts.paths)) as bar:
                for name, paths in hosts.paths.items():
                    under_way = name
                    report.add(self._outcome(database, name, paths, options), paths)
                    bar.advance()
        except BaseException:
            self._tell(report)
            stored = len(report.outcomes) - len(report.refused)
            self.app.complain(
                f'ended early: {stored} of {len(hosts.paths)} hosts are stored and stay; '
                f"host '{names.shorten(under_way)}' was under way"
            )
            raise
        self._tell(report)
        return report

    def _tell(self, report: Report) -> None:
        for is_warning, text in report.lines():
            (self.app.warn if is_warning else self.app.complain)(text)

    def _outcome(self, database: Database, name: str, paths: Sequence[str], options: Options) -> Outcome:
        try:
            return self._store(database, names.name('host', name), paths, options)
        except exception.UnknownDatabase:
            raise  # it would not answer for the next host either
        except exception.NumaplaceException as error:
            if self.app.options.debug:
                raise
            return Outcome(name, _REFUSED, str(error))

    def _store(self, database: Database, name: str, paths: Sequence[str], options: Options) -> Outcome:
        from numaplace.conf import device_specs

        before = self._before(database, name)
        found, place = sources.files_of_host(
            paths, self.siblings, {**options, 'before': before.host if before else None}
        )
        found = sources.with_architecture(found, self.architecture, place)
        if self.connect is not None:
            found = sources.at_libvirt(host_records.uri_of(self.connect, name), found)
        found = sources.with_devices(found, device_specs(self.app.conf), place)
        found = sources.with_resources(found, self.app.conf, place)
        record = host_records.record_of(self.app.conf, name, found, before, self.zone)
        policy = self.app.conf.numaplace.unknown_guests
        stored = host_records.store(
            database,
            record,
            place,
            known=before,
            keeps_devices=found.pci_devices is None,
            policy=policy,
            zone=self.zone,
            force=self.force,
        )
        result = _REGISTERED if before is None else _REFRESHED
        return Outcome(name, result, warnings=(*found.warnings, *stored.warnings))

    def _before(self, database: Database, name: str) -> HostRecord | None:
        """Return a host as it is stored, if it is to be refreshed; None if it is to be registered."""
        if not self.refresh:
            return None
        try:
            return host_records.before(database, name)
        except exception.NotFound:
            return None
