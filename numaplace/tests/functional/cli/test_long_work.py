# SPDX-License-Identifier: Apache-2.0
"""Commands that do the same many times: what a terminal shows, what ends them, and what libvirt is asked."""

import contextlib
import os
import re
import shlex
import signal
import subprocess
import time

import pytest

from numaplace.tests import real, recordings

_TEST_DRIVER = 'test:///default'


@pytest.fixture
def virsh(prepared):
    """Return a function that returns the commands that virsh was given: a script writes them down on the way.

    `define` waits while there is a file called ``wait``, `domcapabilities` while there is ``wait-capabilities``.
    """
    log, wait = prepared.directory / 'virsh.log', prepared.directory / 'wait'
    script = prepared.directory / 'bin' / 'virsh'
    script.parent.mkdir()
    script.write_text(
        '#!/bin/sh\n'
        f'echo "$*" >> {shlex.quote(str(log))}\n'
        f'case "$*" in *define*) [ ! -e {shlex.quote(str(wait))} ] || exec sleep 60;;\n'
        f'*domcapabilities*) [ ! -e {shlex.quote(f"{wait}-capabilities")} ] || exec sleep 60;; esac\n'
        f'exec {shlex.quote(real.require_program("virsh"))} "$@"\n'
    )
    script.chmod(0o755)
    prepared.environment['PATH'] = f'{script.parent}:{os.environ["PATH"]}'

    def asked(word):
        lines = log.read_text().splitlines() if log.exists() else []
        return sum(word in line.split() for line in lines)

    return asked


def _create(program, number):
    program(f'server create --flavor m1.tiny --min {number} web')
    return [f'web-{each}' for each in range(1, number + 1)]


def _until(happens):
    for _ in range(600):
        if happens():
            return
        time.sleep(0.1)
    raise AssertionError('it did not happen in time')


