# SPDX-License-Identifier: Apache-2.0
"""``numaplace host audit``: the usage of hosts beside what their servers hold."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from numaplace import exception
from numaplace.cli import base

if TYPE_CHECKING:
    from numaplace.compute.audit import Report
    from numaplace.db.api import Database

__all__ = ['AuditHost']

_COLUMNS = ('Host', 'What', 'Stored', 'Counted')


class AuditHost(base.ListOf):
    """Count what servers hold on hosts, and compare that with the usage that the hosts are stored with.

    Each difference is a line, and so is a row that cannot be read, or a server that cannot be counted; neither keeps
    the audit from the rest. Ends with status 1 if there is anything that --repair did not put right.
    """

    examples = (
        'numaplace host audit',
        'numaplace host audit --repair compute1',
        'numaplace host audit -f json compute1 compute2',
    )

    _status = base.DONE

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the names, and what is done about what is found."""
        parser = super().get_parser(prog_name)
        parser.add_argument('names', metavar='NAME', nargs='*', help='Name of a host (default: all hosts).')
        parser.add_argument(
            '--repair',
            action='store_true',
            help='Store the usage that was counted, on hosts where every server can be counted.',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return what was found, by host."""
        from numaplace.compute import audit

        act = audit.repair if parsed_args.repair else audit.audit
        with self.open_database() as database:
            found = [_report(act, database, name) for name in self._names(database, parsed_args)]
        if parsed_args.names and None in found:
            raise exception.NotFound(f'there is no host {parsed_args.names[found.index(None)]!r}')
        reports = [report for report in found if report is not None]
        open_ones = [report for report in reports if report.faults or (report.differences and not parsed_args.repair)]
        self._status = base.FAULT if open_ones else base.DONE
        return _COLUMNS, [row for report in reports for row in _rows(report)]

    def _names(self, database: Database, parsed_args: argparse.Namespace) -> list[str]:
        unread: dict[str, exception.NumaplaceException] = {}
        return parsed_args.names or sorted([*(record.name for record in database.hosts(unread)), *unread])

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command; what is still wrong is no success."""
        return super().run(parsed_args) or self._status


def _report(act: Callable[[Database, str], Report], database: Database, name: str) -> Report | None:
    """Return the report of a host, or None where it was deleted meanwhile."""
    from numaplace.compute import audit

    try:
        return act(database, name)
    except exception.NotFound:
        return None
    except exception.ConcurrentUpdate as error:
        return audit.Report(name, (), (str(error),))


def _rows(report: Report) -> Iterator[tuple[Any, ...]]:
    for fault in report.faults:
        yield base.Text(report.host), base.Text(fault), '', ''
    for difference in report.differences:
        yield base.Text(report.host), difference.part, difference.stored, difference.counted
