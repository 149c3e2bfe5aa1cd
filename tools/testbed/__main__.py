# SPDX-License-Identifier: Apache-2.0
"""Start a virtual host: ``PYTHONPATH=tools python -m testbed three-nodes script``."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from testbed import image, installed, kernel, vhost
from testbed.machine import MACHINES

__all__ = ['main']


def main() -> int:
    """Boot a machine that runs a script, and print the script's output."""
    parser = argparse.ArgumentParser(prog='python -m testbed', description=__doc__)
    parser.add_argument('machine', choices=sorted(MACHINES))
    parser.add_argument('script', type=Path, help='Runs there, with numaplace as it is installed here.')
    parser.add_argument('--cgroups', action='store_true', help='Let libvirt put its guests into control groups.')
    parser.add_argument(
        '--keep', type=Path, default=Path.home() / '.cache' / 'numaplace-testbed', help='Directory of kernel and image.'
    )
    given = parser.parse_args()
    given.keep.mkdir(parents=True, exist_ok=True)
    bzimage = kernel.fetch(given.keep)
    disk = image.build(given.keep, bzimage)
    with tempfile.TemporaryDirectory() as scratch:
        payload, result = Path(scratch, 'payload'), Path(scratch, 'result')
        installed.copy('numaplace', ['standalone'], payload / 'site', payload / 'bin')
        shutil.copy(given.script, payload / 'run')
        (payload / 'run').chmod(0o755)
        boot = vhost.run(MACHINES[given.machine], disk, bzimage, payload, result, cgroups=given.cgroups)
        sys.stdout.write((result / 'log').read_text())
    marks = ', '.join(f'{name} {seconds:.0f} s' for name, seconds in boot.marks.items())
    sys.stderr.write(f'{given.machine}: {marks}; in all {boot.wall_s:.0f} s\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
