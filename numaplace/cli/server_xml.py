# SPDX-License-Identifier: Apache-2.0
"""``numaplace server``: the libvirt domains of servers."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from numaplace import exception
from numaplace.cli import base

if TYPE_CHECKING:
    from oslo_config import cfg

    from numaplace.db.api import Database
    from numaplace.db.records import InstanceRecord

__all__ = ['DefineServer', 'DumpxmlServer', 'UndefineServer', 'add_connect', 'add_profile', 'write']

_NEWEST = 'newest'


def write(conf: cfg.ConfigOpts, database: Database, server: InstanceRecord, form: str = _NEWEST) -> str:
    """Return the XML of a server.

    :param form: a key of :data:`numaplace.libvirt.profile.PROFILES`
    :raises: :class:`~numaplace.exception.Conflict` if it is on no host, and the faults of
        :func:`numaplace.libvirt.domain.write`, :func:`numaplace.request.tuning`,
        :func:`numaplace.request.devices` and :func:`numaplace.request.hotplug`
    """
    from numaplace import request
    from numaplace.libvirt import domain
    from numaplace.libvirt.profile import PROFILES
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
        profile=PROFILES[form],
        tuning=request.tuning(server.flavor, server.image_properties),
        attached=server.devices + request.devices(server.flavor),
        hotplug=request.hotplug(server.flavor),
    )


class _OfServer(base.Action):
    """A command about the domain of one server, in one of its forms."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the name and the form."""
        parser = super().get_parser(prog_name)
        parser.add_argument('server', metavar='SERVER', help='Name or UUID of the server.')
        return add_profile(parser)

    def xml(self, parsed_args: argparse.Namespace) -> str:
        """Return the XML that is asked for."""
        with self.open_database() as database:
            return write(self.conf, database, database.instance(parsed_args.server), parsed_args.profile)


class DumpxmlServer(_OfServer):
    """Print the libvirt XML of a server, for `virsh define`."""

    examples = (
        'numaplace server dumpxml cirros2',
        'numaplace server dumpxml cirros2 --profile nova-33',
        'numaplace server dumpxml cirros2 | virsh define /dev/stdin',
    )

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Write the XML."""
        self.app.stdout.write(self.xml(parsed_args))


class DefineServer(_OfServer):
    """Define a server in libvirt, checked against its schema; it is not started."""

    examples = (
        'numaplace server define cirros2',
        'numaplace server define cirros2 --connect qemu+ssh://root@compute1/system',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the connection."""
        return add_connect(super().get_parser(prog_name))

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Hand the XML to libvirt."""
        from numaplace.libvirt import connection

        connection.define(self.xml(parsed_args), parsed_args.connect)


class UndefineServer(base.Action):
    """Take a server out of libvirt; it stays in the database, with its claim."""

    examples = ('numaplace server undefine cirros2', 'numaplace server undefine cirros2 --connect qemu:///session')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the name and the connection."""
        parser = super().get_parser(prog_name)
        parser.add_argument('server', metavar='SERVER', help='Name or UUID of the server.')
        return add_connect(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Tell libvirt to forget it."""
        from numaplace.libvirt import connection

        with self.open_database() as database:
            uuid = database.instance(parsed_args.server).uuid
        connection.undefine(uuid, parsed_args.connect)


def add_profile(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the form of the XML to the options of a command."""
    from numaplace.libvirt.profile import PROFILES

    parser.add_argument(
        '--profile',
        choices=tuple(PROFILES),
        default=_NEWEST,
        help=(
            'Form of the XML: as Nova writes it or libvirt takes it since that release, or with all that is known '
            '(default).'
        ),
    )
    return parser


def add_connect(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the libvirt to talk to to the options of a command."""
    parser.add_argument(
        '--connect', default='qemu:///system', metavar='URI', help='The libvirt to talk to (default: %(default)s).'
    )
    return parser
