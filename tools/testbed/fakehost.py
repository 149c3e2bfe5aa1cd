# SPDX-License-Identifier: Apache-2.0
"""A real libvirt on a recorded host: its ``/sys`` replaces this machine's, in a mount namespace.

Everything works there except starting a guest on a node that the kernel does not have.
"""

import gzip
import json
import shutil
import subprocess
from pathlib import Path

__all__ = ['CommandFailed', 'FakeHost']

#: The parts of /sys that libvirt reads for CPUs and nodes.
_PARTS = ('node', 'cpu')
_SYSTEM = 'sys/devices/system'

#: $1 is the tree.
_ENTER = f"""set -e
for part in {' '.join(_PARTS)}; do
    mount --bind "$1/{_SYSTEM}/$part" "/{_SYSTEM}/$part"
done
shift
exec "$@"
"""

#: Bytes of a libvirt's directory: the path of a socket below it, with which it asks QEMU, has at most 107.
_LONGEST = 70

#: libvirt as root, which may enter a mount namespace, and without a daemon for the output of guests.
_QEMU_CONF = 'user = "root"\ngroup = "root"\nsecurity_driver = "none"\nstdio_handler = "file"\n'


class CommandFailed(Exception):
    """A command has failed: its errors, its status and what it printed."""

    def __init__(self, text: str, status: int, printed: str) -> None:
        super().__init__(text)
        self.status = status
        self.printed = printed


class FakeHost:
    """A recorded host and a libvirt of its own.

    :param directory: for the tree and libvirt's files; the first use takes seconds, because libvirt probes QEMU
    :param recording: JSON of the files and links of a host's ``/sys``, compressed; None for this machine itself, on
        which guests can be started
    :ivar tree: what replaces this machine's /sys, whose files may be changed; None for this machine itself
    :cvar known: directory with what another libvirt has found out about the QEMUs here; None to ask them
    """

    known: Path | None = None

    def __init__(self, directory: Path, recording: bytes | None) -> None:
        self.tree = None if recording is None else directory / 'tree'
        self._libvirt = directory / 'libvirt'
        if len(bytes(self._libvirt)) > _LONGEST:
            raise ValueError(f'{self._libvirt}: expected at most {_LONGEST} bytes, as sockets lie below it')
        for name, content in json.loads(gzip.decompress(recording) if recording else '{}').items():
            path = directory / 'tree' / name.lstrip('/')
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, dict):
                path.symlink_to(content['link'])
            else:
                path.write_text(content)
        (self._libvirt / 'etc').mkdir(parents=True)
        (self._libvirt / 'etc' / 'qemu.conf').write_text(_QEMU_CONF)
        if self.known is not None:
            shutil.copytree(self.known, self._libvirt / 'cache' / 'qemu' / 'capabilities')

    def run(self, *command: str) -> str:
        """Run a command on that host and return what it prints.

        :raises: CommandFailed
        """
        done = subprocess.run([*self.entering, *command], capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            raise CommandFailed(f'{" ".join(command)}: {done.stderr}', done.returncode, done.stdout)
        return done.stdout

    @property
    def entering(self) -> list[str]:
        """The words before a command that let it run on that host."""
        if self.tree is None:
            return []
        return ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', _ENTER, 'fakehost', str(self.tree)]

    @property
    def uri(self) -> str:
        """A libvirt that runs as long as its client; defined domains stay."""
        return f'qemu:///embed?root={self._libvirt}'

    def virsh(self, *words: str) -> str:
        """Run a command of virsh."""
        return self.run('virsh', '-q', '-c', self.uri, *words)

    def arguments(self, domain: Path) -> str:
        """Return the command line with which libvirt would start a domain."""
        return self.virsh('domxml-to-native', 'qemu-argv', str(domain))
