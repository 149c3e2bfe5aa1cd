# SPDX-License-Identifier: Apache-2.0
"""An index that follows a database: load, looks, claims and memory; ``python -m benchmarks.fresh [HOSTS...]``.

Hosts of 8 cells in an SQLite file, each number in a process of its own. Times are processor time, medians where a thing
is done often; the memory is the largest of the process, with Python and all libraries.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from benchmarks.clock import duration
from benchmarks.index import GUESTS, make_hosts
from numaplace import conf
from numaplace.compute import resource_tracker
from numaplace.db import api
from numaplace.db.records import InstanceRequest
from numaplace.model import Flavor
from numaplace.model.records import DISABLED
from numaplace.scheduler.filters import Request
from numaplace.scheduler.fresh import CHUNK, FreshIndex
from numaplace.scheduler.policy import Policy

#: Different hosts; the others are copies of their rows.
_KINDS = 500
_TIMES = 15


def _fill(url: str, number: int) -> None:
    with api.connect(url) as database:
        for record in make_hosts(min(number, _KINDS)):
            database.create_host(record)
    eyes = sa.create_engine(url)
    with eyes.begin() as connection:
        names = [column['name'] for column in sa.inspect(connection).get_columns('compute_nodes')]
        own = {
            'uuid': "substr(uuid, 1, 29) || '-' || substr('000000' || :copy, -6)",
            'host': "host || '-' || :copy",
            'hypervisor_hostname': "host || '-' || :copy",
        }
        copied = [name for name in names if name not in {'id', *own}]
        copy = sa.text(
            f'INSERT INTO compute_nodes ({", ".join([*own, *copied])}) '  # noqa: S608 - our own names
            f'SELECT {", ".join([*own.values(), *copied])} FROM compute_nodes WHERE id <= {_KINDS} LIMIT :some'
        )
        for first in range(_KINDS, number, _KINDS):
            connection.execute(copy, {'copy': first // _KINDS, 'some': number - first})
    eyes.dispose()


def _seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def _request(label: str, number: int) -> Request:
    guest = GUESTS[label]()
    flavor = Flavor('bench', guest.vcpus, guest.memory_mib, 1, id='bench')
    return Request(InstanceRequest(f'bench{number}', flavor, guest, {}))


def _measure(url: str) -> None:
    policy = Policy.of(conf.load([]))
    with api.connect(url) as database, api.connect(url) as other:
        names = [host.name for host in make_hosts(_TIMES)]
        index = FreshIndex(database)
        loaded = _seconds(index.refresh)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        idle = statistics.median(_seconds(index.refresh) for _ in range(_TIMES))
        changed = []
        for name in names:
            resource_tracker.switch(other, name, status=DISABLED)
            changed.append(_seconds(index.refresh))
        placed = []
        for number in range(_TIMES):
            request = _request('2 cells, pinned', number)
            placed.append(_seconds(partial(index.select, request, policy)))
        refused = _seconds(partial(index.select, _request('no host takes it', 0), policy))
    print(f'  {"load, rows at once":40} {duration(loaded):>8}  {CHUNK}')
    print(f'  {"peak memory":40} {peak:>8,.0f} MiB')
    print(f'  {"look, nothing has changed":40} {duration(idle):>8}')
    print(f'  {"look, one host has changed":40} {duration(statistics.median(changed)):>8}')
    print(f'  {"server placed, with its claim":40} {duration(statistics.median(placed)):>8}')
    print(f'  {"no host takes it, with look and counts":40} {duration(refused):>8}', flush=True)


def main() -> None:
    """Print a table for each number of hosts."""
    parser = argparse.ArgumentParser(prog='python -m benchmarks.fresh', description=__doc__)
    parser.add_argument('hosts', nargs='*', type=int, default=[1000, 10_000, 100_000])
    parser.add_argument('--work', metavar='URL', help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        _measure(options.work)
        return
    for number in options.hosts:
        with tempfile.TemporaryDirectory() as directory:
            url = f'sqlite:///{Path(directory, "fresh.sqlite")}'
            _fill(url, number)
            print(f'{number:,} hosts of 8 cells', flush=True)
            subprocess.run([sys.executable, '-W', 'ignore', '-m', 'benchmarks.fresh', '--work', url], check=True)


if __name__ == '__main__':
    main()
