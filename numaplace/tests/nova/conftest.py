# SPDX-License-Identifier: Apache-2.0
"""A real Nova, and what is counted with it."""

import collections
import importlib

import pytest

from numaplace.tests import real
from numaplace.tests.nova import summary


@pytest.fixture(scope='session', autouse=True)
def theirs():
    """Nova's own functions; without Nova the test ends."""
    try:
        importlib.import_module('nova')
    except ImportError:
        real.missing('nova')
    return importlib.import_module('numaplace.tests.nova.theirs')


@pytest.fixture
def tally(record_property):
    """Counts by name, which go to the report of the run."""
    counts = collections.Counter()
    yield counts
    record_property(summary.PROPERTY, dict(counts))
