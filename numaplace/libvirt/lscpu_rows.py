# SPDX-License-Identifier: Apache-2.0
"""The table of ``lscpu -p`` and ``-e``, checked against the counts of the summary and against its own caches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from numaplace import cpuset, exception
from numaplace.libvirt.lscpu_forms import ELSEWHERE, NOT_FOUND, OTHER, SOURCE, Output, number

__all__ = ['NO', 'Counts', 'CpuRow', 'Kind', 'cores', 'online', 'sockets']

#: Columns that together identify a core, outermost first; a machine has some of them.
_WITHIN = ('drawer', 'book', 'socket', 'core')

#: Caches that the threads of a core may share. Each thread may have its own L1 in a QEMU guest, and its own L1d in
#: the modules of AMD family 15h; they share L2.
_NEAR = ('l1d', 'l1i', 'l1', 'l2', 'l2d', 'l2i')
_NEAREST = ('l1d', 'l1i', 'l1')
_CACHES = frozenset({*_NEAR, 'l3', 'l4', 'l5'})

#: Values of the column ONLINE for an offline CPU.
NO = frozenset({'no', 'n', 'false', '0'})


@dataclass(frozen=True, slots=True)
class Kind:
    """The counts of the summary for one kind of CPU.

    :param threads: the most threads that a core has
    :param cores_per_group: cores in each group, rounded down, or None
    :param groups: number of sockets, or of clusters where lscpu counts these, or None
    :param sockets: number of sockets, or None
    :param clusters: whether the groups and the column SOCKET are clusters
    """

    threads: int
    cores_per_group: int | None = None
    groups: int | None = None
    sockets: int | None = None
    clusters: bool = False

    @property
    def cores(self) -> range | None:
        """The numbers of cores that the counts allow, or None if they do not determine it."""
        if not self.cores_per_group or not self.groups:
            return None
        least = self.cores_per_group * self.groups
        return range(least, least + self.groups)


@dataclass(frozen=True, slots=True)
class Counts:
    """The counts of the summary.

    :param kinds: each kind of CPU; none without a summary
    :param booked: whether there are books or drawers; then the counts do not describe the online CPUs
    :param offline: number of CPUs that are offline; kernels that keep their siblings make lscpu count their cores, too
    """

    kinds: tuple[Kind, ...] = ()
    booked: bool = False
    offline: int = 0

    @property
    def threads(self) -> int | None:
        """The most threads that a core has, or None without a summary."""
        return max((kind.threads for kind in self.kinds), default=None)

    @property
    def cores(self) -> range | None:
        """The numbers of cores that the counts allow, or None if they do not determine it."""
        ranges = [kind.cores for kind in self.kinds]
        listed = [one for one in ranges if one is not None]
        if self.booked or not listed or len(listed) < len(ranges):
            return None
        return range(sum(one.start for one in listed), sum(one.stop - 1 for one in listed) + 1)


@dataclass(frozen=True, slots=True)
class CpuRow:
    """A CPU that is online.

    :param core: numbers that identify its core, outermost first
    :param other: the numbers in another table, or the same
    :param socket: number of its socket, or None where it has none or its text is not a number, as in ``lscpu -y``
    :param clustered: whether the row names a cluster
    :param caches: numbers of its caches by name, as far as it is certain which is which
    """

    cpu: int
    core: tuple[str, ...]
    other: tuple[str, ...]
    socket: int | None
    clustered: bool
    caches: Mapping[str, str]

    def near(self, names: tuple[str, ...]) -> frozenset[tuple[str, str]]:
        """Return its caches that have one of these names."""
        return frozenset((name, self.caches[name]) for name in names if name in self.caches)


def online(output: Output, listed: int | None) -> list[CpuRow]:
    """Return the rows of the CPUs that are online.

    :param listed: the CPUs that the summary lists as online, or None
    :raises: :class:`~numaplace.exception.InvalidCapabilities` if a row lacks its CPU or core, or a CPU has two rows
    """
    found: dict[int, CpuRow] = {}
    for where, row in output.rows:
        if missing := [name for name in ('cpu', 'core') if name not in row]:
            raise exception.InvalidCapabilities(
                f'{where}: there is no column {missing[0].upper()}: expected {SOURCE} with the columns CPU and CORE; '
                f'where lscpu has none, {ELSEWHERE}'
            )
        if not row['cpu']:
            raise exception.InvalidCapabilities(f'{where}: the row names no CPU: {NOT_FOUND}')
        cpu = number(row['cpu'], where, 'CPU number', cpuset.MAX_CPU)
        if cpu in found:
            raise exception.InvalidCapabilities(f'{where}: there are two rows of CPU {cpu}: expected one for each')
        if row.get('online', 'yes').lower() in NO or (listed is not None and not listed >> cpu & 1):
            continue  # lscpu prints the former core of an offline CPU
        if row['core']:
            found[cpu] = _cpu_row(cpu, row, where)
        elif listed is not None or 'online' in row:
            raise exception.InvalidCapabilities(f'{where}: CPU {cpu} is online and has no core: {NOT_FOUND}')
    if not found:
        raise exception.InvalidCapabilities(f'{output.place}: no row names a core (column CORE): {NOT_FOUND}')
    return list(found.values())


def _cpu_row(cpu: int, row: dict[str, str], where: str) -> CpuRow:
    number(row['core'], where, 'core number', cpuset.MAX_CPU)
    socket = row.get('socket', '')
    return CpuRow(
        cpu=cpu,
        core=tuple(row.get(name, '') for name in _WITHIN),
        other=tuple(row.get(OTHER + name) or row.get(name, '') for name in _WITHIN),
        socket=number(socket, where, 'socket number', cpuset.MAX_CPU) if socket else None,
        clustered=bool(row.get('cluster')),
        caches={name: cell for name, cell in row.items() if cell and name in _CACHES},
    )


# --- cores -----------------------------------------------------------------------------


def cores(rows: Sequence[CpuRow], counts: Counts, place: str) -> tuple[dict[int, int], tuple[str, ...]]:
    """Return the core of each CPU, and warnings about what was corrected.

    lscpu restarts core numbers for each kind of CPU (util-linux, `cputype_read_topology`), and ``-y`` may show numbers
    relative to a die or a cluster. If the counts and the caches allow one interpretation, it is used. Without either,
    the numbers are trusted, with a warning. Threads of a core share its numbers in each of two tables, but some
    hypervisors number each thread for ``-y``; then only one table may agree with the rest.

    :raises: :class:`~numaplace.exception.InvalidCapabilities` if the table contradicts the summary or its own caches
    """
    readings = (
        _group((row.cpu, row.core + row.other) for row in rows),
        _group((row.cpu, row.core) for row in rows),
        _group((row.cpu, row.other) for row in rows),
    )
    found = next((one for one in readings if not any(_faults(one, rows, counts))), readings[0])
    fault = next(_faults(found, rows, counts), None)
    warnings: tuple[str, ...] = ()
    if fault:
        found = _divided(found, rows, counts)
        if not counts.kinds or any(_faults(found, rows, counts)):
            raise exception.InvalidCapabilities(
                f'{place}: {fault}: expected the summary and the table of one machine, or {ELSEWHERE}'
            )
        warnings = (f'{place}: {fault}; read as {len(found)} cores, as its counts and its caches say',)
    elif core := _unconfirmed(found, rows, counts):
        warnings = (
            f'{place}: CPUs {cpuset.text(core)} have one core number and are taken to be one core: with several kinds '
            'of CPUs, or with -y, they need not be, which the table without columns of caches does not show; `lscpu` '
            f'and `lscpu -p` one after the other show it, or {ELSEWHERE}',
        )
    return {cpu: core for core in found for cpu in cpuset.ids(core)}, warnings


def _group(numbers: Iterable[tuple[int, tuple[str, ...]]]) -> list[int]:
    """Return the cores, each formed by the CPUs with the same numbers."""
    numbered: dict[tuple[str, ...], int] = {}
    for cpu, core in numbers:
        numbered[core] = numbered.get(core, 0) | 1 << cpu
    return list(numbered.values())


def _unconfirmed(found: list[int], rows: Sequence[CpuRow], counts: Counts) -> int:
    """Return a core of several CPUs for which only their number is evidence, or 0.

    Machines with several packages have one kind of CPU. If their core numbers repeat nevertheless, they are from
    ``-y``; these may repeat within a package too, which the counts do not show.
    """
    unique = len({row.core[-1] for row in rows}) == len(found)
    several = len({row.socket for row in rows}) > 1
    if any(row.near(_NEAR) for row in rows) or (unique and (counts.kinds or several)):
        return 0
    return next((core for core in found if core.bit_count() > 1), 0)


def _divided(found: list[int], rows: Sequence[CpuRow], counts: Counts) -> list[int]:
    """Return the cores, with those that share a number separated by the summary or by their nearest caches."""
    if counts.threads == 1:
        return [1 << row.cpu for row in rows]
    near = {row.cpu: row.near(_NEAREST) for row in rows}
    divided: list[int] = []
    for core in found:
        parts: dict[frozenset[tuple[str, str]], int] = {}
        for cpu in cpuset.ids(core):
            parts[near[cpu]] = parts.get(near[cpu], 0) | 1 << cpu
        divided += parts.values()
    return divided


def _faults(found: list[int], rows: Sequence[CpuRow], counts: Counts) -> Iterator[str]:
    """Yield what contradicts these cores."""
    if counts.threads is not None:
        for core in found:
            if core.bit_count() > counts.threads:
                yield f'CPUs {cpuset.text(core)} have one core number, and the summary counts {_threads(counts)}'
    if counts.cores is not None and not counts.cores.start - counts.offline <= len(found) < counts.cores.stop:
        yield f'the table has {len(found)} cores, and the summary counts {_text(counts.cores)}'
    yield from _apart(found, rows, counts)
    packages = {row.socket for row in rows}
    kind = counts.kinds[0] if len(counts.kinds) == 1 and not counts.booked else None
    if kind and kind.groups and None not in packages and not 0 <= kind.groups - len(packages) <= counts.offline:
        yield f'the table has {len(packages)} sockets, and the summary counts {kind.groups}'


def _threads(counts: Counts) -> str:
    return '1 thread per core' if counts.threads == 1 else f'{counts.threads} threads per core'


def _text(numbers: range) -> str:
    return str(numbers.start) if len(numbers) == 1 else f'{numbers.start} to {numbers.stop - 1}'


def _apart(found: list[int], rows: Sequence[CpuRow], counts: Counts) -> Iterator[str]:
    """Yield a fault for each CPU that shares no L1 or L2 cache with the others of its core.

    With a summary, this alone is not a fault: the halves of a POWER core have separate caches. It is one if such a CPU
    shares these caches with a CPU of another core.
    """
    near = {row.cpu: row.near(_NEAR) for row in rows}
    users: dict[tuple[str, str], int] = {}
    for cpu, caches in near.items():
        for cache in caches:
            users[cache] = users.get(cache, 0) | 1 << cpu
    for core in found:
        known = [cpu for cpu in cpuset.ids(core) if near[cpu]]
        for cpu in known if len(known) > 1 else ():
            sharing = 0
            for cache in near[cpu]:
                sharing |= users[cache]
            sharing &= ~(1 << cpu)
            if not sharing & core and (sharing or not counts.kinds):
                yield (
                    f'CPUs {cpuset.text(core)} have one core number, and CPU {cpu} shares no cache of level 1 or 2 '
                    'with the others'
                )


# --- sockets ---------------------------------------------------------------------------


def sockets(rows: Sequence[CpuRow], counts: Counts) -> dict[int, int]:
    """Return the physical package of each CPU, as far as the table reports it.

    Like core numbers, socket numbers restart for each kind of CPU, and the column may hold clusters; then only a
    single socket is recognized, if all CPUs share a cache.
    """
    clustered = any(kind.clusters for kind in counts.kinds) or any(row.clustered for row in rows)
    if (clustered or len(counts.kinds) > 1) and not _is_one_package(rows, counts):
        return {}
    return {row.cpu: row.socket for row in rows if row.socket is not None}


def _is_one_package(rows: Sequence[CpuRow], counts: Counts) -> bool:
    shared = frozenset.intersection(*(frozenset(row.caches.items()) for row in rows))
    single = all(kind.sockets == 1 for kind in counts.kinds)
    return single and bool(shared) and len({row.socket for row in rows}) == 1
