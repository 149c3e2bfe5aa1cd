# SPDX-License-Identifier: Apache-2.0
"""The disk of a virtual host: Debian's libvirt, QEMU and Python, with only what they need."""

import compileall
import hashlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from testbed import ext4, vhost
from testbed.machine import ONE_NODE

__all__ = ['build', 'python']

_PACKAGES = (
    *('base-files', 'busybox-static', 'dash', 'libc-bin', 'numactl', 'python3'),
    *('libvirt-clients', 'libvirt-daemon', 'libvirt-daemon-driver-qemu', 'qemu-system-x86'),
)

_INIT = Path(__file__).with_name('vhost-init')

#: No package scripts are run, so the files that they would have made are made here.
_FILES = {
    'etc/passwd': 'root:x:0:0:root:/root:/bin/sh\nlibvirt-qemu:x:64055:64055::/:/bin/false\n',
    'etc/group': 'root:x:0:\nlibvirt-qemu:x:64055:\n',
    'etc/libvirt/qemu.conf': """\
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
namespaces = []
stdio_handler = "file"
max_core = 0
""",
}

#: What no program here reads. libvirt probes each emulator that it finds, which takes seconds.
_TRIMMED = (
    *('usr/share/doc', 'usr/share/man', 'usr/share/locale', 'usr/share/info', 'usr/share/iso-codes'),
    *('usr/share/qemu/*edk2*', 'usr/share/qemu/*skiboot*'),
    *('usr/bin/qemu-system-i386', 'usr/libexec/qemu-system-i386', 'usr/bin/qemu-system-x86_64-microvm'),
    'usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_[ins]*.so',
)

#: libvirt caches its QEMU's capabilities, so that later boots need no probe.
_LEARN = """#!/bin/sh
set -e
virsh --connect qemu:///system capabilities
virsh --connect qemu:///system domcapabilities --virttype qemu
rm -f /var/log/libvirt/qemu/*
"""

_SPARE_MIB = 100


def build(directory: Path, kernel: Path) -> Path:
    """Return the image, which is made the first time, from packages that apt fetches from its usual sources.

    :param directory: where it is kept, with a name that depends on its contents
    :param kernel: boots it once
    :raises: subprocess.CalledProcessError if Debian's packages cannot be fetched
    """
    image = directory / f'vhost-{_key()}.ext4'
    if not image.exists():
        with tempfile.TemporaryDirectory(dir=directory) as scratch:
            root, payload = Path(scratch, 'root'), Path(scratch, 'payload')
            _unpack(root, Path(scratch, 'packages'))
            _finish(root)
            made = ext4.make(root, Path(scratch, 'image'), spare_mib=_SPARE_MIB)
            _write(payload / 'run', _LEARN)
            vhost.run(ONE_NODE, made, kernel, payload, Path(scratch, 'result'), keep=True)
            made.rename(image)
    return image


def python() -> str:
    """Return the version of the Python that the image has, such as ``3.11``.

    :raises: RuntimeError if apt does not know it
    """
    told = subprocess.run(['apt-cache', 'depends', 'python3'], capture_output=True, text=True, timeout=60, check=True)
    found = re.search(r'Depends: python(\d+\.\d+)\s', told.stdout)
    if found is None:
        raise RuntimeError(f'python3 depends on no Python: {told.stdout}')
    return found[1]


def _key() -> str:
    """Return a key that changes with the text of this file and of the first program."""
    return hashlib.sha256(Path(__file__).read_bytes() + _INIT.read_bytes()).hexdigest()[:16]


def _unpack(root: Path, archives: Path) -> None:
    """Unpack the packages and all their dependencies, as on a machine without any."""
    (archives / 'partial').mkdir(parents=True)
    nothing = archives / 'status'
    nothing.touch()
    wanted = ('install', '--download-only', '--no-install-recommends', '-qq', '-y', *_PACKAGES)
    places = (f'Dir::State::status={nothing}', f'Dir::Cache::archives={archives}', 'Debug::NoLocking=1')
    options = (word for option in (*places, 'APT::Sandbox::User=root') for word in ('-o', option))
    subprocess.run(['apt-get', *options, *wanted], timeout=600, check=True)
    for archive in sorted(archives.glob('*.deb')):
        subprocess.run(['dpkg-deb', '--extract', archive, root], timeout=60, check=True)


def _finish(root: Path) -> None:
    for pattern in _TRIMMED:
        for path in root.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    for name, content in _FILES.items():
        _write(root / name, content)
    shutil.rmtree(root / 'var' / 'run', ignore_errors=True)
    (root / 'var' / 'run').symlink_to('/run')
    compileall.compile_dir(root / 'usr' / 'lib' / f'python{python()}', stripdir=root, prependdir='/', quiet=2)
    _write(root / 'sbin' / 'vhost-init', _INIT.read_text())
    applets = root / 'usr' / 'local' / 'bin'
    applets.mkdir(parents=True, exist_ok=True)
    list_them = [root / 'bin' / 'busybox', '--list']
    listed = subprocess.run(list_them, capture_output=True, text=True, timeout=60, check=True).stdout
    for name in listed.split():
        (applets / name).symlink_to('/bin/busybox')


def _write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(0o755 if content.startswith('#!') else 0o644)
