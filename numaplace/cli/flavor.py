# SPDX-License-Identifier: Apache-2.0
"""``numaplace flavor``: what guests look like."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from numaplace import cpuset, exception, explain
from numaplace.cli import base, names

if TYPE_CHECKING:
    from numaplace.cli.main import App
    from numaplace.db.records import FlavorRecord

__all__ = ['CreateFlavor', 'DeleteFlavor', 'ListFlavor', 'SetFlavor', 'ShowFlavor', 'UnsetFlavor', 'properties']

#: As many as a list of CPUs may name.
_MAX_VCPUS = cpuset.MAX_CPU + 1

_COLUMNS = ('id', 'name', 'ram', 'disk', 'vcpus', 'properties')


def properties(values: dict[str, str]) -> base.Written:
    """Return extra specs or image properties as a column."""
    words = ', '.join(f"{explain.escape(key)}='{explain.escape(value)}'" for key, value in sorted(values.items()))
    return base.Written(dict(sorted(values.items())), words)


def _row(flavor: FlavorRecord) -> tuple[Any, ...]:
    return (
        base.Text(flavor.id),
        base.Text(flavor.name),
        flavor.memory_mib,
        flavor.disk_gib,
        flavor.vcpus,
        properties(dict(flavor.extra_specs)),
    )


def _add_property(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    parser.add_argument(
        '--property',
        action='append',
        default=[],
        required=required,
        metavar='KEY=VALUE',
        help='Extra spec, such as hw:numa_nodes=2 or hw:cpu_policy=dedicated; may be repeated.',
    )


def _warn_of_faults(app: App, flavor: FlavorRecord) -> None:
    """Warn of a flavor that makes no guest as it is: what it still lacks may be set later."""
    from numaplace import request

    try:
        request.read(flavor)
        request.devices(flavor)
        request.tuning(flavor)
    except exception.Invalid as fault:
        app.warn(str(fault))


class CreateFlavor(base.ShowOf):
    """Create a flavor; a warning tells what keeps it from making a guest as it is."""

    examples = (
        'numaplace flavor create --ram 1024 --disk 1 --vcpus 4 m1.numa',
        'numaplace flavor create --ram 4096 --vcpus 4 --property hw:cpu_policy=dedicated m1.pinned',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the sizes."""
        parser = super().get_parser(prog_name)
        parser.add_argument('name', metavar='NAME', help='Name of the flavor.')
        parser.add_argument('--id', default='auto', help="Id, or 'auto' for a new UUID (default: auto).")
        parser.add_argument(
            '--ram', type=names.whole(1), default=256, metavar='MIB', help='Memory in MiB (default: 256).'
        )
        parser.add_argument('--disk', type=names.whole(0), default=0, metavar='GIB', help='Disk in GiB (default: 0).')
        parser.add_argument(
            '--vcpus', type=names.whole(1, _MAX_VCPUS), default=1, metavar='N', help='Number of vCPUs (default: 1).'
        )
        _add_property(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Store the flavor and show it."""
        from numaplace.db.records import FlavorRecord

        flavor = FlavorRecord(
            name=names.name('flavor', parsed_args.name),
            vcpus=parsed_args.vcpus,
            memory_mib=parsed_args.ram,
            disk_gib=parsed_args.disk,
            extra_specs=names.pairs('--property', parsed_args.property),
        )
        if parsed_args.id != 'auto':
            flavor = replace(flavor, id=names.name('flavor id', parsed_args.id))
        with self.open_database() as database:
            try:
                stored = database.create_flavor(flavor)
            except exception.AlreadyExists as error:
                raise exception.AlreadyExists(
                    f'{error}; delete it with `numaplace flavor delete`, or give another name and id'
                ) from error
        _warn_of_faults(self.app, stored)
        return _COLUMNS, _row(stored)


class SetFlavor(base.Action):
    """Set extra specs of a flavor; servers that exist keep what they have.

    A warning tells what keeps the flavor from making a guest as it is.
    """

    examples = (
        'numaplace flavor set --property hw:numa_nodes=2 m1.numa',
        'numaplace flavor set --property hw:mem_page_size=2MB m1.large-pages',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the extra specs."""
        parser = super().get_parser(prog_name)
        parser.add_argument('flavor', metavar='FLAVOR', help='Name or id of the flavor.')
        _add_property(parser, required=True)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change the flavor."""
        change = names.pairs('--property', parsed_args.property)
        with self.open_database() as database:
            stored = database.change_extra_specs(parsed_args.flavor, change=change)
        _warn_of_faults(self.app, stored)


class UnsetFlavor(base.Action):
    """Remove extra specs of a flavor."""

    examples = ('numaplace flavor unset --property hw:numa_nodes m1.numa',)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the keys."""
        parser = super().get_parser(prog_name)
        parser.add_argument('flavor', metavar='FLAVOR', help='Name or id of the flavor.')
        parser.add_argument(
            '--property', action='append', required=True, metavar='KEY', help='Extra spec to remove; may be repeated.'
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change the flavor."""
        with self.open_database() as database:
            database.change_extra_specs(parsed_args.flavor, remove=parsed_args.property)


class ShowFlavor(base.ShowOf):
    """Show a flavor."""

    examples = ('numaplace flavor show m1.numa', 'numaplace flavor show -f json m1.numa')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the name."""
        parser = super().get_parser(prog_name)
        parser.add_argument('flavor', metavar='FLAVOR', help='Name or id of the flavor.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Return the flavor."""
        with self.open_database() as database:
            return _COLUMNS, _row(database.flavor(parsed_args.flavor))


class ListFlavor(base.ListOf):
    """List all flavors."""

    examples = ('numaplace flavor list',)

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return all flavors by name."""
        with self.open_database() as database:
            return ('ID', 'Name', 'RAM', 'Disk', 'VCPUs', 'Properties'), [_row(each) for each in database.flavors()]


class DeleteFlavor(base.Action):
    """Delete flavors; servers that exist keep what they have.

    A flavor that cannot be deleted does not keep the others.
    """

    examples = ('numaplace flavor delete m1.numa', 'numaplace flavor delete m1.numa m1.pinned')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the names."""
        parser = super().get_parser(prog_name)
        parser.add_argument('flavors', metavar='FLAVOR', nargs='+', help='Name or id of a flavor.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Delete one after the other; return the exit status."""
        with self.open_database() as database:
            return self.for_each(parsed_args.flavors, database.delete_flavor, parsed_args)
