# SPDX-License-Identifier: Apache-2.0
"""Run tests of Nova's own with engine and filter in place: ``python -m numaplace.tests.nova.own_tests NAME...``.

Names are those of modules, classes or methods; ``--share 2/5`` takes the second of five shares of their tests, and
``--alone`` leaves Nova as it is. unittest reports to standard error; what was found goes to standard output as JSON.
"""

import argparse
import collections
import functools
import importlib
import importlib.metadata
import json
import sys
import unittest

from numaplace.tests.nova import listed

__all__ = ['main']

#: How often numaplace was asked what: a run in which nothing was decided here proves nothing.
_CALLS = collections.Counter()


def _count(owner, name, *, what):
    """Count the calls of a function."""
    function = getattr(owner, name)

    @functools.wraps(function)
    def counted(*args, **kwargs):
        _CALLS[what] += 1
        return function(*args, **kwargs)

    setattr(owner, name, counted)


def _replace():
    """Put engine and filter in the place of Nova's, whose tests name the filter by its module."""
    replacements = importlib.import_module('numaplace.nova.replacements')
    _count(replacements, 'numa_fit_instance_to_host', what='fits')
    _count(replacements, 'numa_usage_from_instance_numa', what='usages')
    engine = importlib.import_module('numaplace.nova.engine')
    engine.install_compute(engine.install())
    ours = importlib.import_module('numaplace.nova.filter').NUMATopologyFilter
    _count(ours, 'host_passes', what='hosts filtered')
    importlib.import_module('nova.scheduler.filters.numa_topology_filter').NUMATopologyFilter = ours


def _tests(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from _tests(item)
        else:
            yield item


class _Result(unittest.TextTestResult):
    """Also notes the names of the tests, and in how many of them numaplace was asked."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.names = []
        self.asked = 0
        self._before = 0

    def startTest(self, test):  # noqa: N802 - unittest's name
        self.names.append(test.id())
        self._before = _CALLS.total()
        super().startTest(test)

    def stopTest(self, test):  # noqa: N802
        super().stopTest(test)
        self.asked += _CALLS.total() > self._before


def _report(result, *, alone):
    """Return what the run has shown, as plain data."""
    major = int(importlib.metadata.version('nova').partition('.')[0])
    reasons = {name: reason for name in result.names if (reason := listed.expected(name, major, alone=alone))}
    failed = {test.id(): text for test, text in (*result.errors, *result.failures)}
    known = [name for name, text in failed.items() if name in reasons and reasons[name].text in text]
    return {
        'run': result.testsRun,
        'passed': result.testsRun - len(failed) - len(result.skipped),
        'skipped': len(result.skipped),
        'listed': known,
        'failed': [name for name in failed if name not in known],
        'passed although listed': [name for name in reasons if name not in failed],
        'asked': result.asked,
        'calls': dict(_CALLS),
    }


def main():
    """Run the tests and print the report.

    :returns: 0 if the listed tests failed for their reasons and all others passed, 1 otherwise
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--share', default='1/1')
    parser.add_argument('--alone', action='store_true')
    parser.add_argument('names', nargs='+')
    asked = parser.parse_args()
    # nova.tests.unit or nova.tests.functional sets up threads as its tests want them, before all else.
    importlib.import_module('.'.join(asked.names[0].split('.')[:3]))
    importlib.import_module('numaplace.tests.nova.configuration').find()
    if not asked.alone:
        _replace()
    number, shares = map(int, asked.share.split('/'))
    tests = list(_tests(unittest.defaultTestLoader.loadTestsFromNames(asked.names)))
    # Every so manyth, so that long classes are dealt out evenly.
    suite = unittest.TestSuite(tests[number - 1 :: shares])
    result = unittest.TextTestRunner(verbosity=2, resultclass=_Result).run(suite)
    report = _report(result, alone=asked.alone)
    sys.stdout.write(json.dumps(report) + '\n')
    wrong = report['failed'] or report['passed although listed'] or result.unexpectedSuccesses
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
