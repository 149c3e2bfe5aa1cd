# SPDX-License-Identifier: Apache-2.0
"""``numaplace fleet``: questions about all hosts and their servers."""

from __future__ import annotations

import argparse
import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from numaplace import exception
from numaplace.cli import base, findings, fleet_libvirt, names
from numaplace.cli import fleet_sources as sources

if TYPE_CHECKING:
    from oslo_config import cfg

    from numaplace.db.records import InstanceRequest
    from numaplace.fleet.changes import Change
    from numaplace.fleet.configuration import Settings
    from numaplace.fleet.explain import Check
    from numaplace.model import Flavor
    from numaplace.model.fleet import Fleet
    from numaplace.model.records import HostRecord, InstanceRecord
    from numaplace.scheduler.filters import Answer, Filter, Request

__all__ = [
    'AuditFleet',
    'ExplainFleet',
    'ExportFleet',
    'checks',
    'find_flavor',
    'find_server',
    'read',
    'request',
    'request_of',
    'settings',
]

_MOST_HOURS = 1_000_000
_EXPLAINED = ('host', 'takes', 'filter', 'reasons')


def _hours(text: str) -> timedelta:
    """Read a number of hours.

    :raises: argparse.ArgumentTypeError
    """
    with suppress(ValueError):
        if 0 <= (hours := float(text)) <= _MOST_HOURS:
            return timedelta(hours=hours)
    raise argparse.ArgumentTypeError(f'{names.shorten(text)!r}: expected a number of hours from 0 to {_MOST_HOURS}')


def settings(conf: cfg.ConfigOpts) -> Settings:
    """Return what a configuration says of hosts; an option that is not set says nothing."""
    from numaplace.fleet.configuration import Settings

    return Settings(
        conf.compute.cpu_dedicated_set,
        conf.compute.cpu_shared_set,
        conf.cpu_allocation_ratio or None,
        conf.ram_allocation_ratio or None,
    )


def read(
    command: base.Action | base.ListOf | base.ShowOf, parsed_args: argparse.Namespace, *, lists_servers: bool = True
) -> Fleet:
    """Return the fleet that ``--from`` names.

    :param lists_servers: False if the hosts with the UUIDs of their servers are enough, as
        :func:`numaplace.model.fleet.candidates` returns them: databases are read much faster then
    """
    with _uncollected():
        return _read(command, parsed_args, lists_servers=lists_servers)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Let the garbage collector leave out what is made: a large fleet, which it would look through again and again."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _read(
    command: base.Action | base.ListOf | base.ShowOf, parsed_args: argparse.Namespace, *, lists_servers: bool
) -> Fleet:
    source = parsed_args.source
    if source == sources.LIBVIRT:
        return fleet_libvirt.read(command.app, parsed_args)
    if fleet_libvirt.given(parsed_args):
        command.misuse(f'--connect, --uris and --directory name libvirts: expected --from {sources.LIBVIRT} with them')
    if source == sources.NOVA:
        return sources.read_nova(command.conf, lists_servers=lists_servers)
    if source != sources.OWN:
        return sources.read_file(source)
    with command.open_database() as database:
        return database.fleet(lists_servers=lists_servers)


