# SPDX-License-Identifier: Apache-2.0
"""``numaplace server``: guests, and where they are."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from numaplace import cpuset, exception, explain, units
from numaplace.cli import base, names
from numaplace.cli.flavor import properties

if TYPE_CHECKING:
    from oslo_config import cfg

    from numaplace.db.api import Database
    from numaplace.db.records import FlavorRecord, InstanceRecord
    from numaplace.model import CellPlacement, Guest
    from numaplace.scheduler.select import NoHost

__all__ = ['CreateServer', 'DeleteServer', 'DumpxmlServer', 'ListServer', 'ShowServer']

#: Where the name of an image is kept among its properties.
_IMAGE_NAME = 'image_name'
#: Most servers of one request.
_MOST_SERVERS = 10_000


def _guest(conf: cfg.ConfigOpts, flavor: FlavorRecord, image_properties: dict[str, str]) -> Guest:
    """Return what a flavor and an image ask for, with the default that the configuration gives."""
    from numaplace import request
    from numaplace.scheduler import default_numa

    guest = request.read(flavor, image_properties)
    return default_numa.single(guest) if conf.numaplace.default_guest_numa == 'single' else guest


def _refuse(name: str, answer: NoHost) -> exception.NoValidHost:
    """Return the error that shows for each host what was missing."""
    lines = [f"numaplace: no valid host for server '{names.shorten(name)}'" + (':' if answer.rejections else '')]
    if not answer.rejections:
        lines[0] += ': there are no hosts; take one in with `numaplace host discover` or `numaplace host import`'
    for rejection in answer.rejections:
        lines.append(f'  {names.shorten(rejection.host)} ({rejection.filter}):')
        lines += [f'    {explain.escape(line)}' for line in explain.lines(rejection.refusal)]
    return exception.NoValidHost('\n'.join(lines))


class CreateServer(base.ShowOf):
    """Place a guest on a host and record it; ends with status 3 and the reasons where no host takes it."""

    examples = (
        'numaplace server create --flavor m1.numa cirros2',
        'numaplace server create --flavor m1.tiny --image-property hw_numa_nodes=2 cirros3',
        'numaplace server create --flavor m1.pinned --host compute1 db1',
        'numaplace server create --flavor m1.numa --min 2 --max 5 web',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add what the guest is like and where it may go."""
        parser = super().get_parser(prog_name)
        parser.add_argument('name', metavar='NAME', help='Name of the server; several servers may have the same.')
        parser.add_argument('--flavor', required=True, metavar='FLAVOR', help='Name or id of the flavor.')
        parser.add_argument('--image', metavar='IMAGE', help='Name of the image; it is kept with the server.')
        parser.add_argument(
            '--image-property',
            action='append',
            default=[],
            metavar='KEY=VALUE',
            help='Property of the image, such as hw_numa_nodes=2; may be repeated.',
        )
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
        from numaplace.scheduler import filters, select

        name = names.name('server', parsed_args.name)
        at_least = parsed_args.min or 1
        called = _called(name, at_least, parsed_args.max or at_least)
        image_properties = names.pairs('--image-property', parsed_args.image_property)
        if parsed_args.image is not None:
            image_properties[_IMAGE_NAME] = names.name('image', parsed_args.image)
        policy, strategy = select.Policy.of(self.conf), select.strategy(self.conf)
        with self.open_database() as database:
            flavor = _find_flavor(database, parsed_args.flavor)
            requests = [
                filters.Request(
                    _request(self.conf, each, flavor, image_properties, parsed_args.availability_zone),
                    strategy=strategy,
                )
                for each in called
            ]
            answer = select.select_many(database, requests, policy, at_least=at_least, host=parsed_args.host)
            if isinstance(answer, select.NoHost):
                raise _refuse(name, answer)
            with ExitStack() as undo:
                # Guests whose XML cannot be written must not keep their claims.
                servers = [undo.enter_context(selection.claim).instance for selection in answer.found]
                for server in servers:
                    _xml(self.conf, database, server)
        if answer.missing is not None:
            self.app.warn(f'{len(servers)} of {len(called)} servers were placed: no host takes one more')
        return _details(servers[0]) if len(called) == 1 else _several(servers)


def _called(name: str, at_least: int, at_most: int) -> list[str]:
    """Return what all servers of a request are called.

    :raises: :class:`~numaplace.exception.Invalid` if more have to fit than are asked for
    """
    if at_least > at_most:
        raise exception.Invalid(f'--min {at_least}: more than --max {at_most}')
    return [name] if at_most == 1 else [f'{name}-{number}' for number in range(1, at_most + 1)]


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


