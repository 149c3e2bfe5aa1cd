# SPDX-License-Identifier: Apache-2.0
"""``numaplace server check``: the rows of servers beside the domains of a libvirt."""

from __future__ import annotations

import argparse
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from numaplace import exception
from numaplace.cli import base, server_xml

if TYPE_CHECKING:
    from numaplace.db.api import Database
    from numaplace.db.records import InstanceRecord

__all__ = ['CheckServer']

_COLUMNS = ('Server', 'Domain', 'What', 'Expected', 'Found')
_Row = tuple[Any, ...]


class CheckServer(base.ListOf):
    """Compare the servers of a host with the domains in its libvirt: pins, nodes, cells, memory and pages.

    Each difference is a line, and so is a server that is no domain, a domain that is no server, and a server whose XML
    cannot be written any more, with the reason. Ends with status 1 if there is any.
    """

    examples = (
        'numaplace server check',
        'numaplace server check --host compute1 --connect qemu+ssh://root@compute1/system',
    )

    _found = False

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the host, its libvirt and the form of the XML."""
        parser = super().get_parser(prog_name)
        parser.add_argument('--host', metavar='HOST', help="Name of the host (default: this machine's).")
        server_xml.add_profile(parser)
        return server_xml.add_connect(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], list[_Row]]:
        """Return the differences."""
        from numaplace.libvirt import connection

        name = socket.gethostname() if parsed_args.host is None else parsed_args.host
        defined = set(connection.domains(parsed_args.connect))
        rows: list[_Row] = []
        with self.open_database() as database:
            servers = [server for server in database.instances(database.host(name).name) if server.host == name]
            for server in servers:
                if server.uuid in defined:
                    rows += self._compare(database, server, parsed_args)
                else:
                    rows.append((base.Text(server.name), server.domain_name, 'domain', server.uuid, ''))
        for uuid in sorted(defined - {server.uuid for server in servers}):
            rows.append(('', '', 'domain', '', uuid))
        self._found = bool(rows)
        return _COLUMNS, rows

    def _compare(self, database: Database, server: InstanceRecord, parsed_args: argparse.Namespace) -> Iterator[_Row]:
        from numaplace.libvirt import checking, connection

        try:
            expected = server_xml.write(self.conf, database, server, parsed_args.profile)
        except exception.NumaplaceException as error:
            yield base.Text(server.name), server.domain_name, 'XML', base.Text(str(error)), ''
            return
        found = connection.dumpxml(server.uuid, parsed_args.connect)
        for difference in checking.compare(expected, found, place=f'domain {server.uuid}'):
            yield (
                base.Text(server.name),
                server.domain_name,
                difference.part,
                difference.expected,
                base.Text(difference.found),
            )

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command; differences are no success."""
        status = super().run(parsed_args)
        return base.FAULT if status == base.DONE and self._found else status
