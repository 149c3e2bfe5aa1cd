# SPDX-License-Identifier: Apache-2.0
"""Build a host from the NUMA cells that a source describes and the operator's options."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypedDict

from numaplace import cpuset, exception
from numaplace.libvirt import memory, power
from numaplace.libvirt.found_cell import FoundCell
from numaplace.memory_kinds import GENERAL
from numaplace.model import (
    CellShape,
    CpuTopology,
    Host,
    HostCell,
    Networks,
    Pages,
    intern_shape,
)
from numaplace.units import KIB_PER_MIB

__all__ = ['MAX_CELL', 'MIN_CACHE_LEVEL', 'VENDORS', 'GuestType', 'HostFacts', 'Options', 'host']

#: Far above any kernel's MAX_NUMNODES.
MAX_CELL = 65535

#: Lower levels belong to one core or two; libvirt does not list them either.
MIN_CACHE_LEVEL = 3

#: libvirt's names of vendors by the vendor IDs of the CPUs.
VENDORS = {'GenuineIntel': 'Intel', 'AuthenticAMD': 'AMD', 'HygonGenuine': 'Hygon'}


@dataclass(frozen=True, slots=True)
class GuestType:
    """One kind of guest that a host can run.

    :param max_vcpus: most vCPUs of machine types, by name, if known
    """

    os_type: str
    arch: str
    domain_types: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()
    max_vcpus: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class HostFacts:
    """Facts about a host other than its NUMA topology; what its source does not report is None or empty.

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
    power_strategy: str | None
    before: Host | None
    general_memory: Collection[str | int]


def host(
    found: Sequence[FoundCell],
    *,
    shared_cpus: int | None = None,
    dedicated_cpus: int | None = None,
    reserved: Mapping[int, Mapping[int, int]] = MappingProxyType({}),
    networks: Mapping[int, Networks] = MappingProxyType({}),
    power_strategy: str | None = None,
    before: Host | None = None,
    present: int | None = None,
    general_memory: Collection[str | int] = (),
) -> Host:
    """Return the host of these cells, without usage.

    :param shared_cpus: mask of ``cpu_shared_set``, or None where it is not set
    :param dedicated_cpus: mask of ``cpu_dedicated_set``, or None where it is not set; where neither is set,
        each CPU is in both sets, and the deprecated ``vcpu_pin_set`` is given as both sets
    :param reserved: pages kept back (``reserved_huge_pages``), by cell id and page size in KiB
    :param networks: networks with affinity to a cell, by cell id
    :param power_strategy: ``cpu_power_management_strategy`` where ``cpu_power_management`` is true, else None; with
        ``cpu_state`` the dedicated CPUs need only be present (Nova 34, ``_get_pcpu_available``)
    :param before: the earlier record of the host, with information about offline CPUs that the source lacks
    :param present: mask of all CPUs of the host, including offline ones, or None if the source may omit some of these
    :param general_memory: kinds of memory and ids of cells that count as general memory, in addition to cells with CPUs
    :raises: :class:`~numaplace.exception.InvalidConfiguration` if the sets overlap in part, if they name CPUs that are
        not online here, or offline CPUs whose cell is not known, or if `general_memory` names a cell that does not
        exist, :class:`~numaplace.exception.InvalidReservedMemoryPagesOption` if pages are reserved that
        do not exist, :class:`~numaplace.exception.InvalidNetworkNUMAAffinity` for a cell that does not exist
    """
    online = cpuset.union(cell.cpus for cell in found)
    offline = cpuset.union(cell.offline for cell in found) | (present or 0) & ~online
    kinds = memory.kinds(found)
    # vcpu_pin_set, which is given as both sets, is not managed.
    managed = power_strategy == power.CPU_STATE and shared_cpus != dedicated_cpus
    found = power.locate(found, (dedicated_cpus or 0) & ~online if managed else 0, present, before)
    off = cpuset.union(cell.offline for cell in found)
    there = _There(online, off, offline, power_strategy, present is not None)
    shared, dedicated = _divide(there, shared_cpus, dedicated_cpus)
    _check_cells(found, reserved, networks, general_memory)
    return Host(
        tuple(
            HostCell(
                _shape(
                    replace(cell, memory_kind=kinds[cell.id]),
                    shared,
                    dedicated,
                    networks.get(cell.id, Networks()),
                    _cell(before, cell.id),
                    counted=kinds[cell.id] in general_memory or cell.id in general_memory,
                ),
                pages=_pages(cell, reserved.get(cell.id, {})),
            )
            for cell in found
        )
    )


