# SPDX-License-Identifier: Apache-2.0
"""Guests of each architecture in the real libvirt and QEMU of this machine: defined by the command, and started."""

import os
import re
import subprocess
import sysconfig
from pathlib import Path

import pytest
from lxml import etree

from numaplace.libvirt import connection
from numaplace.tests import real, recordings
from numaplace.tests.functional import probed

#: QEMU as root, and its console in a file, as nothing but the embedded libvirt runs.
_QEMU_CONF = 'user = "root"\ngroup = "root"\nsecurity_driver = "none"\nstdio_handler = "file"\n'


class Here:
    """The command and a libvirt of its own, on this machine."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        probed.give(directory)
        (directory / 'etc').mkdir()
        (directory / 'etc' / 'qemu.conf').write_text(_QEMU_CONF)
        self.uri = f'qemu:///embed?root={directory}'
        self._config = directory / 'numaplace.conf'
        self.configure()

    def configure(self, options: str = 'virt_type = qemu') -> None:
        """Write the configuration, with these options of [libvirt]."""
        self._config.write_text(
            f'[numaplace]\nconnection = sqlite:///{self._directory}/numaplace.sqlite\n[libvirt]\n{options}\n'
            '[filter_scheduler]\nenabled_filters = NUMATopologyFilter\n'
        )

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command, whatever comes of it."""
        program = str(Path(sysconfig.get_path('scripts'), 'numaplace'))
        words = (program, '--config-file', str(self._config), *words)
        return subprocess.run(words, capture_output=True, text=True, timeout=180, check=False)

    def __call__(self, line: str) -> str:
        """Run a command that must be done; return what it printed."""
        done = self.run(*line.split())
        assert (0, '') == (done.returncode, done.stderr)
        return done.stdout

    def define(self, server: str) -> etree._Element:
        """Define a server; return what libvirt has of it."""
        self(f'server define {server} --connect {self.uri}')
        return etree.fromstring(self._virsh(f'dumpxml {self._domain(server)}').stdout)

    def start(self, server: str) -> str:
        """Start a server that is defined, without letting it run; return the errors of that."""
        domain = self._domain(server)
        done = self._virsh(f'start {domain} --paused; destroy {domain}')
        return '\n'.join(line for line in done.stderr.splitlines() if line.startswith('error: '))

    def forget(self, server: str) -> None:
        """Delete a server, and its domain."""
        self(f'server undefine {server} --connect {self.uri}')
        self(f'server delete {server}')

    def _domain(self, server: str) -> str:
        return self(f'server show {server} -f value -c id').strip()

    def _virsh(self, commands: str) -> subprocess.CompletedProcess[str]:
        # A guest lives as long as its embedded libvirt.
        words = ['virsh', '-q', '-c', self.uri, commands]
        return subprocess.run(words, capture_output=True, text=True, timeout=180, check=False)


@pytest.fixture(scope='module')
def here(tmp_path_factory):
    """The command and a libvirt, with this machine and hosts of other architectures that have its CPUs and memory."""
    real.require_program('virsh')
    if os.geteuid():
        real.missing('root, who may start QEMU in libvirt')
    here = Here(tmp_path_factory.mktemp('here'))  # of a short name: libvirt makes sockets there
    here(f'host discover --connect {here.uri} x86_64')
    here('flavor create --ram 512 --vcpus 2 floating')
    here('flavor create --ram 512 --vcpus 2 --property hw:numa_nodes=1 celled')
    here('flavor create --ram 512 --vcpus 2 --property hw:numa_nodes=2 two-cells')
    here('flavor create --ram 4096 --vcpus 1 wide')
    return here


def _qemu(arch: str) -> None:
    real.require_program({'i686': 'qemu-system-i386', 'armv7l': 'qemu-system-arm'}.get(arch, f'qemu-system-{arch}'))


def _cpu(root: etree._Element) -> tuple[str | None, str | None]:
    cpu = root.find('cpu')
    return cpu.get('mode'), cpu.findtext('model')


