# SPDX-License-Identifier: Apache-2.0
"""The ways to this machine's libvirt: each is tried, none prints, hangs or raises."""

import sys
import time

import pytest

from numaplace import exception
from numaplace.libvirt import connection

#: A module in the place of libvirt-python, which needs a compiler to be installed.
_MODULE = """
class libvirtError(Exception):
    pass

def registerErrorHandler(handler, context):
    pass

class Connection:
    def getCapabilities(self):
        return '<capabilities/>'
    def close(self):
        pass

def openReadOnly(uri):
    {body}
    return Connection()
"""


@pytest.fixture
def virsh(tmp_path, monkeypatch):
    """Return a function that puts a script in the place of virsh; before it is called there is none."""
    programs = tmp_path / 'bin'
    programs.mkdir()
    monkeypatch.setenv('PATH', str(programs))

    def put(text):
        path = programs / 'virsh'
        path.write_text(f'#!/bin/sh\n{text}\n')
        path.chmod(0o755)

    return put


@pytest.fixture
def library(tmp_path, monkeypatch):
    """Yield a function that puts a module in the place of libvirt-python; before it is called there is none."""
    modules = tmp_path / 'modules'
    modules.mkdir()
    monkeypatch.syspath_prepend(str(modules))
    monkeypatch.setitem(sys.modules, 'libvirt', None)

    def put(body):
        (modules / 'libvirt.py').write_text(_MODULE.format(body=body))
        monkeypatch.delitem(sys.modules, 'libvirt')

    yield put
    sys.modules.pop('libvirt', None)


def test_without_library_and_program_there_is_no_answer(library, virsh):
    assert connection.capabilities() is None


def test_the_library_is_asked_first(library, virsh):
    library('assert uri == "qemu:///system"')
    virsh('echo wrong')
    assert connection.capabilities() == b'<capabilities/>'


def test_the_program_is_asked_where_the_library_is_not_installed(library, virsh):
    virsh('echo "<!-- $@ -->"')
    assert connection.capabilities() == b'<!-- --readonly --connect qemu:///system capabilities -->'


def test_the_program_is_asked_where_the_library_gets_no_connection(library, virsh, capfd):
    library('raise libvirtError("no socket")')
    virsh('echo "<capabilities/>"')
    assert connection.capabilities() == b'<capabilities/>'
    assert capfd.readouterr() == ('', '')


@pytest.mark.parametrize('text', ['echo "error: no socket" >&2; exit 1', 'exit 0', 'kill -9 $$'])
def test_a_program_that_fails_or_says_nothing_is_no_answer(library, virsh, capfd, text):
    virsh(text)
    assert connection.capabilities() is None
    assert capfd.readouterr() == ('', '')


def test_neither_way_is_waited_for_without_end(library, virsh):
    library('import time; time.sleep(5)')
    virsh('exec /bin/sleep 30')
    start = time.monotonic()
    assert connection.capabilities(timeout_s=0.2) is None
    assert time.monotonic() - start < 10


def test_another_machine_is_asked_by_virsh_read_only(virsh):
    virsh('echo "$@"')
    assert connection.capabilities_at('qemu+ssh://a/system').split() == (
        b'--quiet --readonly --connect qemu+ssh://a/system capabilities'.split()
    )
    assert connection.hostname_at('test:///default') == '--quiet --readonly --connect test:///default hostname'


def test_why_another_machine_does_not_answer_is_told(virsh):
    with pytest.raises(exception.LibvirtError, match=r'virsh capabilities at x:///: .*No such file'):
        connection.capabilities_at('x:///')
    virsh('echo "error: no route to \x1b host" >&2; exit 1')
    with pytest.raises(exception.LibvirtError, match='virsh hostname at x:///: error: no route to'):
        connection.hostname_at('x:///')
