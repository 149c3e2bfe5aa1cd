# SPDX-License-Identifier: Apache-2.0
"""Read this machine as a host from kernel files, if no libvirt answers."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from numaplace import cpuset
from numaplace.libvirt import kernel, memory, topology
from numaplace.libvirt.document import show
from numaplace.libvirt.found_cell import FoundCell
from numaplace.libvirt.topology import HostFacts, Options
from numaplace.model import Cache, Host, MemoryAccess

__all__ = ['facts', 'page_sizes', 'read']

_MEMORY = re.compile(r'^(?:Node \d+ )?MemTotal:\s+(\d{1,18}) kB$', re.MULTILINE)
_POOL = re.compile(r'hugepages-(\d{1,18})kB')
_CACHE = re.compile(r'index\d+')
_SIZE = re.compile(r'(\d{1,12})([KMG]?)')

#: The kernel itself writes K; some recorded trees have sizes that were written by hand.
_OCTETS = {'': 1, 'K': 1024, 'M': 1024**2, 'G': 1024**3}


def read(
    root: str | Path = '/sys',
    *,
    proc: str | Path = '/proc',
    pagesize_kib: int | None = None,
    **options: Unpack[Options],
) -> Host:
    """Read this machine's NUMA cells; a single cell with everything if the kernel has no nodes.

    The result matches libvirt's capabilities of the same machine: memory outside huge pages counts as
    pages of the base size, a CPU without known siblings is a core, one without a known package is in
    package 0, and CPUs of offline nodes are omitted. In addition, it has clusters, and latencies and caches
    of older kernels. Sets that a kernel reports only as bitmaps are read from these.

    :param root: where sysfs is mounted
    :param proc: where procfs is mounted
    :param pagesize_kib: base page size in KiB, or None for the running kernel's
    :param options: the operator's options: see :func:`numaplace.libvirt.topology.host`
    :raises: :class:`~numaplace.exception.UnreadableTopology` if files are missing (as in some containers) or
        malformed; otherwise as :func:`numaplace.libvirt.topology.host`
    """
    if pagesize_kib is None:
        pagesize_kib = os.sysconf('SC_PAGE_SIZE') // 1024
    system = Path(root, 'devices/system')
    online = _find_online(system / 'cpu')
    nodes = _find_nodes(system / 'node')
    if nodes:
        kinds = memory.reported(root, proc)
        cpus = _divide(system / 'node', nodes, online)
        found = [
            replace(_read_node(system, number, cpus, online, pagesize_kib), memory_kind=kinds.get(number))
            for number in nodes
        ]
    else:
        found = [_read_whole(system, Path(root, 'kernel/mm/hugepages'), Path(proc), online, pagesize_kib)]
    return topology.host(found, present=_find_present(system / 'cpu'), **options)


def facts() -> HostFacts:
    """Return what is known of this machine without libvirt: its architecture."""
    return HostFacts(arch=platform.machine())


def page_sizes(root: str | Path) -> set[int]:
    """Return the sizes of huge pages that the kernel supports, in KiB."""
    pools = kernel.entries(Path(root, 'kernel/mm/hugepages'))
    for node in kernel.entries(Path(root, 'devices/system/node')):
        pools += kernel.entries(node / 'hugepages')
    return {int(match[1]) for path in pools if (match := _POOL.fullmatch(path.name))}


def _numbers(paths: Iterable[Path], name: re.Pattern[str] = kernel.NODE) -> list[int]:
    """Return the numbers of the paths that are named like nodes, or like CPUs, ascending."""
    return sorted(int(match[1]) for path in paths if (match := name.fullmatch(path.name)))


def _find_online(directory: Path) -> int:
    """Return the mask of the online CPUs; older kernels have no list, but mark offline CPUs."""
    if kernel.optional(directory / 'online') is not None:
        online = kernel.cpus(directory / 'online')
    else:
        numbers = _numbers(kernel.entries(directory), kernel.CPU)
        if not numbers:
            raise kernel.unreadable(directory / 'online', 'there is no such file, and no directory cpu0')
        online = cpuset.mask(cpu for cpu in numbers if kernel.optional(directory / f'cpu{cpu}/online') != '0')
    if not online:
        raise kernel.unreadable(directory / 'online', 'no CPU is online')
    return online


def _find_present(directory: Path) -> int | None:
    """Return the mask of all CPUs, including offline ones, or None if the kernel does not list them."""
    return kernel.cpus(directory / 'present') if kernel.optional(directory / 'present') else None


def _find_nodes(directory: Path) -> list[int]:
    """Return the numbers of the online nodes, ascending; none where the kernel was built without NUMA."""
    present = _numbers(kernel.entries(directory))
    if not present or kernel.optional(directory / 'online') is None:
        return present
    return list(cpuset.ids(kernel.cpus(directory / 'online')))


def _divide(directory: Path, nodes: list[int], online: int) -> dict[int, int]:
    """Return the online CPUs of each node.

    A node reports them in a list, in a bitmap, or only as links. A node without any of these has only memory if other
    nodes have them; a single node without them has all CPUs.
    """
    reported: dict[int, int | None] = {}
    for number in nodes:
        node = directory / f'node{number}'
        cpus = kernel.cpus_of_any(node, 'cpulist', 'cpumap')
        reported[number] = cpuset.mask(_numbers(kernel.entries(node), kernel.CPU)) or None if cpus is None else cpus
    if set(reported.values()) == {None}:
        if len(nodes) > 1:
            raise kernel.unreadable(directory / f'node{nodes[0]}/cpulist', 'there is no such file, and no cpumap')
        return {nodes[0]: online}
    divided = {number: (cpus or 0) & online for number, cpus in reported.items()}
    _check_division(directory, divided)
    return divided


def _check_division(directory: Path, divided: Mapping[int, int]) -> None:
    owners: dict[int, int] = {}
    for number, cpus in divided.items():
        for cpu in cpuset.ids(cpus):
            if (owner := owners.setdefault(cpu, number)) != number:
                raise kernel.unreadable(
                    directory / f'node{number}', f'CPU {cpu} is in node {owner} already: expected each CPU in one node'
                )


def _read_node(system: Path, number: int, cpus: Mapping[int, int], online: int, pagesize_kib: int) -> FoundCell:
    node = system / f'node/node{number}'
    memory_kib = _read_memory(node / 'meminfo')
    cell = FoundCell(
        id=number,
        memory_kib=memory_kib,
        cpus=cpus[number],
        offline=cpuset.mask(_numbers(kernel.entries(node), kernel.CPU)) & ~online,
        pages=_read_pages(node / 'hugepages', memory_kib, pagesize_kib),
        distances=_read_distances(node / 'distance', list(cpus)),
        accesses=_read_accesses(node),
    )
    return _with_cpus(system / 'cpu', cell)


def _read_whole(system: Path, pools: Path, proc: Path, online: int, pagesize_kib: int) -> FoundCell:
    memory_kib = _read_memory(proc / 'meminfo')
    cell = FoundCell(id=0, memory_kib=memory_kib, cpus=online, pages=_read_pages(pools, memory_kib, pagesize_kib))
    return _with_cpus(system / 'cpu', cell)


def _with_cpus(directory: Path, cell: FoundCell) -> FoundCell:
    """Return a cell with what the kernel reports about its CPUs."""
    topologies = {cpu: directory / f'cpu{cpu}/topology' for cpu in cpuset.ids(cell.cpus)}
    return replace(
        cell,
        siblings=_read_cores(directory, topologies),
        sockets=frozenset(_read_socket(path / 'physical_package_id') for path in topologies.values()),
        packages=_groups(topologies.values(), 'package_cpus', 'core_siblings'),
        dies=_groups([path for path in topologies.values() if not _is_none(path / 'die_id')], 'die_cpus'),
        clusters=_groups([path for path in topologies.values() if not _is_none(path / 'cluster_id')], 'cluster_cpus'),
        caches=_read_caches(directory, topologies),
    )


def _cpus(directory: Path, *names: str) -> int:
    """Return the mask in the first of the sets that a directory has, or 0."""
    return kernel.cpus_of_any(directory, *(form for name in names for form in (f'{name}_list', name))) or 0


def _read_cores(directory: Path, topologies: Mapping[int, Path]) -> tuple[int, ...]:
    """Return the core of each CPU; a CPU that reports none is in the core that lists it, or is its own core."""
    reported = {
        cpu: mask | 1 << cpu
        for cpu, path in topologies.items()
        if (mask := _cpus(path, 'thread_siblings', 'core_cpus'))
    }
    cores = dict.fromkeys(reported.values())
    named = 0
    for core in cores:
        if both := core & named:
            raise kernel.unreadable(
                directory,
                f'CPUs {cpuset.text(both)} are in two cores: expected the same thread_siblings for each CPU of a core',
            )
        named |= core
    return tuple(
        reported.get(cpu) or (next(core for core in cores if core >> cpu & 1) if named >> cpu & 1 else 1 << cpu)
        for cpu in topologies
    )


def _groups(topologies: Iterable[Path], *names: str) -> tuple[int, ...]:
    """Return the distinct sets that CPUs report, each in the first of these files that it has."""
    found = (_cpus(path, *names) for path in topologies)
    return tuple(dict.fromkeys(mask for mask in found if mask))


def _is_none(path: Path) -> bool:
    """Return whether a file holds -1: the firmware reports no package, or the architecture has no dies."""
    return (kernel.optional(path) or '').startswith('-')


def _read_socket(path: Path) -> int:
    return 0 if kernel.optional(path) is None or _is_none(path) else kernel.whole(path)


def _read_caches(directory: Path, numbers: Iterable[int]) -> tuple[Cache, ...]:
    banks: dict[Cache, None] = {}
    for cpu in numbers:
        for path in kernel.entries(directory / f'cpu{cpu}/cache'):
            if _CACHE.fullmatch(path.name) and (bank := _read_bank(path)):
                banks[bank] = None
    return tuple(banks)


def _read_bank(path: Path) -> Cache | None:
    """Return a cache that holds data, or None; like libvirt, also if the kernel does not report its size or CPUs."""
    level, size = kernel.whole(path / 'level'), kernel.optional(path / 'size')
    if level < topology.MIN_CACHE_LEVEL or size is None or kernel.optional(path / 'type') == 'Instruction':
        return None
    match = _SIZE.fullmatch(size)
    if match is None:
        raise kernel.unreadable(path / 'size', f"{show(size)} is not a size such as '32K' or '33M'")
    cpus = kernel.cpus_of_any(path, 'shared_cpu_list', 'shared_cpu_map')
    return Cache(level, int(match[1]) * _OCTETS[match[2]] // 1024, cpus) if cpus else None


def _read_distances(path: Path, nodes: list[int]) -> tuple[tuple[int, int], ...]:
    """Return the distances to the online nodes; some trees list those to all possible nodes."""
    words = (kernel.optional(path) or '').split()
    possible = path.parents[1] / 'possible'
    if len(words) > len(nodes) and kernel.optional(possible) is not None:
        columns = list(cpuset.ids(kernel.cpus(possible)))
    else:
        columns = nodes
    if not all(re.fullmatch('[0-9]{1,9}', word) for word in words) or len(words) not in (0, len(columns)):
        raise kernel.unreadable(path, f'expected {len(nodes)} whole numbers, one for each online node')
    return tuple((node, int(word)) for node, word in zip(columns, words, strict=False) if node in nodes)


def _read_accesses(node: Path) -> tuple[MemoryAccess, ...]:
    """Return the accesses to the memory of a node from the CPUs nearest to it.

    The kernel reports no others. ``access1`` covers only CPUs; ``access0``, on older kernels, also devices.
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
