# SPDX-License-Identifier: Apache-2.0
"""A plan for a real Nova is carried out by its script with the real client: servers arrive where the plan has them.

Nova counts a guest that is deleted soon after a move until the next audit, so the service of its host is restarted.
"""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from numaplace.tests import real

#: How long the script may take: each of its lines starts a client, which takes seconds.
PATIENCE = 900


@pytest.fixture
def run(stack):
    """Return a function that runs a script, with the client of OpenStack in its path."""
    client = Path(sys.executable).with_name('openstack')
    if not client.exists():
        real.missing('the program openstack of python-openstackclient')
    cloud = {'OS_CLIENT_CONFIG_FILE': str(stack.clouds), 'OS_CLOUD': 'ministack', 'PATIENCE': str(PATIENCE)}
    path = os.pathsep.join([str(client.parent), os.environ['PATH']])

    def run(script):
        done = subprocess.run(
            ['sh', '-s'],
            input=script,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            env=os.environ | cloud | {'PATH': path, 'PYTHONWARNINGS': 'ignore'},
        )
        return done.returncode, done.stdout.splitlines(), done.stderr

    return run


@pytest.fixture
def boot(cloud, stack):
    """Return a function that boots servers on a host which are to move to another."""
    destinations, servers = [], []

    def boot(host, destination, *flavors):
        destinations.append(destination)
        servers.extend(cloud.boot(flavor, f'guest{number}', host=host) for number, flavor in enumerate(flavors))
        assert [('ACTIVE', host)] * len(servers) == [(server.status, server.compute_host) for server in servers]
        return servers

    yield boot
    cloud.delete(servers)
    stack.restart(*destinations)


def test_a_host_is_drained_by_the_script_of_its_plan(cloud, boot, fleet, run, balanced):
    idle = balanced()
    servers = boot(
        'cmp1', 'cmp2', cloud.cells('uneven', 1, 3), cloud.cells('paged', 1, ram=1024, mem_page_size='large')
    )
    with cloud.only('cmp2'):
        steps = json.loads(fleet('drain', 'cmp1', '--moves', 'cold', '-f', 'json').stdout)['steps']
        script = fleet('drain', 'cmp1', '--moves', 'cold', '--script').stdout
        found = {step['server']: (step['source'], step['destination']) for step in steps}
        assert found == {server.id: ('cmp1', 'cmp2') for server in servers}
        assert (0, [f'cold {step["server"]}: cmp1 -> cmp2' for step in steps], '') == run(script)
        moved = [cloud.settled(server) for server in servers]
        assert [('ACTIVE', 'cmp2')] * 2 == [(server.status, server.compute_host) for server in moved]
        cells = {step['server']: [cell['host_cell'] for cell in step['cells']] for step in steps}
        nodes = {server.id: cloud.topology(server)['nodes'] for server in servers}
        assert cells == {uuid: [node['host_node'] for node in each] for uuid, each in nodes.items()}
        assert idle['cmp1'] == balanced()['cmp1']
        assert [] == json.loads(fleet('audit', '-f', 'json').stdout)
        assert (0, [], '') == run(script), 'what is done is not done again'


def test_a_running_server_is_live_migrated_and_a_surprise_ends_the_script(cloud, boot, fleet, run):
    """The migration ends when the test forces it to, as that of a guest that writes much."""
    (server,) = boot('virt1', 'virt2', cloud.cells('uneven', 1, 3))
    with cloud.only('virt2'):
        script = fleet('drain', 'virt1', '--moves', 'live', '--script').stdout
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(run, script)
            cloud.force_complete(server, cloud.running_migration(server, PATIENCE))
            assert (0, [f'live {server.id}: virt1 -> virt2'], '') == running.result()
        moved = cloud.settled(server)
        assert ('ACTIVE', 'virt2') == (moved.status, moved.compute_host)
        assert [] == json.loads(fleet('audit', '-f', 'json').stdout)
    assert (1, [], f'{server.id} is not on cmp1\n') == run(script.replace('virt1 virt2', 'cmp1 cmp2'))
