# SPDX-License-Identifier: Apache-2.0
"""Sixteen processes claim and release on one host while an operator changes it: claims, deadlocks, retries, waits.

``python -m benchmarks.one_host`` needs a MariaDB and a PostgreSQL server: numaplace/tests/real.py has the addresses.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks.claims import databases
from numaplace.db import api
from numaplace.tests.functional.storms import load

__all__ = ['main']

SECONDS = 20


def _measure(label: str, url: str, options: argparse.Namespace) -> None:
    api.upgrade(url)
    with api.connect(url) as database, tempfile.TemporaryDirectory() as directory:
        load.prepare(database)
        with load.running(url, Path(directory), options.processes) as done:
            started = time.monotonic()
            if options.operator:
                found = load.operate(database, lambda number: number == options.operator, 0.01)
            else:
                found = {}
                time.sleep(options.seconds)
            duration_s = time.monotonic() - started
    print(
        f'{label:<12} {done.claims / duration_s:>8.0f} {done.deadlocks:>9} {done.retries:>8} {done.given_up:>8}',
        flush=True,
    )
    for name, each in found.items():
        print(f'  {name:<22} {each.calls} calls, {each.given_up} gave up, slowest {each.slowest_s:.2f} s', flush=True)


def main() -> None:
    """Print a line for each database."""
    parser = argparse.ArgumentParser(prog='python -m benchmarks.one_host', description=__doc__)
    parser.add_argument('--only', default='', metavar='TEXT', help='only databases whose name holds this')
    parser.add_argument('--processes', type=int, default=load.PROCESSES, help='that claim and release')
    parser.add_argument('--seconds', type=float, default=SECONDS, help='duration of a measurement')
    parser.add_argument(
        '--operator', type=int, default=0, metavar='CALLS', help='changes of the host meanwhile, instead of a duration'
    )
    options = parser.parse_args()
    print(f'{"database":<12} {"claims/s":>8} {"deadlocks":>9} {"retries":>8} {"given up":>8}')
    with databases() as found:
        for label, url in found.items():
            if options.only.lower() in label.lower():
                _measure(label, url, options)


if __name__ == '__main__':
    main()
