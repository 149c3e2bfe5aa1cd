# SPDX-License-Identifier: Apache-2.0
"""Plan for many hosts of eight cells by the whole command: ``python -m benchmarks.planning [--seconds 5 60]``.

A line for each question and each fleet of pinned servers, from the start of the program to its end, with the processor
time and what is reached. The hosts are alike, or each has up to 30 % more CPUs and memory than drawn. Small times show
the first plan, large ones the best of that time.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from numaplace.cli import fleet_sources
from numaplace.model.fleet import Fleet
from numaplace.tests import problems

__all__ = ['main', 'make']

_CELLS = 8
#: Servers, the share of the CPUs that they use, and whether the hosts are alike.
_FLEETS = ((20_000, 0.4, True), (20_000, 0.6, True), (30_000, 0.6, True), (20_000, 0.8, False), (10_000, 0.7, False))
_QUESTIONS = (('consolidate',), ('rebalance',), ('defragment', '--for'))


def make(hosts: int, servers: int, load: float, *, are_alike: bool) -> Fleet:
    """Return hosts with pinned servers.

    :param load: share of the CPUs that is used; less where hosts are not alike
    """
    problem, dice = problems.make(hosts, servers, load), random.Random(hosts)
    if not are_alike:
        for host in problem['hosts']:
            host.update({name: round(amount * dice.uniform(1, 1.3)) for name, amount in host.items()})
    return problems.read(problem, _CELLS)


def _widest(fleet: Fleet) -> str:
    """Return the flavor of the servers with the most vCPUs in one cell, of those the one with most servers."""
    servers = [server for server in fleet.servers if len(server.placement.cells) == 1]
    most = max(server.flavor.vcpus for server in servers)
    names = [server.flavor.name for server in servers if server.flavor.vcpus == most]
    return max(sorted(set(names)), key=names.count)


def _ask(words: tuple[str, ...], file: str, seconds: float) -> tuple[dict[str, Any], float, float]:
    """Return the plan of a command, its seconds, and those of processors."""
    program = str(Path(sys.executable).with_name('numaplace'))
    command = (program, 'fleet', *words, '--from', file, '--seconds', str(seconds), '-f', 'json')
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    took, used = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.stderr:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout), took, used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print a line for each fleet, question and time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--hosts', type=int, default=1000, help='number of hosts (1000)')
    parser.add_argument('--seconds', type=float, nargs='+', default=[5.0], help='times of a search (5)')
    parser.add_argument('--only', default='', help='only questions whose name holds this')
    options = parser.parse_args()
    for number, load, are_alike in _FLEETS:
        fleet = make(options.hosts, number * options.hosts // 1000, load, are_alike=are_alike)
        cells = [cell for record in fleet.hosts for cell in record.host.cells]
        used = sum([cell.pinned_cpus.bit_count() for cell in cells])
        share = used / sum([cell.shape.dedicated_cpus.bit_count() for cell in cells])
        kind = 'alike' if are_alike else 'unlike'
        print(f'{options.hosts:,} hosts, {kind}, {len(fleet.servers):,} servers, {share:.0%} of the CPUs used')
        with tempfile.TemporaryDirectory() as folder:
            file = str(Path(folder) / 'fleet.json')
            fleet_sources.write_file(fleet, file, {})
            for words in [words for words in _QUESTIONS if options.only in words[0]]:
                more = (f'{_widest(fleet)}:{options.hosts // 4}',) if words[-1] == '--for' else ()
                for seconds in options.seconds:
                    plan, took, spent = _ask((*words, *more), file, seconds)
                    ((name, amounts),) = plan['measures'].items()
                    before, after, best = amounts.values()
                    print(
                        f'  {words[0]:11} {seconds:3g} s: {name} {before:,g} -> {after:,g} (bound {best:,g}), '
                        f'{plan["moves"]:,} moves (at least {plan["fewest_moves"]:,}), '
                        f'{took:.1f} s ({spent:.1f} of processors)',
                        flush=True,
                    )


if __name__ == '__main__':
    main()
