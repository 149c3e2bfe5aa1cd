# SPDX-License-Identifier: Apache-2.0
"""``numaplace fleet what-if``: a fleet before and after changes that are only imagined."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from numaplace import exception
from numaplace.cli import base, fleet, fleet_capacity, names
from numaplace.cli import fleet_sources as sources

if TYPE_CHECKING:
    from numaplace.fleet.capacity import Capacity
    from numaplace.fleet.comparison import Difference
    from numaplace.fleet.findings import Finding
    from numaplace.fleet.what_if import HostOptions
    from numaplace.model.fleet import Fleet

__all__ = ['WhatIfFleet']

_COLUMNS = ('capacity', 'new_findings', 'gone_findings')
_OF_FINDING = ('code', 'severity', 'host', 'server', 'cell', 'found', 'expected', 'text')
_SETTING = re.compile(
    r'(?:(?P<host>.+):)??'
    r'(?P<key>cpu_dedicated_set|cpu_shared_set|reserved_huge_pages|cpu_allocation_ratio|ram_allocation_ratio)'
    r'=(?P<value>.*)'
)
_SETTING_FORMS = (
    'expected [HOST:]KEY=VALUE, where KEY is cpu_dedicated_set, cpu_shared_set, reserved_huge_pages, '
    'cpu_allocation_ratio or ram_allocation_ratio'
)

#: Fields of the options of a host by their keys, where they differ.
_FIELDS = {'cpu_dedicated_set': 'dedicated_cpus', 'cpu_shared_set': 'shared_cpus'}


class _Setting(NamedTuple):
    """A value of an option of a host.

    :param host: None for all hosts
    """

    host: str | None
    key: str
    value: Any


def _setting(text: str) -> _Setting:
    """Read a word of ``--set``.

    :raises: argparse.ArgumentTypeError
    """
    from numaplace.conf import types

    match = _SETTING.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"'{names.shorten(text)}': {_SETTING_FORMS}")
    key = match['key']
    if key.endswith('_set'):
        read: Callable[[str], Any] = types.CpuList()
    else:
        read = types.ReservedPages() if key == 'reserved_huge_pages' else types.Ratio()
    try:
        return _Setting(match['host'], key, read(match['value']))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{names.shorten(text)}': {error}") from None


def _added(text: str) -> tuple[str, str]:
    """Read a word of ``--add-host``.

    :raises: argparse.ArgumentTypeError
    """
    name, sign, like = text.partition('=')
    try:
        if sign and like:
            return names.name('host', name), like
    except exception.Invalid as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    raise argparse.ArgumentTypeError(f"'{names.shorten(text)}': expected NAME=LIKE, a new name and a known host")


def _property(text: str) -> tuple[str, str]:
    """Read a word of ``--flavor-set``.

    :raises: argparse.ArgumentTypeError
    """
    flavor, sign, pair = text.partition(':')
    if flavor and sign:
        return flavor, pair
    raise argparse.ArgumentTypeError(f"'{names.shorten(text)}': expected FLAVOR:KEY=VALUE")


class WhatIfFleet(base.ShowOf):
    """Show what changes of a fleet would do: how many more guests fit, and what is wrong, before and after.

    Nothing is written. Changes are made in this order: servers are deleted, hosts added, hosts removed, options of
    hosts set, and properties of flavors set. Servers of a host that is removed stay, and are findings.
    """

    examples = (
        'numaplace fleet what-if --remove-host compute7 --flavor m1.numa m1.large',
        'numaplace fleet what-if --add-host new1=compute1 --add-host new2=compute1 --flavor m1.numa',
        'numaplace fleet what-if --set compute1:cpu_dedicated_set=4-63 --set compute1:cpu_shared_set=0-3',
        'numaplace fleet what-if --set reserved_huge_pages=node:0,size:2MB,count:512 --flavor m1.large',
        'numaplace fleet what-if --from fleet.json.gz --flavor-set m1.numa:hw:numa_nodes=2 --flavor m1.numa -f json',
    )

    _lines: Sequence[str] = ()

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the changes, and the guests that are asked about."""
        parser = super().get_parser(prog_name)
        sources.add_to(parser)
        changes = parser.add_argument_group('changes; each may be repeated')
        changes.add_argument(
            '--delete-server', metavar='SERVER', action='append', default=[], help='Delete a server, by name or UUID.'
        )
        changes.add_argument(
            '--add-host',
            metavar='NAME=LIKE',
            type=_added,
            action='append',
            default=[],
            help='Add a host without servers that is otherwise like another one, and enabled.',
        )
        changes.add_argument('--remove-host', metavar='HOST', action='append', default=[], help='Remove a host.')
        changes.add_argument(
            '--set',
            dest='settings',
            metavar='[HOST:]KEY=VALUE',
            type=_setting,
            action='append',
            default=[],
            help=(
                'Set an option of a host, or of all hosts where none is named: cpu_dedicated_set, cpu_shared_set, '
                'cpu_allocation_ratio, ram_allocation_ratio or reserved_huge_pages, in the form that it has in a '
                'configuration file. What servers hold stays.'
            ),
        )
        changes.add_argument(
            '--flavor-set',
            dest='properties',
            metavar='FLAVOR:KEY=VALUE',
            type=_property,
            action='append',
            default=[],
            help='Set a property of a flavor, by its id if its name has a colon. Servers keep the flavor as it was.',
        )
        fleet_capacity.add_guests(parser, is_required=False, hosts='Show each host whose numbers change too.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Return the numbers of guests, and the findings that are new and gone."""
        from numaplace.fleet import comparison
        from numaplace.fleet.audit import audit

        asked = parsed_args.delete_server, parsed_args.add_host, parsed_args.remove_host
        if not any((*asked, parsed_args.settings, parsed_args.properties)):
            self.misuse(
                'no change: expected one or more of --delete-server, --add-host, --remove-host, --set and --flavor-set'
            )
        before = fleet.read(self, parsed_args)
        after = _changed(before, parsed_args)
        found = [
            each
            for each in comparison.compare(self._capacity(before, parsed_args), self._capacity(after, parsed_args))
            if each.host is None or each.before != each.after
        ]
        new, gone = comparison.new_and_gone(audit(before), audit(after))
        self._lines = [*comparison.lines(found, new, gone), *fleet_capacity.not_counted(before)]
        return _COLUMNS, (_numbers(found), _findings(new), _findings(gone))

    def produce_output(self, parsed_args: argparse.Namespace, column_names: Sequence[str], data: Any) -> int:
        """Print text for people, values for machines."""
        if parsed_args.formatter != 'table' or parsed_args.columns:
            return super().produce_output(parsed_args, column_names, data)
        self.app.stdout.write(''.join(f'{line}\n' for line in self._lines))
        return base.DONE

    def _capacity(self, read: Fleet, parsed_args: argparse.Namespace) -> list[Capacity]:
        from numaplace.fleet import capacity
        from numaplace.model.fleet import candidates
        from numaplace.scheduler.select import Policy

        end, policy = time.monotonic() + parsed_args.seconds, Policy.of(self.conf)
        asked, found = candidates(read), list[Any]()
        for name in dict.fromkeys(parsed_args.flavors):
            question = fleet_capacity.question(self.conf, read, fleet.find_flavor(read, name), parsed_args, policy)
            hosts = capacity.capacity(asked, question, stop=lambda: time.monotonic() >= end)
            found += [capacity.in_all(question.flavor, hosts), *(hosts if parsed_args.hosts else ())]
        return found


def _changed(read: Fleet, parsed_args: argparse.Namespace) -> Fleet:
    """Return a fleet after all changes; the error for one names its option."""
    from numaplace.fleet import what_if

    for name in parsed_args.delete_server:
        read = what_if.delete_server(read, fleet.find_server(read, name))
    for name, like in parsed_args.add_host:
        read = what_if.add_host(read, name, like)
    for name in parsed_args.remove_host:
        read = what_if.remove_host(read, name)
    named = {setting.host for setting in parsed_args.settings if setting.host is not None}
    everywhere = [host.name for host in read.hosts] if any(one.host is None for one in parsed_args.settings) else []
    read = what_if.set_hosts(read, {name: _options(name, parsed_args.settings) for name in {*everywhere, *named}})
    for name, pair in parsed_args.properties:
        ((key, value),) = names.pairs('--flavor-set', [pair]).items()
        read = what_if.set_property(read, fleet.find_flavor(read, name, '--flavor-set'), key, value)
    return read


def _options(host: str, settings: Iterable[_Setting]) -> HostOptions:
    """Return the options of a host: those of all hosts, then its own; the last value of each counts."""
    from numaplace.fleet.what_if import HostOptions

    values: dict[str, Any] = {'reserved': {}}
    mine = [setting for setting in settings if setting.host in (None, host)]
    for setting in sorted(mine, key=lambda setting: setting.host is not None):
        if setting.key == 'reserved_huge_pages':
            cell, size_kib, number = setting.value
            values['reserved'][cell, size_kib] = number
        else:
            values[_FIELDS.get(setting.key, setting.key)] = setting.value
    return HostOptions(**values)


def _numbers(found: Iterable[Difference]) -> list[dict[str, Any]]:
    rows = []
    for one in found:
        row: dict[str, Any] = {'flavor': one.flavor, 'host': one.host}
        for name, bounds in (('before', one.before), ('after', one.after), ('difference', one.bounds)):
            row[f'{name}_at_least'], row[f'{name}_at_most'] = bounds
        rows.append(row)
    return rows


def _findings(found: Iterable[Finding]) -> list[dict[str, Any]]:
    return [{key: getattr(finding, key) for key in _OF_FINDING} for finding in found]
