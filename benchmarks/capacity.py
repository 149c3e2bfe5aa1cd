# SPDX-License-Identifier: Apache-2.0
"""How many more guests fit on many hosts, beside one fit after the other: ``python -m benchmarks.capacity``.

Each host has eight cells and a use of its own, so that no two are alike; both sides count the same guests.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable

from benchmarks import inputs
from benchmarks.clock import duration
from numaplace import fit, request
from numaplace.fleet.capacity import Question, capacity, in_all
from numaplace.model import Flavor, Guest, Host, Placement
from numaplace.model.fleet import Fleet
from numaplace.model.records import HostRecord

__all__ = ['main', 'make']

_CELLS = 8
_HELD = Flavor('held', 1, 512, 1, {'hw:cpu_policy': 'dedicated', 'hw:numa_nodes': '1'})
_FLAVORS = [
    Flavor('four', 4, 4096, 1, {'hw:cpu_policy': 'dedicated', 'hw:numa_nodes': '1'}),
    Flavor('wide', 8, 8192, 1, {'hw:cpu_policy': 'dedicated', 'hw:numa_nodes': '2'}),
    Flavor('cores', 4, 4096, 1, {'hw:cpu_policy': 'dedicated', 'hw:cpu_thread_policy': 'require'}),
]


def make(number: int) -> Fleet:
    """Return hosts with random guests of one CPU."""
    dice = random.Random(number)
    guest = request.read(_HELD, {})
    hosts = []
    for one in range(number):
        host = inputs.host(_CELLS)
        for _ in range(dice.randint(20, 60)):
            placed = fit.place(host, guest, strategy=dice.choice((fit.PACK, fit.SPREAD)))
            if isinstance(placed, Placement):
                host = host.consume(placed)
        hosts.append(HostRecord(f'compute{one:05}', host))
    return Fleet(tuple(hosts))


def _loop(fleet: Fleet, guest: Guest) -> int:
    """Return how many fit one after the other."""
    found = 0
    for record in fleet.hosts:
        host: Host = record.host
        while isinstance(placed := fit.place(host, guest, limits=inputs.LIMITS), Placement):
            host, found = host.consume(placed), found + 1
    return found


def _timed(call: Callable[[], int]) -> tuple[int, float]:
    start = time.process_time()
    answer = call()
    return answer, time.process_time() - start


def main() -> None:
    """Print a line for each flavor."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--hosts', type=int, default=1000, help='number of hosts (1000)')
    fleet = make(parser.parse_args().hosts)
    for flavor in _FLAVORS:
        guest = request.read(flavor, {})

        def admit(record: HostRecord, _before: int, guest: Guest = guest) -> None:
            fit.refusal(record.host, guest, limits=inputs.LIMITS)

        question = Question(flavor.name, guest, lambda _record: inputs.LIMITS, admit)
        total, ours = _timed(lambda: in_all('', capacity(fleet, question)).at_least)  # noqa: B023 - called at once
        counted, loop = _timed(lambda: _loop(fleet, guest))  # noqa: B023
        sys.stdout.write(
            f'{flavor.name:6} on {len(fleet.hosts):,} hosts: {total:,} in {duration(ours)}; '
            f'one after the other {counted:,} in {duration(loop)}\n'
        )


if __name__ == '__main__':
    main()
