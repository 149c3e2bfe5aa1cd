# SPDX-License-Identifier: Apache-2.0
"""``numaplace fleet survive``: whether the servers of hosts that die find places elsewhere."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from math import comb
from typing import TYPE_CHECKING, Any

from numaplace import explain
from numaplace.cli import base, fleet, names, progress
from numaplace.cli import fleet_sources as sources
from numaplace.cli.fleet_asking import asking
from numaplace.cli.fleet_capacity import add_seconds

if TYPE_CHECKING:
    from numaplace.planning.surviving import Death

__all__ = ['SurviveFleet']

#: More sets of hosts than this are not looked at.
_MOST_SETS = 20_000
_COLUMNS = ('hosts', 'servers', 'homeless', 'flavors', 'sure', 'reasons')


class SurviveFleet(base.ListOf):
    """Say whether all servers of any one host that dies find places elsewhere, all at once.

    They are placed as evacuations are: by the filters, then the fit, and no other server moves. Those hosts are listed
    whose servers do not all find a place, with the flavors of those that do not; the exit status is 3 if there are any.
    """

    examples = (
        'numaplace fleet survive',
        'numaplace fleet survive --hosts 2 -f json',
        'numaplace fleet survive --from fleet.json.gz',
    )

    _found: Sequence[Death] = ()
    _sets = 0

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the source, and how many hosts die."""
        parser = super().get_parser(prog_name)
        sources.add_to(parser)
        parser.add_argument(
            '--hosts',
            metavar='NUMBER',
            type=names.whole(1, 8),
            default=1,
            help='How many hosts die at once, each set of so many hosts in turn (default: 1).',
        )
        add_seconds(
            parser,
            'How long to search in all for other ways where servers do not fit one after the other (default: '
            '%(default)s).',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return the sets of hosts whose servers do not all find a place."""
        from numaplace.planning import surviving
        from numaplace.planning.state import State

        read = fleet.read(self, parsed_args)
        self._sets = comb(len(read.hosts), parsed_args.hosts)
        if self._sets > _MOST_SETS:
            self.misuse(
                f'--hosts {parsed_args.hosts}: {self._sets:,} sets of {len(read.hosts):,} hosts: expected at most '
                f'{_MOST_SETS:,}'
            )
        state = State.of(read, asking(self.conf, read))
        with progress.shown(self.app, 'sets of hosts', self._sets) as bar:
            deaths = list(surviving.survive(state, parsed_args.hosts, parsed_args.seconds, bar.advance))
        self._found = [death for death in deaths if death.homeless]
        return _COLUMNS, [_row(death) for death in self._found]

    def produce_output(self, parsed_args: argparse.Namespace, column_names: Sequence[str], data: Any) -> int:
        """Print text for people, rows for machines."""
        if parsed_args.formatter != 'table' or parsed_args.columns:
            return int(super().produce_output(parsed_args, column_names, data))
        lines = [f'{self._sets - len(self._found):,} of {self._sets:,} survive']
        for death in self._found:
            lines += _lines(death)
        flavors = Counter[str]()
        for death in self._found:
            flavors.update(name for name, _number in death.homeless)
        lines += [f'{explain.escape(name)}: without a place in {number:,}' for name, number in flavors.most_common()]
        self.app.stdout.write(''.join(f'{line}\n' for line in lines))
        return base.DONE

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command; the status is 3 if a server finds no place."""
        return super().run(parsed_args) or (base.NO_VALID_HOST if self._found else base.DONE)


def _row(death: Death) -> tuple[Any, ...]:
    words = ', '.join(f'{explain.escape(name)}: {number}' for name, number in death.homeless)
    return (
        base.Written(list(death.hosts), ', '.join(map(explain.escape, death.hosts))),
        death.servers,
        sum([number for _name, number in death.homeless]),
        base.Written(dict(death.homeless), words),
        death.is_sure,
        base.Written(list(death.reasons), '; '.join(death.reasons)),
    )


def _lines(death: Death) -> list[str]:
    hosts = ', '.join(map(explain.escape, death.hosts))
    number = sum([number for _name, number in death.homeless])
    flavors = ', '.join(f'{explain.escape(name)} ({number})' for name, number in death.homeless)
    found = '' if death.is_sure else 'at most '
    return [f'{hosts}: {found}{number:,} of {death.servers:,} servers without a place: {flavors}'] + [
        f'  {line}' for line in death.reasons
    ]
