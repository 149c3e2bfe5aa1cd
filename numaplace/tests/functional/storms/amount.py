# SPDX-License-Identifier: Apache-2.0
"""How many operations the storms have."""

import os

__all__ = ['IS_LONG', 'OPERATIONS', 'SEED']

_SHORT = 500
#: Number of operations of the races, on each database.
OPERATIONS = int(os.environ.get('NUMAPLACE_STORM', str(_SHORT)))
SEED = os.environ.get('NUMAPLACE_STORM_SEED', '1')
#: Whether time does not matter, so that the others do more as well.
IS_LONG = OPERATIONS > _SHORT
