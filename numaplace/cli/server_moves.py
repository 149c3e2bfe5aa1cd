# SPDX-License-Identifier: Apache-2.0
"""``numaplace server resize``, ``migrate`` and ``evacuate``: moves of servers to other places."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from numaplace import cpuset
from numaplace.cli import base, ignored, schedulers, server_columns, server_request
from numaplace.cli.each_server import ChangeOf, EachServer

if TYPE_CHECKING:
    from numaplace.compute.live_devices import Moved
    from numaplace.db.api import Database
    from numaplace.model.records import InstanceRecord
    from numaplace.operations.servers import Direct
    from numaplace.services.client import Remote

__all__ = ['ConfirmResize', 'EvacuateServer', 'MigrateServer', 'ResizeServer', 'RevertResize']


class _Move(ChangeOf):
    """Find another place for a server, and move it there."""

    _all_hosts = _is_dry = False

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add how much a refusal says."""
        parser = super().get_parser(prog_name)
        server_request.add_all_hosts(parser)
        self.add_dry_run(parser)
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command; return the exit status."""
        self._all_hosts, self._is_dry = parsed_args.all_hosts, parsed_args.dry_run
        return super().run(parsed_args)

    @property
    def scheduler(self) -> Direct | Remote:
        """Who chooses the host."""
        return schedulers.chosen(self.app, all_hosts=self._all_hosts, is_dry=self._is_dry)


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

    def change(
        self, database: Database, server: InstanceRecord, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Choose a host, claim it in addition to the present place, and show the server.

        :raises: :class:`~numaplace.exception.NoValidHost` if no host takes it,
            :class:`~numaplace.exception.NotFound` for an unknown flavor,
            :class:`~numaplace.exception.Conflict` if its state does not allow it, or it has the flavor already
        """
        for verb in ('confirm', 'revert'):
            if getattr(parsed_args, verb):
                return server_columns.details(self.scheduler.do(database, verb, server.uuid))
        flavor = server_request.find_flavor(database, parsed_args.flavor)
        return server_columns.details(self.scheduler.do(database, 'resize', server.uuid, flavor=flavor))


class ConfirmResize(EachServer):
    """Confirm a resize or a cold migration of servers, and free their old places."""

    examples = ('numaplace server resize confirm db1',)

    def act(self, database: Database, uuid: str) -> None:
        """Confirm the move of a server."""
        self.scheduler.do(database, 'confirm', uuid)


class RevertResize(EachServer):
    """Revert a resize or a cold migration of servers: back to the old place and the old flavor."""

    examples = ('numaplace server resize revert db1',)

    def act(self, database: Database, uuid: str) -> None:
        """Revert the move of a server."""
        self.scheduler.do(database, 'revert', uuid)


class MigrateServer(_Move):
    """Move a server to another host, either while it is off or while it runs.

    A server that moves while it is off holds both places until `server resize confirm` or `server resize revert`. A
    running guest keeps its cells, vCPUs, policies and page sizes; `numa_info` holds its new pins in the form of Nova's
    libvirt driver. It gets other PCI devices where it can (`pci_devices`): NICs of physical networks are detached and
    attached again, and devices whose alias says live_migratable='yes' move with it.
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

    def change(
        self, database: Database, server: InstanceRecord, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Choose a host, claim it, and show the server there.

        :raises: as :meth:`ResizeServer.change`
        """
        if parsed_args.live_migration:
            return self._live(database, server, parsed_args.host)
        return server_columns.details(self.scheduler.do(database, 'migrate', server.uuid, host=parsed_args.host))

    def _live(
        self, database: Database, server: InstanceRecord, host: str | None
    ) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        from numaplace.compute import claims, live_devices
        from numaplace.libvirt import live_migration
        from numaplace.operations import requests

        wanted = claims.moving_guest(server, partial(requests.read, self.conf)).pci_requests
        moved = self.scheduler.do(database, 'live_migrate', server.uuid, host=host)
        info = live_migration.numa_info(moved.placement, database.host(moved.host or '').host)
        columns, values = server_columns.details(moved)
        pins = base.Written(info, _words(info['nova_object.data']))
        exchanged = live_devices.moved(server, wanted, moved.placement)
        return (*columns, 'numa_info', 'pci_devices'), (*values, pins, _exchanged(exchanged))


def _exchanged(devices: Sequence[Moved]) -> base.Written:
    """Return which devices of the destination are in place of which."""
    words = [
        f'{each.source} to {each.destination}, {"detached and attached again" if each.is_attached_again else "kept"}'
        for each in devices
    ]
    return base.Written(list(map(asdict, devices)), '\n'.join(words) or 'none')


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

    def change(
        self, database: Database, server: InstanceRecord, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Choose a host, claim it, and show the server there.

        :raises: as :meth:`ResizeServer.change`, :class:`~numaplace.exception.ComputeServiceInUse` if its host is
            up
        """
        return server_columns.details(self.scheduler.do(database, 'evacuate', server.uuid, host=parsed_args.host))
