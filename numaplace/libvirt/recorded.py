# SPDX-License-Identifier: Apache-2.0
"""The kernel's files of another machine, copied into a directory, as a host."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Unpack

from numaplace import exception
from numaplace.libvirt import kernel, sysfs
from numaplace.libvirt.topology import HostFacts, Options
from numaplace.model import Host

__all__ = ['facts', 'places', 'read']

_MODALIAS = re.compile(r'cpu:type:(\w+)[,:]')

#: The kernel's names of CPU families where `uname -m` has others.
_ARCHITECTURES = {'x86': 'x86_64', 's390': 's390x'}

#: On arm64 the base page size shows in the sizes of huge pages that it makes possible.
_ARM64_KIB = {524288: 64, 64: 4}


def places(directory: str | Path) -> tuple[Path, Path]:
    """Return what stands for ``/sys`` and ``/proc``: the directory holds both, or is a copy of ``/sys`` itself.

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


def read(directory: str | Path, **options: Unpack[Options]) -> Host:
    """Read the recorded machine; the parameters and faults are those of :func:`numaplace.libvirt.sysfs.read`."""
    root, proc = places(directory)
    return sysfs.read(root, proc=proc, pagesize_kib=_pagesize_kib(root), **options)


def facts(directory: str | Path) -> HostFacts:
    """Return the architecture of the recorded machine, which is empty where its files do not tell it."""
    return HostFacts(arch=_architecture(places(directory)[0]))


def _architecture(root: Path) -> str:
    match = _MODALIAS.match(kernel.optional(root / 'devices/system/cpu/modalias') or '')
    return _ARCHITECTURES.get(match[1], match[1]) if match else ''


def _pagesize_kib(root: Path) -> int | None:
    """Return the base page size, or None where the files do not tell it."""
    arch = _architecture(root)
    if arch == 'aarch64':
        sizes = sysfs.page_sizes(root)
        return next((base for size, base in _ARM64_KIB.items() if size in sizes), 16 if sizes else None)
    return {'x86_64': 4, 's390x': 4}.get(arch)
