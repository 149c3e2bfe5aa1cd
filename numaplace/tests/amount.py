# SPDX-License-Identifier: Apache-2.0
"""How much the tests do: what takes minutes and shows little beside the rest is left out of a run that is not long."""

import os
import sys

import pytest

__all__ = ['IS_LONG', 'LONG', 'long', 'seeds']

#: The variable that lets everything run.
LONG = 'NUMAPLACE_LONG'
IS_LONG = bool(os.environ.get(LONG))

#: Marks what a short run leaves out.
long = pytest.mark.skipif(not IS_LONG, reason=f'takes long, {LONG} is not set')

#: The variable that starts the sweeps at other cases than last time.
_SEED = int(os.environ.get('NUMAPLACE_SEED', '0'))


def seeds(first: int, number: int | None = None, step: int = 1) -> range:
    """Return the seeds of a share of a sweep.

    :param number: how many; without it as many as anyone takes
    """
    first += _SEED
    return range(first, sys.maxsize if number is None else first + number * step, step)
