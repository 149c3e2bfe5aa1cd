# SPDX-License-Identifier: Apache-2.0
"""Compare all recordings of libvirt's tests: ``PYTHONPATH=tools python -m recordings``."""

import argparse
import sys
import tempfile
from pathlib import Path

from recordings import compare, source

__all__ = ['main']


def main() -> int:
    """Print a line for each tree.

    :returns: 0 if all are read as libvirt reads them, otherwise 1
    """
    parser = argparse.ArgumentParser(prog='python -m recordings', description=__doc__)
    parser.add_argument(
        '--keep', type=Path, default=Path.home() / '.cache' / 'numaplace-testbed', help='Directory of the recordings.'
    )
    kept = source.fetch(parser.parse_args().keep)
    with tempfile.TemporaryDirectory() as scratch:
        found = compare.verdicts(kept, Path(scratch))
    for verdict in found:
        sys.stdout.write(f'{verdict}\n')
    return 1 if any(verdict.differences for verdict in found) else 0


if __name__ == '__main__':
    sys.exit(main())
