# SPDX-License-Identifier: Apache-2.0
"""``numaplace vnuma``: guests that one element divides over their host."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numaplace import cpuset, exception, explain
from numaplace.cli import base, names

if TYPE_CHECKING:
    from numaplace.compute.claims import Claim
    from numaplace.db.api import Database
    from numaplace.libvirt.vnuma import Domain
    from numaplace.model import Host, Placement, Refusal

__all__ = ['ExpandVnuma', 'PlanVnuma']

#: The largest domain that is read; a real one has some kilobytes.
_MAX_OCTETS = 4 * 1024**2


class _OfDomain(base._Command):
    """A command that reads a domain with ``<vnuma>`` and knows the host it is for."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the domain and its host."""
        parser = super().get_parser(prog_name)
        parser.add_argument('domain', metavar='DOMAIN.xml', help='Domain XML with a <vnuma> element.')
        host = parser.add_mutually_exclusive_group(required=True)
        host.add_argument('--host', metavar='HOST', help='A host of the database, with what is free on it.')
        host.add_argument('--capabilities', metavar='FILE', help='Output of `virsh capabilities` of an empty host.')
        parser.add_argument(
            '--pinning', choices=('node', 'core'), help='Where vCPUs run: on all CPUs of a node, or each on its own.'
        )
        parser.add_argument(
            '--keep',
            type=names.whole(0, 65535),
            metavar='CORES',
            help='Cores that stay free in each node with --pinning core (default: 1).',
        )
        return parser

    def read_domain(self, parsed_args: argparse.Namespace) -> Domain:
        """Return the domain, its wish changed by the options."""
        from numaplace.libvirt import vnuma

        domain = vnuma.read(_load(parsed_args.domain), place=parsed_args.domain)
        given = {key: getattr(parsed_args, key) for key in ('pinning', 'keep') if getattr(parsed_args, key) is not None}
        wish = domain.guest.wish
        assert wish is not None  # noqa: S101 - the reader has made it
        return replace(domain, guest=replace(domain.guest, wish=replace(wish, **given)))

    def read_capabilities(self, path: str) -> Host:
        """Return the host of a file."""
        from numaplace.cli.host_import import options
        from numaplace.libvirt import capabilities

        return capabilities.read(capabilities.load(path), place=path, **options(self.conf))


def _load(path: str) -> bytes:
    try:
        with Path(path).open('rb') as file:
            xml = file.read(_MAX_OCTETS + 1)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise exception.InvalidDomain(f'{path}: cannot be read: {reason}; expected a file with domain XML') from error
    if len(xml) > _MAX_OCTETS:
        raise exception.InvalidDomain(f'{path}: larger than {_MAX_OCTETS} bytes; expected domain XML')
    return xml


def _place(domain: Domain, host: Host, name: str, **more: Any) -> Placement:
    """Return where the guest goes on a host; what no such host could do is a fault with its place in the document."""
    from numaplace import partition

    _check(domain, host)
    answer = partition.place(host, domain.guest, **more)
    if not answer:
        raise _refuse(name, answer)  # type: ignore[arg-type]  # what is false is a refusal
    return answer


def _check(domain: Domain, host: Host) -> None:
    from numaplace import partition
    from numaplace.model.wish import AUTO_MODE

    wish = domain.guest.wish
    assert wish is not None  # noqa: S101 - the reader has made it
    with domain.locating():
        if wish.mode == AUTO_MODE:
            wish.check(domain.guest.memory_mib)
        else:
            partition.divide(host, domain.guest, wish)


def _refuse(name: str, refusal: Refusal) -> exception.NoValidHost:
    lines = [f'numaplace: the guest does not fit {names.shorten(name)}:']
    return exception.NoValidHost('\n'.join([*lines, *(f'  {explain.escape(line)}' for line in explain.lines(refusal))]))


