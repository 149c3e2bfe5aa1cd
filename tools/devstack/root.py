# SPDX-License-Identifier: Apache-2.0
"""The files of the container: Debian 12 with systemd, and apt and pip as this machine has them."""

from __future__ import annotations

import shutil
from pathlib import Path

from devstack.localconf import DEST
from devstack.programs import command
from ministack.processes import StackError

__all__ = ['SOURCES', 'apt_sources', 'build', 'write']

_SUITE = 'bookworm'

#: What devstack takes for granted, and what it would install first.
_PACKAGES = (
    *('systemd-sysv', 'dbus', 'libpam-systemd', 'sudo', 'kmod', 'procps', 'iproute2', 'iptables', 'iputils-ping'),
    *('ca-certificates', 'curl', 'git', 'hostname', 'less', 'locales', 'lsb-release', 'netbase', 'wget'),
    *('gcc', 'python3', 'python3-dev', 'python3-venv'),
)

#: Where apt of Debian may have its sources.
SOURCES = (Path('/etc/apt/sources.list.d/debian.sources'), Path('/etc/apt/sources.list'))

#: libvirt finds control groups that it may not write, and devices that it may not make, and would start no guest.
_QEMU = """\
cgroup_controllers = []
namespaces = []
"""

#: devstack starts it for volumes, of which there are none; it ends where the kernel knows no iSCSI.
_ISCSID = """\
[Service]
Type=oneshot
ExecStart=
ExecStart=/bin/true
"""

_CERTIFICATES = Path('usr/local/share/ca-certificates')
#: systemd-resolved's own file names a server that is reached on this machine only.
_RESOLVERS = (Path('/run/systemd/resolve/resolv.conf'), Path('/etc/resolv.conf'))


def apt_sources(given: Path | None) -> Path:
    """Return the file of apt that has Debian 12.

    :param given: None for that of this machine
    :raises: :class:`StackError`
    """
    for path in [given] if given else SOURCES:
        if path.is_file() and _SUITE in path.read_text('utf-8'):
            return path
    raise StackError(
        f'no sources of Debian 12: {" and ".join(map(str, [given] if given else SOURCES))} '
        f'must be files of apt that name {_SUITE}; --apt names another'
    )


def build(root: Path, sources: Path, pip: Path | None, name: str) -> None:
    """Make the root of the container.

    :param root: does not exist yet
    :param sources: of apt
    :param pip: pip.conf for the whole container, None for none
    :param name: of the container
    :raises: :class:`StackError`
    """
    packages = f'--include={",".join(_PACKAGES)}'
    # Its processes and what it mounts end with it, also if it is interrupted.
    apart = ('unshare', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc')
    command(*apart, 'mmdebstrap', '--quiet', '--variant=minbase', packages, _SUITE, root, sources)
    for settings in Path('/etc/apt/apt.conf.d').iterdir():
        if settings.read_text('utf-8').lstrip().startswith('Acquire'):
            shutil.copy(settings, root / 'etc/apt/apt.conf.d')
    if pip is not None:
        shutil.copy(pip, root / 'etc/pip.conf')
    shutil.copytree('/' / _CERTIFICATES, root / _CERTIFICATES, dirs_exist_ok=True)
    command('chroot', root, 'update-ca-certificates')
    resolver = next(path for path in _RESOLVERS if path.exists())
    write(root / 'etc/resolv.conf', resolver.read_text('utf-8'))
    write(root / 'etc/hostname', f'{name}\n')
    write(root / 'etc/hosts', f'127.0.0.1 localhost {name}\n')
    # The copies of the mirrors belong to root.
    write(root / 'etc/gitconfig', '[safe]\n\tdirectory = *\n')
    command('chroot', root, 'useradd', '--shell', '/bin/bash', '--home-dir', DEST, '--create-home', 'stack')
    (root / DEST.lstrip('/')).chmod(0o755)
    write(root / 'etc/apt/apt.conf.d/99-only-what-is-needed', 'APT::Install-Recommends "false";\n')
    write(root / 'etc/libvirt/qemu.conf', _QEMU)
    write(root / 'etc/systemd/system/iscsid.service.d/nothing.conf', _ISCSID)
    write(root / 'etc/sudoers.d/stack', 'stack ALL=(ALL) NOPASSWD: ALL\n')


def write(path: Path, text: str) -> None:
    """Write a file anew, also in the place of a link."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_text(text, 'utf-8')