@contextlib.contextmanager
def _started(program, *words):
    command = ['env', '--default-signal=INT', *program.command(*words)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=program.environment
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_libvirt_is_asked_once_what_it_can_do_and_not_once_a_server(prepared, virsh):
    names = _create(prepared, 4)
    done = prepared.spawn('server', 'define', *names, '--connect', _TEST_DRIVER)
    assert (0, '', '') == (done.returncode, done.stdout, done.stderr)
    assert (1, 4) == (virsh('domcapabilities'), virsh('define'))


def test_a_server_that_cannot_be_defined_does_not_stop_the_others(prepared, virsh):
    one, two = _create(prepared, 2)
    done = prepared.spawn('server', 'define', one, 'nobody', two, '--connect', _TEST_DRIVER)
    assert 1 == done.returncode
    assert done.stderr.startswith("numaplace: there is no server 'nobody'")
    assert 1 == done.stderr.count('\n')
    assert 2 == virsh('define')


@pytest.mark.parametrize('line', ['server create --flavor m1.tiny --max 3 new', 'server delete web-1 web-2 web-3'])
def test_a_terminal_shows_how_many_are_done(prepared, line):
    _create(prepared, 3)
    shown = prepared.on_terminal(*line.split())
    assert 0 == shown.returncode
    assert '0/3' in shown.stderr
    assert '\x1b[' in shown.stderr
    assert '' == prepared.spawn('server', 'list').stderr


def test_a_bar_leaves_what_is_told_beside_it_readable(prepared):
    _create(prepared, 2)
    shown = prepared.on_terminal('server', 'delete', 'web-1', 'nob\x07ody', 'web-2')
    assert 1 == shown.returncode
    plain = re.sub(r'\x1b\[[0-9;?]*[A-Za-z]', '', shown.stderr)
    lines = [line for line in re.split('[\r\n]+', plain) if line.startswith('numaplace: ')]
    assert [r"numaplace: there is no server 'nob\x07ody'"] == [line.rstrip() for line in lines]


@pytest.fixture
def tiny(prepared):
    """A flavor of which thousands fit."""
    prepared('flavor create --ram 1 --vcpus 1 m1.small')
    prepared.configure(more='[DEFAULT]\ncpu_allocation_ratio = 100000')
    prepared(f'host import --refresh seed3 --capabilities {prepared.fixture("seed3")}')


@pytest.mark.usefixtures('tiny')
@pytest.mark.parametrize(('number', 'status'), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_end_of_many_creations_says_what_was_given_back(prepared, number, status):
    with _started(prepared, 'server', 'create', '--flavor', 'm1.small', '--max', '9000', 'web') as process:
        _until(lambda: len(prepared.json('server list')) > 3)
        process.send_signal(number)
        out, told = process.communicate(timeout=60)
    assert (status, '') == (process.returncode, out)
    match = re.fullmatch(r'numaplace: ended early: no server was created; all claims are given back: (\d+)\n', told)
    assert match
    assert int(match[1]) > 3
    assert [] == prepared.json('server list')
    assert 0 == prepared.json('host show seed3')['memory_used_mib']


def test_an_end_of_many_changes_says_what_stays(prepared, virsh):
    one, two, three = _create(prepared, 3)
    (prepared.directory / 'wait').touch()
    with _started(prepared, 'server', 'define', 'nobody', one, two, three, '--connect', _TEST_DRIVER) as process:
        _until(lambda: virsh('define'))
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert 130 == process.returncode
    left = "'web-1' was under way, and libvirt alone knows whether its domain is defined"
    assert f'numaplace: ended early: 0 of 4 servers are done and stay; {left}' == told.splitlines()[-1]


@pytest.mark.parametrize(('signalled', 'status'), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_end_of_a_hot_change_says_what_was_given_back(prepared, virsh, signalled, status):
    specs = '--property hw:numa_nodes=1 --property numaplace:vcpu_hotplug=true'
    prepared(f'flavor create --ram 64 --vcpus 2 {specs} hot')
    prepared('server create --flavor hot db1')
    before = prepared.json('server set-vcpus db1 1')
    (prepared.directory / 'wait-capabilities').touch()
    with _started(prepared, 'server', 'set-vcpus', 'db1', '2', '--connect', _TEST_DRIVER) as process:
        _until(lambda: virsh('domcapabilities'))
        assert 2 == prepared.json('server show db1')['vcpus'], 'it is claimed first'
        process.send_signal(signalled)
        out, told = process.communicate(timeout=60)
    assert (status, '') == (process.returncode, out)
    assert "numaplace: ended early: server 'db1' is as it was; what was claimed is given back\n" == told
    assert before == prepared.json('server show db1')


def _full(program, *words):
    with open('/dev/full', 'w', encoding='utf-8') as full:
        return subprocess.run(
            program.command(*words),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
            env=program.environment,
            cwd=program.directory,
        )


_LOST = 'numaplace: the output cannot be written: No space left on device'


@pytest.mark.parametrize(
    ('line', 'told', 'shown'),
    [
        ('server create --flavor m1.tiny a', "the server 'a' exists, with the UUID {id}", 'server show a'),
        ('flavor create --ram 1 {c}', "the flavor '{{c}}' exists, with the id {id}", 'flavor show {c}'),
        ('host import b --lstopo seed3.lstopo.xml', "the host 'b' is stored, with the UUID {uuid}", 'host show b'),
    ],
)
def test_output_that_cannot_be_written_after_the_act_says_what_exists(prepared, line, told, shown):
    (prepared.directory / 'seed3.lstopo.xml').write_bytes(recordings.text('seed3.lstopo.xml'))
    result = _full(prepared, *line.split())
    expected = told.format(**prepared.json(shown))
    assert (1, f'{_LOST}; all the same {expected}\n') == (result.returncode, result.stderr)


def test_output_of_several_servers_that_cannot_be_written_says_which_exist(prepared):
    result = _full(prepared, 'server', 'create', '--flavor', 'm1.tiny', '--min', '2', 'a')
    uuids = ', '.join(server['ID'] for server in prepared.json('server list'))
    assert f'{_LOST}; all the same 2 servers exist, with the UUIDs {uuids}\n' == result.stderr


def test_output_of_a_command_that_only_reads_says_no_more(prepared):
    assert f'{_LOST}\n' == _full(prepared, 'host', 'show', 'seed3').stderr
