# SPDX-License-Identifier: Apache-2.0
"""``numaplace server``: guests, and where they are."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from numaplace import exception
from numaplace.cli import base, ignored, names, progress, schedulers, server_columns, server_hints, server_request
from numaplace.cli.each_server import EachServer
from numaplace.operations import requests

if TYPE_CHECKING:
    from numaplace.db.api import Database
    from numaplace.db.records import InstanceRequest
    from numaplace.model import Devices
    from numaplace.model.records import InstanceRecord

__all__ = ['CreateServer', 'DeleteServer', 'ListServer', 'ShowServer']

#: Faults of a server whose rows, or whose host's rows, are invalid.
_NOT_COUNTED = (
    exception.InvalidObject,
    exception.UsageInvalid,
    exception.CPUUnpinningInvalid,
    exception.CPUUnpinningUnknown,
)
#: The most servers that one request may create.
_MOST_SERVERS = 10_000


class CreateServer(base.ShowOf):
    """Place a guest on a host and record the claim; the exit status is 3 if no host takes it."""

    examples = (
        'numaplace server create --flavor m1.numa cirros2',
        'numaplace server create --flavor m1.tiny --image-property hw_numa_nodes=2 cirros3',
        'numaplace server create --flavor m1.pinned --host compute1 db1',
        'numaplace server create --flavor m1.numa --min 2 --max 5 web',
        'numaplace server create --flavor m1.numa --dry-run --why cirros3',
        'numaplace server create --flavor m1.numa --hint group=web --project p1 web1',
        'numaplace server create --flavor m1.numa --nic network=default,node=1 --disk path=/srv/db.img,node=0 db2',
        'numaplace server create --flavor m1.numa --nic physnet=lake,vnic=direct,policy=required db3',
    )
    ignores = ignored.SERVER_CREATE
    outcome = "the server '{name}' exists, with the UUID {id}"
    _claimed = 0

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the description of the guest and where it may go."""
        parser = super().get_parser(prog_name)
        parser.add_argument('name', metavar='NAME', help='Name of the server; names need not be unique.')
        parser.add_argument('--flavor', required=True, metavar='FLAVOR', help='Name or id of the flavor.')
        server_request.add_image(parser)
        _add_devices(parser)
        parser.add_argument('--availability-zone', metavar='ZONE', help='Only hosts of this zone.')
        parser.add_argument('--host', '--hypervisor-hostname', metavar='HOST', help='Only this host.')
        server_request.add_all_hosts(parser)
        parser.add_argument(
            '--why',
            action='store_true',
            help='If no host takes the server, find the smallest change of the request or a host with which one does.',
        )
        self.add_dry_run(parser)
        server_hints.add(parser)
        parser.add_argument(
            '--connect',
            metavar='URI',
            help='A libvirt to ask, before anything is claimed, whether it accepts so many vCPUs; without it the '
            'capabilities that the hosts were registered with decide.',
        )
        parser.add_argument(
            '--min',
            type=names.whole(1, _MOST_SERVERS),
            metavar='NUMBER',
            help='How many servers must fit (default: 1); if fewer do, none is created.',
        )
        parser.add_argument(
            '--max',
            type=names.whole(1, _MOST_SERVERS),
            metavar='NUMBER',
            help='How many servers to create at most (default: --min); several are named NAME-1, NAME-2, and so on.',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Choose a host for each server, claim it, and show the server, or all servers.

        :raises: :class:`~numaplace.exception.NoValidHost` if no host takes it,
            :class:`~numaplace.exception.NotFound` for an unknown flavor or host,
            :class:`~numaplace.exception.Invalid` for a bad name or property, or a contradictory request
        """
        from numaplace import request
        from numaplace.request import cpu_topology, verdicts
        from numaplace.scheduler import select

        name = names.name('server', parsed_args.name)
        at_least = parsed_args.min or 1
        at_most = parsed_args.max or at_least
        if at_least > at_most:
            self.misuse(f'--min {at_least}: more than --max {at_most}')
        called = [name] if at_most == 1 else [f'{name}-{number}' for number in range(1, at_most + 1)]
        image_properties = server_request.image(parsed_args)
        devices = request.own_devices(parsed_args.nic, parsed_args.disk)
        _check_files(devices, len(called))
        with (
            self.open_database() as database,
            self.rehearse(database, parsed_args),
            progress.told_early(self.app, self._left),
        ):
            flavor = server_request.find_flavor(database, parsed_args.flavor)
            guest = requests.read(self.conf, flavor, image_properties)
            requests.check_keys(flavor, image_properties)
            if parsed_args.connect is not None:
                requests.ask(self.conf, parsed_args.connect, flavor, image_properties, guest)
            scheduling = server_hints.read(database, parsed_args)
            if scheduling['hints']:
                for text in server_hints.warnings(scheduling['hints'], select.Policy.of(self.conf)):
                    self.app.warn(text)
            asked = partial(
                requests.new_server,
                self.conf,
                flavor=flavor,
                image_properties=image_properties,
                zone=parsed_args.availability_zone,
                devices=devices,
                scheduling=scheduling,
            )
            wanted = list(map(asked, called))
            servers = self._claim(database, wanted, at_least, parsed_args)
        for text in verdicts.unknown(flavor, image_properties):
            self.app.warn(text)
        for text in verdicts.without_effect(None, image_properties, is_encrypted=guest.is_encrypted):
            self.app.warn(text)
        if len(servers) < len(called):
            self.app.warn(f'{len(servers)} of {len(called)} servers were placed: no host takes another one')
        for text in cpu_topology.warnings(servers[0].placement.guest):
            self.app.warn(f'server {servers[0].name!r}: {text}')
        if len(called) == 1:
            return server_columns.details(servers[0])
        uuids = ', '.join(server.uuid for server in servers)
        self.outcome = self.outcome and f'{len(servers)} servers exist, with the UUIDs {uuids}'
        return _several(servers)

    def _claim(
        self, database: Database, wanted: Sequence[InstanceRequest], at_least: int, parsed_args: argparse.Namespace
    ) -> list[InstanceRecord]:
        """Have a host claimed for each server that fits, and all claims given back if the command ends early."""
        scheduler = schedulers.chosen(self.app, all_hosts=parsed_args.all_hosts, is_dry=parsed_args.dry_run)

        with progress.shown(self.app, 'servers', len(wanted)) as bar:

            def claimed() -> None:
                self._claimed += 1
                bar.advance()

            try:
                return scheduler.create(
                    database,
                    wanted,
                    parsed_args.name,
                    at_least=at_least,
                    host=parsed_args.host,
                    claimed=claimed,
                    read=partial(bar.beside, 'hosts read'),
                )
            except exception.NoValidHost as error:
                if not parsed_args.why:
                    raise
                raise self._with_change(database, wanted[0], error, parsed_args) from error

    def _with_change(
        self,
        database: Database,
        wanted: InstanceRequest,
        error: exception.NoValidHost,
        parsed_args: argparse.Namespace,
    ) -> exception.NoValidHost:
        """Return a refusal that names the nearest change, too."""
        from numaplace.cli import fleet_nearest

        found = fleet_nearest.for_new(self.conf, database.fleet(), wanted, host=parsed_args.host)
        if found is None:  # a host takes one server, and not as many as were requested
            return error

        def refusals() -> list[dict[str, object]]:
            changes = {name: fleet_nearest.plain(change) for name, change in found.items()}
            return [{**refused, 'nearest': changes.get(str(refused['host']))} for refused in error.refusals()]

        return exception.NoValidHost('\n  '.join((str(error), *fleet_nearest.lines(found))), refusals, error.counts)

    def _left(self) -> str:
        """Return what an interrupt has left."""
        claims = f'all claims are given back: {self._claimed}' if self._claimed else 'nothing is claimed'
        return f'no server was created; {claims}'


def _add_devices(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--nic',
        action=ignored.Nic,
        default=[],
        metavar='DEVICE',
        help=(
            'Network interface, in addition to those of the flavor: network=NAME or bridge=NAME, with model=virtio or '
            'e1000e and node=CELL where needed; or physnet=NAME with vnic=direct, direct-physical, macvtap or vdpa for '
            'a PCI device that [pci] device_spec gives this physical_network, with policy=required, legacy, preferred '
            'or socket, mac=ADDRESS and vlan=NUMBER where needed; may be repeated.'
        ),
    )
    parser.add_argument(
        '--disk',
        action='append',
        default=[],
        metavar='DEVICE',
        help=(
            'Disk, in addition to those of the flavor: path=/FILE, with format=raw or qcow2 and node=CELL where '
            "needed; may be repeated. {uuid} in the path stands for the server's UUID. A device with a node is "
            'attached near that guest cell.'
        ),
    )


def _check_files(devices: Devices, servers: int) -> None:
    """Refuse disks that several servers of a request would share: QEMU starts only one of them.

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
    """Show a server: its host and the places of its cells."""

    examples = ('numaplace server show cirros2', 'numaplace server show -f json cirros2')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the name."""
        parser = super().get_parser(prog_name)
        parser.add_argument('server', metavar='SERVER', help='Name or UUID of the server.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Return the server."""
        with self.open_database() as database:
            return server_columns.details(database.instance(parsed_args.server))


class ListServer(base.ListOf):
    """List servers: all, or those on a host or of a flavor."""

    nothing = 'no servers'
    examples = (
        'numaplace server list',
        'numaplace server list --host compute1 --flavor m1.numa --long',
        'numaplace server list --sort-column Host --sort-column Name',
        'numaplace server list -f json',
    )
    ignores = ignored.SERVER_LIST

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the selection, and the columns."""
        parser = super().get_parser(prog_name)
        parser.add_argument('--host', metavar='HOST', help='Only servers on this host.')
        parser.add_argument('--flavor', metavar='FLAVOR', help='Only servers of this flavor, by name or id.')
        parser.add_argument(
            '--long', action='store_true', help='Also show flavor id, image, zone, size and the places of the cells.'
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return the servers by number.

        :raises: :class:`~numaplace.exception.NotFound` for an unknown host or flavor
        """
        host, flavor = parsed_args.host, parsed_args.flavor
        with self.open_database() as database:
            found = [
                server
                for server in database.instances(host, unread=self.unread)
                if host in (None, server.host) and flavor in (None, server.flavor.name, server.flavor.id)
            ]
            if not found and host is not None:
                database.host(host)
            if not found and flavor is not None:
                server_request.find_flavor(database, flavor)
            zones = {record.name: record.availability_zone for record in database.hosts({})} if parsed_args.long else {}
        if parsed_args.long:
            return server_columns.COLUMNS + server_columns.LONG_COLUMNS, [
                server_columns.row(server) + server_columns.long_row(server, zones) for server in found
            ]
        return server_columns.COLUMNS, [server_columns.row(server) for server in found]


class DeleteServer(EachServer):
    """Delete servers and free what they hold; one that cannot be deleted does not stop the others."""

    examples = ('numaplace server delete cirros2', 'numaplace server delete db1 db2 db3')
    ignores = ignored.SERVER_DELETE

    _force = False

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the option for invalid rows."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--force',
            action='store_true',
            help='Also delete a server whose row cannot be read, or that its host does not count; the usage of the '
            'host is then counted again, as by `numaplace host audit --repair`.',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Delete one after the other; return the exit status."""
        self._force = parsed_args.force
        return super().take_action(parsed_args)

    def act(self, database: Database, uuid: str) -> None:
        """Delete a server."""
        from numaplace.compute import audit

        try:
            self.scheduler.do(database, 'delete', uuid)
        except _NOT_COUNTED:
            if not self._force:
                raise
            for report in audit.discard(database, uuid):
                for fault in report.faults:
                    self.app.warn(fault.text)
