# SPDX-License-Identifier: Apache-2.0
"""``numaplace fleet capacity``: how many more guests fit."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from numaplace import exception
from numaplace.cli import base, fleet, names, server_request
from numaplace.cli import fleet_sources as sources

if TYPE_CHECKING:
    from oslo_config import cfg

    from numaplace.fleet.capacity import Admit, Capacity, Question
    from numaplace.fleet.mix import Mix
    from numaplace.model import Flavor, Refusal
    from numaplace.model.fleet import Fleet
    from numaplace.model.records import HostRecord
    from numaplace.scheduler.filters import Filter, Request
    from numaplace.scheduler.index import HostIndex
    from numaplace.scheduler.select import Policy

__all__ = ['CapacityFleet', 'add_guests', 'add_seconds', 'not_counted', 'question']

_MOST_SECONDS = 86_400
_MOST_NUMBER = 10_000
_COLUMNS = ('flavor', 'host', 'at_least', 'at_most', 'binding')


def _seconds(text: str) -> float:
    """Read a number of seconds.

    :raises: argparse.ArgumentTypeError
    """
    with suppress(ValueError):
        if 0 <= (seconds := float(text)) <= _MOST_SECONDS:
            return seconds
    raise argparse.ArgumentTypeError(f'{names.shorten(text)!r}: expected a number of seconds from 0 to {_MOST_SECONDS}')


def add_guests(parser: argparse.ArgumentParser, *, is_required: bool, hosts: str) -> None:
    """Add the guests, and how far the answer goes.

    :param is_required: whether a flavor has to be given
    :param hosts: the help of ``--hosts``
    """
    parser.add_argument(
        '--flavor',
        metavar='FLAVOR',
        dest='flavors',
        action='extend',
        nargs='+',
        required=is_required,
        default=[],
        help='Name or id of a flavor; may be repeated.',
    )
    parser.add_argument(
        '--image-property',
        action='append',
        default=[],
        metavar='KEY=VALUE',
        help='Property of the image of the guests, such as hw_numa_nodes=2; may be repeated.',
    )
    parser.add_argument('--zone', metavar='ZONE', help='Availability zone that the guests ask for.')
    parser.add_argument('--hosts', action='store_true', help=hosts)
    add_seconds(parser, 'How long to search for exact numbers of guests of unlike cells (default: %(default)s).')


def add_seconds(parser: argparse.ArgumentParser, text: str) -> None:
    """Add how long a search may take.

    :param text: the help
    """
    parser.add_argument('--seconds', metavar='SECONDS', type=_seconds, default='10', help=text)


def question(
    conf: cfg.ConfigOpts,
    read: Fleet,
    flavor: Flavor,
    parsed_args: argparse.Namespace,
    policy: Policy,
    *,
    index: HostIndex | None = None,
) -> Question:
    """Return what every host is asked about the guests that the options of :func:`add_guests` describe.

    :param policy: that of the configuration
    :param index: of the hosts, if it is enough to know that others take none; then only those that may are asked
    :raises: :class:`~numaplace.exception.Invalid`
    """
    from numaplace.cli import fleet_sources
    from numaplace.fleet import placement
    from numaplace.fleet.capacity import Question
    from numaplace.model import Devices
    from numaplace.operations import requests
    from numaplace.request.pci import ALIAS_KEY
    from numaplace.scheduler import select
    from numaplace.scheduler.filters.numa_topology import NUMATopologyFilter
    from numaplace.scheduler.limits import limits

    if flavor.extra_specs.get(ALIAS_KEY, '').strip() and any('pci_devices' in host.facts for host in read.hosts):
        raise exception.Invalid(
            f'flavor {flavor.name!r}: {ALIAS_KEY} requests devices; of those of a Nova only the number of free ones is '
            'read: expected a flavor without devices'
        )
    guest = requests.new_server(
        conf,
        'counted',
        flavor,
        server_request.properties_of(parsed_args),
        zone=parsed_args.zone,
        devices=Devices(),
        scheduling=requests.NO_SCHEDULING,
    )
    guest = fleet_sources.known_to(read, parsed_args.source, guest)
    asked = select.asked(conf, guest)
    named, takers = policy.filters, None
    filters = [check for _name, check in named]
    if index is not None:
        from numaplace.scheduler.search import Search, is_exact

        takers = frozenset(Search(index, asked, named, ()).names())
        filters = [check for check in filters if not is_exact(check)]
    offered = None
    if read.providers:
        offers, wanted = placement.Offers(read), placement.wanted(flavor, guest.image_properties, guest.guest)

        def offered(record: HostRecord, number: int) -> Refusal | None:
            return offers.refusal(record.name, [(wanted, number)])

    admit = _admit(offered, filters, asked)
    beside_fit = _admit(offered, [check for check in filters if type(check) is not NUMATopologyFilter], asked)
    return Question(flavor.name, guest.guest, limits, admit, asked.networks, beside_fit, takers)


def _admit(
    offers: Callable[[HostRecord, int], Refusal | None] | None, filters: Sequence[Filter], asked: Request
) -> Admit:
    """Return a function that asks placement, if it is known, and then filters."""
    from numaplace.model import Refusal

    def admit(record: HostRecord, before: int) -> Refusal | None:
        if offers is not None and (refusal := offers(record, before + 1)) is not None:
            return refusal
        for check in filters:
            answer = check.admit(record, asked)
            if isinstance(answer, Refusal):
                return answer
        return None

    return admit


def not_counted(read: Fleet) -> list[str]:
    """Return a line that says how many hosts are not counted, if there are any."""
    known = {host.name for host in read.hosts}
    unread = {row.host for row in read.unread if row.host and row.server is None} - known
    return [f'not counted, as they cannot be read (`numaplace fleet audit`): {len(unread)} hosts'] if unread else []


def _row(found: Capacity) -> tuple[Any, ...]:
    host = None if found.host is None else base.Text(found.host)
    return base.Text(found.flavor), host, found.at_least, found.at_most, found.binding


def _mix(text: str) -> dict[str, int]:
    """Read a word of ``--mix``.

    :raises: argparse.ArgumentTypeError
    """
    found: dict[str, int] = {}
    for word in text.split(','):
        flavor, _sign, number = word.rpartition(':')
        if not flavor or flavor in found or not number.isdecimal() or not 0 < int(number[:9]) <= _MOST_NUMBER:
            raise argparse.ArgumentTypeError(
                f'{names.shorten(text)!r}: expected FLAVOR:NUMBER,..., each flavor once, with numbers from 1 to '
                f'{_MOST_NUMBER}'
            )
        found[flavor] = int(number)
    return found


def _asked(conf: cfg.ConfigOpts, read: Fleet, numbers: Mapping[str, int], parsed_args: argparse.Namespace) -> Mix:
    from numaplace.fleet import placement
    from numaplace.fleet.mix import Mix
    from numaplace.scheduler.select import Policy

    flavors = [fleet.find_flavor(read, name, '--mix') for name in numbers]
    policy = Policy.of(conf)
    questions = [question(conf, read, flavor, parsed_args, policy) for flavor in flavors]
    image = server_request.properties_of(parsed_args)
    wanted = [placement.wanted(flavor, image, one.guest) for flavor, one in zip(flavors, questions, strict=True)]

    known = placement.Offers(read)

    def offers(record: HostRecord, new: Sequence[int]) -> bool:
        asked = [(one, number) for one, number in zip(wanted, new, strict=True) if number]
        return known.refusal(record.name, asked) is None

    if not read.providers:
        return Mix(tuple(questions), tuple(numbers.values()))
    return Mix(tuple(questions), tuple(numbers.values()), offers)


class CapacityFleet(base.ListOf):
    """Count how many more guests of a flavor fit, host by host and in all, or how many rounds of a mix of flavors.

    It is the largest number, which one server after the other may miss if its cells are several: where it is not found
    within the time limit, two bounds are shown. Each flavor is counted by itself, those of a mix together. What refuses
    the next guest is named by its code.
    """

    examples = (
        'numaplace fleet capacity --flavor m1.numa',
        'numaplace fleet capacity --flavor m1.numa m1.large --hosts',
        'numaplace fleet capacity --mix m1.numa:3,m1.large:1',
        'numaplace fleet capacity --from fleet.json.gz --flavor m1.numa -f json',
    )

    _lines: Sequence[str] = ()

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the guests, and how far the answer goes."""
        parser = super().get_parser(prog_name)
        sources.add_to(parser)
        add_guests(parser, is_required=False, hosts='Show each host too, for each flavor.')
        parser.add_argument(
            '--mix',
            metavar='FLAVOR:NUMBER,...',
            dest='mixes',
            type=_mix,
            action='append',
            default=[],
            help='Flavors with their numbers in a round; count how many rounds fit together. May be repeated.',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return the whole fleet first for each flavor, then with --hosts each host."""
        from numaplace.fleet import capacity
        from numaplace.fleet import mix as mixes
        from numaplace.model.fleet import candidates
        from numaplace.scheduler.select import Policy

        if not parsed_args.flavors and not parsed_args.mixes:
            self.misuse('no guests: expected one or more of --flavor and --mix')
        read = fleet.read(self, parsed_args, lists_servers=False)
        flavors = [fleet.find_flavor(read, name) for name in dict.fromkeys(parsed_args.flavors)]
        policy = Policy.of(self.conf)
        questions = [question(self.conf, read, flavor, parsed_args, policy) for flavor in flavors]
        asked = candidates(read)
        alike = capacity.kinds(asked)
        end = time.monotonic() + parsed_args.seconds
        lines, rows = list[str](), list[tuple[Any, ...]]()
        for one in questions:
            hosts = capacity.capacity(asked, one, stop=lambda: time.monotonic() >= end, alike=alike)
            lines += capacity.lines(one.flavor, hosts, each=parsed_args.hosts)
            shown = [capacity.in_all(one.flavor, hosts), *(hosts if parsed_args.hosts else ())]
            rows += map(_row, shown)
        for each in [_asked(self.conf, read, pairs, parsed_args) for pairs in parsed_args.mixes]:
            found = mixes.mix(asked, each, stop=lambda: time.monotonic() >= end)
            lines += capacity.mix_lines(found)
            rows.append(_row(found))
        self._lines = [*lines, *not_counted(read)]
        return _COLUMNS, rows

    def produce_output(self, parsed_args: argparse.Namespace, column_names: Sequence[str], data: Any) -> int:
        """Print text for people, rows for machines."""
        if parsed_args.formatter != 'table' or parsed_args.columns:
            return int(super().produce_output(parsed_args, column_names, data))
        self.app.stdout.write(''.join(f'{line}\n' for line in self._lines))
        return base.DONE