class PlanVnuma(_OfDomain, base.ListOf):
    """Show how a domain with <vnuma> would be divided over a host; nothing is written or claimed.

    Each guest cell is a line; for people a picture of the host follows, with the guest cell of each CPU.
    """

    examples = (
        'numaplace vnuma plan guest.xml --capabilities compute1.xml',
        'numaplace vnuma plan guest.xml --host compute1 --pinning core',
        'numaplace vnuma plan guest.xml --host compute1 --svg plan.svg',
    )

    _picture = ''

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the picture."""
        parser = super().get_parser(prog_name)
        parser.add_argument('--svg', metavar='FILE', help='Write the picture as SVG, too.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return the guest cells."""
        from numaplace.cli import vnuma_picture

        domain = self.read_domain(parsed_args)
        host, placement = self._plan(domain, parsed_args)
        if parsed_args.svg is not None:
            _write(parsed_args.svg, vnuma_picture.svg(host, placement))
        if parsed_args.formatter == 'table' and not parsed_args.columns:
            self._picture = vnuma_picture.draw(host, placement)
        return ('Cell', 'vCPUs', 'MiB', 'Host Cell', 'CPUs'), [
            (
                index,
                cpuset.text(placed.guest_cell.vcpus),
                placed.guest_cell.memory_mib,
                placed.host_cell,
                cpuset.text(vnuma_picture.cpus(host, placed)),
            )
            for index, placed in enumerate(placement.cells)
        ]

    def _plan(self, domain: Domain, parsed_args: argparse.Namespace) -> tuple[Host, Placement]:
        if parsed_args.capabilities is not None:
            host = self.read_capabilities(parsed_args.capabilities)
            return host, _place(domain, host, parsed_args.capabilities)
        from numaplace.scheduler.limits import limits

        with self.open_database() as database:
            record = database.host(parsed_args.host)
        return record.host, _place(domain, record.host, record.name, limits=limits(record))

    def produce_output(self, parsed_args: argparse.Namespace, column_names: Sequence[str], data: Any) -> int:
        """Print the guest cells, and the picture for people."""
        super().produce_output(parsed_args, column_names, data)
        if self._picture:
            self.app.stdout.write(f'\n{self._picture}')
        return base.DONE


def _write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text, encoding='utf-8')
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise exception.Invalid(f'--svg {path!r}: cannot be written: {reason}; expected a file to make') from error


class ExpandVnuma(_OfDomain, base.Action):
    """Write the full domain that a domain with <vnuma> stands for; all else in it stays as it was.

    With --host the guest is claimed: it becomes a server of the database, named as the domain. `numaplace server
    delete` gives back what it holds.
    """

    examples = (
        'numaplace vnuma expand guest.xml --capabilities compute1.xml > full.xml',
        'numaplace vnuma expand guest.xml --host compute1 --pinning core --define qemu:///system',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add where it is defined."""
        parser = super().get_parser(prog_name)
        parser.add_argument('--define', metavar='URI', help='Define the domain in this libvirt, too.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Expand, claim where there is a database, define where it is asked, and print."""
        domain = self.read_domain(parsed_args)
        if parsed_args.capabilities is not None:
            host = self.read_capabilities(parsed_args.capabilities)
            self._finish(domain, _place(domain, host, parsed_args.capabilities), host, parsed_args.define)
            return
        with self.open_database() as database:
            host, claim = _claim(domain, database, parsed_args.host)
            # A guest whose domain cannot be written or defined must not keep its claim.
            with claim:
                server = claim.instance
                self._finish(domain, server.placement, host, parsed_args.define, uuid=server.uuid)

    def _finish(
        self, domain: Domain, placement: Placement, host: Host, uri: str | None, *, uuid: str | None = None
    ) -> None:
        from numaplace.libvirt import connection, expand

        xml = expand.expand(domain, placement, host, uuid=uuid)
        if uri is not None:
            connection.define(xml, uri)
        self.app.stdout.write(xml)


def _claim(domain: Domain, database: Database, host_name: str) -> tuple[Host, Claim]:
    from numaplace.compute import claims
    from numaplace.db.records import FlavorRecord, InstanceRequest
    from numaplace.model import Refusal
    from numaplace.scheduler.limits import limits

    record = database.host(host_name)
    _check(domain, record.host)
    guest = domain.guest
    flavor = FlavorRecord('vnuma', guest.vcpus, guest.memory_mib)
    request = InstanceRequest(names.name('domain', domain.name), flavor, guest)
    if domain.uuid is not None:
        request = replace(request, uuid=domain.uuid)
    claim = claims.instance_claim(database, request, host_name, limits=limits(record))
    if isinstance(claim, Refusal):
        raise _refuse(host_name, claim)
    return record.host, claim
