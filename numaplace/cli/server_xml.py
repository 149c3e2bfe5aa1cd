# SPDX-License-Identifier: Apache-2.0
"""``numaplace server``: the libvirt domains of servers."""

from __future__ import annotations

import argparse
import functools
from typing import TYPE_CHECKING

from numaplace import cpuset, exception
from numaplace.cli import base, names
from numaplace.cli.each_server import EachServer
from numaplace.operations import domain_xml

if TYPE_CHECKING:
    from numaplace.db.api import Database
    from numaplace.model.records import InstanceRecord

__all__ = [
    'DefineServer',
    'DumpxmlServer',
    'UndefineServer',
    'add_connect',
    'add_profile',
]


class DumpxmlServer(base.Action):
    """Print the libvirt XML of a server, for `virsh define`, or for `virsh migrate --xml` if it runs.

    What a running guest sees cannot change: for it, --into changes nothing but the places in its domain.
    """

    examples = (
        'numaplace server dumpxml cirros2',
        'numaplace server dumpxml cirros2 --profile nova-33',
        'numaplace server dumpxml cirros2 | virsh define /dev/stdin',
        'virsh dumpxml --migratable old | numaplace server dumpxml old --into - > new.xml',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the name and the form."""
        parser = super().get_parser(prog_name)
        parser.add_argument('server', metavar='SERVER', help='Name or UUID of the server.')
        parser.add_argument(
            '--into',
            metavar='FILE',
            help='Write the pins and nodes that the server has now into its domain, which `virsh dumpxml --migratable` '
            'prints at the source, and keep all else in it, such as devices; - reads standard input.',
        )
        return add_profile(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Write the XML.

        :raises: as :func:`write`, :class:`~numaplace.exception.InvalidDomain` if --into is not the domain of the server
        """
        from numaplace.libvirt import files, grafting

        into = parsed_args.into
        with self.open_database() as database:
            server = database.instance(parsed_args.server)
            if server.adopted_name is not None and into is None:
                self.app.warn(
                    f'server {names.shorten(server.name)!r} is adopted: its devices are in its domain alone, and not '
                    'here; `numaplace server define` keeps them, and so does --into'
                )
            xml = domain_xml.write(self.conf, database, server, parsed_args.profile)
        if into is not None:
            found = files.load(into, grafting.SOURCE, error=exception.InvalidDomain)
            xml = grafting.move(found, xml, place=files.place(into))
        self.app.stdout.write(xml)


class _EachDomain(EachServer):
    """Do something with the libvirt domain of each of several servers, whose rows stay as they are."""

    def left(self, _database: Database, _server: str) -> str:
        """Return what an interrupt has left of one domain."""
        return 'libvirt alone knows whether its domain is defined'


class DefineServer(_EachDomain):
    """Define servers in libvirt, after a check against libvirt's schema; they are not started.

    The CPU model of each is one that this libvirt has, according to `virsh domcapabilities`, which is asked once.
    A server with more vCPUs than this libvirt accepts is refused. An adopted server is defined again with the sizes,
    pins, nodes, pages and cells that it has now; all else in its domain, such as devices, is kept. A server that is
    refused does not stop the others.
    """

    examples = (
        'numaplace server define cirros2',
        'numaplace server define cirros2 --connect qemu+ssh://root@compute1/system',
        'numaplace server define web-1 web-2 web-3',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the form and the connection."""
        return add_connect(add_profile(super().get_parser(prog_name)))

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Define one after the other; return the exit status."""
        from numaplace.libvirt import connection

        self._libvirt = functools.cache(connection.Libvirt)  # what it can do is asked once
        self._connect, self._form = parsed_args.connect, parsed_args.profile
        return super().take_action(parsed_args)

    def act(self, database: Database, uuid: str) -> None:
        """Define the XML in libvirt, and name the CPUs to bring online before the server starts."""
        from numaplace.libvirt import connection

        server = database.instance(uuid)
        record = database.host(server.host) if server.host else None
        libvirt = self._libvirt(domain_xml.uri_of(record, self._connect))
        xml = domain_xml.write(self.conf, database, server, self._form, libvirt)
        if server.adopted_name is not None:
            xml = _into_its_domain(server, xml, libvirt.uri)
        connection.define(xml, libvirt.uri)
        off = _pinned(server) & record.host.offline_cpus if record else 0
        if off:
            self.app.warn(
                f'CPUs {cpuset.text(off)} of server {server.name!r} were off when host {server.host!r} was last read: '
                f'libvirt starts no guest on CPUs that are offline; `chcpu --enable {cpuset.text(off)}` on the host '
                'brings them online'
            )


def _into_its_domain(server: InstanceRecord, xml: str, uri: str) -> str:
    """Return the definition of an adopted domain with what its server has now; its devices are known there alone.

    :raises: :class:`~numaplace.exception.LibvirtError` if it is not at that libvirt
    """
    from numaplace.libvirt import connection, grafting

    found = connection.dumpxml(server.uuid, uri, kept=True).encode()
    return grafting.graft(found, xml, place=f'domain {server.uuid}')


def _pinned(server: InstanceRecord) -> int:
    """Return the mask of the CPUs that a server has to run on (Nova 34, ``power_up_for_instance``)."""
    cpus = 0
    for placed in server.placement.cells:
        cpus |= placed.emulator_cpus | cpuset.mask(cpu for _, cpu in placed.pins)
    return cpus


class UndefineServer(_EachDomain):
    """Undefine servers in libvirt; they stay in the database, with their claims."""

    examples = ('numaplace server undefine cirros2', 'numaplace server undefine cirros2 --connect qemu:///session')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the connection."""
        return add_connect(super().get_parser(prog_name))

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Undefine one after the other; return the exit status."""
        self._connect = parsed_args.connect
        return super().take_action(parsed_args)

    def act(self, database: Database, uuid: str) -> None:
        """Undefine the domain."""
        from numaplace.libvirt import connection

        host = database.instance(uuid).host
        connection.undefine(uuid, domain_xml.uri_of(database.host(host) if host else None, self._connect))


def add_profile(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the form of the XML to the options of a command."""
    from numaplace.libvirt.profile import PROFILES

    parser.add_argument(
        '--profile',
        choices=tuple(PROFILES),
        default=domain_xml.NEWEST,
        help=(
            'Form of the XML: that of a release of Nova or for a release of libvirt, or with everything that is known '
            '(default).'
        ),
    )
    return parser


def add_connect(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the URI of the libvirt to the options of a command."""
    parser.add_argument(
        '--connect',
        metavar='URI',
        help='The libvirt to talk to (default: that of the host, if it was read from one, else qemu:///system).',
    )
    return parser