def _request(
    conf: cfg.ConfigOpts, name: str, flavor: FlavorRecord, image_properties: dict[str, str], zone: str | None
) -> Any:
    from numaplace.db.records import InstanceRequest

    return InstanceRequest(
        name=name,
        flavor=flavor,
        guest=_guest(conf, flavor, image_properties),
        image_properties=image_properties,
        availability_zone=zone,
    )


def _find_flavor(database: Database, name: str) -> FlavorRecord:
    try:
        return database.flavor(name)
    except exception.NotFound as error:
        known = ', '.join(names.shorten(flavor.name) for flavor in database.flavors()[:8])
        raise exception.NotFound(
            f"--flavor '{names.shorten(name)}': there is no such flavor; known are {known or 'none'}; "
            'see `numaplace flavor create --help`'
        ) from error


def _xml(conf: cfg.ConfigOpts, database: Database, server: InstanceRecord) -> str:
    from numaplace.libvirt import domain
    from numaplace.scheduler.filters.image_properties import canonical

    if server.host is None:
        raise exception.Conflict(f'server {server.name!r} is on no host: it is {server.status}')
    host = database.host(server.host)
    arch = server.image_properties.get('hw_architecture') or host.facts.get('architecture') or 'x86_64'
    return domain.write(
        server.domain_name,
        server.uuid,
        server.name,
        server.placement,
        host.host,
        domain_type=conf.libvirt.virt_type,
        arch=canonical(arch),
        machine=server.image_properties.get('hw_machine_type'),
    )


def _details(server: InstanceRecord) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    guest = server.placement.guest
    topology = guest.cpu_topology
    image_properties = dict(server.image_properties)
    image = image_properties.pop(_IMAGE_NAME, None)
    values = {
        'id': server.uuid,
        'name': base.Text(server.name),
        'instance_name': server.domain_name,
        'status': server.status,
        'host': None if server.host is None else base.Text(server.host),
        'flavor': base.Text(server.flavor.name),
        'image': None if image is None else base.Text(image),
        'image_properties': properties(image_properties),
        'vcpus': guest.vcpus,
        'memory_mib': guest.memory_mib,
        'cpu_topology': topology and f'{topology.sockets}:{topology.cores}:{topology.threads}',
        'cells': _cells(server.placement.cells),
    }
    return tuple(values), tuple(values.values())


def _cells(cells: tuple[CellPlacement, ...]) -> base.Written:
    plain = [
        {
            'id': index,
            'host_cell': placed.host_cell,
            'vcpus': list(cpuset.ids(placed.guest_cell.vcpus)),
            'memory_mib': placed.guest_cell.memory_mib,
            'pagesize_kib': placed.pagesize_kib,
            'pins': {str(vcpu): cpu for vcpu, cpu in placed.pins},
            'emulator_cpus': list(cpuset.ids(placed.emulator_cpus)),
        }
        for index, placed in enumerate(cells)
    ]
    words = [
        f'{index}: vCPUs {cpuset.text(placed.guest_cell.vcpus)} on host cell {placed.host_cell}'
        + (f', pinned to {cpuset.text(cpuset.mask(cpu for _, cpu in placed.pins))}' if placed.pins else '')
        + (f', {units.size(placed.pagesize_kib)} pages' if placed.pagesize_kib else '')
        for index, placed in enumerate(cells)
    ]
    return base.Written(plain, '\n'.join(words) or 'none: floats over the whole host')


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
            return _details(database.instance(parsed_args.server))


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
                for server in database.instances()
            ]


class DumpxmlServer(base.Action):
    """Print the libvirt XML of a server, for `virsh define`."""

    examples = ('numaplace server dumpxml cirros2', 'numaplace server dumpxml cirros2 | virsh define /dev/stdin')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the name."""
        parser = super().get_parser(prog_name)
        parser.add_argument('server', metavar='SERVER', help='Name or UUID of the server.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Write the XML."""
        with self.open_database() as database:
            xml = _xml(self.conf, database, database.instance(parsed_args.server))
        self.app.stdout.write(xml if xml.endswith('\n') else xml + '\n')


class DeleteServer(base.Action):
    """Delete servers and free what they hold; one that cannot be deleted does not keep the others."""

    examples = ('numaplace server delete cirros2', 'numaplace server delete db1 db2 db3')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the names."""
        parser = super().get_parser(prog_name)
        parser.add_argument('servers', metavar='SERVER', nargs='+', help='Name or UUID of a server.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Delete one after the other; return the exit status."""
        from numaplace.compute import claims

        with self.open_database() as database:
            return self.for_each(
                parsed_args.servers,
                lambda server: claims.release(database, database.instance(server).uuid),
                parsed_args,
            )
