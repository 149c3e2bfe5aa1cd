# SPDX-License-Identifier: Apache-2.0
"""Run Nova's own unit tests of its filter with ours in its place: ``python -m numaplace.tests.nova.filter_tests``."""

import importlib
import sys
import unittest

__all__ = ['TESTS', 'main']

TESTS = 'nova.tests.unit.scheduler.filters.test_numa_topology_filters'


def main():
    """Return 0 if all tests passed; the verbose report goes to standard error."""
    importlib.import_module('nova.tests.unit')  # sets up threads as Nova's tests want them, before all else
    theirs = importlib.import_module('nova.scheduler.filters.numa_topology_filter')
    theirs.NUMATopologyFilter = importlib.import_module('numaplace.nova.filter').NUMATopologyFilter
    suite = unittest.defaultTestLoader.loadTestsFromName(TESTS)
    return 0 if unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful() else 1


if __name__ == '__main__':
    sys.exit(main())
