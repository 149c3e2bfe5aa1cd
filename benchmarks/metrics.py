# SPDX-License-Identifier: Apache-2.0
"""Write the figures of a fleet for Prometheus: ``python -m benchmarks.metrics``.

Whole processes of ``numaplace metrics``, on the database of numaplace and on that of a Nova (``--from nova``) with the
same hosts and servers, which are all different, and 20 flavors. The second needs what ``benchmarks.fleet`` needs.
"""

from __future__ import annotations

import argparse
import importlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks import fleet as fleets
from benchmarks.clock import duration
from numaplace.db import api
from numaplace.model import Flavor
from numaplace.model.fleet import Fleet
from numaplace.tests import own_rows

__all__ = ['main']

_PINNED = {'hw:cpu_policy': 'dedicated'}
#: Pinned and shared, with pages, thread policies and cells; each with two sizes or more.
_SPECS: tuple[tuple[int, int, Mapping[str, str]], ...] = (
    *((vcpus, 512 * vcpus, _PINNED) for vcpus in (1, 2, 4, 8)),
    *((4, 4096, _PINNED | {'hw:mem_page_size': size}) for size in ('2MB', 'large')),
    *((vcpus, 2048, _PINNED | {'hw:cpu_thread_policy': 'require'}) for vcpus in (2, 4)),
    *((vcpus, 2048, _PINNED | {'hw:cpu_thread_policy': 'isolate'}) for vcpus in (2, 4)),
    (4, 2048, _PINNED | {'hw:emulator_threads_policy': 'isolate'}),
    *((4 * cells, 4096 * cells, _PINNED | {'hw:numa_nodes': str(cells)}) for cells in (2, 4)),
    (8, 4096, _PINNED | {'hw:numa_nodes': '2', 'hw:mem_page_size': '2MB'}),
    *((vcpus, 1024 * vcpus, {}) for vcpus in (1, 4)),
    *((2 * cells, 2048, {'hw:numa_nodes': str(cells)}) for cells in (1, 2)),
    (4, 2048, {'hw:cpu_policy': 'mixed', 'hw:cpu_dedicated_mask': '^0'}),
    (2, 2048, {'hw:mem_page_size': '2MB'}),
)
_FLAVORS = tuple(
    [
        Flavor(f'f{number:02}', vcpus, mib, 1, specs, f'f{number:02}')
        for number, (vcpus, mib, specs) in enumerate(_SPECS)
    ]
)


def _make(hosts: int, servers: int) -> Fleet:
    """Return a fleet whose flavors have ids, as rows need them."""
    made = fleets.make(hosts, servers)
    placed = [replace(one, flavor=replace(one.flavor, id=one.flavor.name)) for one in made.servers]
    return replace(made, servers=tuple(placed), flavors=_FLAVORS)


def _own(fleet: Fleet, directory: Path) -> list[str]:
    """Store a fleet in a database of numaplace; return the words that name it."""
    url = f'sqlite:///{directory}/own.sqlite'
    with api.connect(url) as database:
        own_rows.store(database, fleet)
    return ['--database', url, 'metrics']


def _nova(fleet: Fleet, directory: Path) -> list[str] | None:
    """Store a fleet in the databases of a Nova; None without one."""
    try:
        databases = importlib.import_module('numaplace.tests.nova.databases')
        importlib.import_module('nova.db.main.models')
    except ImportError:
        return None
    with databases.scratch('sqlite', directory) as urls:
        # Its services have reported, as far as the runs will see.
        later = datetime.now(UTC) + timedelta(days=1)
        hosts = tuple([replace(host, updated_at=later) for host in fleet.hosts])
        databases.Databases(urls).store(replace(fleet, hosts=hosts))
    config = directory / 'nova.conf'
    config.write_text(f'[api_database]\nconnection = {urls[0]}\n[database]\nconnection = {urls[2]}\n')
    return ['--config-file', str(config), 'metrics', '--from', 'nova']


def _seconds(words: list[str], directory: Path) -> tuple[float, float]:
    """Run the program; return its processor time and how long it took."""
    start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, '-c', 'from numaplace.cli.main import main; main()', *words]
    subprocess.run([*command, '--output', str(directory / 'numaplace.prom')], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.monotonic() - start


def _lines(fleet: Fleet, rounds: int) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        for name, store in (('own', _own), ('nova', _nova)):
            words = store(fleet, directory)
            if words is None:
                yield f'--from {name:5} no Nova is installed here'
                continue
            found = [_seconds(words, directory) for _ in range(rounds)]
            used, took = (duration(statistics.median(values)) for values in zip(*found, strict=True))
            size = (directory / 'numaplace.prom').stat().st_size / 2**20
            yield f'--from {name:5} processor {used:>8}   took {took:>8}   {size:.1f} MiB written'


def main() -> None:
    """Print a line for each source."""
    parser = argparse.ArgumentParser(prog='python -m benchmarks.metrics', description=__doc__.splitlines()[0])
    parser.add_argument('--hosts', type=int, default=10_000, metavar='N', help='number of hosts (default: 10000)')
    parser.add_argument('--density', type=int, default=10, metavar='N', help='servers of a host (default: 10)')
    parser.add_argument(
        '--rounds', type=int, default=3, metavar='N', help='runs of each, of which the median (default: 3)'
    )
    options = parser.parse_args()
    fleet = _make(options.hosts, options.hosts * options.density)
    print(f'{len(fleet.hosts):,} hosts with {len(fleet.servers):,} servers, {len(fleet.flavors)} flavors')
    for line in _lines(fleet, options.rounds):
        print(line, flush=True)


if __name__ == '__main__':
    main()
