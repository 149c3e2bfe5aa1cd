# SPDX-License-Identifier: Apache-2.0
"""``fleet capacity --from nova``: as many guests are created in the real Nova, and the next one is refused."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def capacity(stack):
    """Return a function that asks for the capacity with the configuration files of the services."""
    program = Path(sys.executable).with_name('numaplace')
    files = [stack.clouds.with_name(f'{name}.conf') for name in ('nova', 'control', 'placement')]
    config = [word for file in files for word in ('--config-file', file)]

    def capacity(*words):
        command = [program, *config, 'fleet', 'capacity', '--from', 'nova', *words, '-f', 'json']
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        (found,) = json.loads(done.stdout)
        return found['at_least'], found['at_most']

    return capacity


def test_as_many_guests_as_fit_are_created_and_the_next_one_is_refused(cloud, capacity):
    flavor = cloud.cells('three', 3)
    with cloud.only('cmp1'):
        number, at_most = capacity('--flavor', flavor.name)
        assert number == at_most > 0
        servers = cloud.boot_several(flavor, 'more', number)
        assert ['ACTIVE'] * number == [server.status for server in servers]
        assert (0, 0) == capacity('--flavor', flavor.name)
        assert 'ERROR' == cloud.boot(flavor, 'next').status
