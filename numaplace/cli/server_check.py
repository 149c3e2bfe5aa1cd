# SPDX-License-Identifier: Apache-2.0
"""``numaplace server check``: compare the rows of servers with the domains of a libvirt."""

from __future__ import annotations

import argparse
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from numaplace import exception
from numaplace.cli import base, progress, server_xml
from numaplace.operations import domain_check, domain_xml, unmanaged

if TYPE_CHECKING:
    from numaplace.db.api import Database
    from numaplace.model.records import HostRecord

__all__ = ['CheckServer']

_COLUMNS = ('Server', 'Domain', 'What', 'Expected', 'Found')
_Row = tuple[Any, ...]


class CheckServer(base.ListOf):
    """Compare the servers of a host with the domains in its libvirt: pins, nodes, cells, memory and pages.

    Each difference is a row, and so is a server without a domain, a domain without a server, and a server whose XML can
    no longer be written, with the reason. Of an adopted server, what its domain cannot say is a row, with its code, and
    its devices and other forms are not compared. The exit status is 1 if there are any, or a libvirt does not answer.

    What domains without a server hold is stored anew: see [numaplace] unknown_guests.
    """

    nothing = 'nothing is wrong: the domains are as the servers'
    examples = (
        'numaplace server check',
        'numaplace server check --host compute1',
        'numaplace server check --host compute1 --connect qemu+ssh://root@compute1/system',
        'numaplace server check --all-hosts',
    )

    _status = base.DONE

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the hosts, their libvirt and the form of the XML."""
        parser = super().get_parser(prog_name)
        which = parser.add_mutually_exclusive_group()
        which.add_argument('--host', metavar='HOST', help="Name of the host (default: this machine's).")
        which.add_argument('--all-hosts', action='store_true', help='Check every host whose libvirt is known.')
        server_xml.add_profile(parser)
        return server_xml.add_connect(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], list[_Row]]:
        """Return the differences."""
        if parsed_args.all_hosts and parsed_args.connect is not None:
            self.misuse('--connect is the libvirt of one host: expected --host with it, or --all-hosts without it')
        with self.open_database() as database:
            rows = self._check_all(database, parsed_args) if parsed_args.all_hosts else self._one(database, parsed_args)
        if rows:
            self._status = base.FAULT
        return _COLUMNS, rows

    def _one(self, database: Database, parsed_args: argparse.Namespace) -> list[_Row]:
        name = socket.gethostname() if parsed_args.host is None else parsed_args.host
        record = database.host(name)
        return list(self._check(database, record, domain_xml.uri_of(record, parsed_args.connect), parsed_args))

    def _check_all(self, database: Database, parsed_args: argparse.Namespace) -> list[_Row]:
        """Check one host after the other; one that does not answer is named, and the others go on."""
        rows: list[_Row] = []
        records = database.hosts(self.unread)
        with progress.shown(self.app, 'hosts', len(records)) as bar:
            for record in records:
                try:
                    rows += self._check(database, record, _uri(record), parsed_args)
                except (exception.LibvirtError, exception.NotFound) as error:
                    if self.app.options.debug:
                        raise
                    self.app.complain(f'host {record.name!r}: {error}')
                    self._status = base.FAULT
                bar.advance()
        return rows

    def _check(
        self, database: Database, record: HostRecord, uri: str, parsed_args: argparse.Namespace
    ) -> Iterator[_Row]:
        """Yield the differences of a host, and warn of its other domains."""
        number = 0 if parsed_args.all_hosts else len(unmanaged.ours(database, record.name))
        with progress.shown(self.app, 'servers', number) as bar:
            found, warnings = domain_check.check(
                self.conf, database, record, uri, form=parsed_args.profile, unread=self.unread, checked=bar.advance
            )
        for warning in warnings:
            self.app.warn(warning)
        for each in found:
            yield base.Text(each.server), each.domain, each.part, base.Text(each.expected), base.Text(each.found)

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command; the status is 1 if there are differences."""
        return super().run(parsed_args) or self._status


def _uri(record: HostRecord) -> str:
    """Return the URI of the libvirt of a host.

    :raises: :class:`~numaplace.exception.NotFound`
    """
    if record.libvirt_uri is None:
        raise exception.NotFound('its libvirt is not known; `numaplace host discover --refresh --connect URI` names it')
    return record.libvirt_uri
