# SPDX-License-Identifier: Apache-2.0
"""``numaplace server``: guests, and where they are."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from numaplace import exception
from numaplace.cli import asking, base, names, server_xml, showing
from numaplace.cli.each_server import EachServer

if TYPE_CHECKING:
    from numaplace.db.api import Database
    from numaplace.db.records import InstanceRecord
    from numaplace.request import Devices

__all__ = ['CreateServer', 'DeleteServer', 'ListServer', 'ShowServer']

#: Faults of a server whose rows, or whose host's, are no good.
_NOT_COUNTED = (
    exception.InvalidObject,
    exception.UsageInvalid,
    exception.CPUUnpinningInvalid,
    exception.CPUUnpinningUnknown,
)
#: Most servers of one request.
_MOST_SERVERS = 10_000


class CreateServer(base.ShowOf):
    """Place a guest on a host and record it; ends with status 3 and the reasons where no host takes it."""

    examples = (
        'numaplace server create --flavor m1.numa cirros2',
        'numaplace server create --flavor m1.tiny --image-property hw_numa_nodes=2 cirros3',
        'numaplace server create --flavor m1.pinned --host compute1 db1',
        'numaplace server create --flavor m1.numa --min 2 --max 5 web',
        'numaplace server create --flavor m1.numa --nic network=default,node=1 --disk path=/srv/db.img,node=0 db2',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add what the guest is like and where it may go."""
        parser = super().get_parser(prog_name)
        parser.add_argument('name', metavar='NAME', help='Name of the server; several servers may have the same.')
        parser.add_argument('--flavor', required=True, metavar='FLAVOR', help='Name or id of the flavor.')
        asking.add_image(parser)
        _add_devices(parser)
        parser.add_argument('--availability-zone', metavar='ZONE', help='Only hosts of this zone.')
        parser.add_argument('--host', metavar='HOST', help='Only this host.')
        parser.add_argument(
            '--min',
            type=names.whole(1, _MOST_SERVERS),
            metavar='NUMBER',
            help='How many servers have to fit (default: 1); if fewer do, none of them stays.',
        )
        parser.add_argument(
            '--max',
            type=names.whole(1, _MOST_SERVERS),
            metavar='NUMBER',
            help='How many servers to place (default: --min); if several, they are called NAME-1, NAME-2, and so on.',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Choose a host for each server, claim it, and show the server, or all of several.

        :raises: :class:`~numaplace.exception.NoValidHost` where no host takes it,
            :class:`~numaplace.exception.NotFound` for an unknown flavor or host,
            :class:`~numaplace.exception.Invalid` for a bad name or property, or a request that contradicts itself
        """
        from numaplace import request
        from numaplace.scheduler import filters, select

        name = names.name('server', parsed_args.name)
        at_least = parsed_args.min or 1
        at_most = parsed_args.max or at_least
        if at_least > at_most:
            self.misuse(f'--min {at_least}: more than --max {at_most}')
        called = [name] if at_most == 1 else [f'{name}-{number}' for number in range(1, at_most + 1)]
        image_properties = asking.image(parsed_args)
        devices = request.own_devices(parsed_args.nic, parsed_args.disk)
        _check_files(devices, len(called))
        policy, strategy = select.Policy.of(self.conf), select.strategy(self.conf)
        with self.open_database() as database:
            flavor = asking.find_flavor(database, parsed_args.flavor)
            requests = [
                filters.Request(
                    asking.new_server(
                        self.conf,
                        each,
                        flavor,
                        image_properties,
                        zone=parsed_args.availability_zone,
                        devices=devices,
                    ),
                    strategy=strategy,
                )
                for each in called
            ]
            answer = select.select_many(database, requests, policy, at_least=at_least, host=parsed_args.host)
            if isinstance(answer, select.NoHost):
                raise asking.refuse(name, answer)
            with ExitStack() as undo:
                # Guests whose XML cannot be written must not keep their claims.
                servers = [undo.enter_context(selection.claim).instance for selection in answer.found]
                for server in servers:
                    server_xml.write(self.conf, database, server)
        if answer.missing is not None:
            self.app.warn(f'{len(servers)} of {len(called)} servers were placed: no host takes one more')
        return showing.details(servers[0]) if len(called) == 1 else _several(servers)


def _add_devices(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--nic',
        action='append',
        default=[],
        metavar='DEVICE',
        help=(
            'Network interface, beside those of the flavor: network=NAME or bridge=NAME, with model=virtio or e1000e '
            'and node=CELL where needed; may be repeated.'
        ),
    )
    parser.add_argument(
        '--disk',
        action='append',
        default=[],
        metavar='DEVICE',
        help=(
            'Disk, likewise: path=/FILE, with format=raw or qcow2 and node=CELL where needed; may be repeated. {uuid} '
            "in the path stands for the server's UUID. The guest's kernel sees a device with a node near to that cell."
        ),
    )


def _check_files(devices: Devices, servers: int) -> None:
    """Refuse disks that several servers of a request would have in common: QEMU starts only one of them.

    :raises: :class:`~numaplace.exception.Invalid`
    """
    for disk in devices.disks:
        if servers > 1 and disk.is_shared:
            raise exception.Invalid(
                f'{disk.place}: {servers} servers would have the same file: expected {{uuid}} in the path, which '
                'stands for the UUID of each'
            )


def _several(servers: Sequence[InstanceRecord]) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    plain = [
        {'id': server.uuid, 'name': server.name, 'instance_name': server.domain_name, 'host': server.host}
        for server in servers
    ]
    words = [
        f'{names.shorten(server.name)} ({server.domain_name}) on {names.shorten(server.host or "")}'
        for server in servers
    ]
    return ('servers',), (base.Written(plain, '\n'.join(words)),)


class ShowServer(base.ShowOf):
    """Show a server: its host, and where its cells are."""

    examples = ('numaplace server show cirros2', 'numaplace server show -f json cirros2')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the name."""
        parser = super().get_parser(prog_name)
        parser.add_argument('server', metavar='SERVER', help='Name or UUID of the server.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Return the server."""
        with self.open_database() as database:
            return showing.details(database.instance(parsed_args.server))


class ListServer(base.ListOf):
    """List all servers."""

    examples = ('numaplace server list', 'numaplace server list -f json')

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return all servers by number."""
        with self.open_database() as database:
            return ('ID', 'Name', 'Instance Name', 'Status', 'Host', 'Flavor'), [
                (
                    server.uuid,
                    base.Text(server.name),
                    server.domain_name,
                    server.status,
                    None if server.host is None else base.Text(server.host),
                    base.Text(server.flavor.name),
                )
                for server in database.instances(unread=self.unread)
            ]


class DeleteServer(EachServer):
    """Delete servers and free what they hold; one that cannot be deleted does not keep the others."""

    examples = ('numaplace server delete cirros2', 'numaplace server delete db1 db2 db3')

    _force = False

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add what is done about rows that are no good."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--force',
            action='store_true',
            help='Also a server whose row cannot be read, or that its host does not count; the usage of the host is '
            'counted anew then, as by `numaplace host audit --repair`.',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Delete one after the other; return the exit status."""
        self._force = parsed_args.force
        return super().take_action(parsed_args)

    def act(self, database: Database, uuid: str) -> None:
        """Delete a server."""
        from numaplace.compute import audit, claims

        try:
            claims.release(database, uuid)
        except _NOT_COUNTED:
            if not self._force:
                raise
            for report in audit.discard(database, uuid):
                for fault in report.faults:
                    self.app.warn(fault)
