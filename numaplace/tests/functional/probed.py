# SPDX-License-Identifier: Apache-2.0
"""What a libvirt finds out about each QEMU of this machine: found once, and given to each libvirt that a test makes.

libvirt starts all emulators to ask them, which takes it up to a minute; it checks itself whether what it has stored is
still right.
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

__all__ = ['give', 'known']

_STORED = Path('cache', 'qemu', 'capabilities')


@cache
def known() -> Path:
    """Return the directory with what is known; the first process that asks for it finds it out."""
    directory = Path(tempfile.gettempdir(), f'numaplace-probed-{os.getuid()}')
    directory.mkdir(mode=0o700, exist_ok=True)
    with (directory / 'lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (directory / _STORED).is_dir():
            (directory / 'etc').mkdir(exist_ok=True)
            (directory / 'etc' / 'qemu.conf').write_text('user = "root"\ngroup = "root"\nsecurity_driver = "none"\n')
            command = ('virsh', '-q', '-c', f'qemu:///embed?root={directory}', 'capabilities')
            # Where it cannot be found out, each libvirt says what is wrong.
            subprocess.run(command, capture_output=True, timeout=300, check=False)
            (directory / _STORED).mkdir(parents=True, exist_ok=True)
    return directory / _STORED


def give(root: Path) -> None:
    """Give what is known to the libvirt with a root directory, which has not been used yet."""
    shutil.copytree(known(), root / _STORED)
