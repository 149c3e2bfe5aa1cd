# SPDX-License-Identifier: Apache-2.0
"""Run nova-compute, or numaplace's launcher of it, with the drivers of the stack: ``python -m ministack.compute NAME``.

Nova looks for a driver inside its package ``nova.virt`` alone, so the directory of ours is added to its path.
"""

import importlib
import sys
from importlib import metadata
from pathlib import Path


def main() -> None:
    """Run the program of that name with the arguments that follow it."""
    name = sys.argv.pop(1)
    (program,) = metadata.entry_points(group='console_scripts', name=name)
    run = program.load()
    # Neither this package nor the one around it imports anything: the program is still the first to decide on threads.
    virt = importlib.import_module('nova.virt')
    virt.__path__.append(str(Path(__file__).with_name('drivers')))
    run()


if __name__ == '__main__':
    main()
