# SPDX-License-Identifier: Apache-2.0
"""``numaplace server resize``, ``migrate`` and ``evacuate``: moves of servers to other places."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from numaplace import cpuset, exception
from numaplace.cli import base, ignored, server_columns, server_request, server_xml
from numaplace.cli.each_server import EachServer

if TYPE_CHECKING:
    from numaplace.db.api import Database
    from numaplace.model import Flavor, Guest
    from numaplace.model.records import InstanceRecord, Side
    from numaplace.scheduler.select import Claiming

__all__ = ['ConfirmResize', 'EvacuateServer', 'MigrateServer', 'ResizeServer', 'RevertResize']


class _Move(base.ShowOf):
    """Find another place for a server, and move it there."""

    outcome = "the server '{name}' is changed, with the UUID {id}"

    _all_hosts = False

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the name."""
        parser = super().get_parser(prog_name)
        parser.add_argument('server', metavar='SERVER', help='Name or UUID of the server.')
        server_request.add_all_hosts(parser)
        self.add_dry_run(parser)
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command; return the exit status."""
        self._all_hosts = parsed_args.all_hosts
        if parsed_args.dry_run:
            self.outcome = ''
        return super().run(parsed_args)

    def _read(self, flavor: Flavor, server: InstanceRecord) -> Guest:
        return server_request.read(self.conf, flavor, server.image_properties)

    def _go(
        self,
        database: Database,
        server: InstanceRecord,
        guest: Guest,
        claim: Claiming,
        *,
        host: str | None = None,
        leaves: str | None = None,
        host_cell_ids: tuple[int, ...] | None = None,
    ) -> tuple[InstanceRecord, Side]:
        """Choose a host, claim it and move the server there.

        :returns: the server after the move, and its destination
        """
        from numaplace.compute import migration
        from numaplace.scheduler import filters, select

        if host is not None and host == leaves:
            raise exception.UnableToMigrateToSelf(f'server {server.name!r} is on host {host!r} already')
        strategy = select.strategy(self.conf)
        request = filters.Request(
            server_request.again(server, guest),
            strategy=strategy,
            host_cell_ids=host_cell_ids,
            machine_types=self.conf.libvirt.hw_machine_type,
        )
        policy = select.Policy.of(self.conf)
        answer = select.select(database, request, policy, host=host, leaves=leaves, claim=claim)
        if isinstance(answer, select.NoHost):
            raise server_request.refuse(server.name, answer, all_hosts=self._all_hosts)
        # A guest whose XML cannot be written must not keep its claim.
        with answer.claim as claimed:
            new, move = claimed.side, claimed.instance.move
            there = replace(claimed.instance, host=new.host, flavor=new.flavor, placement=new.placement)
            server_xml.check(self.conf, database, there)
            return migration.finish(database, server.uuid, move.uuid if move else None), new


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
            guest = self._read(flavor, server)
            server_request.check_keys(flavor)
            moved, _ = self._go(database, wanted, guest, claim, leaves=leaves)
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
        from numaplace.compute import claims, migration

        with self.open_database() as database, self.rehearse(database, parsed_args):
            server = database.instance(parsed_args.server)
            side = migration.on_host(server, 'migrate')
            claims.check_up(database.host(side.host))
            if parsed_args.live_migration:
                return self._live(database, server, parsed_args.host)
            read = partial(server_request.read, self.conf)
            claim = partial(claims.resize_claim, database, server.uuid, read=read)
            guest = self._read(server.flavor, server)
            moved, _ = self._go(database, server, guest, claim, host=parsed_args.host, leaves=side.host)
            return server_columns.details(moved)

    def _live(
        self, database: Database, server: InstanceRecord, host: str | None
    ) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        from numaplace.compute import claims
        from numaplace.libvirt import live_migration

        claim = partial(claims.live_migration_claim, database, server.uuid)
        placed = server.placement
        moved, new = self._go(
            database,
            server,
            claims.running_guest(server),
            claim,
            host=host,
            leaves=server.host,
            host_cell_ids=claims.fixed_host_cell_ids(placed),
        )
        info = live_migration.numa_info(new.placement, database.host(new.host).host)
        columns, values = server_columns.details(moved)
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
        from numaplace.compute import claims, migration

        with self.open_database() as database, self.rehearse(database, parsed_args):
            server = database.instance(parsed_args.server)
            side = migration.on_host(server, 'evacuate')
            claims.check_down(database.host(side.host))
            read = partial(server_request.read, self.conf)
            claim = partial(claims.rebuild_claim, database, server.uuid, read=read)
            guest = self._read(server.flavor, server)
            moved, _ = self._go(database, server, guest, claim, host=parsed_args.host, leaves=side.host)
            return server_columns.details(moved)
