# SPDX-License-Identifier: Apache-2.0
"""Consolidate the fleets of a folder of problems: ``python -m benchmarks.consolidation FOLDER [--cells N]``.

A problem is a JSON file in the form of the BalCon paper: ``hosts`` and ``vms`` with ``cpu`` and ``mem`` in MiB, and
``mapping``, the number of the host of each VM. Without ``--cells``, guests float on their host, and nothing is
overcommitted. With it, each host is cut into as many cells and guests are pinned: one that fits a cell has one guest
cell, a larger one, or one for which no cell has room left, is divided into the fewest that fit. VMs that do not fit the
cells of their host in any such way are left out.

Without a folder, it times the whole command for a made-up fleet of 113 hosts with 15,769 servers.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from numaplace import conf
from numaplace.cli import fleet_sources
from numaplace.cli.fleet_asking import asking
from numaplace.fleet.plan import Plan
from numaplace.model.fleet import Fleet
from numaplace.planning import goals
from numaplace.planning.state import State
from numaplace.tests import problems

__all__ = ['Row', 'main', 'run']

#: What :class:`numaplace.fleet.plan.Plan` calls the number of hosts.
_HOSTS = 'hosts with servers'
#: Hosts and servers of a made-up fleet.
_MADE = (113, 15_769)


@dataclass(frozen=True, slots=True)
class Row:
    """What a plan reaches.

    :param moves: number of moves; a server that makes a detour has several
    :param moved: number of servers that move
    :param processor_seconds: what the processors spent on it, whatever else they do
    """

    name: str
    servers: int
    before: int
    after: int
    bound: int
    moves: int
    moved: int
    seconds: float
    processor_seconds: float


def run(name: str, fleet: Fleet, seconds: float, most: float = 0.24) -> tuple[Plan, Row]:
    """Return the plan of a fleet.

    :param most: share of the servers that may move
    """
    start, spent = time.monotonic(), time.process_time()
    plan = goals.consolidate(State.of(fleet, asking(conf.load([]), fleet)), seconds, most)
    took, spent = time.monotonic() - start, time.process_time() - spent
    before, after, bound = (int(each) for each in plan.measures[_HOSTS])
    moved = len({step.server for step in plan.steps})
    return plan, Row(name, len(fleet.servers), before, after, bound, len(plan.steps), moved, took, spent)


def _print(name: str, rows: Iterable[Row]) -> None:
    rows = list(rows)
    servers, before, after, bound, moves, moved = (
        sum([getattr(row, key) for row in rows]) for key in ('servers', 'before', 'after', 'bound', 'moves', 'moved')
    )
    sys.stdout.write(
        f'{name:12} {servers:7,} servers, hosts {before:5,} -> {after:5,} (bound {bound:5,}), '
        f'{moves / servers:5.1%} moves, {moved / servers:5.1%} moved, '
        f'{max(row.seconds for row in rows):5.1f} s ({max(row.processor_seconds for row in rows):.1f} of processors)\n'
    )
    sys.stdout.flush()


def _time_command(cells: int) -> None:
    """Print a line for the whole command, from its start to the last line of the plan."""
    fleet = problems.read(problems.make(*_MADE), cells)
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / 'fleet.json')
        fleet_sources.write_file(fleet, file, {})
        start = time.monotonic()
        program = str(Path(sys.executable).with_name('numaplace'))
        command = (program, 'fleet', 'consolidate', '--from', file, '-f', 'json')
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        took = time.monotonic() - start
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = used.ru_utime + used.ru_stime
    plan = json.loads(done.stdout)
    before, after, bound = plan['measures'][_HOSTS].values()
    moved = len({step['server'] for step in plan['steps']})
    _print('command', [Row('', len(fleet.servers), before, after, bound, plan['moves'], moved, took, spent)])


def main() -> None:
    """Print a line for each problem, and one for all: of the seconds, the most."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path, nargs='?', help='folder with a JSON file for each problem')
    parser.add_argument('--cells', type=int, default=0, help='host cells of each host (0: guests float)')
    parser.add_argument('--seconds', type=float, default=5, help='time of a search (5)')
    parser.add_argument('--max-moves', type=float, default=0.24, help='share of the servers that may move (0.24)')
    parser.add_argument('--only', default='', help='only files whose names hold this')
    options = parser.parse_args()
    if options.folder is None:
        _time_command(options.cells)
        return
    rows = []
    for file in sorted(options.folder.glob('*.json')):
        if options.only not in file.stem:
            continue
        _plan, row = run(
            file.stem, problems.read(json.loads(file.read_text()), options.cells), options.seconds, options.max_moves
        )
        rows.append(row)
        _print(row.name, [row])
    _print('all', rows)


if __name__ == '__main__':
    main()
