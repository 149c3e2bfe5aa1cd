# SPDX-License-Identifier: Apache-2.0
"""The ways to this machine's libvirt: each is tried, none prints, hangs or raises."""

import sys
import time

import pytest

from numaplace import exception
from numaplace.libvirt import connection

#: A module instead of libvirt-python, which needs a compiler to be installed.
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
    """Return a function that puts a script instead of virsh; before it is called there is none."""
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
    """Yield a function that puts a module instead of libvirt-python; before it is called there is none."""
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
    with pytest.raises(exception.LibvirtError, match='virsh capabilities at x:///: the program virsh is not installed'):
        connection.capabilities_at('x:///')
    virsh('echo "error: no route to \x1b host" >&2; exit 1')
    with pytest.raises(exception.LibvirtError, match='virsh hostname at x:///: error: no route to'):
        connection.hostname_at('x:///')
    virsh('kill -SEGV $$')
    with pytest.raises(exception.LibvirtError, match='virsh hostname at x:///: virsh was ended by SIGSEGV'):
        connection.hostname_at('x:///')


def test_what_domains_can_have_is_asked_by_their_kind(virsh):
    virsh("echo \"<domainCapabilities><cpu><mode name='$*' supported='yes'/></cpu></domainCapabilities>\"")
    found = connection.domain_capabilities('x:///', 'aarch64', 'kvm', 'virt')
    asked = '--quiet --connect x:/// domcapabilities --virttype kvm --arch aarch64 --machine virt'
    assert ('x:///', {asked}, {}) == (found.place, found.modes, found.models)


_NO_SUCH = 'error: failed to get emulator capabilities\nerror: invalid argument: KVM is not supported'
_LACKS_IT = """\
error: failed to get emulator capabilities
error: this function is not supported by the connection driver: virConnectGetDomainCapabilities"""


def test_a_driver_that_does_not_tell_what_domains_can_have_is_no_answer(virsh):
    virsh(f'echo "{_LACKS_IT}" >&2; exit 1')
    assert connection.domain_capabilities('x:///', 'aarch64', 'kvm', 'virt') is None


def test_a_libvirt_that_does_not_answer_what_domains_can_have_is_a_fault(virsh):
    virsh('echo "error: failed to connect to the hypervisor" >&2; exit 1')
    with pytest.raises(exception.LibvirtError, match=r'domcapabilities at x:///: error: failed to connect[^;]*$'):
        connection.domain_capabilities('x:///', 'aarch64', 'kvm', 'virt')


def test_what_domains_can_have_is_not_waited_for_without_end(virsh):
    virsh('exec /bin/sleep 30')
    start = time.monotonic()
    with pytest.raises(exception.LibvirtError, match=r'domcapabilities at x:///: no answer within 0\.2 s'):
        connection.domain_capabilities('x:///', 'aarch64', 'kvm', 'virt', timeout_s=0.2)
    assert time.monotonic() - start < 10


def test_a_libvirt_without_such_domains_is_told_with_what_asks_for_them(virsh):
    virsh(f'echo "{_NO_SUCH}" >&2; exit 1')
    with pytest.raises(exception.LibvirtError, match=r'^virsh domcapabilities at x:///: ') as caught:
        connection.domain_capabilities('x:///', 'aarch64', 'kvm', 'virt')
    assert (
        'virsh domcapabilities at x:///: error: failed to get emulator capabilities error: invalid argument: KVM is '
        'not supported; asked for domains of type kvm ([libvirt] virt_type), architecture aarch64 and machine type '
        'virt (hw_machine_type of the image, or in [libvirt])'
    ) == str(caught.value)


def test_the_releases_are_those_of_the_daemon_and_of_its_emulator(virsh):
    virsh("echo 'Using library: libvirt 11.0.0'; echo 'Running hypervisor: QEMU 7.2.22'")
    assert connection.Releases((), (7, 2, 22)) == connection.releases('x:///')
    virsh("echo 'Running against daemon: 9.0.0'; echo 'Running hypervisor: Test 0.0.2'")
    assert connection.Releases((9, 0, 0), ()) == connection.releases('x:///')


@pytest.mark.parametrize(
    ('said', 'expected'),
    [
        ("echo 'all CPU models are accepted'", True),
        ('echo "error: \'riscv64\' architecture is not supported by CPU driver" >&2; exit 1', False),
    ],
)
def test_a_libvirt_says_whether_it_has_a_cpu_driver(virsh, said, expected):
    virsh(said)
    assert expected == connection.knows_cpus('x:///', 'riscv64')


def test_a_libvirt_that_cannot_be_asked_for_cpus_is_a_fault(virsh):
    virsh('echo "error: failed to connect" >&2; exit 1')
    with pytest.raises(exception.LibvirtError, match='failed to connect'):
        connection.knows_cpus('x:///', 'riscv64')
