# SPDX-License-Identifier: Apache-2.0
"""From the NUMA cells that a source describes, and the operator's options, to a host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypedDict

from numaplace import cpuset, exception
from numaplace.model import (
    Cache,
    CellShape,
    CpuTopology,
    Host,
    HostCell,
    MemoryAccess,
    Networks,
    Pages,
    intern_shape,
)
from numaplace.units import KIB_PER_MIB

__all__ = ['MAX_CELL', 'MIN_CACHE_LEVEL', 'VENDORS', 'FoundCell', 'GuestType', 'HostFacts', 'Options', 'host']

#: Far above any kernel's MAX_NUMNODES.
MAX_CELL = 65535

#: Caches below are those of one core or two; libvirt names none of them either.
MIN_CACHE_LEVEL = 3

#: libvirt's names of vendors by those that the CPUs give themselves.
VENDORS = {'GenuineIntel': 'Intel', 'AuthenticAMD': 'AMD', 'HygonGenuine': 'Hygon'}


@dataclass(frozen=True, slots=True)
class FoundCell:
    """A NUMA cell as a source describes it; CPU sets are masks of online CPUs.

    :param pages: ``(size in KiB, number of pages)`` pairs as the source lists them
    :param siblings: the core of each CPU; a core stands here once for each of its threads
    :param sockets: physical packages of the CPUs, or none where their numbers are not known
    :param distances: ``(cell id, distance)`` pairs
    :param packages: masks of all CPUs of the packages; dies and clusters likewise, and all may reach into other cells
    :param caches: banks of level 3 and above that hold data, in any order
    :param accesses: the ways to the memory of this cell, in any order
    """

    id: int
    memory_kib: int
    cpus: int
    pages: tuple[tuple[int, int], ...] = ()
    siblings: tuple[int, ...] = ()
    sockets: frozenset[int] = frozenset()
    distances: tuple[tuple[int, int], ...] = ()
    packages: tuple[int, ...] = ()
    dies: tuple[int, ...] = ()
    clusters: tuple[int, ...] = ()
    caches: tuple[Cache, ...] = ()
    accesses: tuple[MemoryAccess, ...] = ()


@dataclass(frozen=True, slots=True)
class GuestType:
    """One kind of guest that a host can run."""

    os_type: str
    arch: str
    domain_types: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What a host is apart from its NUMA topology; what its source does not say is None or empty.

    :param arch: architecture of the CPU, such as ``x86_64``, or empty
    :param cpu_topology: sockets, cores and threads as libvirt counts them (sockets of one cell)
    :param features: names of CPU features beyond the model's
    """

    arch: str
    uuid: str | None = None
    cpu_model: str | None = None
    vendor: str | None = None
    cpu_topology: CpuTopology | None = None
    features: tuple[str, ...] = ()
    guests: tuple[GuestType, ...] = ()


class Options(TypedDict, total=False):
    """The operator's options for one host; the keywords of :func:`host`."""

    shared_cpus: int | None
    dedicated_cpus: int | None
    reserved: Mapping[int, Mapping[int, int]]
    networks: Mapping[int, Networks]


def host(
    found: Sequence[FoundCell],
    *,
    shared_cpus: int | None = None,
    dedicated_cpus: int | None = None,
    reserved: Mapping[int, Mapping[int, int]] = MappingProxyType({}),
    networks: Mapping[int, Networks] = MappingProxyType({}),
) -> Host:
    """Return the host of these cells, without usage.

    :param shared_cpus: mask of ``cpu_shared_set``, or None where it is not set
    :param dedicated_cpus: mask of ``cpu_dedicated_set``, or None where it is not set; where neither is set,
        each CPU is in both sets, and the deprecated ``vcpu_pin_set`` is given as both sets
    :param reserved: pages kept back (``reserved_huge_pages``), by cell id and page size in KiB
    :param networks: networks with affinity to a cell, by cell id
    :raises: :class:`~numaplace.exception.InvalidConfiguration` if the sets overlap in part or name CPUs that are not
        online here, :class:`~numaplace.exception.InvalidReservedMemoryPagesOption` if pages are reserved that
        do not exist, :class:`~numaplace.exception.InvalidNetworkNUMAAffinity` for a cell that does not exist
    """
    online = 0
    for cell in found:
        online |= cell.cpus
    shared, dedicated = _divide(online, shared_cpus, dedicated_cpus)
    _check_cells(found, reserved, networks)
    return Host(
        tuple(
            HostCell(
                _shape(cell, shared, dedicated, networks.get(cell.id, Networks())),
                pages=_pages(cell, reserved.get(cell.id, {})),
            )
            for cell in found
        )
    )


