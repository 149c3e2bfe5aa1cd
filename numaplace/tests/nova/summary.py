# SPDX-License-Identifier: Apache-2.0
"""The tally of all comparisons at the end of a run: ``pytest -p numaplace.tests.nova.summary``."""

import collections

__all__ = ['PROPERTY', 'pytest_terminal_summary']

#: Under this name a test reports its counts.
PROPERTY = 'compared with Nova'


def pytest_terminal_summary(terminalreporter):
    """Print the sums of all tallies."""
    total = collections.Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, 'when', None) == 'teardown':
                for name, counts in report.user_properties:
                    total.update(counts if name == PROPERTY else {})
    if total:
        terminalreporter.section(PROPERTY)
        for name, count in sorted(total.items()):
            terminalreporter.write_line(f'{count:8}  {name}')
