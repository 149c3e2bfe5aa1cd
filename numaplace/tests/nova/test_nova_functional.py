# SPDX-License-Identifier: Apache-2.0
"""Nova's own functional tests, unmodified, pass with the engine in place but for those that are listed."""

import os
import subprocess
import sys

import pytest

from numaplace.tests import real

_NUMA_SERVERS = 'nova.tests.functional.libvirt.test_numa_servers'


@pytest.mark.parametrize(
    ('name', 'count', 'listed'),
    [
        ('NUMAServersTest', 23, 1),
        ('NUMAServerTestWithCountingQuotaFromPlacement', 23, 1),
        ('ReshapeForPCPUsTest', 1, 0),
        ('NUMAServersWithNetworksTest', 6, 0),
        ('NUMAServersRebuildTests', 3, 0),
    ],
)
def test_novas_tests_of_servers_with_numa_pass(name, count, listed):
    for module in ('placement', 'oslotest', 'testtools', 'wsgi_intercept'):
        real.require_module(module)
    run = subprocess.run(
        [sys.executable, '-W', 'ignore', '-m', 'numaplace.tests.nova.functional', f'{_NUMA_SERVERS}.{name}'],
        env=os.environ | {'OS_TEST_TIMEOUT': '160', 'LC_ALL': 'C.utf8', 'PYTHONDONTWRITEBYTECODE': '1'},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-20000:]
    assert f'\nRan {count} test' in run.stderr
    assert f'{listed} listed failures, 0 others' in run.stderr