#: What libvirt 9.0 keeps: it fills in QEMU's default where there is no mode.
_EMULATED = {
    'x86_64': ('host-model', None),
    'i686': ('host-model', None),
    'aarch64': ('custom', 'cortex-a57'),
    'armv7l': ('custom', 'cortex-a15'),
    'ppc64': ('custom', 'POWER9'),
    'ppc64le': ('custom', 'POWER8'),
}


@pytest.mark.parametrize(('arch', 'flavor'), [*((arch, 'celled') for arch in _EMULATED), ('aarch64', 'floating')])
def test_a_guest_of_each_architecture_starts_on_a_host_of_x86(here, arch, flavor):
    _qemu(arch)
    here(f'server create --flavor {flavor} --host x86_64 --image-property hw_emulation_architecture={arch} one')
    root = here.define('one')
    try:
        assert ('qemu', arch, _EMULATED[arch]) == (root.get('type'), root.find('os/type').get('arch'), _cpu(root))
        assert (1 if flavor == 'celled' else 0) == len(root.findall('cpu/numa/cell'))
        assert '' == here.start('one')
    finally:
        here.forget('one')


def test_a_guest_of_an_arm_host_of_32_bits_starts_with_more_memory_than_32_bits_address(here, tmp_path):
    _qemu('armv7l')
    path = tmp_path / 'capabilities.xml'
    path.write_bytes(_as('armv7l', here))
    here(f'host import wide --capabilities {path}')
    here('server create --flavor wide --host wide one')
    try:
        here.define('one')
        assert '' == here.start('one')
    finally:
        here.forget('one')
        here('host delete wide')


@pytest.mark.parametrize('flavor', ['floating', 'celled'])
def test_a_guest_of_s390x_starts_and_its_one_cell_is_bound_and_not_seen(here, flavor):
    _qemu('s390x')
    here(f'server create --flavor {flavor} --host x86_64 --image-property hw_emulation_architecture=s390x one')
    root = here.define('one')
    try:
        assert 's390-ccw-virtio' in root.find('os/type').get('machine')
        _assert_bound_and_not_seen(root, flavor)
        assert '' == here.start('one')
    finally:
        here.forget('one')


def test_a_guest_of_s390x_with_two_cells_is_not_placed(here):
    line = 'server create --flavor two-cells --host x86_64 --image-property hw_emulation_architecture=s390x one'
    done = here.run(*line.split())
    assert (1, '') == (done.returncode, done.stdout)
    told = "flavor 'two-cells': the guest has 2 NUMA cells; machine type s390-ccw-virtio of s390x takes at most 1"
    assert f'numaplace: {told}\n' == done.stderr


@pytest.mark.parametrize('flavor', ['floating', 'celled'])
def test_a_guest_of_riscv64_starts_without_a_cpu_in_a_libvirt_without_cpu_driver(here, flavor):
    _qemu('riscv64')
    _require_no_cpu_driver(here)
    here(f'server create --flavor {flavor} --host x86_64 --image-property hw_emulation_architecture=riscv64 one')
    root = here.define('one')
    try:
        assert root.find('cpu') is None
        _assert_bound_and_not_seen(root, flavor)
        assert '' == here.start('one')
    finally:
        here.forget('one')


def test_a_guest_of_riscv64_with_two_cells_is_refused_by_a_libvirt_without_cpu_driver(here):
    _qemu('riscv64')
    _require_no_cpu_driver(here)
    line = 'server create --flavor two-cells --host x86_64 --image-property hw_emulation_architecture=riscv64 one'
    done = here.run(*line.split(), '--connect', here.uri)
    assert (1, '') == (done.returncode, done.stdout)
    assert "flavor 'two-cells': its libvirt has no CPU driver for riscv64, and starts no guest" in done.stderr


def _assert_bound_and_not_seen(root: etree._Element, flavor: str) -> None:
    assert [] == root.findall('cpu/numa')
    assert ([] if flavor == 'floating' else ['0']) == [one.get('nodeset') for one in root.findall('numatune/*')]


