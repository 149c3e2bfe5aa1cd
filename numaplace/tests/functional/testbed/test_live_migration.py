# SPDX-License-Identifier: Apache-2.0
"""Guests that run move from one real libvirt to another, by the XML that numaplace writes for the destination."""

import os
import subprocess
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from lxml import etree

from numaplace.tests import real
from numaplace.tests.functional.cli.conftest import Program
from numaplace.tests.functional.testbed.test_adopt import HOT, PINNED

#: A libvirt with directories and a hostname of its own, by which and by whose UUID it is another host. $1 is the
#: directory, $2 the hostname; what QEMU can do is found out once for both.
_ENTER = """set -e
hostname "$2"
mount --bind "$1/$2/etc" /etc/libvirt
mount --bind "$1/$2/run" /run/libvirt
mount --bind "$1/$2/lib" /var/lib/libvirt
mount --bind "$1/cache" /var/cache/libvirt
daemon=$(command -v libvirtd)
PATH="$1/bin" exec "$daemon" --pid-file "$1/$2/pid"
"""
_SETTINGS = """user = "root"
group = "root"
security_driver = "none"
stdio_handler = "file"
namespaces = [ ]
cgroup_controllers = [ ]
"""
#: What keeps CPU 1 of the destination.
_THERE = """<domain type='qemu'>
  <name>there</name>
  <memory unit='MiB'>64</memory>
  <vcpu>1</vcpu>
  <cputune><vcpupin vcpu='0' cpuset='1'/><emulatorpin cpuset='1'/></cputune>
  <numatune><memory mode='strict' nodeset='0'/></numatune>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
</domain>
"""


class Daemon:
    """A libvirtd as that of another host: what belongs to it lies below the directory."""

    def __init__(self, directory, name):
        self.name = name
        self._directory = directory
        self._log = directory / f'{name}.log'
        run = self._lay_out()
        self._socket = run / 'libvirt-sock'
        self.uri = f'qemu+unix:///system?socket={self._socket}'
        enter = ('unshare', '--mount', '--uts', '--propagation', 'private', 'sh', '-c', _ENTER, 'daemon')
        with self._log.open('wb') as log:
            self._process = subprocess.Popen([*enter, directory, name], stdout=log, stderr=log)

    def _lay_out(self):
        etc, run, lib = (self._directory / self.name / part for part in ('etc', 'run', 'lib'))
        # It asks each emulator that it finds what it can do, which takes seconds.
        programs = self._directory / 'bin'
        for part in (etc, run, lib, programs, self._directory / 'cache'):
            part.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            (programs / 'qemu-system-x86_64').symlink_to(real.require_program('qemu-system-x86_64'))
        for system in ('/etc/libvirt', '/run/libvirt', '/var/lib/libvirt', '/var/cache/libvirt'):
            Path(system).mkdir(parents=True, exist_ok=True)
        (etc / 'qemu.conf').write_text(_SETTINGS)
        (etc / 'libvirtd.conf').write_text(
            f'host_uuid = "{ord(self.name):08x}-9d6c-4b9a-8a52-0a5ba0f1b3a1"\n'
            'auth_unix_rw = "none"\nauth_unix_ro = "none"\n'
        )
        return run

    def __enter__(self):
        until = time.monotonic() + 60
        while not self._socket.exists():
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < until, 'libvirtd does not answer'
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        try:
            if self._socket.exists():
                for domain in self.virsh('list', '--name').split():
                    self.virsh('destroy', domain)
        finally:
            self._process.terminate()
            self._process.wait(30)

    def virsh(self, *words):
        done = subprocess.run(
            ['virsh', '-q', '-c', self.uri, *words], capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, xml):
        path = self._directory / 'domain.xml'
        path.write_text(xml)
        self.virsh('define', str(path))
        self.virsh('start', etree.fromstring(xml).findtext('name'))


@pytest.fixture
def pair():
    """The libvirts of two hosts, each with guests, and the command, which knows the hosts."""
    for program in ('qemu-system-x86_64', 'virsh', 'libvirtd', 'unshare'):
        real.require_program(program)
    if os.geteuid():
        real.missing('root, who may mount')
    if (os.cpu_count() or 1) < 2:
        real.missing('a second CPU to pin a guest to')
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:  # its sockets have no room for longer ones
        directory = Path(name)
        numaplace = Program(directory)
        numaplace.configure(more='[libvirt]\nvirt_type = qemu')
        (directory / 'disk.img').write_bytes(bytes(1024**2))
        a, b = (stack.enter_context(Daemon(directory, host)) for host in 'ab')
        for xml in (PINNED, HOT):
            a.start(xml.format(directory=directory))
        b.start(_THERE)
        for host in (a, b):
            told = numaplace.run('host', 'discover', '--connect', host.uri, host.name)
            assert (told.returncode, 'numaplace does not manage' in told.stderr) == (0, True)
        yield a, b, numaplace


def _migrate(numaplace, source, dest, server, domain):
    """Move a guest by the commands of the documentation. The two hosts have one disk, which libvirt cannot know."""
    numaplace(f'server migrate --live-migration --host {dest.name} {server}')
    found, new = (numaplace.directory / name for name in ('found.xml', 'new.xml'))
    found.write_text(source.virsh('dumpxml', '--migratable', domain))
    new.write_text(numaplace(f'server dumpxml {server} --into {found}'))
    how = ('--live', '--persistent', '--undefinesource', '--unsafe', '--migrateuri', 'tcp://127.0.0.1')
    source.virsh('migrate', *how, '--xml', str(new), '--persistent-xml', str(new), domain, dest.uri)


def _shape(xml):
    """Return what a guest sees: its vCPUs, cells, modules and disks, and the CPUs to which its vCPUs are pinned."""
    root = etree.fromstring(xml)
    pins = [(pin.get('vcpu'), pin.get('cpuset')) for pin in root.iterfind('cputune/vcpupin')]
    on = len(root.findall('vcpus/vcpu[@enabled="yes"]'))
    return on, *(len(root.findall(path)) for path in ('cpu/numa/cell', 'devices/memory', 'devices/disk')), pins


def test_guests_move_while_they_run(pair):
    """Two that are adopted, one of them changed meanwhile, and one that numaplace has made."""
    a, b, numaplace = pair
    numaplace('server adopt --host a --all')
    numaplace('server set-vcpus old-hot 2')
    numaplace('server attach-memory old-hot --size 128 --node 0')
    numaplace('flavor create --ram 64 --vcpus 1 --property hw:numa_nodes=1 small')
    numaplace('server create --flavor small --host a new')
    numaplace('server define new')
    new = numaplace.json('server show new')['instance_name']
    a.virsh('start', new)
    for server, domain in {'old-pinned': 'old-pinned', 'old-hot': 'old-hot', 'new': new}.items():
        _migrate(numaplace, a, b, server, domain)
    assert a.virsh('list', '--all', '--name').split() == []
    assert _shape(b.virsh('dumpxml', 'old-pinned')) == (0, 0, 0, 1, [('0', '0')]), 'CPU 1 is held there'
    assert _shape(b.virsh('dumpxml', 'old-hot'))[:4] == (2, 1, 1, 0)
    # The way back, and here again, from what the destination has now.
    numaplace('server release old-hot')
    told = numaplace.json('server adopt --host b --all')
    assert {one['domain']: one['status'] for one in told} == {'old-hot': 'adopted', 'there': 'adopted'}
    for host in 'ab':
        assert numaplace.json(f'server check --host {host}') == []
    assert numaplace.json('host audit') == []
    assert [row['Host'] for row in numaplace.json('server list')] == ['b'] * 4
