# SPDX-License-Identifier: Apache-2.0
"""``numaplace host audit``: compare the stored usage of hosts with what their servers hold."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from numaplace import exception
from numaplace.cli import base, findings, progress

if TYPE_CHECKING:
    from numaplace.compute.audit import Report
    from numaplace.db.api import Database

__all__ = ['AuditHost']


class AuditHost(base.ListOf):
    """Count what servers hold on hosts, and compare it with the stored usage of the hosts.

    Each difference is a finding, and so is a server that cannot be read or counted; the audit goes on with the others.
    The codes are those of `numaplace fleet audit`. The exit status is 1 if something is wrong that --repair did not
    correct.
    """

    nothing = 'nothing is wrong: the stored usage is what the servers hold'
    examples = (
        'numaplace host audit',
        'numaplace host audit --repair compute1',
        'numaplace host audit -f json compute1 compute2',
    )

    _status = base.DONE

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the names, and whether to repair."""
        parser = super().get_parser(prog_name)
        parser.add_argument('names', metavar='HOST', nargs='*', help='Name of a host (default: all hosts).')
        parser.add_argument(
            '--repair',
            action='store_true',
            help='Store the counted usage on hosts where every server can be counted.',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return what was found, by host."""
        with self.open_database() as database:
            audited = self._names(database, parsed_args)
            reports = []
            with progress.shown(self.app, 'hosts', len(audited)) as bar:
                for name in audited:
                    report = self._report(database, name, parsed_args)
                    if report is not None:
                        reports.append(report)
                    bar.advance()
            if not parsed_args.names:
                database.instances(unread=self.unread)
        # Servers whose rows do not name the host that they are on are in no report.
        for fault in [fault for report in reports for fault in report.faults]:
            self.unread.pop(fault.server or '', None)
        open_ones = [report for report in reports if report.faults or (report.differences and not parsed_args.repair)]
        self._status = base.FAULT if open_ones else base.DONE
        return findings.table(
            [found for report in reports for found in (*report.faults, *report.differences)], parsed_args
        )

    def _names(self, database: Database, parsed_args: argparse.Namespace) -> list[str]:
        unread: dict[str, exception.NumaplaceException] = {}
        return parsed_args.names or sorted([*(record.name for record in database.hosts(unread)), *unread])

    def _report(self, database: Database, name: str, parsed_args: argparse.Namespace) -> Report | None:
        """Return the report of a host; None if it was deleted since it was listed, or others keep it busy."""
        from numaplace.compute import audit

        try:
            return (audit.repair if parsed_args.repair else audit.audit)(database, name)
        except exception.NotFound:
            if parsed_args.names:
                raise
        except exception.ConcurrentUpdate as error:
            self.unread[name] = error
        return None

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command; the status is 1 if something is still wrong."""
        return super().run(parsed_args) or self._status
