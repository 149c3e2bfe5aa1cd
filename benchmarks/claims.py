# SPDX-License-Identifier: Apache-2.0
"""Claims per second by database and number of processes, compared with the same statements as plain SQL.

``python -m benchmarks.claims`` needs a MariaDB and a PostgreSQL server: numaplace/tests/real.py has the addresses.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks import inputs
from numaplace import exception
from numaplace.compute import claims, resource_tracker
from numaplace.db import api
from numaplace.db.records import InstanceRequest
from numaplace.model.records import Flavor, HostRecord
from numaplace.tests import real

__all__ = ['main']

#: Hosts that all processes share, with 8 cells of 16 CPUs, and what each claim requests of one of them.
HOSTS = tuple(f'compute{number}' for number in range(4))
CELLS = 8
GUEST = inputs.guest(1, vcpus=2, memory_gib=1)
PROCESSES = (1, 2, 4, 8)
#: Claims per measurement: they leave some CPUs free on each host.
CLAIMS = 200
ROUNDS = 21

Statements = list[tuple[str, Any]]


class Counted(api.Database):
    """A database that counts the races that were lost on it."""

    lost = 0

    def claim(self, *arguments: Any, **keys: Any) -> Any:
        """Claim, or count a lost race."""
        try:
            return super().claim(*arguments, **keys)
        except exception.ConcurrentUpdate:
            self.lost += 1
            raise


def _requests(number: int) -> list[InstanceRequest]:
    flavor = Flavor('m1.bench', GUEST.vcpus, GUEST.memory_mib, 1, {'hw:cpu_policy': 'dedicated'}, 'm1.bench')
    return [InstanceRequest(f'guest{index}', flavor, GUEST) for index in range(number)]


def _claim_all(database: api.Database, requests: Sequence[InstanceRequest], seed: int) -> None:
    """Claim each on a random host, or the next one that is not full."""
    draw = random.Random(seed)
    for request in requests:
        first = draw.randrange(len(HOSTS))
        for name in HOSTS[first:] + HOSTS[:first]:
            if claims.instance_claim(database, request, name):
                break
        else:
            raise RuntimeError('all hosts are full')


def _empty(database: api.Database) -> None:
    """Empty the database, except for idle hosts."""
    with database._transaction() as connection:
        for table in ('instance_extra', 'instances', 'compute_nodes'):
            connection.execute(sa.text(f'DELETE FROM {table}'))  # noqa: S608 - our own names
    for name in HOSTS:
        record = HostRecord(name, inputs.host(CELLS), uuid=f'{name:-<36}', facts={'architecture': 'x86_64'})
        resource_tracker.register(database, record)


# --- one process, and the bare statements


@contextlib.contextmanager
def _recorded(database: api.Database) -> Iterator[Statements]:
    """Yield a list that collects the statements of all transactions, with None for each commit."""
    found: Statements = []

    def add(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        found.append((statement, parameters))

    def commit(_connection: Any) -> None:
        found.append(('COMMIT', None))

    events = (('before_cursor_execute', add), ('commit', commit))
    for name, listener in events:
        sa.event.listen(database._engine, name, listener)
    yield found
    for name, listener in events:
        sa.event.remove(database._engine, name, listener)


def _replay(connection: Any, statements: Statements) -> None:
    """Run recorded statements on a connection of the driver: the same reads and writes, and nothing else."""
    cursor = connection.cursor()
    for statement, parameters in statements:
        if statement == 'COMMIT':
            connection.commit()
            continue
        cursor.execute(statement, parameters)
        if cursor.description:
            cursor.fetchall()


def _alone(url: str, rounds: int, number: int) -> tuple[float, float]:
    """Return the claims per second of one process, and of the bare statements: medians of alternating rounds."""
    ours, bare = [], []
    with api.connect(url) as database:
        for seed in range(rounds):
            requests = _requests(number)
            _empty(database)
            with _recorded(database) as statements:
                _claim_all(database, requests, seed)
            _empty(database)
            started = time.perf_counter()
            _claim_all(database, requests, seed)
            ours.append(number / (time.perf_counter() - started))
            _empty(database)
            connection = database._engine.raw_connection()
            started = time.perf_counter()
            _replay(connection, statements)
            bare.append(number / (time.perf_counter() - started))
            connection.close()
            if len(database.instances()) != number:
                raise RuntimeError('the bare statements did something else')
    return statistics.median(ours), statistics.median(bare)


# --- several processes


def _work(url: str, number: int, seed: int) -> None:
    """Claim after a line on stdin; print when that began and ended, and how many races were lost."""
    with api.connect(url) as opened:
        database = Counted(opened._engine)
        requests = _requests(number)
        database.hosts()
        print('ready', flush=True)
        sys.stdin.readline()
        started = time.monotonic()
        _claim_all(database, requests, seed)
        print(json.dumps([started, time.monotonic(), database.lost]), flush=True)


def _together(url: str, processes: int, number: int) -> tuple[float, float]:
    """Return the claims per second of several processes, and the share of their transactions that lost a race."""
    with api.connect(url) as database:
        _empty(database)
    each = number // processes
    running = [
        subprocess.Popen(
            [sys.executable, '-W', 'ignore', '-m', 'benchmarks.claims', '--work', url, str(each), str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in range(processes)
    ]
    for process in running:
        process.stdout.readline()
    for process in running:
        process.stdin.write('go\n')
        process.stdin.flush()
    started, ended, lost = zip(*(json.loads(process.communicate()[0]) for process in running), strict=True)
    won = each * processes
    return won / (max(ended) - min(started)), sum(lost) / (won + sum(lost))


# --- the table


@contextlib.contextmanager
def databases() -> Iterator[dict[str, str]]:
    """Yield the URLs of empty databases by label, and drop the databases afterwards."""
    with (
        tempfile.TemporaryDirectory() as directory,
        real.scratch_database('mysql') as mysql,
        real.scratch_database('postgresql') as postgresql,
    ):
        file = f'sqlite:///{Path(directory, "claims.sqlite")}'
        yield {'SQLite file': file, 'MariaDB': mysql, 'PostgreSQL': postgresql}


def _table(rounds: int, number: int, only: str) -> None:
    print(f'{"database":<12} {"processes":>9} {"claims/s":>9} {"lost races":>11} {"bare/s":>7} {"claims of bare":>15}')
    with databases() as found:
        for name, url in found.items():
            if only.lower() not in name.lower():
                continue
            api.upgrade(url)
            ours, bare = _alone(url, rounds, number)
            print(f'{name:<12} {1:>9} {ours:>9.0f} {0:>10.0%} {bare:>8.0f} {ours / bare:>15.2f}', flush=True)
            for processes in PROCESSES[1:]:
                measured = [_together(url, processes, number) for _ in range(3)]
                rate, lost = (statistics.median(values) for values in zip(*measured, strict=True))
                print(f'{name:<12} {processes:>9} {rate:>9.0f} {lost:>10.0%}', flush=True)


def main() -> None:
    """Print a line for each database and number of processes."""
    parser = argparse.ArgumentParser(prog='python -m benchmarks.claims', description=__doc__)
    parser.add_argument('--only', default='', metavar='TEXT', help='only databases whose name holds this')
    parser.add_argument('--rounds', type=int, default=ROUNDS, help='turns of one process and of the bare statements')
    parser.add_argument('--claims', type=int, default=CLAIMS, help='claims of a measurement')
    parser.add_argument('--work', nargs=3, metavar=('URL', 'CLAIMS', 'SEED'), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        url, number, seed = options.work
        _work(url, int(number), int(seed))
    else:
        _table(options.rounds, options.claims, options.only)


if __name__ == '__main__':
    main()
