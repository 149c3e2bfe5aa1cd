# SPDX-License-Identifier: Apache-2.0
"""This machine as a host, from the kernel's own files: for machines where no libvirt answers."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from numaplace import cpuset
from numaplace.libvirt import kernel, topology
from numaplace.libvirt.document import show
from numaplace.libvirt.topology import FoundCell, HostFacts, Options
from numaplace.model import Cache, Host, MemoryAccess

__all__ = ['facts', 'page_sizes', 'read']

_MEMORY = re.compile(r'^(?:Node \d+ )?MemTotal:\s+(\d{1,18}) kB$', re.MULTILINE)
_POOL = re.compile(r'hugepages-(\d{1,18})kB')
_NODE = re.compile(r'node(\d{1,5})')
_CACHE = re.compile(r'index\d+')
_SIZE = re.compile(r'(\d{1,12})K')


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
    package 0. Clusters and older kernels' latencies are told here alone.

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
    online = kernel.cpus(system / 'cpu/online')
    if not online:
        raise kernel.unreadable(system / 'cpu/online', 'no CPU is online')
    nodes = _find_nodes(system / 'node')
    if nodes:
        found = [_read_node(system, number, nodes, online, pagesize_kib) for number in nodes]
    else:
        found = [_read_whole(system, Path(root, 'kernel/mm/hugepages'), Path(proc), online, pagesize_kib)]
    return topology.host(found, **options)


def facts() -> HostFacts:
    """Return what is known of this machine without libvirt: its architecture."""
    return HostFacts(arch=platform.machine())


def page_sizes(root: str | Path) -> set[int]:
    """Return the sizes of huge pages that the kernel knows, in KiB."""
    pools = kernel.entries(Path(root, 'kernel/mm/hugepages'))
    for node in kernel.entries(Path(root, 'devices/system/node')):
        pools += kernel.entries(node / 'hugepages')
    return {int(match[1]) for path in pools if (match := _POOL.fullmatch(path.name))}


def _numbers(paths: list[Path]) -> list[int]:
    """Return the numbers of those paths that are called like nodes, ascending."""
    return sorted(int(match[1]) for path in paths if (match := _NODE.fullmatch(path.name)))


def _find_nodes(directory: Path) -> list[int]:
    """Return the numbers of the online nodes, ascending; none where the kernel was built without NUMA."""
    present = _numbers(kernel.entries(directory))
    if not present or kernel.optional(directory / 'online') is None:
        return present
    return list(cpuset.ids(kernel.cpus(directory / 'online')))


def _read_node(system: Path, number: int, nodes: list[int], online: int, pagesize_kib: int) -> FoundCell:
    node = system / f'node/node{number}'
    memory_kib = _read_memory(node / 'meminfo')
    cell = FoundCell(
        id=number,
        memory_kib=memory_kib,
        cpus=kernel.cpus(node / 'cpulist') & online,
        pages=_read_pages(node / 'hugepages', memory_kib, pagesize_kib),
        distances=_read_distances(node / 'distance', nodes),
        accesses=_read_accesses(node),
    )
    return _with_cpus(system / 'cpu', cell)


def _read_whole(system: Path, pools: Path, proc: Path, online: int, pagesize_kib: int) -> FoundCell:
    memory_kib = _read_memory(proc / 'meminfo')
    cell = FoundCell(id=0, memory_kib=memory_kib, cpus=online, pages=_read_pages(pools, memory_kib, pagesize_kib))
    return _with_cpus(system / 'cpu', cell)


def _with_cpus(directory: Path, cell: FoundCell) -> FoundCell:
    """Return a cell with what the kernel tells of its CPUs."""
    numbers = list(cpuset.ids(cell.cpus))
    topologies = [directory / f'cpu{cpu}/topology' for cpu in numbers]
    return replace(
        cell,
        siblings=tuple(
            _masks(path / 'thread_siblings_list') or 1 << cpu for cpu, path in zip(numbers, topologies, strict=True)
        ),
        sockets=frozenset(_read_socket(path / 'physical_package_id') for path in topologies),
        packages=_groups(topologies, 'package_cpus_list', 'core_siblings_list'),
        dies=_groups(topologies, 'die_cpus_list'),
        clusters=_groups(topologies, 'cluster_cpus_list'),
        caches=_read_caches(directory, numbers),
    )


def _masks(path: Path) -> int:
    """Return the mask of the list in a file, none where there is no file."""
    return 0 if kernel.optional(path) is None else kernel.cpus(path)


def _groups(topologies: Iterable[Path], *names: str) -> tuple[int, ...]:
    """Return the different masks in the first of the files that each CPU has."""
    found = (next((mask for name in names if (mask := _masks(path / name))), 0) for path in topologies)
    return tuple(dict.fromkeys(mask for mask in found if mask))


def _read_socket(path: Path) -> int:
    # Kernels write -1 where the firmware tells no package.
    return 0 if kernel.optional(path) in (None, '-1') else kernel.whole(path)


def _read_caches(directory: Path, numbers: Iterable[int]) -> tuple[Cache, ...]:
    banks: dict[Cache, None] = {}
    for cpu in numbers:
        for path in kernel.entries(directory / f'cpu{cpu}/cache'):
            if _CACHE.fullmatch(path.name) and kernel.whole(path / 'level') >= topology.MIN_CACHE_LEVEL:
                # The kernel leaves the size out where the firmware does not tell it.
                size = kernel.optional(path / 'size')
                if size is not None and kernel.optional(path / 'type') != 'Instruction':
                    banks[_read_bank(path, size)] = None
    return tuple(banks)


def _read_bank(path: Path, size: str) -> Cache:
    match = _SIZE.fullmatch(size)
    if match is None:
        raise kernel.unreadable(path / 'size', f"{show(size)} is no size such as '32K'")
    return Cache(kernel.whole(path / 'level'), int(match[1]), kernel.cpus(path / 'shared_cpu_list'))


def _read_distances(path: Path, nodes: list[int]) -> tuple[tuple[int, int], ...]:
    distances = (kernel.optional(path) or '').split()
    if not all(re.fullmatch('[0-9]{1,9}', word) for word in distances) or len(distances) not in (0, len(nodes)):
        raise kernel.unreadable(path, f'expected {len(nodes)} whole numbers, one for each online node')
    return tuple(zip(nodes, map(int, distances), strict=False))


def _read_accesses(node: Path) -> tuple[MemoryAccess, ...]:
    """Return the ways to the memory of a node from the CPUs nearest to it.

    The kernel tells no others. ``access1`` counts CPUs alone, ``access0``, which older kernels have, devices too.
    """
    directory = next((path for name in ('access1', 'access0') if (path := node / name / 'initiators').is_dir()), None)
    if directory is None:
        return ()
    values = [
        None if kernel.optional(directory / name) is None else kernel.whole(directory / name)
        for name in ('read_latency', 'write_latency', 'read_bandwidth', 'write_bandwidth')
    ]
    if values == [None] * len(values):
        return ()
    return tuple(MemoryAccess(initiator, *values) for initiator in _numbers(kernel.entries(directory)))


def _read_memory(path: Path) -> int:
    match = _MEMORY.search(kernel.required(path))
    if match is None:
        raise kernel.unreadable(path, "there is no line 'MemTotal: N kB'")
    return int(match[1])


def _read_pages(pools: Path, memory_kib: int, pagesize_kib: int) -> tuple[tuple[int, int], ...]:
    huge = sorted(
        (int(match[1]), kernel.whole(path / 'nr_hugepages'))
        for path in kernel.entries(pools)
        if (match := _POOL.fullmatch(path.name))
    )
    rest_kib = memory_kib - sum(size_kib * number for size_kib, number in huge)
    return ((pagesize_kib, max(rest_kib, 0) // pagesize_kib), *huge)
