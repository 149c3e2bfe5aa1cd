# SPDX-License-Identifier: Apache-2.0
"""``numaplace vnuma``: guests that one element divides over their host."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numaplace import cpuset, exception, explain
from numaplace.cli import base, names
from numaplace.libvirt import files

if TYPE_CHECKING:
    from numaplace.compute.claims import Claim
    from numaplace.db.api import Database
    from numaplace.libvirt.vnuma import Domain
    from numaplace.model import Host, Placement, Refusal
    from numaplace.model.records import HostRecord

__all__ = ['ExpandVnuma', 'PlanVnuma']

#: The largest domain that is read, in octets; a real one has a few kilobytes.
_MAX_OCTETS = 4 * 1024**2


class _OfDomain(base._Command):
    """A command that reads a domain with ``<vnuma>`` and its host."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the domain and its host."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'domain', metavar='DOMAIN.xml', help='Domain XML with a <vnuma> element; - is standard input.'
        )
        host = parser.add_mutually_exclusive_group(required=True)
        host.add_argument('--host', metavar='HOST', help='A host of the database, with its present usage.')
        host.add_argument(
            '--capabilities',
            metavar='FILE',
            help='Output of `virsh capabilities` of an empty host; - is standard input.',
        )
        parser.add_argument(
            '--pinning',
            choices=('node', 'core'),
            help='Where vCPUs run: on all CPUs of a node, or each on a CPU of its own.',
        )
        parser.add_argument(
            '--keep',
            type=names.whole(0, 65535),
            metavar='CORES',
            help='Cores that stay free in each node with --pinning core (default: 1).',
        )
        return parser

    def read_domain(self, parsed_args: argparse.Namespace) -> Domain:
        """Return the domain, with its request changed by the options."""
        from numaplace.libvirt import vnuma

        path = parsed_args.domain
        self.check_streams((path, parsed_args.capabilities))
        xml = files.load(path, 'domain XML', most=_MAX_OCTETS, error=exception.InvalidDomain)
        domain = vnuma.read(xml, place=files.place(path))
        given = {key: getattr(parsed_args, key) for key in ('pinning', 'keep') if getattr(parsed_args, key) is not None}
        wish = domain.guest.wish
        assert wish is not None  # noqa: S101 - the reader always sets it
        return replace(domain, guest=replace(domain.guest, wish=replace(wish, **given)))

    def read_capabilities(self, path: str) -> tuple[Host, str]:
        """Return the host in a file, and its architecture, which is empty if the file does not say."""
        from numaplace.libvirt import capabilities, power
        from numaplace.operations.host_records import options

        xml, place = capabilities.load(path), files.place(path)
        host = capabilities.read(xml, place=place, **options(self.conf))
        for finding in power.check('', host):
            self.app.warn(finding.warning)
        arch = ''
        with suppress(exception.InvalidCapabilities):
            arch = capabilities.facts(xml, place=place).arch
        return host, arch


def _place(domain: Domain, host: Host, name: str, **more: Any) -> Placement:
    """Return the placement on a host; a request that no such host can meet is a fault with its place in the XML."""
    from numaplace import partition

    _check(domain, host)
    answer = partition.place(host, domain.guest, networks=domain.networks, **more)
    if not answer:
        raise _refuse(name, answer)  # type: ignore[arg-type]  # a falsy answer is a refusal
    return answer


def _check(domain: Domain, host: Host) -> None:
    from numaplace import partition
    from numaplace.model.vnuma import AUTO_MODE

    wish = domain.guest.wish
    assert wish is not None  # noqa: S101 - the reader always sets it
    with domain.locating():
        if wish.mode == AUTO_MODE:
            wish.check(domain.guest.memory_mib)
        else:
            partition.divide(host, domain.guest, wish)


def _refuse(name: str, refusal: Refusal) -> exception.NoValidHost:
    lines = [f'numaplace: the guest does not fit {names.shorten(name)}:']
    lines += [f'  {explain.escape(line)}' for line in explain.lines(refusal)]
    refused = [explain.HostRefusal(name, 'fit', refusal)]
    counts = explain.plain_counts({('fit', kind): 1 for kind in refusal.kinds})
    return exception.NoValidHost('\n'.join(lines), lambda: explain.plain(refused), counts)


