# SPDX-License-Identifier: Apache-2.0
"""``numaplace aggregate``: groups of hosts with metadata, which filters compare with requests."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from numaplace import exception, explain
from numaplace.cli import base, names
from numaplace.cli.flavor import properties

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numaplace.model.grouping import Aggregate

__all__ = [
    'AddHost',
    'CreateAggregate',
    'DeleteAggregate',
    'ListAggregate',
    'RemoveHost',
    'SetAggregate',
    'ShowAggregate',
    'UnsetAggregate',
]

_COLUMNS = ('name', 'availability_zone', 'hosts', 'properties')


def _row(aggregate: Aggregate) -> tuple[Any, ...]:
    from numaplace.model.grouping import ZONE_KEY

    others = {key: value for key, value in aggregate.metadata.items() if key != ZONE_KEY}
    hosts = base.Written(list(aggregate.hosts), '\n'.join(map(explain.escape, aggregate.hosts)) or 'none')
    zone = None if aggregate.zone is None else base.Text(aggregate.zone)
    return base.Text(aggregate.name), zone, hosts, properties(others)


def _add_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('aggregate', metavar='AGGREGATE', help='Name of the aggregate.')


def _add_metadata(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--zone', metavar='ZONE', help='Availability zone of its hosts.')
    parser.add_argument(
        '--property',
        action='append',
        default=[],
        metavar='KEY=VALUE',
        help='Metadata, such as ssd=true or filter_tenant_id=p1; may be repeated.',
    )


def _metadata(parsed_args: argparse.Namespace) -> dict[str, str]:
    """Return the metadata of the command line.

    :raises: :class:`~numaplace.exception.Invalid`
    """
    from numaplace.model.grouping import ZONE_KEY

    found = names.pairs('--property', parsed_args.property)
    if parsed_args.zone is not None:
        found[ZONE_KEY] = parsed_args.zone
    if ZONE_KEY in found:
        names.name('availability zone', found[ZONE_KEY])
    return found


class CreateAggregate(base.ShowOf):
    """Create an aggregate without hosts."""

    outcome = "the aggregate '{name}' exists"

    examples = (
        'numaplace aggregate create --zone az1 --property pinned=true pinned',
        'numaplace aggregate create --property filter_tenant_id=p1 project1',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the name and the metadata."""
        parser = super().get_parser(prog_name)
        _add_name(parser)
        _add_metadata(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Store the aggregate and show it.

        :raises: :class:`~numaplace.exception.AlreadyExists`, :class:`~numaplace.exception.Invalid`
        """
        from numaplace.model.grouping import Aggregate

        aggregate = Aggregate(names.name('aggregate', parsed_args.aggregate), _metadata(parsed_args))
        with self.open_database() as database:
            return _COLUMNS, _row(database.create_aggregate(aggregate))


class SetAggregate(base.Action):
    """Set the name, the zone or metadata of an aggregate.

    A host is in one zone, and a host with servers stays in its zone.
    """

    examples = (
        'numaplace aggregate set --property ssd=true pinned',
        'numaplace aggregate set --name pinned2 --zone az2 pinned',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the names and the metadata."""
        parser = super().get_parser(prog_name)
        _add_name(parser)
        parser.add_argument('--name', metavar='NAME', help='New name.')
        _add_metadata(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change the aggregate.

        :raises: :class:`~numaplace.exception.NotFound`, :class:`~numaplace.exception.AlreadyExists`,
            :class:`~numaplace.exception.Conflict`, :class:`~numaplace.exception.Invalid`
        """
        more = _metadata(parsed_args)
        name = None if parsed_args.name is None else names.name('aggregate', parsed_args.name)

        def change(aggregate: Aggregate) -> Aggregate:
            return replace(aggregate, name=name or aggregate.name, metadata={**aggregate.metadata, **more})

        with self.open_database() as database:
            database.change_aggregate(parsed_args.aggregate, change)


class UnsetAggregate(base.Action):
    """Remove metadata of an aggregate; ``availability_zone`` is the key of its zone."""

    examples = ('numaplace aggregate unset --property ssd pinned',)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the keys."""
        parser = super().get_parser(prog_name)
        _add_name(parser)
        parser.add_argument(
            '--property', action='append', required=True, metavar='KEY', help='Metadata to remove; may be repeated.'
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change the aggregate.

        :raises: :class:`~numaplace.exception.NotFound`, :class:`~numaplace.exception.Conflict`
        """

        def change(aggregate: Aggregate) -> Aggregate:
            for key in parsed_args.property:
                if key not in aggregate.metadata:
                    raise exception.NotFound(f'aggregate {aggregate.name!r} has no property {key!r}')
            return replace(aggregate, metadata=_without(aggregate.metadata, parsed_args.property))

        with self.open_database() as database:
            database.change_aggregate(parsed_args.aggregate, change)


def _without(metadata: Mapping[str, str], keys: list[str]) -> dict[str, str]:
    return {key: value for key, value in metadata.items() if key not in keys}


class _ChangeHosts(base.ShowOf):
    outcome = "the aggregate '{name}' is changed"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the names."""
        parser = super().get_parser(prog_name)
        _add_name(parser)
        parser.add_argument('host', metavar='HOST', help='Name of the host.')
        return parser


class AddHost(_ChangeHosts):
    """Add a host to an aggregate; a host with servers stays in its zone."""

    examples = ('numaplace aggregate add host pinned compute1',)

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Change the aggregate and show it.

        :raises: :class:`~numaplace.exception.NotFound`, :class:`~numaplace.exception.Conflict`
        """

        def change(aggregate: Aggregate) -> Aggregate:
            if parsed_args.host in aggregate.hosts:
                raise exception.Conflict(f'aggregate {aggregate.name!r} has host {parsed_args.host!r} already')
            return replace(aggregate, hosts=tuple(sorted((*aggregate.hosts, parsed_args.host))))

        with self.open_database() as database:
            return _COLUMNS, _row(database.change_aggregate(parsed_args.aggregate, change))


class RemoveHost(_ChangeHosts):
    """Remove a host from an aggregate; a host with servers stays in its zone."""

    examples = ('numaplace aggregate remove host pinned compute1',)

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Change the aggregate and show it.

        :raises: :class:`~numaplace.exception.NotFound`, :class:`~numaplace.exception.Conflict`
        """

        def change(aggregate: Aggregate) -> Aggregate:
            if parsed_args.host not in aggregate.hosts:
                raise exception.NotFound(f'aggregate {aggregate.name!r} has no host {parsed_args.host!r}')
            return replace(aggregate, hosts=tuple(host for host in aggregate.hosts if host != parsed_args.host))

        with self.open_database() as database:
            return _COLUMNS, _row(database.change_aggregate(parsed_args.aggregate, change))


class ShowAggregate(base.ShowOf):
    """Show an aggregate with its hosts."""

    examples = ('numaplace aggregate show pinned', 'numaplace aggregate show -f json pinned')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the name."""
        parser = super().get_parser(prog_name)
        _add_name(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Return the aggregate."""
        with self.open_database() as database:
            return _COLUMNS, _row(database.aggregate(parsed_args.aggregate))


class ListAggregate(base.ListOf):
    """List all aggregates with their hosts."""

    nothing = 'no aggregates'
    examples = ('numaplace aggregate list', 'numaplace aggregate list -f json')

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return the aggregates by name."""
        with self.open_database() as database:
            return ('Name', 'Availability Zone', 'Hosts', 'Properties'), list(map(_row, database.aggregates()))


class DeleteAggregate(base.Action):
    """Delete aggregates that have no hosts; one that cannot be deleted does not stop the others."""

    examples = ('numaplace aggregate delete pinned', 'numaplace aggregate delete pinned project1')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the names."""
        parser = super().get_parser(prog_name)
        parser.add_argument('aggregates', metavar='AGGREGATE', nargs='+', help='Name of an aggregate.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Delete one after the other; return the exit status."""
        with self.open_database() as database:
            return self.for_each('aggregates', parsed_args.aggregates, database.delete_aggregate, parsed_args)