def _require_no_cpu_driver(here: Here) -> None:
    if connection.knows_cpus(here.uri, 'riscv64'):
        real.missing('a libvirt without CPU driver for riscv64, as 9.0')


@pytest.mark.parametrize(
    ('arch', 'usual', 'expected'),
    [
        ('aarch64', ('custom', 'max'), ('custom', 'max')),
        ('armv7l', (None, None), ('custom', 'cortex-a15')),
        ('ppc64le', ('host-model', None), ('custom', 'POWER9')),
    ],
)
def test_a_host_of_another_architecture_gets_a_cpu_that_its_libvirt_has(here, tmp_path, arch, usual, expected):
    """Its libvirt is the one here, which has no host-model for POWER: dumpxml has it, and define asks."""
    _qemu(arch)
    path = tmp_path / 'capabilities.xml'
    path.write_bytes(_as(arch, here))
    here(f'host import {arch} --capabilities {path}')
    here(f'server create --flavor celled --host {arch} one')
    written = etree.fromstring(here('server dumpxml one'))
    root = here.define('one')
    try:
        assert usual == _cpu(written)
        assert expected == _cpu(root)
        assert '' == here.start('one')
    finally:
        here.forget('one')
        here(f'host delete {arch}')


def _as(arch: str, here: Here) -> bytes:
    """Return what the libvirt here says of this machine, as if its CPUs were of another architecture."""
    words = ['virsh', '-q', '-c', here.uri, 'capabilities']
    printed = subprocess.run(words, capture_output=True, text=True, timeout=180, check=True).stdout
    return re.sub('<arch>x86_64</arch>', f'<arch>{arch}</arch>', printed, count=1).encode()


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (
            'virt_type = qemu\ncpu_mode = custom\ncpu_models = Pentium9',
            r'\[libvirt\] cpu_models = Pentium9: Pentium9 is not known to the libvirt at .*: expected one of .*Nehalem',
        ),
        (
            'virt_type = qemu\nhw_machine_type = x86_64=nosuch',
            r"the machine 'nosuch' is not supported by emulator .*; asked for .* \(hw_machine_type of the image, or in",
        ),
    ],
)
def test_what_the_libvirt_does_not_have_is_refused_before_the_server_is_defined(here, options, words):
    _qemu('x86_64')
    here('server create --flavor floating --host x86_64 one')
    here.configure(options)
    try:
        done = here.run('server', 'define', 'one', '--connect', here.uri)
        assert (1, '') == (done.returncode, done.stdout)
        assert re.search(words, done.stderr)
        assert 1 == done.stderr.count('\n')
    finally:
        here.configure()
        here('server delete one')


def test_a_model_is_found_whatever_its_case(here):
    _qemu('x86_64')
    here('server create --flavor celled --host x86_64 one')
    here.configure('virt_type = qemu\ncpu_mode = custom\ncpu_models = nehalem\ncpu_model_extra_flags = -SSE4.2')
    try:
        root = here.define('one')
        assert ('custom', 'Nehalem') == _cpu(root)
        assert ('disable', 'sse4.2') == tuple(root.find('cpu/feature').get(key) for key in ('policy', 'name'))
        assert '' == here.start('one')
    finally:
        here.configure()
        here.forget('one')


@pytest.mark.parametrize('name', ['arm-one-cell', 'arm-threads'])
def test_the_usual_domain_of_an_arm_host_is_what_libvirts_schema_takes(here, tmp_path, name):
    real.require_program('virt-xml-validate')
    path = tmp_path / 'capabilities.xml'
    path.write_bytes(recordings.capabilities(name))
    here(f'host import {name} --capabilities {path}')
    here(f'server create --flavor celled --host {name} one')
    here.configure('virt_type = kvm')
    try:
        domain = tmp_path / 'one.xml'
        domain.write_text(here('server dumpxml one'))
        assert ('host-passthrough', None) == _cpu(etree.fromstring(domain.read_bytes()))
        subprocess.run(['virt-xml-validate', str(domain), 'domain'], capture_output=True, timeout=60, check=True)
    finally:
        here.configure()
        here('server delete one')
        here(f'host delete {name}')
