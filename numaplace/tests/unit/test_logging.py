# SPDX-License-Identifier: Apache-2.0
"""How a process logs is for its program to decide, not for the modules that it imports."""

import subprocess
import sys

_SCRIPT = """
import importlib, logging, pkgutil, sys

changes = []

def watched(change):
    def changed(*values):
        caller = sys._getframe(1).f_globals['__name__']
        if caller.startswith('numaplace'):
            changes.append((caller, change.__name__))
        return change(*values)
    return changed

for kind, name in (
    (logging.Logger, 'setLevel'), (logging.Logger, 'addHandler'), (logging.Filterer, 'addFilter'),
    (logging, 'basicConfig'), (logging, 'disable'),
):
    setattr(kind, name, watched(getattr(kind, name)))

import numaplace

found = [module.name for module in pkgutil.walk_packages(numaplace.__path__, 'numaplace.')]
skipped = 'numaplace.tests', 'numaplace.nova', 'numaplace.db.migrations.env'
imported = [name for name in found if not name.startswith(skipped)]
for name in imported:
    importlib.import_module(name)
from numaplace.db import api

api.connect('sqlite:///' + sys.argv[1]).close()
assert len(imported) > 100, imported
print(changes)
"""


def test_modules_leave_loggers_as_they_are(tmp_path):
    """Neither an import nor the first use of a database, which migrates it, changes levels, filters or handlers."""
    words = (sys.executable, '-W', 'ignore', '-c', _SCRIPT, str(tmp_path / 'new.sqlite'))
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert ('[]\n', '') == (done.stdout, done.stderr)
