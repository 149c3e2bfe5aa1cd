# SPDX-License-Identifier: Apache-2.0
"""Decisions with claims a second through the scheduler, beside the direct way and bare claims, on the same fleet.

A message to the scheduler (``rpc``) has one server or several (``--servers``); times are those of a message,
from the request to the decision. No way reads its servers again, as a command does that shows them.
Lost are claims on a host that others had changed since it was chosen; for the scheduler, its metrics count them.

``python -m benchmarks.services`` needs the MariaDB of numaplace/tests/real.py and a RabbitMQ (``--bus``).
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from benchmarks import inputs
from numaplace import conf as configuration
from numaplace import exception
from numaplace.compute import claims, resource_tracker
from numaplace.db import api
from numaplace.db.records import InstanceRequest
from numaplace.model import Refusal
from numaplace.model.records import Flavor, HostRecord
from numaplace.operations import requests
from numaplace.operations.servers import Direct
from numaplace.tests import real
from numaplace.tests.functional.services.running import Running

__all__ = ['main']

CLIENTS, WORKERS, HOSTS, EACH, SERVERS = 8, 4, 1000, 100, (1, 10, 50)
CELLS = 2
_FLAVOR = Flavor('m1.bench', 2, 1024, 1, {'hw:cpu_policy': 'dedicated'}, 'm1.bench')
_NO_DEVICES = {'zone': None, 'scheduling': requests.NO_SCHEDULING}

_CONF = """[DEFAULT]
transport_url = {bus}
[filter_scheduler]
host_subset_size = {subset}
shuffle_best_same_weighed_hosts = {shuffles}
[numaplace]
connection = {url}
scheduler_topic = bench-{topic}
scheduler_workers = {workers}
metrics_port = {port}
"""


class _Counted(api.Database):
    """A database that counts the claims that were lost on it."""

    lost = 0

    def claim(self, *arguments: Any, **keys: Any) -> Any:
        """Claim; count a lost race, and a host that has no room any more."""
        try:
            answer = super().claim(*arguments, **keys)
        except exception.ConcurrentUpdate:
            self.lost += 1
            raise
        self.lost += isinstance(answer, Refusal)
        return answer


def _fill(url: str, hosts: int) -> None:
    api.upgrade(url)
    with api.connect(url) as database:
        for number in range(hosts):
            facts = {'architecture': 'x86_64'}
            resource_tracker.register(database, HostRecord(f'host{number:04}', inputs.host(CELLS), facts=facts))
        database.create_flavor(_FLAVOR)


def _work(way: str, config: str, each: int, size: int, seed: int) -> None:
    """Claim after a line on stdin; print when that began and ended, and how long each claim took."""
    from numaplace.model import Devices  # noqa: PLC0415 - only the clients
    from numaplace.services.client import Remote  # noqa: PLC0415

    conf = configuration.load([config])
    draw = random.Random(seed)
    direct, remote = Direct(conf), Remote(conf, [config])
    with api.connect(conf.numaplace.connection) as opened:
        database = _Counted(opened._engine)
        names = [host.name for host in database.hosts()]
        wanted = [
            [
                requests.new_server(conf, f's{seed}-{number}', _FLAVOR, {}, devices=Devices(), **_NO_DEVICES)
                for number in range(size)
            ]
            for _ in range(each // size + 1)
        ]

        def claim(several: list[InstanceRequest]) -> None:
            if way == 'bare':
                if not claims.instance_claim(database, several[0], draw.choice(names)):
                    raise RuntimeError('a host is full')
            elif way == 'direct':
                direct.create(database, several, several[0].name, at_least=size)
            else:
                remote.decide(several, at_least=size)

        claim(wanted.pop())  # connections and plug-ins are there
        print('ready', flush=True)
        sys.stdin.readline()
        database.lost = 0
        started, took = time.monotonic(), []
        for request in wanted:
            begun = time.monotonic()
            claim(request)
            took.append(time.monotonic() - begun)
        print(json.dumps([started, time.monotonic(), took, database.lost]), flush=True)


def _together(way: str, config: Path, clients: int, each: int, size: int) -> tuple[float, list[float], int]:
    """Return the claims per second of all clients, how long each took, and how many the clients themselves lost."""
    command = [
        sys.executable,
        '-W',
        'ignore',
        '-m',
        'benchmarks.services',
        '--work',
        way,
        str(config),
        str(each),
        str(size),
    ]
    running = [
        subprocess.Popen([*command, str(seed)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for seed in range(clients)
    ]
    for process in running:
        process.stdout.readline()
    for process in running:
        process.stdin.write('go\n')
        process.stdin.flush()
    started, ended, took, lost = zip(*(json.loads(process.communicate()[0]) for process in running), strict=True)
    rate = clients * each / (max(ended) - min(started))
    return rate, sorted(seconds for one in took for seconds in one), sum(lost)


def _free_port(number: int) -> int:
    """Return a port that is free, as are those after it, so many in all."""
    for first in range(20000, 32000, number):
        with ExitStack() as opened, suppress(OSError):
            for port in range(first, first + number):
                opened.enter_context(socket.socket()).bind(('127.0.0.1', port))
            return first
    raise RuntimeError('no ports are free')


def _lost(port: int, workers: int) -> int:
    """Return how many claims the processes of the scheduler have lost so far."""
    total = 0.0
    for number in range(workers):
        with urllib.request.urlopen(f'http://127.0.0.1:{port + number}/metrics') as answer:
            lines = answer.read().decode().splitlines()
        total += sum(float(line.split()[1]) for line in lines if line.startswith('numaplace_lost_claims_total '))
    return round(total)


def main() -> None:
    """Print a line for each way."""
    parser = argparse.ArgumentParser(prog='python -m benchmarks.services', description=__doc__)
    parser.add_argument('--bus', default='rabbit://guest:guest@127.0.0.1:5672/', metavar='URL', help='the RabbitMQ')
    parser.add_argument('--clients', type=int, default=CLIENTS)
    parser.add_argument('--workers', type=int, default=WORKERS)
    parser.add_argument('--hosts', type=int, default=HOSTS)
    parser.add_argument('--each', type=int, default=EACH, help='claims of a client in a measurement')
    parser.add_argument(
        '--servers', type=int, nargs='+', default=SERVERS, help='of a message; divisors of those claims'
    )
    parser.add_argument('--work', nargs=5, metavar=('WAY', 'FILE', 'CLAIMS', 'SERVERS', 'SEED'), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        way, config, each, size, seed = options.work
        _work(way, config, int(each), int(size), int(seed))
        return
    times = ' '.join(f'{name:>8}' for name in ('p50 ms', 'p95 ms', 'p99 ms'))
    print(f'{"way":<6} {"servers":>7} {"claims/s":>8} {times} {"lost":>5} {"of bare":>7}')
    with tempfile.TemporaryDirectory() as directory, real.scratch_database('mysql') as url:
        _fill(url, options.hosts)
        topic, configs = uuid.uuid4().hex, dict[bool, Path]()
        port = _free_port(options.workers)
        for shuffles in (False, True):  # with True, the direct way reads all hosts for each server
            configs[shuffles] = Path(directory, f'{shuffles}.conf')
            configs[shuffles].write_text(
                _CONF.format(
                    bus=options.bus,
                    url=url,
                    topic=topic,
                    workers=options.workers,
                    subset=1 if shuffles else options.workers,
                    shuffles=shuffles,
                    port=port,
                )
            )
        log = Path(directory, 'log')
        with Running('numaplace-scheduler', configs[True], log) as scheduler:
            scheduler.await_line('answers', options.workers)
            bare = 0.0
            for way, size in [('bare', 1), ('direct', 1), *[('rpc', size) for size in options.servers]]:
                before = _lost(port, options.workers)
                rate, took, lost = _together(way, configs[way != 'direct'], options.clients, options.each, size)
                bare = bare or rate
                lost += _lost(port, options.workers) - before
                times = ' '.join(f'{took[int(len(took) * share)] * 1000:>8.1f}' for share in (0.5, 0.95, 0.99))
                print(f'{way:<6} {size:>7} {rate:>8.1f} {times} {lost:>5} {rate / bare:>7.2f}', flush=True)


if __name__ == '__main__':
    main()
