# SPDX-License-Identifier: Apache-2.0
"""A libvirtd of its own on this machine, for guests that run while one client after the other comes.

A libvirt within its client (``qemu:///embed``) finds its running guests in a thread each time, in which libvirt 9 may
crash when the client ends meanwhile.
"""

import os
import subprocess
import time
from pathlib import Path

from lxml import etree

from numaplace.tests import real

__all__ = ['Daemon', 'require']

#: A libvirt with directories and a hostname of its own, by which and by whose UUID it is another host. $1 is the
#: directory, $2 the hostname; what QEMU can do is found out once for all of a directory.
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


def require() -> None:
    """End the test where no such daemon can run, or no guest of it can be pinned to a CPU of two."""
    for program in ('qemu-system-x86_64', 'virsh', 'libvirtd', 'unshare'):
        real.require_program(program)
    if os.geteuid():
        real.missing('root, who may mount')
    if (os.cpu_count() or 1) < 2:
        real.missing('a second CPU to pin a guest to')


class Daemon:
    """A libvirtd as that of another host, which runs as long as its context: what belongs to it lies below a directory.

    :param directory: of a short name, as sockets lie below it
    :param name: hostname, of one letter
    :param before: words before its command, such as those that let it run on a recorded host
    """

    def __init__(self, directory: Path, name: str, before: list[str] | None = None) -> None:
        self.name = name
        self._directory = directory
        self._log = directory / f'{name}.log'
        self._before = before or []
        self._socket = directory / name / 'run' / 'libvirt-sock'
        self.uri = f'qemu+unix:///system?socket={self._socket}'

    def _lay_out(self) -> None:
        parts = [self._directory / self.name / part for part in ('etc', 'run', 'lib')]
        # It asks each emulator that it finds what it can do, which takes seconds.
        programs = self._directory / 'bin'
        for part in (*parts, programs, self._directory / 'cache'):
            part.mkdir(parents=True, exist_ok=True)
        emulator = programs / 'qemu-system-x86_64'
        if not emulator.is_symlink():
            emulator.symlink_to(real.require_program(emulator.name))
        for system in ('/etc/libvirt', '/run/libvirt', '/var/lib/libvirt', '/var/cache/libvirt'):
            Path(system).mkdir(parents=True, exist_ok=True)
        etc = parts[0]
        (etc / 'qemu.conf').write_text(_SETTINGS)
        (etc / 'libvirtd.conf').write_text(
            f'host_uuid = "{ord(self.name):08x}-9d6c-4b9a-8a52-0a5ba0f1b3a1"\n'
            'auth_unix_rw = "none"\nauth_unix_ro = "none"\n'
        )

    def __enter__(self) -> 'Daemon':
        self._lay_out()
        enter = ('unshare', '--mount', '--uts', '--propagation', 'private', 'sh', '-c', _ENTER, 'daemon')
        with self._log.open('wb') as log:
            command = [*self._before, *enter, self._directory, self.name]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until = time.monotonic() + 60
        while not self._socket.exists():
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < until, 'libvirtd does not answer'
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._socket.exists():
                self.stop(*self.virsh('list', '--name').split())
        finally:
            self._process.terminate()
            self._process.wait(30)

    def virsh(self, *words: str) -> str:
        """Run a command of virsh."""
        done = subprocess.run(
            ['virsh', '-q', '-c', self.uri, *words], capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, xml: str) -> None:
        """Define and start a guest."""
        path = self._directory / 'domain.xml'
        path.write_text(xml)
        self.virsh('define', '--validate', str(path))
        self.virsh('start', etree.fromstring(xml).findtext('name'))

    def stop(self, *domains: str) -> None:
        """Stop guests."""
        for domain in domains:
            self.virsh('destroy', domain)
