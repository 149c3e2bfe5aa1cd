# SPDX-License-Identifier: Apache-2.0
"""``numaplace server resize``, ``migrate`` and ``evacuate``: moves of servers to other places."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from numaplace import cpuset, exception
from numaplace.cli import base, ignored, moving, server_columns, server_request
from numaplace.cli.each_server import EachServer

if TYPE_CHECKING:
    from numaplace.db.api import Database

__all__ = ['ConfirmResize', 'EvacuateServer', 'MigrateServer', 'ResizeServer', 'RevertResize']


class _Move(base.ShowOf):
    """Find another place for a server, and move it there."""

    outcome = "the server '{name}' is changed, with the UUID {id}"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the name."""
        parser = super().get_parser(prog_name)
        parser.add_argument('server', metavar='SERVER', help='Name or UUID of the server.')
        server_request.add_all_hosts(parser)
        self.add_dry_run(parser)
        return parser


class ResizeServer(_Move):
    """Change the flavor of a server, on another host unless [DEFAULT] allow_resize_to_same_host is set.

    The server holds both places until the resize is confirmed or reverted.
    """

    examples = (
        'numaplace server resize --flavor m1.large db1',
        'numaplace server resize --flavor m1.large --dry-run db1',
        'numaplace server resize --confirm db1',
    )
    ignores = ignored.SERVER_RESIZE

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the flavor, and the older options that confirm and revert."""
        parser = super().get_parser(prog_name)
        phase = parser.add_mutually_exclusive_group(required=True)
        phase.add_argument('--flavor', metavar='FLAVOR', help='Name or id of the new flavor.')
        phase.add_argument('--confirm', action='store_true', help='The same as `numaplace server resize confirm`.')
        phase.add_argument('--revert', action='store_true', help='The same as `numaplace server resize revert`.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Choose a host, claim it in addition to the present place, and show the server.

        :raises: :class:`~numaplace.exception.NoValidHost` if no host takes it,
            :class:`~numaplace.exception.NotFound` for an unknown server or flavor,
            :class:`~numaplace.exception.Conflict` if its state does not allow it, or it has the flavor already
        """
        from numaplace.compute import claims, migration

        with self.open_database() as database, self.rehearse(database, parsed_args):
            server = database.instance(parsed_args.server)
            if parsed_args.confirm:
                return server_columns.details(migration.confirm(database, server.uuid))
            if parsed_args.revert:
                return server_columns.details(migration.revert(database, server.uuid))
            flavor = server_request.find_flavor(database, parsed_args.flavor)
            side = migration.on_host(server, 'resize')
            claims.check_up(database.host(side.host))
            if flavor == server.flavor:
                raise exception.Conflict(f'server {server.name!r} has the flavor {flavor.name!r} already')
            read = partial(server_request.read, self.conf)
            claim = partial(claims.resize_claim, database, server.uuid, flavor=flavor, read=read)
            leaves = None if self.conf.allow_resize_to_same_host else side.host
            wanted = replace(server, flavor=flavor)
            guest = read(flavor, server.image_properties)
            server_request.check_keys(flavor)
            moved, _ = moving.go(
                self.conf, database, wanted, guest, claim, leaves=leaves, all_hosts=parsed_args.all_hosts
            )
            return server_columns.details(moved)


class ConfirmResize(EachServer):
    """Confirm a resize or a cold migration of servers, and free their old places."""

    examples = ('numaplace server resize confirm db1',)

    def act(self, database: Database, uuid: str) -> None:
        """Confirm the move of a server."""
        from numaplace.compute import migration

        migration.confirm(database, uuid)


class RevertResize(EachServer):
    """Revert a resize or a cold migration of servers: back to the old place and the old flavor."""

    examples = ('numaplace server resize revert db1',)

    def act(self, database: Database, uuid: str) -> None:
        """Revert the move of a server."""
        from numaplace.compute import migration

        migration.revert(database, uuid)


class MigrateServer(_Move):
    """Move a server to another host, either while it is off or while it runs.

    A server that moves while it is off holds both places until `server resize confirm` or `server resize revert`. A
    running guest keeps its cells, vCPUs, policies and page sizes; `numa_info` holds its new pins in the form of Nova's
    libvirt driver.
    """

    examples = (
        'numaplace server migrate db1',
        'numaplace server migrate --live-migration --host compute2 db1',
        'numaplace server migrate --live-migration --dry-run db1',
    )
    ignores = ignored.SERVER_MIGRATE

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the kind of move, and the destination."""
        parser = super().get_parser(prog_name)
        parser.add_argument('--live-migration', action='store_true', help='Move it while it runs.')
        parser.add_argument('--host', metavar='HOST', help='Only to this host.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Choose a host, claim it, and show the server there.

        :raises: as :meth:`ResizeServer.take_action`
        """
        from numaplace.libvirt import live_migration
        from numaplace.model.records import LIVE_MIGRATION, MIGRATION

        kind = LIVE_MIGRATION if parsed_args.live_migration else MIGRATION
        with self.open_database() as database, self.rehearse(database, parsed_args):
            server = database.instance(parsed_args.server)
            moved, new = moving.move(
                self.conf, database, server, kind, host=parsed_args.host, all_hosts=parsed_args.all_hosts
            )
            columns, values = server_columns.details(moved)
            if kind == MIGRATION:
                return columns, values
            info = live_migration.numa_info(new.placement, database.host(new.host).host)
            return (*columns, 'numa_info'), (*values, base.Written(info, _words(info['nova_object.data'])))


def _words(info: dict[str, Any]) -> str:
    """Return the pins of a guest for people."""
    pins = [f'vCPU {vcpu} to {_text(cpus)}' for vcpu, cpus in info.get('cpu_pins', {}).items()]
    return '\n'.join([*pins, f'emulator to {_text(info["emulator_pins"])}'] if pins else ['none: floats'])


def _text(cpus: Sequence[int]) -> str:
    return cpuset.text(cpuset.mask(cpus))


class EvacuateServer(_Move):
    """Bring a server up on another host, because its own is down."""

    examples = ('numaplace host set --down compute1', 'numaplace server evacuate db1')
    ignores = ignored.SERVER_EVACUATE

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the destination."""
        parser = super().get_parser(prog_name)
        parser.add_argument('--host', metavar='HOST', help='Only to this host.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Choose a host, claim it, and show the server there.

        :raises: as :meth:`ResizeServer.take_action`, :class:`~numaplace.exception.ComputeServiceInUse` if its host is
            up
        """
        from numaplace.model.records import EVACUATION

        with self.open_database() as database, self.rehearse(database, parsed_args):
            server = database.instance(parsed_args.server)
            moved, _ = moving.move(
                self.conf, database, server, EVACUATION, host=parsed_args.host, all_hosts=parsed_args.all_hosts
            )
            return server_columns.details(moved)
