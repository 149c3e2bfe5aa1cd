# SPDX-License-Identifier: Apache-2.0
"""Which seeds the comparisons with Nova take: another range than the tests of the engine alone."""

import os

__all__ = ['SHARES', 'TRACKED', 'share']

#: How many cases of each kind; a number of cases and a first seed of one's own go by the environment.
_COUNT = int(os.environ.get('NUMAPLACE_NOVA_CASES', '8000'))
_FIRST = int(os.environ.get('NUMAPLACE_NOVA_SEED', '34000000'))

#: How many cases of a compute node: each takes as long as a hundred of the others.
TRACKED = int(os.environ.get('NUMAPLACE_TRACKER_CASES', '240'))

#: The cases of a kind are this many tests, so that several processes share them.
SHARES = 8


def share(number: int, count: int = _COUNT) -> range:
    """Return the seeds of one of the shares of so many cases."""
    return range(_FIRST + number * count // SHARES, _FIRST + (number + 1) * count // SHARES)
