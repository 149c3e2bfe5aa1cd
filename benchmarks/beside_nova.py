# SPDX-License-Identifier: Apache-2.0
"""Compare Nova 34 and numaplace on the same inputs, in turns: ``python -m benchmarks.beside_nova``.

Both run in one interpreter. This needs nova==34.0.0 and SQLAlchemy<2.1 in addition to numaplace; ``tox -e bench`` makes
such an environment.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from typing import Any

from benchmarks import inputs
from benchmarks.cases import NEVER, OFTEN, Case, all_cases
from benchmarks.clock import Side, duration, medians
from benchmarks.nova_side import Nova
from numaplace import fit, wire
from numaplace.model import Placement, Refusal
from numaplace.tests import nova_requests
from numaplace.tests.audit import audit

__all__ = ['machine', 'main']

_COLUMNS = ('json', 'fresh', 'repeated')
_FORMAT = '{:<46} {:>9} {:>9}  {:>8} {:>8} {:>8}  {:>6} {:>11} {:>11}  {}'
_HEADINGS = ('Nova JSON', 'Nova fit', 'JSON', 'fresh', 'repeated', 'JSON', 'fresh', 'repeated', 'answers')


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table.

    :param seconds: median by side: ``nova json``, ``nova fit``, ``json``, ``fresh``, ``repeated``
    :param at_least: Nova's sides that were stopped at the time limit
    :param nova: Nova's answer in a word
    :param ours: our answer in a word
    """

    group: str
    name: str
    seconds: dict[str, float]
    nova: str
    ours: str
    at_least: frozenset[str] = field(default_factory=frozenset)

    def ratio(self, column: str) -> float | None:
        """Return how many times faster we are, JSON against JSON and a fit against a fit."""
        nova = self.seconds.get('nova json' if column == 'json' else 'nova fit')
        ours = self.seconds.get(column)
        return nova / ours if nova and ours else None

    def text(self) -> str:
        """Return the line."""
        cells = [self._seconds(side) for side in ('nova json', 'nova fit', *_COLUMNS)]
        cells += [self._ratio(column) for column in _COLUMNS]
        answers = self.ours if self.nova in ('', self.ours) else f'{self.ours}; Nova: {self.nova}'
        return _FORMAT.format(self.name, *cells, answers).rstrip()

    def _seconds(self, side: str) -> str:
        if side not in self.seconds:
            return '-'
        return '> ' * (side in self.at_least) + duration(self.seconds[side])

    def _ratio(self, column: str) -> str:
        ratio = self.ratio(column)
        if ratio is None:
            return '-'
        more = '> ' * (column != 'json' and 'nova fit' in self.at_least)
        return more + (f'{ratio:,.0f}' if ratio >= 100 else f'{ratio:.1f}')


def _place(case: Case) -> Callable[..., Placement | Refusal]:
    place = partial(fit.place, limits=case.limits, networks=case.networks)
    if not case.reasons:
        return place

    def place_and_explain(*values: Any) -> Placement | Refusal:
        answer = place(*values)
        if isinstance(answer, Refusal):
            answer.reasons  # noqa: B018 - computed when read
        return answer

    return place_and_explain


def _limits(case: Case) -> dict[str, Any] | None:
    """Return the limits and networks as JSON, which has networks only with limits."""
    limits = case.limits or (inputs.LIMITS if case.networks else None)
    return nova_requests.write_limits(limits, case.networks) if limits else None


def _audited(case: Case) -> Placement | Refusal:
    """Return our answer after an independent audit found it valid."""
    answer = _place(case)(case.host, case.guest)
    if isinstance(answer, Placement):
        asked = wire.write_host(case.host), nova_requests.write_guest(case.guest), _limits(case)
        if faults := audit(*asked, wire.write_placement(answer)):
            raise SystemExit(f'{case.name}: our placement fails the audit: {faults}')
    return answer


def _texts(case: Case) -> Callable[[], str]:
    if case.vary:
        return inputs.rereader(case.host)
    text = inputs.text(case.host)
    return lambda: text


def _our_sides(case: Case) -> dict[str, Side]:
    place = _place(case)
    fresh_host = inputs.unseen if case.vary else inputs.rebuilt
    text = _texts(case)
    return {
        'json': Side(
            lambda: (text(), inputs.unseen_guest(case.guest)),
            lambda text, guest: place(wire.read_host(wire.loads(text)), guest),
        ),
        'fresh': Side(lambda: (fresh_host(case.host), inputs.unseen_guest(case.guest)), place),
        'repeated': Side(lambda: (case.host, case.guest), place),
    }


