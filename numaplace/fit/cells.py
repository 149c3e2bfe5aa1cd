# SPDX-License-Identifier: Apache-2.0
"""The rule for one guest cell on one host cell: does it fit, why not, and what it takes there.

Nova 34, `_numa_fit_instance_cell`. The order of the checks decides which lack is named, nothing else.
"""

from __future__ import annotations

from typing import Any

from numaplace import cpuset
from numaplace.fit import cores, memory
from numaplace.fit.cell_demand import Demand, Lack, distinct
from numaplace.model import CellPlacement, GuestCell, HostCell, limit

__all__ = [
    'cpu_limit_shortfall',
    'dedicated_shortfall',
    'memory_limit_shortfall',
    'place',
    'remember',
    'shared_shortfall',
    'shortfall',
    'shortfalls',
]

#: Most answers that a host cell value caches; flavors and ratios are few, so only churn reaches this limit.
_MEMO_SIZE = 256

_UNKNOWN = Lack('', 0, 0, '')


def shortfall(host_cell: HostCell, demand: Demand) -> Lack | None:
    """Return the first thing that a host cell lacks for a demand, or None if the demand fits.

    At most linear in the number of cores and page sizes for the first call, constant for the same demand again.
    """
    lack: Lack | None = host_cell.memo.get(demand, _UNKNOWN)
    if lack is _UNKNOWN:
        lack = _find_shortfall(host_cell, demand)
        remember(host_cell.memo, demand, lack)
    return lack


def remember(memo: dict[Any, Any], key: object, answer: object) -> None:
    """Cache an answer about a host cell value; all of them are forgotten at the limit."""
    if len(memo) >= _MEMO_SIZE:
        memo.clear()
    memo[key] = answer


def _find_shortfall(host_cell: HostCell, demand: Demand) -> Lack | None:
    lack = memory.shortfall(host_cell, demand)
    if lack is None and demand.is_shared:
        lack = shared_shortfall(host_cell, demand.shared)
    if lack is None and demand.is_pinned:
        lack = dedicated_shortfall(host_cell, demand.dedicated + demand.emulator)
        lack = lack or cores.shortfall(host_cell, demand)
    if lack is None and demand.is_shared and demand.cpu_ratio is not None:
        lack = cpu_limit_shortfall(host_cell, demand.shared, demand.cpu_ratio)
        lack = lack or memory_limit_shortfall(host_cell, demand.memory_mib, demand.ram_ratio)
    return lack


def shortfalls(host_cell: HostCell, demand: Demand) -> list[Lack]:
    """Return all that a host cell lacks for a demand; none if the demand fits.

    A lack that another lack of the same resource covers is left out. It costs a few times as much as
    :func:`shortfall`, and nothing is cached: it is for messages, not for decisions.
    """
    by_memory, by_shared = [memory.shortfall(host_cell, demand)], []
    if demand.is_shared:
        by_memory.append(memory_limit_shortfall(host_cell, demand.memory_mib, demand.ram_ratio))
        by_shared.append(shared_shortfall(host_cell, demand.shared))
        by_shared.append(cpu_limit_shortfall(host_cell, demand.shared, demand.cpu_ratio))
    found = [*distinct(by_memory), *distinct(by_shared)]
    if demand.is_pinned:
        too_few = dedicated_shortfall(host_cell, demand.dedicated + demand.emulator)
        found += distinct([too_few, *cores.shortfalls(host_cell, demand)])
    return found


def shared_shortfall(host_cell: HostCell, vcpus: int) -> Lack | None:
    """Compare numbers of CPUs; a guest may not overcommit against itself, only against others."""
    available = host_cell.shape.shared_cpus.bit_count()
    return Lack('cpus.shared.total', vcpus, available, 'CPUs') if vcpus > available else None


def dedicated_shortfall(host_cell: HostCell, wanted: int) -> Lack | None:
    """Compare numbers of CPUs; the subject is the number of free CPUs that are withheld, where there are some."""
    free = host_cell.free_cpus.bit_count()
    if wanted <= free:
        return None
    shape, withheld = host_cell.shape, host_cell.withheld_cpus
    # A core that is withheld because others use a part of it is not withheld for ever.
    unused = [core for core in shape.cores if not core & host_cell.taken_cpus] if withheld else []
    never = sum((core & withheld).bit_count() for core in unused)
    total = shape.dedicated_cpus.bit_count() - never
    if wanted > total:
        return Lack('cpus.dedicated.total', wanted, total, 'CPUs', str(never or ''))
    return Lack('cpus.dedicated.free', wanted, free, 'CPUs', str(withheld.bit_count() or ''))


def cpu_limit_shortfall(host_cell: HostCell, vcpus: int, ratio: float | None) -> Lack | None:
    """Compare shared vCPUs with the room that is left under cpu_allocation_ratio; None sets no limit.

    The limit is of no concern to guest cells without shared vCPUs.
    """
    if ratio is None or not vcpus:
        return None
    left = limit(host_cell.shape.shared_cpus.bit_count(), ratio) - host_cell.cpu_usage
    return Lack('cpus.shared.limit', vcpus, left, 'vCPUs') if vcpus > left else None


def memory_limit_shortfall(host_cell: HostCell, memory_mib: int, ratio: float | None) -> Lack | None:
    """Compare memory with the room that is left under ram_allocation_ratio; None sets no limit."""
    if ratio is None:
        return None
    left_mib = limit(host_cell.shape.memory_mib, ratio) - host_cell.memory_usage_mib - host_cell.held_mib
    return Lack('memory.limit', memory_mib, left_mib, 'MiB') if memory_mib > left_mib else None


def place(host_cell: HostCell, guest_cell: GuestCell, demand: Demand) -> CellPlacement:
    """Place a guest cell on a host cell that it fits: page size, pins and emulator CPUs."""
    key = (guest_cell, demand.emulator)
    placed: CellPlacement | None = host_cell.memo.get(key)
    if placed is None:
        placed = _find_place(host_cell, guest_cell, demand)
        remember(host_cell.memo, key, placed)
    return placed


def _find_place(host_cell: HostCell, guest_cell: GuestCell, demand: Demand) -> CellPlacement:
    pagesize_kib = memory.page_size(host_cell, demand)
    if not demand.is_pinned:
        return CellPlacement(guest_cell, host_cell.id, pagesize_kib)
    chosen, emulator_cpus, taken = cores.choose(host_cell, demand)
    pins = tuple(zip(cpuset.ids(guest_cell.dedicated_vcpus), chosen, strict=True))
    return CellPlacement(guest_cell, host_cell.id, pagesize_kib, pins, emulator_cpus, taken)
