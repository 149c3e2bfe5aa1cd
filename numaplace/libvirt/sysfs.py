# SPDX-License-Identifier: Apache-2.0
"""This machine as a host, from the kernel's own files: for machines where no libvirt answers."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Unpack

from numaplace import cpuset, exception
from numaplace.libvirt import topology
from numaplace.libvirt.topology import FoundCell, HostFacts, Options
from numaplace.model import Host

__all__ = ['facts', 'read']

_MEMORY = re.compile(r'^(?:Node \d+ )?MemTotal:\s+(\d+) kB$', re.MULTILINE)
_POOL = re.compile(r'hugepages-(\d+)kB')
_NODE = re.compile(r'node(\d+)')

_INSTEAD = 'describe the machine by the output of `virsh capabilities` instead'


def read(
    root: str | Path = '/sys',
    *,
    proc: str | Path = '/proc',
    pagesize_kib: int | None = None,
    **options: Unpack[Options],
) -> Host:
    """Read this machine's NUMA cells; one cell with everything where the kernel knows no nodes.

    The answer is what libvirt's capabilities of the same machine say: what huge pages do not hold counts as
    pages of the base size, a CPU without known siblings is a core, and one without a known package is in
    package 0.

    :param root: where sysfs is mounted
    :param proc: where procfs is mounted
    :param pagesize_kib: base page size in KiB, or None for the running kernel's
    :param options: the operator's options: see :func:`numaplace.libvirt.topology.host`
    :raises: :class:`~numaplace.exception.UnreadableTopology` if files are missing (as in some containers) or
        hold something else; the faults of :func:`numaplace.libvirt.topology.host`
    """
    if pagesize_kib is None:
        pagesize_kib = os.sysconf('SC_PAGE_SIZE') // 1024
    system = Path(root, 'devices/system')
    online = _cpus(system / 'cpu/online')
    nodes = _find_nodes(system / 'node')
    if nodes:
        found = [_read_node(system, number, nodes, online, pagesize_kib) for number in nodes]
    else:
        found = [_read_whole(system, Path(root, 'kernel/mm/hugepages'), Path(proc), online, pagesize_kib)]
    return topology.host(found, **options)


def facts() -> HostFacts:
    """Return what is known of this machine without libvirt: its architecture."""
    return HostFacts(arch=platform.machine())


def _unreadable(path: Path, reason: str) -> exception.UnreadableTopology:
    return exception.UnreadableTopology(f'{path}: {reason}; {_INSTEAD}')


def _optional(path: Path) -> str | None:
    """Return what a file says, or None if there is none."""
    try:
        return path.read_text('ascii').strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else 'it is not text'
        raise _unreadable(path, f'cannot be read: {reason}') from error


def _required(path: Path) -> str:
    text = _optional(path)
    if text is None:
        raise _unreadable(path, 'there is no such file')
    return text


def _whole(path: Path) -> int:
    text = _required(path)
    if not text.isdigit():
        raise _unreadable(path, f'{text[:60]!r} is no whole number')
    return int(text)


def _cpus(path: Path) -> int:
    text = _required(path)
    try:
        return cpuset.parse(text)
    except exception.Invalid as error:
        raise _unreadable(path, str(error)) from error


def _list(path: Path) -> list[Path]:
    try:
        return sorted(path.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise _unreadable(path, f'cannot be listed: {error.strerror}') from error


def _find_nodes(directory: Path) -> list[int]:
    """Return the numbers of the online nodes, ascending; none where the kernel was built without NUMA."""
    present = sorted(int(match[1]) for path in _list(directory) if (match := _NODE.fullmatch(path.name)))
    if not present or _optional(directory / 'online') is None:
        return present
    # Node numbers come in the same list format as CPUs.
    return list(cpuset.ids(_cpus(directory / 'online')))


def _read_node(system: Path, number: int, nodes: list[int], online: int, pagesize_kib: int) -> FoundCell:
    node = system / f'node/node{number}'
    cpus = _cpus(node / 'cpulist') & online
    memory_kib = _read_memory(node / 'meminfo')
    distances = (_optional(node / 'distance') or '').split()
    if not all(word.isdigit() for word in distances) or len(distances) not in (0, len(nodes)):
        raise _unreadable(node / 'distance', f'expected {len(nodes)} whole numbers, one for each online node')
    return FoundCell(
        id=number,
        memory_kib=memory_kib,
        cpus=cpus,
        pages=_read_pages(node / 'hugepages', memory_kib, pagesize_kib),
        siblings=_read_siblings(system, cpus),
        sockets=_read_sockets(system, cpus),
        distances=tuple(zip(nodes, map(int, distances), strict=False)),
    )


def _read_whole(system: Path, pools: Path, proc: Path, online: int, pagesize_kib: int) -> FoundCell:
    memory_kib = _read_memory(proc / 'meminfo')
    return FoundCell(
        id=0,
        memory_kib=memory_kib,
        cpus=online,
        pages=_read_pages(pools, memory_kib, pagesize_kib),
        siblings=_read_siblings(system, online),
        sockets=_read_sockets(system, online),
    )


def _read_memory(path: Path) -> int:
    match = _MEMORY.search(_required(path))
    if match is None:
        raise _unreadable(path, "there is no line 'MemTotal: N kB'")
    return int(match[1])


def _read_pages(pools: Path, memory_kib: int, pagesize_kib: int) -> tuple[tuple[int, int], ...]:
    huge = sorted(
        (int(match[1]), _whole(path / 'nr_hugepages')) for path in _list(pools) if (match := _POOL.fullmatch(path.name))
    )
    rest_kib = memory_kib - sum(size_kib * number for size_kib, number in huge)
    return ((pagesize_kib, max(rest_kib, 0) // pagesize_kib), *huge)


def _read_siblings(system: Path, cpus: int) -> tuple[int, ...]:
    cores = []
    for cpu in cpuset.ids(cpus):
        path = system / f'cpu/cpu{cpu}/topology/thread_siblings_list'
        cores.append(1 << cpu if _optional(path) is None else _cpus(path) | 1 << cpu)
    return tuple(cores)


def _read_sockets(system: Path, cpus: int) -> frozenset[int]:
    sockets = set()
    for cpu in cpuset.ids(cpus):
        path = system / f'cpu/cpu{cpu}/topology/physical_package_id'
        # Kernels write -1 where the firmware tells no package.
        sockets.add(0 if _optional(path) in (None, '-1') else _whole(path))
    return frozenset(sockets)
