# SPDX-License-Identifier: Apache-2.0
"""``numaplace server adopt`` and ``server release``: domains that are there become servers, and the way back."""

from __future__ import annotations

import argparse
import socket
import uuid as uuids
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from numaplace import cpuset, exception
from numaplace.cli import base, from_nova, names, progress, server_xml
from numaplace.cli.each_server import EachServer
from numaplace.model.held import hold
from numaplace.operations import domain_xml

if TYPE_CHECKING:
    from collections.abc import Callable

    from numaplace.db.api import Database
    from numaplace.db.records import InstanceRequest
    from numaplace.libvirt.domain_reading import Reading
    from numaplace.model import Placement
    from numaplace.model.holding import Holding, Note
    from numaplace.model.records import HostRecord, InstanceRecord

__all__ = ['AdoptServer', 'ReleaseServer']

#: What is adopted: a domain or a server of a Nova.
_Adoptable = TypeVar('_Adoptable')

_ADOPTED, _REFUSED = 'adopted', 'refused'
_SOURCE = 'the output of `virsh dumpxml`'
_COLUMNS = ('Domain', 'Server', 'Status', 'CPUs', 'Memory', 'Findings')


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came of one domain.

    :param text: why, in one line
    :param notes: what the reading and the claim told
    """

    server: str
    status: str
    text: str
    holding: Holding
    notes: tuple[Note, ...] = ()

    @property
    def findings(self) -> list[str]:
        return sorted({note.code for note in self.notes})


@dataclass(frozen=True, slots=True)
class _Source:
    """A domain to read.

    :param place: what it is called before it is read
    :param xml: returns its document
    :param affinities: returns where its threads may run, if a libvirt answers
    """

    place: str
    xml: Callable[[], bytes]
    affinities: Callable[[str], tuple[dict[int, int], int]] | None = None


class AdoptServer(base.ListOf):
    """Make domains that are on a host already servers, exactly where they are.

    Each domain is claimed in a transaction of its own and is left as it is: its uuid is that of the server. One that
    numaplace cannot manage, or that holds what others hold, is refused with the reason, and the others are adopted. The
    exit status is 1 if any is refused. `numaplace server release` is the way back.
    """

    examples = (
        'numaplace server adopt --host compute1 --all --dry-run',
        'numaplace server adopt --host compute1 web1 db1',
        'numaplace server adopt --host compute1 --xml db1.xml web1.xml -f json',
        'numaplace server adopt --host compute1 --all --connect qemu+ssh://root@compute1/system',
        'numaplace --config-file /etc/nova/nova.conf server adopt --host compute1 --all --from nova',
    )

    nothing = 'nothing to adopt: every domain is a server already'
    _refused = False

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the host, the domains, and whether to store anything."""
        parser = super().get_parser(prog_name)
        parser.add_argument('domains', metavar='DOMAIN', nargs='*', help='Name or UUID of a domain in the libvirt.')
        parser.add_argument('--host', metavar='HOST', help="Name of the host (default: this machine's).")
        parser.add_argument('--all', action='store_true', help='All domains of the libvirt that are no servers yet.')
        parser.add_argument(
            '--xml',
            metavar='FILE',
            nargs='+',
            action='extend',
            default=[],
            help='Files with what `virsh dumpxml` prints, each with one domain; no libvirt is asked for these.',
        )
        from_nova.add_source(parser, 'servers of the host, with where they are,')
        parser.add_argument('--dry-run', action='store_true', help='Tell what would be done, and store nothing.')
        return server_xml.add_connect(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Adopt one domain after the other, and return what came of each.

        :raises: :class:`~numaplace.exception.NotFound` for an unknown host,
            :class:`~numaplace.exception.LibvirtError` if the domains cannot be listed
        """
        if not (parsed_args.all or parsed_args.domains or parsed_args.xml):
            self.misuse('nothing to adopt: expected --all, names of domains, or --xml with files')
        host_name = socket.gethostname() if parsed_args.host is None else parsed_args.host
        with self.open_database() as database:
            record = database.host(host_name)
            adopting = _Adopting(database, record, is_dry=parsed_args.dry_run)
            if parsed_args.source is None:
                uri = domain_xml.uri_of(record, parsed_args.connect)
                answers = self._each(adopting.adopt, list(self._sources(database, uri, parsed_args)))
            else:
                found = from_nova.servers(self.app, parsed_args.source, host_name, parsed_args.domains)
                answers = self._each(adopting.adopt_server, found)
        self._refused = any(answer.status == _REFUSED for answer in answers)
        if self.is_nested(parsed_args):
            return _KEYS, [tuple(_plain(answer).values()) for answer in answers]
        for answer in answers:
            if answer.status == _REFUSED:
                self.app.warn(f'domain {names.shorten(answer.holding.name)!r} is not adopted: {answer.text}')
        return _COLUMNS, [_row(answer) for answer in answers]

    def _each(self, adopt: Callable[[_Adoptable], _Answer], sources: Sequence[_Adoptable]) -> list[_Answer]:
        """Adopt one after the other; what is adopted stays if the command ends early."""
        answers: list[_Answer] = []

        def left() -> str:
            done = sum(answer.status == _ADOPTED for answer in answers)
            return f'{done} of {len(sources)} domains are adopted and stay'

        with progress.shown(self.app, 'domains', len(sources)) as bar, progress.told_early(self.app, left):
            for source in sources:
                answers.append(adopt(source))
                bar.advance()
        return answers

    def _sources(self, database: Database, uri: str, parsed_args: argparse.Namespace) -> Iterator[_Source]:
        from numaplace.libvirt import connection, inventory

        affinities = partial(connection.affinities, uri=uri)
        for name in parsed_args.domains:
            yield _Source(name, lambda name=name: connection.dumpxml(name, uri).encode(), affinities)  # type: ignore[misc]
        if parsed_args.all:
            servers: dict[str, Any] = {}
            known = {server.uuid for server in database.instances(unread=servers)} | set(servers)
            for uuid, xml in inventory.documents(uri).items():
                if uuid not in known:
                    yield _Source(uuid, xml.encode, affinities)
        for file in parsed_args.xml:
            yield _Source(file, partial(_file, file))

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command; the status is 1 if a domain is refused."""
        status = super().run(parsed_args)
        return base.FAULT if status == base.DONE and self._refused else status


def _file(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise exception.InvalidDomain(f'{names.shorten(path)}: {error.strerror}; expected {_SOURCE}') from error


class _Adopting:
    """Domains that become servers of a host, one after the other.

    :param record: as it is stored
    """

    def __init__(self, database: Database, record: HostRecord, *, is_dry: bool) -> None:
        self._database = database
        self._name = record.name
        self._arch = str(record.facts.get('architecture') or '')
        self._host = hold(record.host, ())  # what domains hold, they have already
        self._is_dry = is_dry
        self._before: list[tuple[str, Placement]] = []

    def adopt(self, source: _Source) -> _Answer:
        """Adopt a domain, and return what came of it."""
        from numaplace.libvirt import adoption, document, domain_reading
        from numaplace.model.holding import Holding

        nothing = Holding(source.place, '')
        try:
            domain = document.parse(source.xml(), source.place, 'domain', _SOURCE, exception.InvalidDomain)
            name = adoption.name_of(domain)
            nothing = Holding(domain.root.findtext('name') or source.place, '')
            reading = domain_reading.read(domain, self._host, self._affinities(domain, source))
        except exception.NumaplaceException as error:
            return _Answer(nothing.name, _REFUSED, str(error), nothing)
        holding = reading.holding
        refused = [note.text for note in holding.notes if note.code in domain_reading.REFUSED]
        if refused:
            return _Answer(name, _REFUSED, '; '.join(refused), holding, holding.notes)
        assert reading.placement is not None  # noqa: S101 - it was not refused
        return self._claim(name, holding, reading.placement, lambda: self._described(name, domain, reading))

    def adopt_server(self, server: InstanceRecord) -> _Answer:
        """Adopt a server of a Nova, and return what came of it."""
        from numaplace.db.records import InstanceRequest
        from numaplace.model.holding import Holding

        general = frozenset(cell.id for cell in self._host.cells if cell.shape.is_general)
        holding = Holding.of(server.domain_name, server.uuid, server.placement, general)
        if server.move is not None and not server.move.has_ended:
            text = f'it is in a {server.move.kind}, which is {server.move.status}: confirm, revert or abort that first'
            return _Answer(server.name, _REFUSED, text, holding)
        request = InstanceRequest(
            name=server.name,
            flavor=replace(server.flavor, id=server.flavor.id or server.uuid),
            guest=server.placement.guest,
            image_properties=server.image_properties,
            availability_zone=server.availability_zone,
            uuid=server.uuid,
            adopted_name=server.domain_name,
        )
        return self._claim(server.name, holding, server.placement, lambda: request)

    @staticmethod
    def _affinities(domain: Any, source: _Source) -> Any:
        """Return where numad let the threads of a running domain run; None for others."""
        from numaplace.libvirt.domain_threads import Affinities

        vcpu = domain.root.find('vcpu')
        is_open = vcpu is not None and vcpu.get('placement') == 'auto' and domain.root.get('id') is not None
        if source.affinities is None or not is_open:
            return None
        return Affinities(*source.affinities((domain.root.findtext('uuid') or '').strip()))

    def _claim(self, name: str, holding: Holding, placement: Placement, ask: Callable[[], InstanceRequest]) -> _Answer:
        from numaplace.compute import adoption as claims
        from numaplace.model import GrantedDevice
        from numaplace.model.holding import Note

        its = [device for device in self._host.devices.known if device.address in holding.devices]
        resources = self._host.resources.with_held(holding.resources).held
        placement = replace(placement, devices=tuple(map(GrantedDevice, its)), resources=resources)
        try:
            server = self._store(ask(), placement)
        except claims.Conflict as conflict:
            notes = tuple(Note(finding.code, finding.text) for finding in conflict.findings)
            return _Answer(name, _REFUSED, str(conflict), holding, holding.notes + notes)
        except exception.NumaplaceException as error:
            return _Answer(name, _REFUSED, str(error), holding, holding.notes)
        told = '; '.join(note.text for note in holding.notes)
        return _Answer(server, _ADOPTED, told, holding, holding.notes)

    def _described(self, name: str, domain: Any, reading: Reading) -> InstanceRequest:
        from numaplace.db.records import InstanceRequest
        from numaplace.libvirt import adoption

        placement, holding = reading.placement, reading.holding
        assert placement is not None  # noqa: S101 - it was not refused
        described = adoption.describe(domain, placement.guest, self._arch)
        return InstanceRequest(
            name=names.name('server', name),
            flavor=described.flavor,
            guest=placement.guest,
            image_properties=described.image_properties,
            uuid=_uuid(holding),
            adopted_name=holding.name,
        )

    def _store(self, request: InstanceRequest, placement: Placement) -> str:
        """Store a server, or in a dry run count it; return its name."""
        from numaplace.compute import adoption as claims

        if not self._is_dry:
            return claims.adopt(self._database, request, self._name, placement).name
        if found := list(claims.conflicts(self._host, placement)):
            raise claims.Conflict(claims.named(found, claims.holders(self._database, self._name) + self._before))
        self._check_new(request.uuid)
        self._host = self._host.consume(placement)
        self._before.append((request.uuid, placement))
        return request.name

    def _check_new(self, uuid: str) -> None:
        with suppress(exception.NotFound):
            known = self._database.instance_uuid(uuid)
            raise exception.AlreadyExists(f'a server with the UUID {known!r} exists')


def _uuid(holding: Holding) -> str:
    try:
        return str(uuids.UUID(holding.uuid))
    except ValueError:
        raise exception.InvalidDomain(
            f'domain {names.shorten(holding.name)!r}: uuid {holding.uuid[:40]!r}: expected one as in {_SOURCE}'
        ) from None


def _text(numbers: Iterable[int]) -> str:
    return cpuset.text(cpuset.mask(numbers))


_KEYS = (
    'domain',
    'server',
    'status',
    'text',
    'vcpus',
    'online',
    'dedicated',
    'floating',
    'memory_mib',
    'pages',
    'devices',
    'findings',
)


def _plain(answer: _Answer) -> dict[str, Any]:
    """Return the values for machines, in the order of the keys."""
    holding = answer.holding
    pages: dict[str, dict[str, int]] = {}
    for cells, size_kib, number in holding.pages:
        pages.setdefault(_text(cells), {})[str(size_kib)] = number
    values = (
        holding.name,
        answer.server,
        answer.status,
        answer.text,
        holding.vcpus,
        _text(holding.online),
        _text(holding.dedicated),
        holding.floating,
        {_text(cells): mib for cells, mib in holding.memory},
        pages,
        list(holding.devices),
        answer.findings,
    )
    return dict(zip(_KEYS, values, strict=True))


def _row(answer: _Answer) -> tuple[Any, ...]:
    holding = answer.holding
    cpus = [_text(holding.dedicated)] if holding.dedicated else []
    cpus += [f'{holding.floating} floating'] if holding.floating else []
    memory = [f'{mib} MiB on {_text(cells)}' for cells, mib in holding.memory]
    return (
        base.Text(holding.name),
        base.Text(answer.server),
        answer.status,
        ', '.join(cpus),
        ', '.join(memory),
        ', '.join(answer.findings),
    )


class ReleaseServer(EachServer):
    """Forget servers and free what they hold; their domains are left alone.

    It is the way back from `numaplace server adopt`, which takes the domains again. Until then, or until they are gone,
    what they have counts as used. One that cannot be released does not stop the others.
    """

    examples = ('numaplace server release web1', 'numaplace server release web1 db1')

    def act(self, database: Database, uuid: str) -> None:
        """Delete the rows of a server."""
        from numaplace.compute import claims

        claims.release(database, uuid, is_left=True)
