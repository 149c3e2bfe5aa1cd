# SPDX-License-Identifier: Apache-2.0
"""The command that brings the stack up and takes it down."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy

from numaplace.tests.nova.stack import clients, reading


@pytest.fixture
def start(stack, tools):
    """Return a function that starts the command, on the MariaDB of the tests."""

    def start(name, *words):
        server = ['--mysql', stack.server] if name == 'up' else []
        command = [sys.executable, '-m', 'ministack', name, *server, *map(str, words)]
        env = os.environ | {'PYTHONPATH': str(tools)}
        return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return start


@pytest.fixture
def ministack(start):
    """Return a function that runs the command and returns its status, stdout and stderr."""

    def ministack(*words):
        with start(*words) as process:
            out, err = process.communicate(timeout=300)
        return process.returncode, out, err

    return ministack


def left_of(state, server):
    """Return the databases and the virtual host that a stack has left."""
    token = json.loads((state / 'stack.json').read_text())['token']
    engine = sqlalchemy.create_engine(server, poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        databases = connection.execute(sqlalchemy.text('SHOW DATABASES')).scalars().all()
    listed = subprocess.run(['rabbitmqctl', '--quiet', 'list_vhosts'], capture_output=True, text=True, check=True)
    return [name for name in (*databases, *listed.stdout.split()) if token in name]


def running_in(directory):
    """Return the command lines of the processes that a directory is named in."""
    found = []
    for file in Path('/proc').glob('[0-9]*/cmdline'):
        try:
            words = file.read_text('utf-8', 'replace')
        except OSError:
            continue
        if str(directory) in words:
            found.append(words.split('\0'))
    return found


def test_status_tells_every_process(ministack, stack):
    status, out, _ = ministack('status', '--state', stack.state)
    assert 0 == status
    told = {line.split()[0]: line.split()[1:] for line in out.splitlines()}
    assert {name: [str(service.pid), 'up'] for name, service in stack.services.items()} == told


def test_a_restarted_service_is_another_process_and_goes_on_in_its_log(ministack, stack):
    log = reading.Log(stack.log('nova-conductor'))
    status, _, err = ministack('restart', '--state', stack.state, 'nova-conductor')
    assert (0, '') == (status, err)
    found = json.loads((stack.state / 'stack.json').read_text())['services']['nova-conductor']
    assert stack.services['nova-conductor'].pid != found['pid']
    (line,) = log.lines('nova.service', 'Starting conductor')
    assert found['pid'] == reading.leader(line.pid)
    stack.services = type(stack).load(stack.state).services


def test_what_is_no_service_is_refused_in_one_line(ministack, stack):
    refusal = "ministack: 'cmp9' cannot be restarted: it is no host and no service of Nova with a queue\n"
    assert (1, '', refusal) == ministack('restart', '--state', stack.state, 'cmp9')


def test_where_there_is_no_stack_is_told_in_one_line(ministack, tmp_path):
    assert (1, '', f'ministack: there is no stack in {tmp_path}\n') == ministack('down', '--state', tmp_path)


def test_a_file_that_is_no_host_is_refused_in_one_line(ministack, tmp_path):
    file = tmp_path / 'odd.json'
    file.write_text('{}')
    status, out, err = ministack('up', '--state', tmp_path / 'state', file)
    assert (1, '') == (status, out)
    assert err.startswith(
        f"ministack: host file {file}: KeyError('nova_object.data'); expected the JSON of a NUMATopology"
    )
    assert 1 == err.count('\n')


def test_a_host_is_not_called_as_something_else_is(ministack, tmp_path):
    file = tmp_path / 'placement.json'
    file.write_text('{"cpu_shared_set": "0", "cpu_dedicated_set": "1", "machine": {}}')
    refusal = f"ministack: host file {file}: there is something else by the name 'placement'\n"
    assert (1, '', refusal) == ministack('up', '--state', tmp_path / 'state', file)


def test_a_stack_that_is_interrupted_leaves_only_its_logs(start, stack, tmp_path):
    state = tmp_path / 'state'
    with start('up', '--state', state) as process:
        clients.await_that((state / 'log' / 'nova-manage.log').exists, bool)
        process.terminate()
        assert ('', '') == process.communicate(timeout=300)
    assert 130 == process.returncode
    assert [] == running_in(state)
    assert [] == left_of(state, stack.server)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_interrupted_while_it_starts_does_not_go_on_alone(stack, monkeypatch, tmp_path, number):
    processes = sys.modules['ministack.processes']
    started = []

    class Interrupted(subprocess.Popen):
        def __init__(self, *words, **options):
            super().__init__(*words, **options)
            started.append(self)
            os.kill(os.getpid(), number)

    monkeypatch.setattr(subprocess, 'Popen', Interrupted)
    entered = []
    before = signal.signal(number, signal.default_int_handler)  # a job in the background ignores interrupts
    try:
        with (
            pytest.raises(KeyboardInterrupt, match=r'^$'),
            processes.running(['sleep', '60'], tmp_path / 'log', os.environ),
        ):
            entered.append(True)
    finally:
        signal.signal(number, before)
    (child,) = started
    assert ([], -signal.SIGKILL) == (entered, child.returncode)


def test_a_stack_that_does_not_come_up_shows_why_and_leaves_only_its_logs(ministack, stack, tmp_path):
    file = tmp_path / 'broken.json'
    file.write_text('{"cpu_shared_set": "0", "cpu_dedicated_set": "1", "machine": {"no_such_keyword": 1}}')
    status, out, err = ministack('up', '--state', tmp_path / 'state', file)
    assert (1, '') == (status, out)
    assert err.startswith('ministack: broken ended before its queue:\n')
    assert "unexpected keyword argument 'no_such_keyword'" in err
    assert (tmp_path / 'state' / 'log' / 'broken.log').stat().st_size
    assert [] == running_in(tmp_path / 'state')
    assert [] == left_of(tmp_path / 'state', stack.server)
    assert 5 == len(left_of(stack.state, stack.server))
