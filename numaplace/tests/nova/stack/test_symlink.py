# SPDX-License-Identifier: Apache-2.0
"""A link ``nova-compute`` to ``numaplace-nova-compute``: for images whose command line belongs to somebody else."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from numaplace.tests import real
from numaplace.tests.nova.stack import clients, reading

HOST = 'cmp1'

#: Nova looks for drivers inside its own package alone; Python imports this before the program.
DRIVERS = 'import nova.virt; nova.virt.__path__.append({!r})\n'


@pytest.fixture
def program(tmp_path):
    """The link, in a directory of its own, and what it is told by its environment."""
    ours = shutil.which('numaplace-nova-compute', path=Path(sys.executable).parent)
    if ours is None:
        real.missing('numaplace-nova-compute')
    link = tmp_path / 'bin' / 'nova-compute'
    link.parent.mkdir()
    link.symlink_to(ours)
    return link


@pytest.fixture
def service(stack, tools, program, tmp_path):
    """The service of a host, started through the link with the options that it had; its log is where Nova puts it."""
    module = sys.modules['ministack.processes']
    before = stack.services[HOST]
    words = Path(f'/proc/{before.pid}/cmdline').read_text('utf-8').rstrip('\0').split('\0')
    options = words[words.index('--config-file') :]
    (tmp_path / 'sitecustomize.py').write_text(DRIVERS.format(str(tools / 'ministack' / 'drivers')), 'utf-8')
    paths = [str(tmp_path), *filter(None, [os.environ.get('PYTHONPATH')])]
    env = os.environ | {'PYTHONPATH': os.pathsep.join(paths), 'PYTHONWARNINGS': 'ignore'}
    stack.stop(HOST)
    linked = module.start(HOST, [program, *options, '--log-dir', tmp_path], tmp_path / 'output', env=env)
    yield linked
    module.stop([linked])
    stack.restart(HOST)


def test_a_service_that_is_started_through_the_link_decides_and_logs_by_the_name_of_the_link(
    cloud, rows, service, tmp_path
):
    log = tmp_path / 'nova-compute.log'
    clients.await_that(lambda: log.exists() and 'is in nova-compute, mode enforce' in log.read_text('utf-8'), bool)
    assert ['nova-compute.log'] == [path.name for path in tmp_path.glob('*.log')]
    found = reading.Log(log)
    crowd = cloud.boot(cloud.cells('crowd', 4, 2, 3), 'crowd', host=HOST)
    # Nova alone has no room for it: it takes the cells in their order.
    guest = cloud.boot(cloud.cells('one-two', 1, 2, ram=512), 'guest', host=HOST)
    assert [('ACTIVE', None)] * 2 == [(server.status, server.fault) for server in (crowd, guest)]
    assert [2, 1] == [cell['id'] for cell in rows.guest(guest)]
    pins = [line for line in found.lines('numaplace.nova.claim_log') if guest.id in line.text]
    assert {service.pid} == {reading.leader(line.pid) for line in pins}
    assert [] == found.faults()