class _Table:
    """Runs cases against one Nova."""

    def __init__(self, nova: Nova, limit_s: float) -> None:
        self._nova = nova
        self._limit_s = limit_s

    def row(self, case: Case) -> Row:
        """Measure a case."""
        sides, judged, seconds = _our_sides(case), '', {}
        answer = _audited(case)
        at_least: frozenset[str] = frozenset()
        if case.nova == OFTEN:
            judged = self._judge(case, answer)
            if not judged.startswith('WRONG: raises'):
                sides = {**self._nova_sides(case), **sides}
        elif case.nova != NEVER:
            seconds['nova fit'], ended = self._nova.seconds_within(self._limit_s, *self._nova_inputs(case))
            at_least = frozenset(() if ended else {'nova fit'})
        seconds |= medians(sides)
        return Row(case.group, case.name, seconds, judged, 'fits' if answer else 'no fit', at_least)

    def json_row(self, cells: int) -> Row:
        """Measure the conversion of a column's JSON to a host."""
        text = inputs.rereader(inputs.host(cells, half_full=range(cells)))
        sides = {
            'nova json': Side(lambda: (text(),), self._nova.host),
            'json': Side(lambda: (text(),), lambda text: wire.read_host(wire.loads(text))),
        }
        return Row('JSON to model', f'host of {cells} cells', medians(sides), '', 'read')

    def _nova_inputs(self, case: Case) -> tuple[Any, Any, Any]:
        return (
            self._nova.host(inputs.text(case.host)),
            self._nova.guest(nova_requests.write_guest(case.guest)),
            self._nova.limits(_limits(case)),
        )

    def _nova_sides(self, case: Case) -> dict[str, Side]:
        nova = self._nova
        host, guest, limits = self._nova_inputs(case)
        text = _texts(case)
        return {
            'nova json': Side(
                lambda: (text(), guest.obj_clone()),
                lambda text, asked: nova.fit(nova.host(text), asked, limits),
            ),
            'nova fit': Side(lambda: (host, guest.obj_clone(), limits), nova.fit),
        }

    def _judge(self, case: Case, ours: Placement | Refusal) -> str:
        """Return Nova's answer in a word, and what an independent audit finds wrong with it."""
        answer = self._nova.answer(*self._nova_inputs(case))
        host, guest = wire.write_host(case.host), nova_requests.write_guest(case.guest)
        limits = _limits(case)
        if isinstance(answer, str):
            return f'WRONG: raises {answer}'
        if answer is None:
            return 'WRONG: finds none' if ours else 'no fit'
        faults = audit(host, guest, limits, answer)
        return f'WRONG: {faults[0]}' if faults else 'fits'


def _summary(rows: list[Row]) -> Iterator[str]:
    """Yield the smallest ratio of each group and column, with its case."""
    for group in dict.fromkeys(row.group for row in rows):
        for column in _COLUMNS:
            rated = [(ratio, row.name) for row in rows if row.group == group and (ratio := row.ratio(column))]
            if rated:
                ratio, name = min(rated)
                yield f'{group:<26} {column:<9} at least {ratio:10,.1f} times  ({name})'


def machine() -> str:
    """Return the machine and the versions that the figures were measured with."""
    versions = ', '.join(f'{name} {metadata.version(name)}' for name in ('nova', 'SQLAlchemy'))
    load = ' '.join(f'{value:.1f}' for value in os.getloadavg())
    return f'Python {platform.python_version()}, {versions}; {os.cpu_count()} CPUs, load {load}'


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(line + '\n')
    sys.stdout.flush()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--limit', type=float, default=20.0, metavar='SECONDS', help='end a fit of Nova after this (20)'
    )
    parser.add_argument('--only', default='', metavar='TEXT', help='only groups and cases whose name holds this')
    options = parser.parse_args()
    start = time.monotonic()
    table = _Table(Nova(), options.limit)
    gc.freeze()
    _print([machine(), '', _FORMAT.format('', '', '', 'ours', '', '', 'times', 'faster', '', '').rstrip()])
    _print([_FORMAT.format('guest cells on host cells', *_HEADINGS)])
    rows: list[Row] = []
    pending = [partial(table.json_row, cells) for cells in (2, 8)] if options.only in 'JSON to model' else []
    chosen = (case for case in all_cases() if options.only in f'{case.group}: {case.name}')
    for measure in [*pending, *(partial(table.row, case) for case in chosen)]:
        row = measure()
        if not rows or rows[-1].group != row.group:
            _print(['', row.group])
        rows.append(row)
        _print([row.text()])
    _print(['', *_summary(rows), '', f'{time.monotonic() - start:.0f} s in all'])


if __name__ == '__main__':
    main()
