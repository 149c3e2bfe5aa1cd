# SPDX-License-Identifier: Apache-2.0
"""``numaplace server shelve``, ``unshelve`` and ``rebuild``: off a host, on one again, and another image."""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from numaplace.cli import asking, base, server_xml, showing
from numaplace.cli.each_server import EachServer

if TYPE_CHECKING:
    from numaplace.db.api import Database

__all__ = ['RebuildServer', 'ShelveServer', 'UnshelveServer']


class ShelveServer(EachServer):
    """Take servers off their hosts: they are kept, and hold nothing."""

    examples = ('numaplace server shelve db1', 'numaplace server shelve db1 db2')

    def act(self, database: Database, uuid: str) -> None:
        """Shelve a server."""
        from numaplace.compute import claims, migration

        side = migration.on_host(database.instance(uuid), 'shelve')
        claims.check_up(database.host(side.host))
        migration.shelve(database, uuid)


class UnshelveServer(base.Action):
    """Find hosts for shelved servers; ends with status 3 and the reasons where no host takes one."""

    examples = ('numaplace server unshelve db1', 'numaplace server unshelve --host compute2 db1')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the names, and where to."""
        parser = super().get_parser(prog_name)
        parser.add_argument('--host', metavar='HOST', help='Only to this host.')
        parser.add_argument('servers', metavar='SERVER', nargs='+', help='Name or UUID of a server.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Unshelve one after the other; return the exit status."""
        with self.open_database() as database:
            return self.for_each(
                parsed_args.servers, lambda server: self._unshelve(database, server, parsed_args.host), parsed_args
            )

    def _unshelve(self, database: Database, name: str, host: str | None) -> None:
        from numaplace.compute import claims
        from numaplace.scheduler import filters, select

        server = database.instance(name)
        claims.check_shelved(server)
        guest = asking.read(self.conf, server.flavor, server.image_properties)
        request = filters.Request(asking.again(server, guest), strategy=select.strategy(self.conf))
        claim = partial(claims.unshelve_claim, database, server.uuid, read=partial(asking.read, self.conf))
        answer = select.select(database, request, select.Policy.of(self.conf), host=host, claim=claim)
        if isinstance(answer, select.NoHost):
            raise asking.refuse(server.name, answer)
        # A guest whose XML cannot be written must not keep its claim.
        with answer.claim as claimed:
            server_xml.write(self.conf, database, claimed.instance)


class RebuildServer(base.ShowOf):
    """Give a server another image, or the same one anew, where it is.

    The image must ask for the same NUMA topology: what the server holds stays as it is.
    """

    examples = (
        'numaplace server rebuild db1',
        'numaplace server rebuild --image cirros2 --image-property hw_numa_nodes=2 db1',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the name and the image."""
        parser = super().get_parser(prog_name)
        asking.add_image(parser)
        parser.add_argument('server', metavar='SERVER', help='Name or UUID of the server.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Change the image, and show the server.

        :raises: :class:`~numaplace.exception.NotFound` for an unknown server,
            :class:`~numaplace.exception.Conflict` if its state does not allow it,
            :class:`~numaplace.exception.ImageNUMATopologyRebuildConflict` if the image asks for another topology,
            and the faults of :func:`numaplace.cli.server_xml.write`
        """
        from numaplace.compute import claims

        with self.open_database() as database:
            server = database.instance(parsed_args.server)
            image = asking.image(parsed_args) or server.image_properties
            if server.host is not None:
                claims.check_up(database.host(server.host))
                # Whether the XML can be written: the machine type is the image's.
                server_xml.write(self.conf, database, replace(server, image_properties=image))
            read = partial(asking.read, self.conf)
            return showing.details(claims.rebuild(database, server.uuid, image, read=read))
