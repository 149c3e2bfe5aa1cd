# SPDX-License-Identifier: Apache-2.0
"""Run Nova's own tests with the engine in place: ``python -m numaplace.tests.nova.functional MODULE...``."""

import functools
import importlib
import importlib.metadata
import sys
import unittest

__all__ = ['LISTED', 'main']

#: Tests that ask for more than decisions, with the text in their failure that says so.
LISTED = {
    # It looks for what Nova's own fit of one cell writes to the debug log.
    'test_resize_dedicated_policy_race_on_dest_bug_1953359': "MismatchError: 'Computed NUMA topology CPU pinning: ",
}


def _count(owner, name):
    """Count the calls of a function, so that a run in which nothing was decided here is no success."""
    calls = []
    function = getattr(owner, name)

    @functools.wraps(function)
    def counted(*args, **kwargs):
        calls.append(name)
        return function(*args, **kwargs)

    setattr(owner, name, counted)
    return calls


def _find_configuration():
    """Let Nova's tests find the files that belong to a source tree beside Nova, where the wheel has put them."""
    paste = next(path for path in importlib.metadata.files('nova') if path.name == 'api-paste.ini').locate().resolve()
    base = next(option for option in importlib.import_module('nova.conf.paths').ALL_OPTS if option.name == 'pybasedir')
    base.default = str(paste.parents[2])


def _is_listed(test, text):
    """Tell whether a test failed for the reason that it is listed with."""
    reason = LISTED.get(test.id().rpartition('.')[2])
    return reason is not None and reason in text


def main(names):
    """Run the tests of modules, classes or methods of Nova.

    :returns: 0 if all passed but the listed ones, and the engine has fitted and counted; 1 otherwise
    """
    importlib.import_module('nova.tests.functional')  # sets up threads as Nova's tests want them, before all else
    _find_configuration()
    importlib.import_module('numaplace.nova.engine').install()
    fits = _count(importlib.import_module('numaplace.fit'), 'place')
    usages = _count(importlib.import_module('numaplace.nova.convert'), 'write_host')
    suite = unittest.defaultTestLoader.loadTestsFromNames(names)
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    failures = [*result.errors, *result.failures]
    unknown = [test.id() for test, text in failures if not _is_listed(test, text)]
    sys.stderr.write(
        f'numaplace fitted {len(fits)} times and counted {len(usages)} times; '
        f'{len(failures) - len(unknown)} listed failures, {len(unknown)} others: {unknown}\n'
    )
    return 0 if fits and usages and not unknown and not result.unexpectedSuccesses else 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
