# SPDX-License-Identifier: Apache-2.0
"""How long a plan takes that empties one of many hosts: ``python -m benchmarks.draining``.

Each host has four cells of 16 CPUs, and servers of one or two cells that are drawn by a seed. What ``fleet drain`` asks
of each host is asked here, with the default configuration.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from datetime import UTC, datetime

from benchmarks import inputs
from benchmarks.clock import duration
from numaplace import conf, fit, request
from numaplace.cli.fleet_asking import asking
from numaplace.model import Flavor, Placement
from numaplace.model.fleet import Fleet
from numaplace.model.records import ACTIVE, HostRecord, InstanceRecord
from numaplace.planning import goals
from numaplace.planning.state import State

__all__ = ['main', 'make']

_CELLS = 4
_PINNED = {'hw:cpu_policy': 'dedicated'}
_FLAVORS = [
    Flavor('one', 1, 2048, 1, _PINNED),
    Flavor('two', 2, 4096, 1, _PINNED),
    Flavor('four', 4, 8192, 1, _PINNED),
    Flavor('wide', 8, 16384, 1, {**_PINNED, 'hw:numa_nodes': '2'}),
]


def make(number: int, load: float) -> Fleet:
    """Return hosts, each used up to a share of its CPUs."""
    dice, now = random.Random(number), datetime(2026, 1, 1, tzinfo=UTC)
    guests = {flavor.name: request.read(flavor, {}) for flavor in _FLAVORS}
    hosts, servers = [], []
    for one in range(number):
        name, host = f'compute{one:05}', inputs.host(_CELLS)
        most = load * _CELLS * inputs.CPUS * dice.uniform(0.8, 1.2)
        while host.vcpus_used < most:
            flavor = dice.choice(_FLAVORS)
            placed = fit.place(host, guests[flavor.name], strategy=fit.SPREAD)
            if not isinstance(placed, Placement):
                break
            host = host.consume(placed)
            uuid = f'{len(servers):08}-0000-4000-8000-000000000000'
            servers.append(
                InstanceRecord(uuid, f's{len(servers)}', len(servers), name, flavor, {}, placed, None, ACTIVE, now)
            )
        hosts.append(HostRecord(name, host))
    return Fleet(tuple(hosts), servers=tuple(servers))


def main() -> None:
    """Print a line for each load."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--hosts', type=int, default=1000, help='number of hosts (1000)')
    options = parser.parse_args()
    loaded = conf.load([])
    for load in (0.6, 0.8, 0.95, 1.1):
        fleet = make(options.hosts, load)
        start = time.process_time()
        state = State.of(fleet, asking(loaded, fleet))
        state.closed = frozenset([fleet.hosts[0].name])
        plan = goals.drain(state, tuple(state.closed), 10.0)
        took = time.process_time() - start
        cells = [cell for record in fleet.hosts for cell in record.host.cells]
        used = sum(cell.pinned_cpus.bit_count() for cell in cells) / (inputs.CPUS * len(cells))
        sys.stdout.write(
            f'{used:.0%} of the CPUs used, {len(fleet.servers):,} servers: {len(plan.steps)} moves, '
            f'{plan.fewest_moves} needed, {len(plan.stuck)} stuck: {duration(took)}\n'
        )


if __name__ == '__main__':
    main()
