# SPDX-License-Identifier: Apache-2.0
"""How much the tests do: what takes minutes and shows little beside the rest is left out of a run that is not long."""

import os

import pytest

__all__ = ['IS_LONG', 'LONG', 'long']

#: The variable that lets everything run.
LONG = 'NUMAPLACE_LONG'
IS_LONG = bool(os.environ.get(LONG))

#: Marks what a short run leaves out.
long = pytest.mark.skipif(not IS_LONG, reason=f'takes long, {LONG} is not set')
