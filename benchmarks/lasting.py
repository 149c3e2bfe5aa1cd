# SPDX-License-Identifier: Apache-2.0
"""What ages of guests tell: ``python -m benchmarks.lasting TRACE`` makes the figures of doc/source/strategies.rst.

A trace is replayed as ``fleet simulate --trace TRACE --double 8:0.5 --hosts 2300`` does: by best fit, by ``lasting``,
by ages alone as if each guest were created by itself, and with other times ahead. It prints host-hours over the bound,
how many guests of two cells are refused, and the floor.
"""

from __future__ import annotations

import argparse
import gzip
import random
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

from numaplace.fleet import traces
from numaplace.fleet.traces import Event
from numaplace.scheduler import simulation
from numaplace.scheduler.simulation import Outcome

__all__ = ['main']

HOSTS, CELLS, CPUS, MEMORY_MIB, DOUBLED, SEED = 2300, 2, 16, 56 * 1024, {8: 0.5}, 1
#: Hours ahead.
AHEAD = (4, 8, 12, 24)
BEST_FIT, ALONE = 'best-fit', 'lasting, without batches'


def _read(path: Path) -> tuple[Event, ...]:
    with gzip.open(path, 'rt') if path.suffix == '.gz' else path.open() as file:
        return traces.read(file, random.Random(SEED).random, DOUBLED, str(path))


def _replay(path: Path, hosts: int, name: str) -> Outcome:
    events: Sequence[Event] = _read(path)
    if name == ALONE:
        events = [replace(event, batch='') for event in events]
    hours = name.partition(' h')[0]
    way = simulation.lasting(3600 * int(hours)) if hours.isdigit() else simulation.POLICIES[name.partition(',')[0]]
    return simulation.replay(simulation.hosts(hosts, CELLS, CPUS, MEMORY_MIB), events, way)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('trace', metavar='TRACE', type=Path)
    parser.add_argument('--hosts', metavar='NUMBER', type=int, default=HOSTS)
    parser.add_argument('--jobs', metavar='NUMBER', type=int, default=2, help='Processes.')
    parsed_args = parser.parse_args()
    names = (BEST_FIT, ALONE, *(f'{hours} h ahead' for hours in AHEAD))
    with ProcessPoolExecutor(parsed_args.jobs) as pool:
        for name, found in zip(
            names, pool.map(partial(_replay, parsed_args.trace, parsed_args.hosts), names), strict=True
        ):
            print(f'{name:24} {found.over_bound:>8.2%} {found.refused_wide:>6,}', flush=True)
    print(f'{"the floor":24} {found.floor_over_bound:>8.2%}')


if __name__ == '__main__':
    main()
