# SPDX-License-Identifier: Apache-2.0
"""The cloud that the tests ask: a small stack on this machine, or one that clouds.yaml knows."""

import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from numaplace.tests import real
from numaplace.tests.nova.stack import clients, judging, reading

SOURCE = Path(os.environ.get('NUMAPLACE_SOURCE', Path(__file__).parents[4]))

#: Name of a cloud in clouds.yaml for the tests that need nothing of the machine it runs on.
OTHER_CLOUD = 'NUMAPLACE_TEST_CLOUD'
#: How many NUMA cells its largest host has.
OTHER_CELLS = 'NUMAPLACE_TEST_HOST_CELLS'

_STACK = pytest.StashKey()


@pytest.fixture(scope='session', autouse=True)
def theirs():
    """Import nothing of Nova here: the tests only talk to it."""


@pytest.fixture(scope='session')
def tools():
    """The directory of tools beside the package."""
    return SOURCE / 'tools'


@pytest.fixture(scope='session')
def stack(request, tools):
    """A Nova of real processes that decides by numaplace."""
    if os.environ.get(OTHER_CLOUD):
        pytest.skip(f'{OTHER_CLOUD} names another cloud, of which only the API is known')
    sys.path.append(str(tools))
    _require_parts()
    module = real.require_module('ministack.stack')
    hosts = real.require_module('ministack.hosts')
    # Whoever ends the tests ends what they have started.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix='numaplace-stack-') as directory:
        stack = module.Stack.up(Path(directory) / 'state', real.server_url('mysql'), sorted(hosts.HERE.iterdir()))
        request.config.stash[_STACK] = stack
        try:
            yield stack
        finally:
            del request.config.stash[_STACK]
            stack.down()
            signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope='session')
def connection(request):
    """A connection of openstacksdk."""
    other = os.environ.get(OTHER_CLOUD)
    files = None if other else [str(request.getfixturevalue('stack').clouds)]
    openstack = real.require_module('openstack')
    config = openstack.config.OpenStackConfig(config_files=files).get_one(other or 'ministack')
    return openstack.connection.Connection(config=config)


@pytest.fixture(scope='session')
def host_cells(request):
    """The number of NUMA cells that the largest host has."""
    return int(os.environ.get(OTHER_CELLS, '2')) if os.environ.get(OTHER_CLOUD) else 5


@pytest.fixture
def cloud(connection):
    """A cloud in which a test may boot what it likes: it is cleaned up."""
    cloud = clients.Cloud(connection)
    yield cloud
    cloud.clean()


@pytest.fixture(scope='session')
def fleet(stack):
    """Return a function that asks about the Nova with the configuration files of its services, without a warning."""
    program = Path(sys.executable).with_name('numaplace')
    files = [stack.clouds.with_name(f'{name}.conf') for name in ('nova', 'control', 'placement')]
    config = [word for file in files for word in ('--config-file', file)]

    def fleet(*words):
        command = [program, *config, 'fleet', *words, '--from', 'nova']
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert '' == done.stderr
        return done

    return fleet


@pytest.fixture(autouse=True)
def no_faults(request):
    """Whatever is decided, numaplace does not fail in a service."""
    stack = request.config.stash.get(_STACK, None)
    logs = [reading.Log(stack.log(name)) for name in ('nova-scheduler', *stack.hosts)] if stack else []
    yield
    assert [] == [line for log in logs for line in log.faults()]


@pytest.fixture
def rows(stack):
    """What Nova has stored."""
    with reading.Rows(stack.database('nova_cell1')) as rows:
        yield rows


@pytest.fixture
def balanced(stack, rows):
    """Return a function that waits until the usage of each host is the sum of what it holds.

    It also requires each guest to be sound, and returns the usage of the hosts by name.
    """
    hosts = {host: rows.host_json(host) for host in stack.hosts}

    def usage():
        return {host: judging.usage(rows.host(host)) for host in hosts}

    def unequal():
        held = {host: rows.held(host) for host in hosts}
        assert [] == [fault for host in hosts for guest in held[host] for fault in judging.faults(hosts[host], guest)]
        counted = usage()
        sums = {host: judging.usage_by(map(reading.cells, held[host]), counted[host]) for host in hosts}
        return {host: (sums[host], counted[host]) for host in hosts if sums[host] != counted[host]}

    def balanced():
        clients.await_that(unequal, lambda found: not found, patience=20)
        return usage()

    if unequal():
        # What a failed test has left is corrected by the audit of a start.
        stack.restart(*hosts)
    return balanced


@pytest.fixture
def scheduler_log(stack):
    """What nova-scheduler logs from now on."""
    return reading.Log(stack.log('nova-scheduler'))


def pytest_itemcollected(item):
    """Let openstacksdk use what it deprecates itself."""
    for category in ('DeprecationWarning', 'PendingDeprecationWarning'):
        item.add_marker(pytest.mark.filterwarnings(f'ignore::{category}'))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Show the ends of all logs below a failure."""
    report = yield
    stack = item.config.stash.get(_STACK, None)
    if report.failed and stack is not None:
        for name in stack.services:
            report.sections.append((f'log of {name}', reading.tail(stack.log(name))))
    return report


def _require_parts():
    for name in ('ministack', 'nova', 'placement', 'waitress', 'pymysql'):
        if importlib.util.find_spec(name) is None:
            real.missing(f'the module {name}')
    with real.scratch_database('mysql'):
        pass
    asked = [real.require_program('rabbitmqctl'), '--quiet', 'list_vhosts']
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    if done.returncode:
        real.missing(f'RabbitMQ, as rabbitmqctl finds it: {(done.stderr or done.stdout).strip()}')