class ExportFleet(base.Action):
    """Write all hosts and servers to a file, which every command of this noun reads with --from.

    The file is JSON; a name that ends with .gz packs it. Anonymised, it has no names, UUIDs, paths and metadata, and
    still gives the same answers: a good attachment for a bug report.
    """

    examples = (
        'numaplace fleet export fleet.json.gz',
        'numaplace fleet export --anonymise report.json.gz',
        'numaplace fleet export --object-version FleetHost=1.0 for-an-older-release.json',
        'numaplace fleet audit --from fleet.json.gz',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the file and its form."""
        parser = super().get_parser(prog_name)
        parser.add_argument('file', metavar='FILE', help=f'File to write; {sources.STREAM} is standard output.')
        parser.add_argument('--anonymise', action='store_true', help='Replace names, UUIDs, paths and metadata.')
        parser.add_argument(
            '--object-version',
            dest='versions',
            action='append',
            default=[],
            metavar='NAME=VERSION',
            help='Newest version of an object that the reading release knows, as its error says; may be repeated.',
        )
        sources.add_to(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Write the file."""
        from numaplace.fleet import anonymise

        versions = names.pairs('--object-version', parsed_args.versions)
        fleet = read(self, parsed_args)
        sources.write_file(anonymise.anonymise(fleet) if parsed_args.anonymise else fleet, parsed_args.file, versions)


class AuditFleet(base.ListOf):
    """Recompute every host from its servers, and report all that is wrong.

    Nothing is changed. Each finding has a stable code, and a sentence that says cause, effect and cure. The exit status
    is 1 if one of them is an error.
    """

    nothing = 'nothing is wrong: no findings'
    examples = (
        'numaplace fleet audit',
        'numaplace fleet audit -f json',
        'numaplace fleet audit --move-hours 24',
        'numaplace fleet audit --from libvirt --directory hosts',
    )

    _status = base.DONE

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the source, and how long moves may take."""
        parser = super().get_parser(prog_name)
        sources.add_to(parser)
        parser.add_argument(
            '--move-hours',
            metavar='HOURS',
            type=_hours,
            default='1',
            help='How long a move may be under way before it is a finding (default: %(default)s).',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return the findings, errors first."""
        from numaplace.fleet import audit

        found = audit.audit(
            read(self, parsed_args),
            settings=settings(self.conf),
            now=datetime.now(UTC),
            patience=parsed_args.move_hours,
        )
        self._status = base.FAULT if any(finding.severity == 'error' for finding in found) else base.DONE
        return findings.table(found, parsed_args)

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command; the status is 1 if there is an error."""
        return super().run(parsed_args) or self._status


class ExplainFleet(base.ListOf):
    """Say which hosts take a guest, and why the others do not.

    Each host is asked what the scheduler asks: the filters of the configuration, then the fit. Hosts with the same
    cause are one group, the nearest to fitting first. What is wrong with the flavor, the server or the hosts follows.
    """

    examples = (
        'numaplace fleet explain --flavor m1.numa',
        'numaplace fleet explain --flavor m1.numa --image-property hw_numa_nodes=4 --all-hosts',
        'numaplace fleet explain --from fleet.json.gz --server cirros2',
        'numaplace fleet explain --flavor m1.numa --nearest',
        'numaplace fleet explain --flavor m1.numa -f json',
    )

    _lines: Sequence[str] = ()

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the guest."""
        parser = super().get_parser(prog_name)
        sources.add_to(parser)
        guest = parser.add_mutually_exclusive_group(required=True)
        guest.add_argument('--flavor', metavar='FLAVOR', help='Name or id of the flavor of a new server.')
        guest.add_argument('--server', metavar='SERVER', help='Name or UUID of a server; what it holds counts as free.')
        parser.add_argument(
            '--image-property',
            action='append',
            default=[],
            metavar='KEY=VALUE',
            help='Property of the image of a new server, such as hw_numa_nodes=2; may be repeated.',
        )
        parser.add_argument('--zone', metavar='ZONE', help='Availability zone that a new server asks for.')
        parser.add_argument('--all-hosts', action='store_true', help='Show each host by itself.')
        parser.add_argument(
            '--nearest',
            action='store_true',
            help='If no host takes it, find the smallest change of the guest or a host with which one does; with '
            '--all-hosts, that of each host.',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return the hosts, those that take it first, then the nearest."""
        from numaplace import explain as words
        from numaplace.cli import fleet_nearest
        from numaplace.fleet import explain
        from numaplace.model.fleet import candidates

        fleet = read(self, parsed_args)
        server = find_server(fleet, parsed_args.server) if parsed_args.server is not None else None
        if server is not None:
            server = explain.as_requested(server)
        asked = _request(self.conf, fleet, server, parsed_args)
        if server is not None:
            fleet = explain.without(fleet, server)
        joined = candidates(fleet)
        answers = explain.ask(joined, checks(self.conf, fleet, asked, server))
        behind = explain.causes(fleet, asked.instance.flavor, server, answers)
        with_placement = bool(fleet.providers)
        self._lines = list(explain.lines(answers, behind, each=parsed_args.all_hosts, with_placement=with_placement))
        found: dict[str, Change] = {}
        if parsed_args.nearest:
            found = fleet_nearest.nearest(self.conf, joined, asked, answers, server, each=parsed_args.all_hosts)
            is_refused = all(answer.by is not None for answer in answers)
            self._lines = [*self._lines, *(fleet_nearest.lines(found) if found or is_refused else ())]
        rows = [(answer.host, True, '', _reasons([])) for answer in answers if answer.by is None]
        rows += [
            (refused['host'], False, refused['filter'], _reasons(refused['reasons']))
            for refused in words.plain(explain.refusals(answers))
        ]
        changes = {host: fleet_nearest.plain(change) for host, change in found.items()}
        names = (*_EXPLAINED, 'nearest') if parsed_args.nearest else _EXPLAINED
        return names, [(base.Text(row[0]), *row[1:], _change(changes.get(row[0])))[: len(names)] for row in rows]

    def produce_output(self, parsed_args: argparse.Namespace, column_names: Sequence[str], data: Any) -> int:
        """Print text for people, rows for machines."""
        if parsed_args.formatter != 'table' or parsed_args.columns:
            return int(super().produce_output(parsed_args, column_names, data))
        self.app.stdout.write(''.join(f'{line}\n' for line in self._lines))
        return base.DONE


def _request(
    conf: cfg.ConfigOpts, fleet: Fleet, server: InstanceRecord | None, parsed_args: argparse.Namespace
) -> Request:
    from numaplace.cli import server_request
    from numaplace.operations import requests

    if server is None:
        flavor, properties = find_flavor(fleet, parsed_args.flavor), server_request.properties_of(parsed_args)
        asked = request_of(
            conf, fleet, flavor, source=parsed_args.source, image_properties=properties, zone=parsed_args.zone
        )
        if not (fleet.providers or parsed_args.source in (sources.NOVA, sources.LIBVIRT)):
            requests.check_keys(asked.instance.flavor, properties)
        return asked
    guest = requests.read_again(conf, server, with_pci=_knows_devices(fleet))
    return request(conf, fleet, sources.known_to(fleet, parsed_args.source, requests.again(server, guest)))


def request_of(
    conf: cfg.ConfigOpts,
    fleet: Fleet,
    flavor: Flavor,
    *,
    source: str,
    image_properties: Mapping[str, str] = MappingProxyType({}),
    zone: str | None = None,
) -> Request:
    """Return what hosts are asked for a new server of a flavor.

    :param source: where the fleet comes from
    :raises: :class:`~numaplace.exception.Invalid`
    """
    from numaplace.model import Devices
    from numaplace.operations import requests

    asked = requests.new_server(
        conf,
        'asked',
        flavor,
        dict(image_properties),
        zone=zone,
        devices=Devices(),
        scheduling=requests.NO_SCHEDULING,
        with_pci=_knows_devices(fleet),
    )
    return request(conf, fleet, sources.known_to(fleet, source, asked))


def _knows_devices(fleet: Fleet) -> bool:
    """Return whether devices are known one by one: those of a Nova are only counted."""
    return any(record.host.devices for record in fleet.hosts)


def request(conf: cfg.ConfigOpts, fleet: Fleet, instance: InstanceRequest) -> Request:
    """Return what hosts are asked for a server."""
    from numaplace.scheduler import select

    group = next((each for each in fleet.server_groups if each.uuid == instance.group), None)
    return select.asked(conf, instance, group=group)


def checks(
    conf: cfg.ConfigOpts, fleet: Fleet, asked: Request, server: InstanceRecord | None = None
) -> list[tuple[str, Check]]:
    """Return what decides about a host, in this order: what Nova does before any filter, then the filters.

    :param server: the server that is asked for, if it exists
    """
    from functools import partial

    from numaplace.scheduler import select

    filters = [(name, partial(_admit, check, asked)) for name, check in select.Policy.of(conf).filters]
    return [*_first_checks(fleet, server, asked), *filters]


def _reasons(reasons: Sequence[dict[str, Any]]) -> base.Written:
    return base.Written(list(reasons), '; '.join(reason['text'] for reason in reasons))


def _change(change: dict[str, Any] | None) -> Any:
    return None if change is None else base.Written(change, change['text'])


def _first_checks(fleet: Fleet, server: InstanceRecord | None, asked: Request) -> Iterator[tuple[str, Check]]:
    """Yield what Nova does before any filter, where the fleet tells."""
    from functools import partial

    from numaplace.fleet import explain, placement

    if fleet.providers:
        instance = asked.instance
        wanted = placement.wanted(instance.flavor, instance.image_properties, instance.guest, server)
        yield placement.NAME, placement.Offers(fleet).check(wanted, server)
    if server is not None:
        yield 'request', partial(explain.check_forced, server)


def _admit(check: Filter, asked: Request, record: HostRecord) -> Answer:
    return check.admit(record, asked)


def find_server(fleet: Fleet, name: str) -> InstanceRecord:
    """Return a server by its UUID or name.

    :raises: :class:`~numaplace.exception.NotFound`, :class:`~numaplace.exception.Conflict` if several have the name
    """
    found = [server for server in fleet.servers if server.uuid == name] or [
        server for server in fleet.servers if server.name == name
    ]
    if not found:
        raise exception.NotFound(f'there is no server {name!r}')
    if len(found) > 1:
        raise exception.Conflict(f'{len(found)} servers have the name {name!r}: expected the UUID of one')
    return found[0]


def find_flavor(fleet: Fleet, name: str, option: str = '--flavor') -> Flavor:
    """Return a flavor by its id, or else by its name.

    :param option: the one that names it, for the error
    :raises: :class:`~numaplace.exception.NotFound`, with the known names
    """
    from numaplace.cli import server_request

    for flavor in sorted(fleet.flavors, key=lambda flavor: flavor.id != name):
        if name in (flavor.id, flavor.name):
            return flavor
    raise server_request.unknown_flavor(name, fleet.flavors, option)
