# SPDX-License-Identifier: Apache-2.0
"""What ``preserve`` keeps: ``python -m benchmarks.preserve`` makes both tables of doc/source/strategies.rst.

The first: guests that come to one small host and leave it, in 1,000 random sequences, by each strategy. The second: the
guests of ``fleet simulate --generate`` at a load of 90 %, on 20 hosts with 20 seeds, and on 40 hosts with 10. It has,
beside the policies, a fleet that is one cell, so that nothing is ever in the way, and what was asked for.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from numaplace import fit
from numaplace.fit.usefulness import Mix
from numaplace.fleet import traces
from numaplace.fleet.traces import Event, Kind
from numaplace.scheduler import simulation
from numaplace.tests import sequences

__all__ = ['main']

CELLS, CPUS, MEMORY_MIB, LOAD = 2, 16, 56 * 1024, 0.9
#: Hosts of a fleet, arrivals, and seeds.
FLEETS = ((20, 4000, 20), (40, 8000, 10))
POLICIES = ('nova', 'pack', 'best-fit', 'preserve', 'preserve-mix')


def _sequences(number: int) -> None:
    strategies = {each.name: each for each in (fit.SPREAD, fit.PACK, fit.CLOSEST, fit.PRESERVE)}
    strategies['preserve, with the mix'] = fit.preserve(Mix.of(sequences.mix()))
    print(f'{number:,} sequences on one host: guests accepted')
    for name, strategy in strategies.items():
        print(f'  {name:24} {sum(sequences.accepted(seed, strategy) for seed in range(number)):>8,}')


def _unbroken(events: Sequence[Event], hosts: int) -> tuple[int, int]:
    """Return how many guests, and how many wide ones, a fleet takes that is one cell."""
    free, held = [hosts * CELLS * CPUS, hosts * CELLS * MEMORY_MIB], dict[str, Kind]()
    accepted = wide = 0
    for event in events:
        kind = event.kind
        if kind is None:
            left = held.pop(event.guest, None)
            if left is not None:
                free = [free[0] + left.vcpus, free[1] + left.memory_mib]
        elif kind.vcpus <= free[0] and kind.memory_mib <= free[1]:
            free = [free[0] - kind.vcpus, free[1] - kind.memory_mib]
            held[event.guest] = kind
            accepted += 1
            wide += kind.cells > 1
    return accepted, wide


def _replay(hosts: int, arrivals: int, seed: int) -> dict[str, tuple[float, ...]]:
    """Return for each policy the guests and the wide ones accepted, and the host-hours with their bound; and those."""
    records = simulation.hosts(hosts, CELLS, CPUS, MEMORY_MIB)
    events = traces.generate(arrivals, hosts * CELLS * CPUS, LOAD, random.Random(seed).random)
    ways = {**simulation.POLICIES, 'preserve-mix': simulation.preserve(Mix.of(traces.mix(events)))}
    found: dict[str, tuple[float, ...]] = {}
    for name in POLICIES:
        outcome = simulation.replay(records, events, ways[name])
        found[name] = outcome.accepted, outcome.accepted_wide, outcome.host_hours, outcome.bound_hours
    found['one cell'] = *_unbroken(events, hosts), 0.0, 1.0
    kinds = [event.kind for event in events if event.kind is not None]
    found['asked'] = len(kinds), sum(kind.cells > 1 for kind in kinds), 0.0, 1.0
    return found


def _fleet(hosts: int, arrivals: int, seeds: int, jobs: int) -> None:
    with ProcessPoolExecutor(jobs) as pool:
        runs = list(pool.map(partial(_replay, hosts, arrivals), range(1, seeds + 1)))
    print(f'{hosts} hosts, {seeds} seeds of {arrivals:,} guests: accepted, wide ones, host-hours over the bound')
    asked = sum(run['asked'][1] for run in runs)
    for name in runs[0]:
        accepted, wide, hours, bound = (sum(each) for each in zip(*(run[name] for run in runs), strict=True))
        over = f'{hours / bound - 1:>8.1%}' if hours else ''
        print(f'  {name:24} {accepted:>8,.0f} {wide:>8,.0f} {wide / asked:>8.1%} {over}', flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--sequences', metavar='NUMBER', type=int, default=1000)
    parser.add_argument('--jobs', metavar='NUMBER', type=int, default=2, help='Processes.')
    parsed_args = parser.parse_args()
    _sequences(parsed_args.sequences)
    for hosts, arrivals, seeds in FLEETS:
        _fleet(hosts, arrivals, seeds, parsed_args.jobs)


if __name__ == '__main__':
    main()
