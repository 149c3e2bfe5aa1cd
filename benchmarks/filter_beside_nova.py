# SPDX-License-Identifier: Apache-2.0
"""Compare Nova 34's filter and ours in nova-scheduler, in one process: ``python -m benchmarks.filter_beside_nova``.

Needs what :mod:`benchmarks.beside_nova` needs; ``tox -e bench-filter`` makes such an environment.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import inputs
from benchmarks.beside_nova import machine
from benchmarks.clock import Side, duration, medians
from benchmarks.nova_scheduler import NOVA, OURS, Fleet, Scheduler
from benchmarks.nova_side import seconds_within
from numaplace.model import DEDICATED, Host

__all__ = ['main']

_FORMAT = '{:<60} {:>9} {:>9}  {:>9}  {}'
COLD, REPEATED = 'cold', 'repeated'


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table.

    :param nova_s: seconds of Nova; a lower bound if it was stopped at the time limit
    :param ended: whether Nova finished
    :param hosts: how many hosts were left, which is the same on both sides
    """

    name: str
    nova_s: float
    ours_s: float
    hosts: int
    ended: bool = True

    def text(self) -> str:
        """Return the line."""
        more, ratio = '> ' * (not self.ended), self.nova_s / self.ours_s
        return _FORMAT.format(
            self.name,
            more + duration(self.nova_s),
            duration(self.ours_s),
            more + (f'{ratio:,.0f}' if ratio >= 100 else f'{ratio:.1f}'),
            f'{self.hosts} left',
        )


class _Table:
    """Runs both sides in one process.

    :param budget_s: about how long one case may take
    """

    def __init__(self, process: Scheduler, budget_s: float) -> None:
        self._process = process
        self._budget_s = budget_s
        self._filters = {side: process.numa_filter(side) for side in (NOVA, OURS)}

    def filtered(self, name: str, hosts: list[Host], policy: str | None = DEDICATED) -> Iterator[Row]:
        """Measure from rows to the hosts that are left, for a guest of 4 cells."""
        fleet = Fleet(self._process, [inputs.rereader(host) for host in hosts])
        guest = inputs.guest(4, policy=policy)

        def side(who: str, *, changed: bool) -> Side:
            def prepare() -> tuple[Any, ...]:
                self._process.become(who)
                fleet.renew(changed=changed)
                return self._filters[who], fleet.request(guest)

            return Side(prepare, fleet.filtered)

        yield from self._rows(name, side, self._same(name, side))

    def selected(self, name: str, hosts: list[Host]) -> Iterator[Row]:
        """Measure ``SchedulerManager.select_destinations`` from rows in a database, for a guest of 4 cells."""
        fleet = Fleet(self._process, [inputs.rereader(host) for host in hosts])
        fleet.store()
        guest, schedulers = inputs.guest(4), {}
        for who in (NOVA, OURS):
            self._process.become(who)
            schedulers[who] = fleet.scheduler(who)

        def side(who: str, *, changed: bool) -> Side:
            def prepare() -> tuple[Any, ...]:
                fleet.store_texts(changed=changed)
                self._process.become(who)
                return schedulers[who], fleet.request(guest)

            return Side(prepare, fleet.select)

        found = {
            who: [chosen.service_host for chosen in call(*prepare())[0]]
            for who in (NOVA, OURS)
            for prepare, call in [_parts(side(who, changed=False))]
        }
        _agree(name, found)
        yield from self._rows(name, side, len(hosts))

    def refused(self, limit_s: float) -> Row:
        """Measure one host of 16 cells that 6 guest cells do not fit."""
        fleet = Fleet(self._process, [inputs.rereader(inputs.host(16, full=range(11)))])
        guest = inputs.guest(6)

        def prepare(who: str) -> tuple[Any, ...]:
            self._process.become(who)
            fleet.renew(changed=True)
            return self._filters[who], fleet.request(guest)

        ours_s = medians({OURS: Side(lambda: prepare(OURS), fleet.filtered)}, batch_s=0)[OURS]
        hosts = len(fleet.filtered(*prepare(OURS)))
        asked = prepare(NOVA)
        nova_s, ended = seconds_within(limit_s, lambda: fleet.filtered(*asked))
        return Row('1 host of 16 cells with room in 5, 6 guest cells, cold', nova_s, ours_s, hosts, ended)

    def _same(self, name: str, side: Callable[..., Side]) -> int:
        """Return how many hosts are left, and end the run if the sides differ on which."""
        found = {
            who: [state.host for state in call(*prepare())]
            for who in (NOVA, OURS)
            for prepare, call in [_parts(side(who, changed=False))]
        }
        _agree(name, found)
        return len(found[OURS])

    def _rows(self, name: str, side: Callable[..., Side], hosts: int) -> Iterator[Row]:
        # A repeated turn must use what numaplace saw in its last cold turn.
        order = [(NOVA, COLD), (OURS, COLD), (NOVA, REPEATED), (OURS, REPEATED)]
        sides = {f'{who} {rows}': side(who, changed=rows == COLD) for who, rows in order}
        seconds = medians(sides, batch_s=0, budget_s=self._budget_s, clock=time.process_time)
        for rows in (COLD, REPEATED):
            yield Row(f'{name}, {rows}', seconds[f'{NOVA} {rows}'], seconds[f'{OURS} {rows}'], hosts)


def _parts(side: Side) -> tuple[Callable[[], tuple[Any, ...]], Callable[..., Any]]:
    return side.prepare, side.call


def _agree(name: str, found: dict[str, list[str]]) -> None:
    if found[NOVA] != found[OURS]:
        raise SystemExit(f'{name}: Nova leaves {len(found[NOVA])} hosts, numaplace {len(found[OURS])}')


def _fleet(count: int, *, room: int = 1) -> list[Host]:
    """Return hosts of 8 cells, half full; only one in every `room` hosts has room for 4 guest cells."""
    half, little = inputs.host(8, half_full=range(8)), inputs.host(8, half_full=range(3), full=range(3, 8))
    return [little if number % room else half for number in range(count)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--hosts', type=int, default=1000, metavar='COUNT', help='how many hosts (1000)')
    parser.add_argument(
        '--limit', type=float, default=20.0, metavar='SECONDS', help='end a filter of Nova after this (20)'
    )
    parser.add_argument(
        '--budget', type=float, default=60.0, metavar='SECONDS', help='about how long a case may take (60)'
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        table = _Table(Scheduler(Path(directory)), options.budget)
        gc.freeze()
        count, hosts = options.hosts, f'{options.hosts:,} hosts of 8 cells'
        lines = [machine(), '', _FORMAT.format('', 'Nova', 'numaplace', 'ratio', 'hosts').rstrip()]
        _print(lines)
        _print([table.refused(options.limit).text()])
        for rows in (
            table.filtered(f'filter, {hosts}, all fit', _fleet(count)),
            table.filtered(f'filter, {hosts}, all fit, shared', _fleet(count), None),
            table.filtered(f'filter, {hosts}, a tenth fits', _fleet(count, room=10)),
            table.selected(f'select_destinations, {hosts}, all fit', _fleet(count)),
        ):
            _print([row.text() for row in rows])


def _print(lines: list[str]) -> None:
    sys.stdout.write('\n'.join(lines) + '\n')
    sys.stdout.flush()


if __name__ == '__main__':
    main()
