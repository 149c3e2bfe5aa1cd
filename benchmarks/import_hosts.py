# SPDX-License-Identifier: Apache-2.0
"""Seconds to import many hosts: one command for all, compared with one command for each.

``python -m benchmarks.import_hosts`` uses an SQLite file in a temporary directory.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from numaplace.tests import recordings

__all__ = ['main']

#: The recorded machine that each host is: 4 cells and 120 CPUs.
_RECORDED = 'fake-oracle-host'


def _seconds(commands: Iterable[Sequence[str]]) -> float:
    """Return how long commands take in sequence."""
    started = time.perf_counter()
    for command in commands:
        subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    """Print a line for each way."""
    parser = argparse.ArgumentParser(prog='python -m benchmarks.import_hosts', description='Import many hosts.')
    parser.add_argument('--hosts', type=int, default=500, metavar='N', help='number of hosts (default: 500)')
    parser.add_argument('--single', type=int, default=20, metavar='N', help='commands of one host (default: 20)')
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary, 'hosts')
        directory.mkdir()
        for number in range(options.hosts):
            (directory / f'compute{number}.xml').write_bytes(recordings.capabilities(_RECORDED))
        program = Path(sysconfig.get_path('scripts'), 'numaplace')

        def command(database: str, *words: str) -> list[str]:
            return [str(program), '--database', f'sqlite:///{temporary}/{database}', 'host', 'import', *words]

        every = command('every.sqlite', '--directory', str(directory))
        single = [
            command('single.sqlite', f'compute{number}', '--capabilities', str(directory / f'compute{number}.xml'))
            for number in range(min(options.single, options.hosts))
        ]
        figures = {
            f'{options.hosts} hosts, one command': _seconds([every]),
            f'{options.hosts} hosts, one command, --refresh': _seconds([[*every, '--refresh']]),
            f'{len(single)} hosts, {len(single)} commands': _seconds(single),
        }
    for name, seconds in figures.items():
        sys.stdout.write(f'{name:<44} {seconds:8.2f} s\n')


if __name__ == '__main__':
    main()
