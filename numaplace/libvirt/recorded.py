# SPDX-License-Identifier: Apache-2.0
"""Read a host from the kernel files of another machine, copied into a directory."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Unpack

from numaplace import exception
from numaplace.libvirt import kernel, sysfs
from numaplace.libvirt.topology import HostFacts, Options
from numaplace.model import Host

__all__ = ['facts', 'pagesize_kib', 'places', 'read']

_MODALIAS = re.compile(r'cpu:type:(\w+)[,:]')

#: The kernel's names of CPU families that differ from `uname -m`.
_ARCHITECTURES = {'x86': 'x86_64', 's390': 's390x'}

#: On arm64 the available sizes of huge pages show the base page size.
_ARM64_KIB = {524288: 64, 64: 4}

#: Architectures that support no other base page size.
_ALWAYS_4_KIB = ('armv7l', 'i686', 'riscv64', 's390x', 'x86_64')


def places(directory: str | Path) -> tuple[Path, Path]:
    """Return the copies of ``/sys`` and ``/proc``: the directory holds both, or is itself a copy of ``/sys``.

    :raises: :class:`~numaplace.exception.UnreadableTopology` if it is neither
    """
    root = Path(directory)
    if (root / 'sys').is_dir():
        return root / 'sys', root / 'proc'
    if (root / 'devices/system/cpu').is_dir():
        return root, root / 'proc'
    raise exception.UnreadableTopology(
        f'{root}: holds neither sys/devices/system/cpu nor devices/system/cpu; expected a directory with copies of '
        "a machine's /sys and /proc, or a copy of its /sys"
    )


def read(directory: str | Path, *, arch: str = '', **options: Unpack[Options]) -> Host:
    """Read the recorded machine; other parameters and errors are as for :func:`numaplace.libvirt.sysfs.read`.

    :param arch: its architecture by libvirt's name, if its files do not report it
    """
    root, proc = places(directory)
    return sysfs.read(root, proc=proc, pagesize_kib=pagesize_kib(directory, arch=arch), **options)


def facts(directory: str | Path) -> HostFacts:
    """Return the architecture of the recorded machine, which is empty if its files do not report it."""
    return HostFacts(arch=_architecture(places(directory)[0]))


def _architecture(root: Path) -> str:
    match = _MODALIAS.match(kernel.optional(root / 'devices/system/cpu/modalias') or '')
    return _ARCHITECTURES.get(match[1], match[1]) if match else ''


def pagesize_kib(directory: str | Path, *, arch: str = '') -> int | None:
    """Return the base page size in KiB, or None if neither files nor architecture determine it, as on POWER.

    :param arch: as for :func:`read`
    """
    root = places(directory)[0]
    arch = _architecture(root) or arch
    if arch == 'aarch64':
        sizes = sysfs.page_sizes(root)
        return next((base for size, base in _ARM64_KIB.items() if size in sizes), 16 if sizes else None)
    return 4 if arch in _ALWAYS_4_KIB else None