def _divide(online: int, shared: int | None, dedicated: int | None) -> tuple[int, int]:
    if shared is None and dedicated is None:
        return online, online
    if shared == dedicated is not None:
        _check_set('vcpu_pin_set', dedicated, online)
        return dedicated, dedicated
    for option, cpus in (('cpu_shared_set', shared), ('cpu_dedicated_set', dedicated)):
        if cpus is not None:
            _check_set(f'[compute] {option}', cpus, online)
    shared, dedicated = shared or 0, dedicated or 0
    if both := shared & dedicated:
        raise exception.InvalidConfiguration(
            f'[compute] cpu_shared_set = {cpuset.text(shared)} and [compute] cpu_dedicated_set = '
            f'{cpuset.text(dedicated)} both hold CPUs {cpuset.text(both)}: expected two sets without a common CPU '
            f"out of the host's online CPUs {cpuset.text(online)}"
        )
    return shared, dedicated


def _check_set(option: str, cpus: int, online: int) -> None:
    here = f"the host's online CPUs {cpuset.text(online)}"
    if not cpus:
        raise exception.InvalidConfiguration(f'{option} holds no CPU: expected some of {here}')
    if cpus & ~online:
        raise exception.InvalidConfiguration(
            f'{option} = {cpuset.text(cpus)}: CPUs {cpuset.text(cpus & ~online)} are not among {here}'
        )


def _check_cells(
    found: Sequence[FoundCell], reserved: Mapping[int, Mapping[int, int]], networks: Mapping[int, Networks]
) -> None:
    ids = [cell.id for cell in found]
    known = ', '.join(map(str, ids))
    for cell_id in reserved:
        if cell_id not in ids:
            raise exception.InvalidReservedMemoryPagesOption(
                f'[DEFAULT] reserved_huge_pages = node:{cell_id},...: the host has no cell {cell_id}; it has {known}'
            )
    for cell_id, affinity in networks.items():
        if cell_id not in ids:
            names = [f'[neutron_physnet_{name}]' for name in sorted(affinity.physnets)]
            names += ['[neutron_tunnel]'] * affinity.tunneled
            raise exception.InvalidNetworkNUMAAffinity(
                f'{", ".join(names)} numa_nodes = {cell_id}: the host has no cell {cell_id}; it has {known}'
            )


def _pages(cell: FoundCell, reserved: Mapping[int, int]) -> tuple[Pages, ...]:
    totals = dict(cell.pages)
    for size_kib, number in reserved.items():
        option = f'[DEFAULT] reserved_huge_pages = node:{cell.id},size:{size_kib},count:{number}'
        if size_kib not in totals:
            raise exception.InvalidReservedMemoryPagesOption(
                f'{option}: cell {cell.id} has no pages of {size_kib} KiB; its page sizes in KiB are '
                f'{", ".join(map(str, totals)) or "not known"}'
            )
        if not 0 <= number <= totals[size_kib]:
            raise exception.InvalidReservedMemoryPagesOption(
                f'{option}: expected 0 to {totals[size_kib]}, as many as cell {cell.id} has of {size_kib} KiB'
            )
    return tuple(Pages(size_kib, total, reserved=reserved.get(size_kib, 0)) for size_kib, total in cell.pages)


def _shape(cell: FoundCell, shared: int, dedicated: int, networks: Networks) -> CellShape:
    available = cell.cpus & (shared | dedicated)
    cores = {core & available for core in cell.siblings} - {0}
    packages = _parts(cell, cell.packages)
    dies = _parts(cell, cell.dies) - packages
    clusters = _parts(cell, cell.clusters) - packages - dies - _parts(cell, cell.siblings)
    return intern_shape(
        CellShape(
            id=cell.id,
            shared_cpus=cell.cpus & shared,
            dedicated_cpus=cell.cpus & dedicated,
            memory_mib=cell.memory_kib // KIB_PER_MIB,
            siblings=_by_first_cpu(cores),
            socket=next(iter(cell.sockets)) if len(cell.sockets) == 1 else None,
            physnets=networks.physnets,
            tunneled=networks.tunneled,
            distances=cell.distances,
            online_cpus=cell.cpus,
            dies=_by_first_cpu(dies),
            clusters=_by_first_cpu(clusters),
            caches=tuple(
                sorted(
                    {bank for bank in cell.caches if bank.cpus & cell.cpus},
                    key=lambda bank: (bank.level, bank.cpus & -bank.cpus, bank.size_kib),
                )
            ),
            accesses=tuple(sorted(cell.accesses, key=lambda access: access.initiator)),
        )
    )


def _parts(cell: FoundCell, groups: Iterable[int]) -> set[int]:
    """Return what the groups hold of a cell, each part once."""
    return {group & cell.cpus for group in groups} - {0}


def _by_first_cpu(masks: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(masks, key=lambda mask: mask & -mask))
