# SPDX-License-Identifier: Apache-2.0
"""Decisions with claims a second through the scheduler, beside the direct way and bare claims, on the same fleet.

A message of the scheduler has one server (``rpc``), or ``--bulk`` of them (``bulk``); times are those of a message.

``python -m benchmarks.services`` needs the MariaDB of numaplace/tests/real.py and a RabbitMQ (``--bus``).
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

from benchmarks import inputs
from numaplace import conf as configuration
from numaplace.compute import claims, resource_tracker
from numaplace.db import api
from numaplace.db.records import InstanceRequest
from numaplace.model.records import Flavor, HostRecord
from numaplace.operations import requests
from numaplace.operations.servers import Direct
from numaplace.tests import real
from numaplace.tests.functional.services.running import Running

__all__ = ['main']

CLIENTS, WORKERS, HOSTS, EACH, BULK = 8, 4, 1000, 50, 10
CELLS = 2
_FLAVOR = Flavor('m1.bench', 2, 1024, 1, {'hw:cpu_policy': 'dedicated'}, 'm1.bench')
_NO_DEVICES = {'zone': None, 'scheduling': requests.NO_SCHEDULING}
WAYS = ('bare', 'direct', 'rpc', 'bulk')

_CONF = """[DEFAULT]
transport_url = {bus}
[filter_scheduler]
host_subset_size = {subset}
shuffle_best_same_weighed_hosts = {shuffles}
[numaplace]
connection = {url}
scheduler_topic = bench-{topic}
scheduler_workers = {workers}
"""


def _fill(url: str, hosts: int) -> None:
    api.upgrade(url)
    with api.connect(url) as database:
        for number in range(hosts):
            facts = {'architecture': 'x86_64'}
            resource_tracker.register(database, HostRecord(f'host{number:04}', inputs.host(CELLS), facts=facts))
        database.create_flavor(_FLAVOR)


def _work(way: str, config: str, each: int, bulk: int, seed: int) -> None:
    """Claim after a line on stdin; print when that began and ended, and how long each claim took."""
    from numaplace.model import Devices  # noqa: PLC0415 - only the clients
    from numaplace.services.client import Remote  # noqa: PLC0415

    conf = configuration.load([config])
    draw = random.Random(seed)
    chooser = Direct(conf) if way == 'direct' else Remote(conf, [config])
    size = bulk if way == 'bulk' else 1
    with api.connect(conf.numaplace.connection) as database:
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
            else:
                chooser.create(database, several, several[0].name, at_least=size)

        claim(wanted.pop())  # connections and plug-ins are there
        print('ready', flush=True)
        sys.stdin.readline()
        started, took = time.monotonic(), []
        for request in wanted:
            begun = time.monotonic()
            claim(request)
            took.append(time.monotonic() - begun)
        print(json.dumps([started, time.monotonic(), took]), flush=True)


def _together(way: str, config: Path, clients: int, each: int, bulk: int) -> tuple[float, list[float]]:
    """Return the claims per second of all clients, and how long each took."""
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
        str(bulk),
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
    started, ended, took = zip(*(json.loads(process.communicate()[0]) for process in running), strict=True)
    return clients * each / (max(ended) - min(started)), sorted(seconds for one in took for seconds in one)


def main() -> None:
    """Print a line for each way."""
    parser = argparse.ArgumentParser(prog='python -m benchmarks.services', description=__doc__)
    parser.add_argument('--bus', default='rabbit://guest:guest@127.0.0.1:5672/', metavar='URL', help='the RabbitMQ')
    parser.add_argument('--clients', type=int, default=CLIENTS)
    parser.add_argument('--workers', type=int, default=WORKERS)
    parser.add_argument('--hosts', type=int, default=HOSTS)
    parser.add_argument('--each', type=int, default=EACH, help='claims of a client in a measurement')
    parser.add_argument('--bulk', type=int, default=BULK, help='servers of a message; a divisor of those claims')
    parser.add_argument('--work', nargs=5, metavar=('WAY', 'FILE', 'CLAIMS', 'BULK', 'SEED'), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        way, config, each, bulk, seed = options.work
        _work(way, config, int(each), int(bulk), int(seed))
        return
    print(f'{"way":<7} {"claims/s":>9} {"median ms":>10} {"p95 ms":>7} {"of bare":>8}')
    with tempfile.TemporaryDirectory() as directory, real.scratch_database('mysql') as url:
        _fill(url, options.hosts)
        topic, configs = uuid.uuid4().hex, dict[bool, Path]()
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
                )
            )
        log = Path(directory, 'log')
        with Running('numaplace-scheduler', configs[True], log) as scheduler:
            scheduler.await_line('answers', options.workers)
            bare = 0.0
            for way in WAYS:
                rate, took = _together(way, configs[way != 'direct'], options.clients, options.each, options.bulk)
                bare = bare or rate
                p95 = took[int(len(took) * 0.95)]
                median = statistics.median(took)
                print(
                    f'{way:<7} {rate:>9.1f} {median * 1000:>10.1f} {p95 * 1000:>7.1f} {rate / bare:>8.2f}', flush=True
                )


if __name__ == '__main__':
    main()
