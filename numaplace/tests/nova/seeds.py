# SPDX-License-Identifier: Apache-2.0
"""Which seeds the comparisons with Nova take: another range than the tests of the engine alone."""

import os

__all__ = ['SHARES', 'share']

#: How many cases of each kind; a number of cases and a first seed of one's own go by the environment.
_COUNT = int(os.environ.get('NUMAPLACE_NOVA_CASES', '20000'))
_FIRST = int(os.environ.get('NUMAPLACE_NOVA_SEED', '34000000'))

#: The cases of a kind are this many tests, so that several processes share them.
SHARES = 8


def share(number: int) -> range:
    """Return the seeds of one of the shares."""
    return range(_FIRST + number * _COUNT // SHARES, _FIRST + (number + 1) * _COUNT // SHARES)
