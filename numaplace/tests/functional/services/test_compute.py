# SPDX-License-Identifier: Apache-2.0
"""The agent of a host, on libvirt's test driver: what it stores, what it says, and what it waits for."""

import os
import signal
import socket
import urllib.request

import pytest

from numaplace.db import api
from numaplace.model.records import DOWN, UP
from numaplace.tests import real
from numaplace.tests.functional.services.running import Running, soon
from numaplace.tests.functional.storms import servers

CONF = """[DEFAULT]
host = one
report_interval = 1
service_down_time = 3
{more}
[libvirt]
connection_uri = test:///default
[compute]
cpu_dedicated_set = {dedicated}
[numaplace]
connection = {url}
discovery_interval = 1
unknown_guests = warn
{port}
"""


@pytest.fixture
def write(tmp_path):
    """Return a function that writes the configuration and returns its path."""
    real.require_module('numaplace.services.compute')
    real.require_program('virsh')

    def write(url=f'sqlite:///{tmp_path / "one.sqlite"}', dedicated='0-3', more='', port=''):
        path = tmp_path / 'numaplace.conf'
        scratch = tmp_path / 'new.conf'
        scratch.write_text(CONF.format(url=url, dedicated=dedicated, more=more, port=port))
        scratch.rename(path)  # a reader sees the one or the other
        return path

    return write


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def test_an_agent_registers_its_host_follows_the_configuration_and_reports_that_it_is_up(write, tmp_path):
    port = free_port()
    config = write(port=f'metrics_port = {port}')
    with Running('numaplace-compute', config, tmp_path / 'log') as agent:
        agent.await_line("host 'one' is registered")
        agent.await_line("host 'one' has a domain that numaplace does not manage: 'test'")
        with api.connect(f'sqlite:///{tmp_path / "one.sqlite"}') as database:
            soon(lambda: database.host('one').up_until)
            before = database.host('one')
            assert (UP, 0b1111) == (before.state, before.host.cells[0].shape.dedicated_cpus)

            write(port=f'metrics_port = {port}', dedicated='2-5')
            soon(lambda: database.host('one').host.cells[0].shape.dedicated_cpus == 0b111100)
            changed = database.host('one').generation
            soon(lambda: database.host('one').up_until > before.up_until)
            metrics = urllib.request.urlopen(f'http://127.0.0.1:{port}/metrics', timeout=9).read().decode()
            assert 'numaplace_findings 1.0' in metrics
            assert changed == database.host('one').generation, 'a look that finds nothing new writes nothing'

            write(dedicated='nonsense')
            agent.await_line("[compute] cpu_dedicated_set = 'nonsense'")
            soon(lambda: UP == database.host('one').state)
            assert 0 == agent.end()
            soon(lambda: DOWN == database.host('one').state)
            assert UP == agent_free_state(database)
    assert 1 == agent.log.count("cpu_dedicated_set = 'nonsense'"), 'a fault that stays is one line'
    assert 'Traceback' not in agent.log


def agent_free_state(database):
    """Return the state of the host after its operator said that it is up."""
    database.switch_host('one', state=UP)
    return database.host('one').state


def test_an_agent_reads_all_anew_after_sighup_and_its_worker_is_replaced_when_it_is_killed(write, tmp_path):
    with Running('numaplace-compute', write(), tmp_path / 'log') as agent:
        agent.await_line("host 'one' has a domain")
        first = agent.children
        agent.process.send_signal(signal.SIGHUP)
        second = soon(lambda: [pid for pid in agent.children if pid not in first])
        agent.await_line("host 'one' has a domain", 2)
        for pid in second:
            os.kill(pid, signal.SIGKILL)
        soon(lambda: [pid for pid in agent.children if pid not in first + second])
        agent.await_line("host 'one' has a domain", 3)
        assert 0 == agent.end()


def test_a_host_that_lost_what_its_servers_hold_is_stored_as_it_is_and_they_are_findings(write, tmp_path, make_claim):
    url = f'sqlite:///{tmp_path / "one.sqlite"}'
    with Running('numaplace-compute', write(), tmp_path / 'log') as agent:
        agent.await_line("host 'one' is registered")
        with api.connect(url) as database:
            server = make_claim(database, 'one')
            lost = server.placement.cells[0].taken
            write(dedicated='4-7')
            soon(lambda: not database.host('one').host.cells[0].shape.dedicated_cpus & lost)
            agent.await_line(f'server {server.uuid}: cpus.')
            assert 0 == database.host('one').host.cells[0].pinned_cpus
            write()
            soon(lambda: database.host('one').host.cells[0].pinned_cpus == lost)
            agent.await_line(f"no longer: host 'one', server {server.uuid}: cpus.")


def test_an_agent_waits_for_a_database_that_is_away(write, tmp_path):
    with servers.mariadb() as server:
        with server.admin.connect() as connection:
            connection.exec_driver_sql('CREATE DATABASE numaplace')
        api.upgrade(server.url)
        with (
            Running('numaplace-compute', write(server.url), tmp_path / 'log') as agent,
            api.connect(server.url) as database,
        ):
            agent.await_line("host 'one' is registered")
            server.kill()
            agent.await_line('heartbeat: database mysql+pymysql')
            server.start()
            agent.await_line('heartbeat: works again')
            soon(lambda: UP == database.host('one').state)
            assert 0 == agent.end()
    assert 'Traceback' not in agent.log
