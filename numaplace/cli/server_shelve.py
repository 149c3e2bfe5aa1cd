# SPDX-License-Identifier: Apache-2.0
"""``numaplace server shelve``, ``unshelve`` and ``rebuild``: remove from a host, place again, change the image."""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from numaplace.cli import base, ignored, server_columns, server_request, server_xml
from numaplace.cli.each_server import EachServer

if TYPE_CHECKING:
    from numaplace.db.api import Database

__all__ = ['RebuildServer', 'ShelveServer', 'UnshelveServer']


class ShelveServer(EachServer):
    """Shelve servers: they are kept without a host, and hold nothing."""

    examples = ('numaplace server shelve db1', 'numaplace server shelve db1 db2')
    ignores = ignored.SERVER_SHELVE

    def act(self, database: Database, uuid: str) -> None:
        """Shelve a server."""
        from numaplace.compute import claims, migration

        side = migration.on_host(database.instance(uuid), 'shelve')
        claims.check_up(database.host(side.host))
        migration.shelve(database, uuid)


class UnshelveServer(base.Action):
    """Find hosts for shelved servers; the exit status is 3 if no host takes one."""

    examples = ('numaplace server unshelve db1', 'numaplace server unshelve --host compute2 db1')
    ignores = ignored.SERVER_UNSHELVE

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the names, and the destination."""
        parser = super().get_parser(prog_name)
        parser.add_argument('--host', metavar='HOST', help='Only to this host.')
        server_request.add_all_hosts(parser)
        parser.add_argument('servers', metavar='SERVER', nargs='+', help='Name or UUID of a server.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Unshelve one after the other; return the exit status."""
        with self.open_database() as database:
            return self.for_each(
                'servers',
                parsed_args.servers,
                lambda server: self._unshelve(database, server, parsed_args),
                parsed_args,
            )

    def _unshelve(self, database: Database, name: str, parsed_args: argparse.Namespace) -> None:
        from numaplace.compute import claims
        from numaplace.scheduler import filters, select

        server = database.instance(name)
        claims.check_shelved(server)
        guest = server_request.read(self.conf, server.flavor, server.image_properties)
        request = filters.Request(
            server_request.again(server, guest),
            strategy=select.strategy(self.conf, server.flavor),
            machine_types=self.conf.libvirt.hw_machine_type,
        )
        claim = partial(claims.unshelve_claim, database, server.uuid, read=partial(server_request.read, self.conf))
        answer = select.select(database, request, select.Policy.of(self.conf), host=parsed_args.host, claim=claim)
        if isinstance(answer, select.NoHost):
            raise server_request.refuse(server.name, answer, all_hosts=parsed_args.all_hosts)
        # A guest whose XML cannot be written must not keep its claim.
        with answer.claim as claimed:
            server_xml.check(self.conf, database, claimed.instance)


class RebuildServer(base.ShowOf):
    """Rebuild a server in place, with another image or the same one.

    The image must request the same NUMA topology: what the server holds does not change.
    """

    outcome = "the server '{name}' is changed, with the UUID {id}"

    examples = (
        'numaplace server rebuild db1',
        'numaplace server rebuild --image cirros2 --image-property hw_numa_nodes=2 db1',
    )
    ignores = ignored.SERVER_REBUILD

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the name and the image."""
        parser = super().get_parser(prog_name)
        server_request.add_image(parser)
        parser.add_argument('server', metavar='SERVER', help='Name or UUID of the server.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Change the image, and show the server.

        :raises: :class:`~numaplace.exception.NotFound` for an unknown server,
            :class:`~numaplace.exception.Conflict` if its state does not allow it,
            :class:`~numaplace.exception.ImageNUMATopologyRebuildConflict` if the image requests another topology,
            and the faults of :func:`numaplace.cli.server_xml.check`
        """
        from numaplace.compute import claims

        with self.open_database() as database:
            server = database.instance(parsed_args.server)
            image = server_request.image(parsed_args) or server.image_properties
            if image is not server.image_properties:
                server_request.check_keys(None, image)
            if server.host is not None:
                claims.check_up(database.host(server.host))
                # Check that the XML can be written: the image selects the machine type.
                server_xml.check(self.conf, database, replace(server, image_properties=image))
            read = partial(server_request.read, self.conf)
            return server_columns.details(claims.rebuild(database, server.uuid, image, read=read))
