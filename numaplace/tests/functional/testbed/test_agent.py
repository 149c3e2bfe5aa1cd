# SPDX-License-Identifier: Apache-2.0
"""The agent on a real libvirt: what changes under it is stored or a finding, also over a database that was away."""

import signal
import subprocess
import time

import pytest

from numaplace.db import api
from numaplace.model.records import DOWN, UP
from numaplace.tests import recordings
from numaplace.tests.functional.services.running import PATIENCE_S, Running, soon
from numaplace.tests.functional.storms import servers
from numaplace.tests.functional.testbed.test_define import Program

CONF = """[DEFAULT]
host = big
report_interval = 1
service_down_time = 5
[libvirt]
connection_uri = {uri}
[compute]
cpu_dedicated_set = {dedicated}
[numaplace]
connection = {url}
discovery_interval = 30
"""
_PAGES = 'sys/devices/system/node/node0/hugepages/hugepages-2048kB'


@pytest.fixture
def server():
    """A MariaDB of its own, which may be killed."""
    with servers.mariadb() as started:
        with started.admin.connect() as connection:
            connection.exec_driver_sql('CREATE DATABASE numaplace')
        api.upgrade(started.url)
        yield started


def test_what_changes_under_an_agent_is_stored_or_a_finding(testbed, tmp_path, tmp_path_factory, server):
    """The configuration, the huge pages and a pinned vCPU change; the database is away for a while."""
    host = testbed.fakehost.FakeHost(tmp_path_factory.mktemp('agent'), recordings.sysfs('fake-oracle-host'))
    config = tmp_path / 'numaplace.conf'

    def configure(dedicated):
        config.write_text(CONF.format(uri=host.uri, dedicated=dedicated, url=server.url))

    def look():
        """Let the agent look at once: a libvirt without a daemon has one client at a time, so it seldom does."""
        agent.process.send_signal(signal.SIGHUP)

    def at_last(act):
        _at_last(act, testbed.fakehost.CommandFailed, subprocess.TimeoutExpired)

    def pages(database):
        return {one.size_kib: one.total for one in database.host('big').host.cells[0].pages}[2048]

    configure('0-59')
    with (
        Running('numaplace-compute', config, tmp_path / 'log', before=host.entering) as agent,
        api.connect(server.url) as database,
    ):
        agent.await_line("host 'big' is registered")
        before = database.host('big')

        configure('0-119')
        look()
        soon(lambda: 120 == database.host('big').host.dedicated_cpus.bit_count())

        total = host.tree / _PAGES / 'nr_hugepages'
        total.write_text(f'{int(total.read_text()) + 512}\n')
        look()
        soon(lambda: pages(database) == {one.size_kib: one.total for one in before.host.cells[0].pages}[2048] + 512)

        program = Program(host, tmp_path)
        program.words = [program.words[0], '--config-file', str(config)]
        program('flavor create --ram 1024 --vcpus 4 --property hw:cpu_policy=dedicated pinned')
        program('server create --flavor pinned pinned1')
        define = f'server define pinned1 --connect {host.uri}'
        at_last(lambda: program(define))
        name = database.instance('pinned1').domain_name
        at_last(lambda: host.virsh('vcpupin', name, '1', '119', '--config'))
        look()
        agent.await_line("server 'pinned1', domain 'instance-00000001': CPUs of vCPU 1: expected")
        at_last(lambda: program(define))
        agent.await_line("no longer: server 'pinned1'")

        server.kill()
        agent.await_line('heartbeat: database mysql+pymysql')
        configure('0-59')
        server.start()
        agent.await_line('heartbeat: works again')
        soon(lambda: UP == database.host('big').state)
        soon(lambda: 60 == database.host('big').host.dedicated_cpus.bit_count())
        assert 0 == agent.end()
        soon(lambda: DOWN == database.host('big').state)
    assert 'Traceback' not in agent.log


def _at_last(act, *faults):
    """Repeat something until it succeeds; the last fault is shown if it does not in time."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return act()
        except faults:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)
