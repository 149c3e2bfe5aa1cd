# SPDX-License-Identifier: Apache-2.0
"""Run nova-compute, or numaplace's launcher for it, with the stack's drivers: ``python -m ministack.compute NAME``.

Nova looks for a driver only inside its package ``nova.virt``, so the directory with our drivers is added to its path.
"""

import importlib
import sys
from importlib import metadata
from pathlib import Path


def main() -> None:
    """Run the named program with the remaining arguments."""
    name = sys.argv.pop(1)
    (program,) = metadata.entry_points(group='console_scripts', name=name)
    run = program.load()
    # Neither nova.virt nor nova imports anything itself: the program still decides first on threads.
    virt = importlib.import_module('nova.virt')
    virt.__path__.append(str(Path(__file__).with_name('drivers')))
    run()


if __name__ == '__main__':
    main()