@dataclass(frozen=True, slots=True)
class _There:
    """The CPUs of a host; sets are masks.

    :param off: dedicated CPUs that power management keeps offline and whose cell is known
    :param offline: CPUs that the source lists as present but that are not online
    :param strategy: of power management, or None without it
    :param all_named: whether the source lists each CPU that is present
    """

    online: int
    off: int
    offline: int
    strategy: str | None
    all_named: bool


def _divide(there: _There, shared: int | None, dedicated: int | None) -> tuple[int, int]:
    online = there.online
    if shared is None and dedicated is None:
        return online, online
    if shared == dedicated is not None:
        _check_set('vcpu_pin_set', dedicated, online)
        return dedicated, dedicated
    if shared is not None:
        _check_set('[compute] cpu_shared_set', shared, online)
    if dedicated is not None:
        missing = dedicated & ~(online | there.off)
        reason = power.why_refused(missing, there.offline, there.strategy, all_named=there.all_named)
        _check_set('[compute] cpu_dedicated_set', dedicated, online, there.off, reason)
    shared, dedicated = shared or 0, dedicated or 0
    if both := shared & dedicated:
        raise exception.InvalidConfiguration(
            f'[compute] cpu_shared_set = {cpuset.text(shared)} and [compute] cpu_dedicated_set = '
            f'{cpuset.text(dedicated)} both hold CPUs {cpuset.text(both)}: expected two sets without a common CPU '
            f"out of the host's online CPUs {cpuset.text(online)}"
        )
    return shared, dedicated


def _check_set(option: str, cpus: int, online: int, off: int = 0, reason: str = '') -> None:
    here = f"the host's online CPUs {cpuset.text(online)}"
    if not cpus:
        raise exception.InvalidConfiguration(f'{option} holds no CPU: expected some of {here}')
    if missing := cpus & ~(online | off):
        raise exception.InvalidConfiguration(
            f'{option} = {cpuset.text(cpus)}: CPUs {cpuset.text(missing)} are not among {here}{reason}'
        )


def _check_cells(
    found: Sequence[FoundCell],
    reserved: Mapping[int, Mapping[int, int]],
    networks: Mapping[int, Networks],
    general_memory: Collection[str | int],
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
    for named in general_memory:
        if isinstance(named, int) and named not in ids:
            raise exception.InvalidConfiguration(
                f'[numaplace] general_memory = {named}: the host has no cell {named}; it has {known}'
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


def _cell(host: Host | None, cell_id: int) -> CellShape | None:
    """Return the shape of a cell, or None if there is none of that id."""
    return next((cell.shape for cell in host.cells if cell.id == cell_id), None) if host else None


def _shape(
    cell: FoundCell, shared: int, dedicated: int, networks: Networks, before: CellShape | None, *, counted: bool
) -> CellShape:
    cpus = cell.cpus | cell.offline
    packages = _parts(cell, cell.packages)
    dies = _parts(cell, cell.dies) - packages
    clusters = _parts(cell, cell.clusters) - packages - dies - _parts(cell, cell.siblings)
    return intern_shape(
        CellShape(
            id=cell.id,
            shared_cpus=cell.cpus & shared,
            dedicated_cpus=cpus & dedicated,
            memory_mib=cell.memory_kib // KIB_PER_MIB,
            siblings=_by_first_cpu(power.complete(cell.siblings, cpus & (shared | dedicated), before)),
            socket=_socket(cell, before),
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
            memory_kind=cell.memory_kind,
            counts_as_general=counted and cell.memory_kind != GENERAL,
        )
    )


def _socket(cell: FoundCell, before: CellShape | None) -> int | None:
    if cell.offline and not cell.cpus:  # no online CPU is left to report it
        return before.socket if before else None
    return next(iter(cell.sockets)) if len(cell.sockets) == 1 else None


def _parts(cell: FoundCell, groups: Iterable[int]) -> set[int]:
    """Return the parts of the groups in a cell, without duplicates."""
    return {group & cell.cpus for group in groups} - {0}


def _by_first_cpu(masks: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(masks, key=lambda mask: mask & -mask))
