# SPDX-License-Identifier: Apache-2.0
"""``numaplace db``: the tables, and the formats in them."""

import argparse
from typing import Any

from numaplace.cli import base

__all__ = ['MigrateTopologies', 'UpgradeDb']


class UpgradeDb(base.Action):
    """Upgrade the tables of the database to this release, or create them in an empty database."""

    examples = (
        'numaplace db upgrade',
        'numaplace --database mysql+pymysql://numaplace:secret@db.example.org/numaplace db upgrade',
    )

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Upgrade, and print the revision of the tables."""
        from numaplace.db import api

        revision = api.upgrade(self.app.connection)
        self.app.stdout.write(f'The tables are at revision {revision}.\n')


class MigrateTopologies(base.ListOf):
    """Rewrite the NUMA topologies of hosts and servers that are stored in the format of an old release of Nova.

    Each row is a transaction of its own, which changes only the format; any other change of a host or a server does the
    same. Rows that cannot be read are listed with the reason, and the exit status is 1. Host cells before version 1.4
    do not name the dedicated CPUs: `numaplace host import --refresh` takes them from the capabilities of the host.
    """

    nothing = 'no topology is stored in an old format'
    examples = (
        'numaplace db migrate-topologies --dry-run',
        'numaplace db migrate-topologies',
        'numaplace host import --refresh compute1 --capabilities compute1.xml',
    )

    _status = base.DONE

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add whether to write."""
        parser = super().get_parser(prog_name)
        parser.add_argument('--dry-run', action='store_true', help='Write nothing; list what would be rewritten.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Rewrite the rows, and return them."""
        from numaplace.compute import topologies

        with self.open_database() as database:
            found = list(topologies.migrate(database, dry_run=parsed_args.dry_run))
        self._status = base.FAULT if any(row.fault for row in found) else base.DONE
        done = 'would be rewritten' if parsed_args.dry_run else 'rewritten'
        return ('Table', 'Row', 'Old format', 'Result'), [
            (row.table, base.Text(row.key), row.old_format, base.Text(row.fault or done)) for row in found
        ]

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command; the status is 1 if a row could not be rewritten."""
        return super().run(parsed_args) or self._status
