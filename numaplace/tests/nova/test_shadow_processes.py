# SPDX-License-Identifier: Apache-2.0
"""Shadow mode in processes of their own: a whole Nova over its fixtures, and what a service finds at start."""

import json
import os
import subprocess
import sys

import pytest

from numaplace.tests import amount, real


def _environment():
    return {**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, sys.path))}


def _whole(*names):
    """Run tests over Nova's own fixtures in shadow mode, and return what was counted."""
    for module in ('placement', 'oslotest', 'testtools', 'wsgi_intercept'):
        real.require_module(module)
    run = subprocess.run(
        [sys.executable, '-W', 'ignore', '-m', 'numaplace.tests.nova.shadow_tests', *names],
        env={**_environment(), 'OS_TEST_TIMEOUT': '160', 'LC_ALL': 'C.utf8'},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert 0 == run.returncode, run.stderr[-20000:]
    return json.loads(run.stdout.splitlines()[-1])


def test_in_a_whole_nova_the_guests_go_where_nova_says_and_each_step_is_told():
    found = _whole()
    assert (2, {}) == (found['run'], found['faults'])


@amount.long
def test_novas_own_tests_of_servers_with_numa_all_pass():
    """Also the one that looks for a line which Nova's own fit writes."""
    found = _whole('nova.tests.functional.libvirt.test_numa_servers.NUMAServersTest')
    assert (23, {}, {}) == (found['run'], found['disagreements'], found['faults'])
    assert found['decisions'] > 100


#: As nova-scheduler: read the files, then load the filter that they name.
SCHEDULER = """
import json, sys
from nova import config
config.parse_args(['nova-scheduler', '--config-file', sys.argv[1]], configure_db=False, init_rpc=False)
from nova.objects import numa
from nova.virt import hardware
parse = numa.NUMATopology.obj_from_db_obj
import importlib
try:
    importlib.import_module('numaplace.nova.filter')
except Exception as error:
    print(json.dumps([type(error).__name__, str(error)]))
else:
    print(json.dumps([hardware.numa_fit_instance_to_host.__module__, numa.NUMATopology.obj_from_db_obj == parse]))
"""


@pytest.mark.parametrize(
    ('text', 'found'),
    [
        ('', ['numaplace.nova.replacements', False]),
        ('[numaplace]\nmode = enforce\n', ['numaplace.nova.replacements', False]),
        ('[numaplace]\nmode = shadow\n', ['numaplace.nova.shadow', True]),
        (
            '[numaplace]\nmode = off\n',
            ['InvalidConfiguration', "{}: [numaplace] mode = 'off': expected one of enforce, shadow"],
        ),
    ],
)
def test_the_mode_is_that_of_novas_configuration(tmp_path, text, found):
    """In shadow mode Nova's own objects are left alone."""
    path = tmp_path / 'nova.conf'
    path.write_text(text, 'utf-8')
    run = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', SCHEDULER, str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=_environment(),
    )
    assert 0 == run.returncode, run.stderr
    expected = [each.replace('{}', str(path)) if isinstance(each, str) else each for each in found]
    assert expected == json.loads(run.stdout.splitlines()[-1])
