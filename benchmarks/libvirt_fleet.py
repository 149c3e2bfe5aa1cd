# SPDX-License-Identifier: Apache-2.0
"""Audit saved files of 100 libvirt hosts with 2,000 domains, beside parsing the same files with lxml alone.

``python -m benchmarks.libvirt_fleet`` prints the figures, and fails unless all planted faults are found and nothing
else; ``--keep DIRECTORY`` keeps the files.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import sysconfig
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from lxml import etree

from numaplace.tests import planted

__all__ = ['main']

_HOSTS, _DOMAINS, _ROUNDS = 100, 20, 5


def _audit(directory: Path) -> tuple[float, float, set[planted.Expected]]:
    """Run the command; return the processor seconds of its process, the seconds of the clock, and what it finds."""
    program = Path(sysconfig.get_path('scripts'), 'numaplace')
    line = ('--config-file', directory / planted.CONFIGURATION, 'fleet', 'audit', '--from', 'libvirt', '-f', 'json')
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([program, *line, '--directory', directory], capture_output=True, text=True, check=False)
    after, end = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    found = {(row['code'], row['host'], row['server']) for row in json.loads(done.stdout)}
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, end - start, found


def _parse(directory: Path) -> float:
    """Parse all files with lxml; return the processor seconds."""
    start = time.process_time()
    for path in directory.glob('*/**/*.xml'):
        with suppress(etree.XMLSyntaxError):
            etree.fromstring(path.read_bytes())
    return time.process_time() - start


def main() -> int:
    """Print the figures; return 1 if the audit does not find what was planted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--keep', metavar='DIRECTORY', type=Path, help='Write the files there, and keep them.')
    keep = parser.parse_args().keep
    with tempfile.TemporaryDirectory() as scratch:
        directory = keep or Path(scratch)
        expected = planted.write(directory, _HOSTS, _DOMAINS)
        audits = [_audit(directory) for _ in range(_ROUNDS)]
        parsing = min(_parse(directory) for _ in range(_ROUNDS))
    seconds, found = min(seconds for seconds, _wall, _found in audits), audits[0][2]
    wall = min(wall for _seconds, wall, _found in audits)
    sys.stdout.write(
        f'{_HOSTS} hosts with {_HOSTS * _DOMAINS} domains, {len(expected)} planted findings, {os.cpu_count()} CPUs\n'
        f'fleet audit --from libvirt --directory: {seconds:.2f} s of processor time, with the start of the program, '
        f'{wall:.2f} s by the clock\n'
        f'lxml alone:                             {parsing:.2f} s\n'
        f'ratio:                                  {seconds / parsing:.1f}\n'
    )
    for title, findings in (('not found', expected - found), ('not planted', found - expected)):
        for finding in sorted(findings, key=str):
            sys.stdout.write(f'{title}: {finding}\n')
    return int(found != expected)


if __name__ == '__main__':
    sys.exit(main())
