# SPDX-License-Identifier: Apache-2.0
"""The programs of the services, which say in one line what is not installed."""

from __future__ import annotations

import importlib
import sys

__all__ = ['compute', 'scheduler']


def compute() -> int:
    """Run ``numaplace-compute``."""
    return _run('compute')


def scheduler() -> int:
    """Run ``numaplace-scheduler``."""
    return _run('scheduler')


def _run(name: str) -> int:
    try:
        program = importlib.import_module(f'numaplace.services.{name}')
    except ModuleNotFoundError as error:
        sys.stderr.write(
            f'numaplace-{name}: {error.name} is not installed: expected the extra services, as '
            "`pip install 'numaplace[services]'` installs it\n"
        )
        return 1
    return int(program.main())
