# SPDX-License-Identifier: Apache-2.0
"""``numaplace server migration``: the moves of servers, in progress and over."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from numaplace import exception
from numaplace.cli import base, ignored, names

if TYPE_CHECKING:
    from numaplace.db.records import MigrationRecord

__all__ = ['AbortMigration', 'ListMigration', 'ShowMigration']

_COLUMNS = (
    'ID',
    'UUID',
    'Source Compute',
    'Dest Compute',
    'Status',
    'Server UUID',
    'Old Flavor',
    'New Flavor',
    'Type',
    'Created At',
    'Updated At',
)


def _row(record: MigrationRecord) -> tuple[Any, ...]:
    return (
        record.number,
        record.uuid,
        base.Text(record.source),
        base.Text(record.dest),
        record.status,
        record.instance_uuid,
        record.old_flavor and base.Text(record.old_flavor.name),
        record.new_flavor and base.Text(record.new_flavor.name),
        record.kind,
        record.created_at.isoformat(),
        record.updated_at and record.updated_at.isoformat(),
    )


class ListMigration(base.ListOf):
    """List moves, in progress and finished."""

    nothing = 'no migrations'
    examples = ('numaplace server migration list', 'numaplace server migration list --server db1 -f json')
    ignores = ignored.MIGRATION_LIST

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the selection."""
        parser = super().get_parser(prog_name)
        parser.add_argument('--server', metavar='SERVER', help='Only moves of this server, by name or UUID.')
        parser.add_argument('--host', metavar='HOST', help='Only moves from or to this host.')
        parser.add_argument('--status', metavar='STATUS', help='Only moves of this status, such as finished.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return the moves by number."""
        with self.open_database() as database:
            server = None if parsed_args.server is None else database.instance_uuid(parsed_args.server)
            found = database.migrations(
                instance_uuid=server, host=parsed_args.host, status=parsed_args.status, unread=self.unread
            )
            return _COLUMNS, [_row(record) for record in found]


class ShowMigration(base.ShowOf):
    """Show a move of a server."""

    examples = ('numaplace server migration show db1 1',)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the server and the move."""
        parser = super().get_parser(prog_name)
        parser.add_argument('server', metavar='SERVER', help='Name or UUID of the server.')
        parser.add_argument('migration', metavar='MIGRATION', help='Number or UUID of the move.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Return the move."""
        with self.open_database() as database:
            server = database.instance(parsed_args.server)
            return _COLUMNS, _row(_find(database.migrations(instance_uuid=server.uuid), parsed_args.migration))


class AbortMigration(base.Action):
    """Abort a move whose guest has not arrived: the guest stays, and its claim on the destination is freed."""

    examples = ('numaplace server migration abort db1 1',)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the server and the move."""
        parser = super().get_parser(prog_name)
        parser.add_argument('server', metavar='SERVER', help='Name or UUID of the server.')
        parser.add_argument('migration', metavar='MIGRATION', help='Number or UUID of the move.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Abort the move.

        :raises: :class:`~numaplace.exception.NotFound` for an unknown server or move,
            :class:`~numaplace.exception.Conflict` if the move is over, or the guest has arrived
        """
        from numaplace.compute import migration

        with self.open_database() as database:
            server = database.instance(parsed_args.server)
            found = _find(database.migrations(instance_uuid=server.uuid), parsed_args.migration)
            migration.drop_move_claim(database, server.uuid, found.uuid)


def _find(records: list[MigrationRecord], name: str) -> MigrationRecord:
    for record in records:
        if name in (str(record.number), record.uuid):
            return record
    known = ', '.join(str(record.number) for record in records[-8:])
    raise exception.NotFound(
        f"there is no migration '{names.shorten(name)}' of the server; known migrations: {known or 'none'}"
    )
