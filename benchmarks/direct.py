# SPDX-License-Identifier: Apache-2.0
"""Create a server at few hosts and at many, whole processes; ``python -m benchmarks.direct [HOSTS...]``.

``numaplace server create`` on SQLite without any service, with the filters and weighers of the default configuration,
on hosts of 8 cells, each with other usage. The sides take turns; times are medians of the processor time of
whole processes.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.clock import duration
from benchmarks.index import make_hosts
from numaplace.db import api
from numaplace.model import Flavor

_SPECS = {
    '2 cells, pinned': {'hw:cpu_policy': 'dedicated', 'hw:numa_nodes': '2'},
    '2 cells, 1 GiB pages': {'hw:cpu_policy': 'dedicated', 'hw:numa_nodes': '2', 'hw:mem_page_size': '1GB'},
    'floating': {},
}
_ROUNDS = 7


def _fill(url: str, number: int) -> None:
    with api.connect(url) as database:
        for record in make_hosts(number):
            database.create_host(record)
        for name, specs in _SPECS.items():
            database.create_flavor(Flavor(name, 2, 2048, 1, specs))


def _create(url: str, flavor: str) -> float:
    command = [
        str(Path(sys.executable).with_name('numaplace')),
        '--database',
        url,
        'server',
        'create',
        '--flavor',
        flavor,
    ]
    start = _children()
    subprocess.run([*command, 'bench'], check=True, stdout=subprocess.DEVNULL)
    return _children() - start


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Print the table: the time at each number of hosts, and how often it has that of the first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('hosts', nargs='*', type=int, default=[10, 10_000])
    numbers = parser.parse_args().hosts
    with tempfile.TemporaryDirectory() as directory:
        urls = {number: f'sqlite:///{Path(directory, f"{number}.sqlite")}' for number in numbers}
        for number, url in urls.items():
            _fill(url, number)
        for flavor in _SPECS:
            times: dict[int, list[float]] = {number: [] for number in numbers}
            for _ in range(_ROUNDS):
                for number, url in urls.items():
                    times[number].append(_create(url, flavor))
            medians = {number: statistics.median(taken) for number, taken in times.items()}
            sides = '   '.join(f'{number:,} hosts {duration(taken)}' for number, taken in medians.items())
            print(f'{flavor:22} {sides}   ratio {medians[numbers[-1]] / medians[numbers[0]]:.2f}')


if __name__ == '__main__':
    main()
