# SPDX-License-Identifier: Apache-2.0
"""The sums of what all tests have counted, at the end of a run: ``pytest -p numaplace.tests.summary``.

A test counts by ``record_property(title, {what: number})``.
"""

import collections

__all__ = ['COMPARED_WITH_NOVA', 'RACES', 'TEST_BED', 'pytest_terminal_summary']

COMPARED_WITH_NOVA = 'compared with Nova'
TEST_BED = 'the test bed'
RACES = 'races on databases'


def pytest_terminal_summary(terminalreporter):
    """Print the sums by title."""
    totals = collections.defaultdict(collections.Counter)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, 'when', None) == 'teardown':
                for title, counts in report.user_properties:
                    if isinstance(counts, dict):
                        totals[title].update(counts)
    for title, total in totals.items():
        terminalreporter.section(title)
        for name, count in sorted(total.items()):
            terminalreporter.write_line(f'{count:8}  {name}')
