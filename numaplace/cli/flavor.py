# SPDX-License-Identifier: Apache-2.0
"""``numaplace flavor``: the sizes and requests of guests."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from numaplace import cpuset, exception, explain
from numaplace.cli import base, ignored, names, server_request

if TYPE_CHECKING:
    from numaplace.cli.main import App
    from numaplace.model import Flavor

__all__ = ['CreateFlavor', 'DeleteFlavor', 'ListFlavor', 'SetFlavor', 'ShowFlavor', 'UnsetFlavor', 'properties']

#: The most that a list of CPUs may name.
_MAX_VCPUS = cpuset.MAX_CPU + 1

_COLUMNS = ('id', 'name', 'ram', 'disk', 'vcpus', 'properties')


def properties(values: dict[str, str]) -> base.Written:
    """Return extra specs or image properties as a column."""
    words = ', '.join(f"{explain.escape(key)}='{explain.escape(value)}'" for key, value in sorted(values.items()))
    return base.Written(dict(sorted(values.items())), words)


def _row(flavor: Flavor) -> tuple[Any, ...]:
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


def _warn_of_faults(app: App, flavor: Flavor) -> None:
    """Warn about a flavor that cannot make a guest yet: what is missing may be set later.

    Also warn about guests that Linux finds fault with.
    """
    from numaplace import request
    from numaplace.request import cpu_topology, idle_keys, verdicts
    from numaplace.scheduler import select

    for text in (*verdicts.unknown(flavor), *verdicts.without_effect(flavor)):
        app.warn(text)
    try:
        guest = request.read(flavor)
        request.devices(flavor)
        request.tuning(flavor)
        server_request.check_keys(flavor)
        select.strategy(app.conf, flavor)
    except exception.Invalid as fault:
        app.warn(str(fault))
    else:
        for text in cpu_topology.warnings(guest):
            app.warn(f'flavor {flavor.name!r}: {text}')
        for _key, text in idle_keys.idle_keys(flavor, guest):
            app.warn(text)


class CreateFlavor(base.ShowOf):
    """Create a flavor; a warning says why it cannot make a guest yet, or what Linux will report in its guests."""

    examples = (
        'numaplace flavor create --ram 1024 --disk 1 --vcpus 4 m1.numa',
        'numaplace flavor create --ram 4096 --vcpus 4 --property hw:cpu_policy=dedicated m1.pinned',
    )
    ignores = ignored.FLAVOR_CREATE
    outcome = "the flavor '{name}' exists, with the id {id}"

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
        from numaplace.model import Flavor
        from numaplace.request import verdicts

        flavor = Flavor(
            name=names.name('flavor', parsed_args.name),
            vcpus=parsed_args.vcpus,
            memory_mib=parsed_args.ram,
            disk_gib=parsed_args.disk,
            extra_specs=names.pairs('--property', parsed_args.property),
        )
        verdicts.check(flavor.name, flavor.extra_specs)
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
    """Set extra specs of a flavor; existing servers keep theirs.

    A warning says why the flavor cannot make a guest yet, or what Linux will report in its guests.
    """

    examples = (
        'numaplace flavor set --property hw:numa_nodes=2 m1.numa',
        'numaplace flavor set --property hw:mem_page_size=2MB m1.large-pages',
    )
    ignores = ignored.FLAVOR_SET

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the extra specs."""
        parser = super().get_parser(prog_name)
        parser.add_argument('flavor', metavar='FLAVOR', help='Name or id of the flavor.')
        _add_property(parser, required=True)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change the flavor."""
        from numaplace.request import verdicts

        change = names.pairs('--property', parsed_args.property)
        verdicts.check(parsed_args.flavor, change)
        with self.open_database() as database:
            stored = database.change_extra_specs(parsed_args.flavor, change=change)
        _warn_of_faults(self.app, stored)


class UnsetFlavor(base.Action):
    """Remove extra specs of a flavor."""

    examples = ('numaplace flavor unset --property hw:numa_nodes m1.numa',)
    ignores = ignored.FLAVOR_UNSET

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

    nothing = 'no flavors'
    examples = ('numaplace flavor list',)
    ignores = ignored.FLAVOR_LIST

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return all flavors by name."""
        with self.open_database() as database:
            return ('ID', 'Name', 'RAM', 'Disk', 'VCPUs', 'Properties'), [
                _row(each) for each in database.flavors(self.unread)
            ]


class DeleteFlavor(base.Action):
    """Delete flavors; existing servers keep theirs.

    A flavor that cannot be deleted does not stop the others.
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
            return self.for_each('flavors', parsed_args.flavors, database.delete_flavor, parsed_args)
