# SPDX-License-Identifier: Apache-2.0
"""A real libvirt on a recorded host: its ``/sys`` stands in the place of this machine's, in a mount namespace.

Everything works there but starting a guest on a node that the kernel does not have.
"""

import gzip
import json
import subprocess
from pathlib import Path

__all__ = ['CommandFailed', 'FakeHost']

#: What of /sys libvirt reads of CPUs and nodes.
_PARTS = ('node', 'cpu')
_SYSTEM = 'sys/devices/system'

#: $1 is the tree. QEMU must not find a KVM that does not work, or libvirt asks it again at each call.
_ENTER = f"""set -e
for part in {' '.join(_PARTS)}; do
    mount --bind "$1/{_SYSTEM}/$part" "/{_SYSTEM}/$part"
done
shift
exec "$@"
"""

#: libvirt as root, which is what may enter a mount namespace.
_QEMU_CONF = 'user = "root"\ngroup = "root"\nsecurity_driver = "none"\n'


class CommandFailed(Exception):
    """A command has failed: its errors, its status and what it printed."""

    def __init__(self, text: str, status: int, printed: str) -> None:
        super().__init__(text)
        self.status = status
        self.printed = printed


class FakeHost:
    """A recorded host and a libvirt of its own.

    :param directory: for the tree and libvirt's files; the first use takes seconds, as libvirt asks QEMU what it can do
    :param recording: JSON of the files and links of a host's ``/sys``, compressed
    """

    def __init__(self, directory: Path, recording: bytes) -> None:
        self._tree = directory / 'tree'
        self._libvirt = directory / 'libvirt'
        for name, content in json.loads(gzip.decompress(recording)).items():
            path = self._tree / name.lstrip('/')
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, dict):
                path.symlink_to(content['link'])
            else:
                path.write_text(content)
        (self._libvirt / 'etc').mkdir(parents=True)
        (self._libvirt / 'etc' / 'qemu.conf').write_text(_QEMU_CONF)

    def run(self, *command: str) -> str:
        """Run a command on that host and return what it prints.

        :raises: CommandFailed
        """
        enter = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', _ENTER, 'fakehost', str(self._tree)]
        done = subprocess.run([*enter, *command], capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            raise CommandFailed(f'{" ".join(command)}: {done.stderr}', done.returncode, done.stdout)
        return done.stdout

    @property
    def uri(self) -> str:
        """A libvirt that lives as long as its client; the domains that are defined stay."""
        return f'qemu:///embed?root={self._libvirt}'

    def virsh(self, *words: str) -> str:
        """Run a command of virsh."""
        return self.run('virsh', '-q', '-c', self.uri, *words)

    def arguments(self, domain: Path) -> str:
        """Return the command line with which libvirt would start a domain."""
        return self.virsh('domxml-to-native', 'qemu-argv', str(domain))