class PlanVnuma(_OfDomain, base.ListOf):
    """Show how a domain with <vnuma> would be divided over a host; nothing is written or claimed.

    Each guest cell is a row; a picture of the host follows in the table format, with the guest cell of each CPU.
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
        parser.add_argument('--svg', metavar='FILE', help='Also write the picture as SVG.')
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
            host, _arch = self.read_capabilities(parsed_args.capabilities)
            return host, _place(domain, host, files.place(parsed_args.capabilities))
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
    """Expand a domain with <vnuma> into the full domain; everything else in it is kept.

    With --host the guest is claimed: it becomes a server in the database, with the name of the domain. `numaplace
    server delete` frees what it holds.
    """

    examples = (
        'numaplace vnuma expand guest.xml --capabilities compute1.xml > full.xml',
        'numaplace vnuma expand guest.xml --host compute1 --pinning core --define qemu:///system',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the libvirt that defines it."""
        parser = super().get_parser(prog_name)
        parser.add_argument('--define', metavar='URI', help='Also define the domain in this libvirt.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Expand, claim if a host is named, define if requested, and print."""
        domain, uri = self.read_domain(parsed_args), parsed_args.define
        if (path := parsed_args.capabilities) is not None:
            host, arch = self.read_capabilities(path)
            xml = _expand(domain, _place(domain, host, files.place(path)), host, arch, uri)
            with self.writing('' if uri is None else f'the domain {domain.name!r} is defined at {uri}'):
                self.app.stdout.write(xml)
            return
        with self.open_database() as database:
            record, claim = _claim(domain, database, parsed_args.host)
            # A guest whose domain cannot be written or defined must not keep its claim.
            with claim:
                server, arch = claim.instance, str(record.facts.get('architecture') or '')
                xml = _expand(domain, server.placement, record.host, arch, uri, uuid=server.uuid)
        with self.writing(f'the server {server.name!r} exists, with the UUID {server.uuid}'):
            self.app.stdout.write(xml)


def _expand(
    domain: Domain, placement: Placement, host: Host, arch: str, uri: str | None, *, uuid: str | None = None
) -> str:
    """Return the full domain, which is also defined if the URI of a libvirt is given."""
    from numaplace.libvirt import connection, expand

    known = {} if uri is None else _known(uri, domain.machine(arch).arch)
    xml = expand.expand(domain, placement, host, uuid=uuid, host_arch=arch, **known)
    if uri is not None:
        connection.define(xml, uri)
    return xml


def _known(uri: str, arch: str) -> dict[str, Any]:
    """Return what is known of the libvirt that gets a domain, for :func:`numaplace.libvirt.expand.expand`."""
    from numaplace.libvirt import connection
    from numaplace.libvirt.profile import NEWEST, PROFILES, at_release

    profile = at_release(PROFILES[NEWEST], connection.releases(uri).libvirt)
    return {'profile': profile, 'knows_cpus': not arch or connection.knows_cpus(uri, arch)}


def _claim(domain: Domain, database: Database, host_name: str) -> tuple[HostRecord, Claim]:
    from numaplace.compute import claims
    from numaplace.db.records import InstanceRequest
    from numaplace.model import Flavor, Refusal
    from numaplace.scheduler.limits import limits

    record = database.host(host_name)
    _check(domain, record.host)
    guest = domain.guest
    flavor = Flavor('vnuma', guest.vcpus, guest.memory_mib, id='vnuma')
    request = InstanceRequest(names.name('domain', domain.name), flavor, guest)
    if domain.uuid is not None:
        request = replace(request, uuid=domain.uuid)
    claim = claims.instance_claim(database, request, host_name, limits=limits(record), networks=domain.networks)
    if isinstance(claim, Refusal):
        raise _refuse(host_name, claim)
    return record, claim
