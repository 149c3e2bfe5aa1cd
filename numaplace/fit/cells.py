# SPDX-License-Identifier: Apache-2.0
"""The rule for one guest cell on one host cell: does it fit, why not, and what it takes there.

Nova 34, `_numa_fit_instance_cell`. The order of the checks decides which lack is named, nothing else.
"""

from __future__ import annotations

from typing import Any

from numaplace import cpuset
from numaplace.fit import cores, memory
from numaplace.fit.demand import Demand, Lack
from numaplace.model import CellPlacement, GuestCell, HostCell

__all__ = ['place', 'shortfall']

#: How many answers a host cell value remembers; flavors and ratios are few, so this is only met by churn.
_MEMO_SIZE = 256

_UNKNOWN = Lack('', 0, 0, '')


def shortfall(host_cell: HostCell, demand: Demand) -> Lack | None:
    """Return the first thing that a host cell lacks for a demand, or None if the demand fits.

    At most linear in the number of cores and page sizes for the first question, constant for the same one again.
    """
    lack: Lack | None = host_cell.memo.get(demand, _UNKNOWN)
    if lack is _UNKNOWN:
        lack = _find_shortfall(host_cell, demand)
        _remember(host_cell.memo, demand, lack)
    return lack


def _remember(memo: dict[Any, Any], key: object, answer: object) -> None:
    if len(memo) >= _MEMO_SIZE:
        memo.clear()
    memo[key] = answer


def _find_shortfall(host_cell: HostCell, demand: Demand) -> Lack | None:
    lack = memory.shortfall(host_cell, demand) or _cpu_shortfall(host_cell, demand)
    if lack is None and demand.is_pinned:
        lack = cores.shortfall(host_cell, demand)
    if lack is None and demand.is_shared and demand.cpu_ratio is not None:
        lack = _limit_shortfall(host_cell, demand)
    return lack


def _cpu_shortfall(host_cell: HostCell, demand: Demand) -> Lack | None:
    """Compare numbers of CPUs; a guest may not overcommit against itself, only against others."""
    shape = host_cell.shape
    if demand.is_shared and demand.shared > shape.shared_cpus.bit_count():
        return Lack('cpus.shared.total', demand.shared, shape.shared_cpus.bit_count(), 'CPUs')
    wanted = demand.dedicated + demand.emulator
    if demand.is_pinned and wanted > host_cell.free_cpus.bit_count():
        if wanted > shape.dedicated_cpus.bit_count():
            return Lack('cpus.dedicated.total', wanted, shape.dedicated_cpus.bit_count(), 'CPUs')
        return Lack('cpus.dedicated.free', wanted, host_cell.free_cpus.bit_count(), 'CPUs')
    return None


def _limit_shortfall(host_cell: HostCell, demand: Demand) -> Lack | None:
    cpu_limit = host_cell.shape.shared_cpus.bit_count() * (demand.cpu_ratio or 0)
    if host_cell.cpu_usage + demand.shared > cpu_limit:
        return Lack('cpus.shared.limit', demand.shared, cpu_limit - host_cell.cpu_usage, 'vCPUs')
    memory_limit_mib = host_cell.shape.memory_mib * (demand.ram_ratio or 0)
    if host_cell.memory_usage_mib + demand.memory_mib > memory_limit_mib:
        return Lack('memory.limit', demand.memory_mib, memory_limit_mib - host_cell.memory_usage_mib, 'MiB')
    return None


def place(host_cell: HostCell, guest_cell: GuestCell, demand: Demand) -> CellPlacement:
    """Place a guest cell on a host cell that it fits: page size, pins and emulator CPUs."""
    key = (guest_cell, demand.emulator)
    placed: CellPlacement | None = host_cell.memo.get(key)
    if placed is None:
        placed = _find_place(host_cell, guest_cell, demand)
        _remember(host_cell.memo, key, placed)
    return placed


def _find_place(host_cell: HostCell, guest_cell: GuestCell, demand: Demand) -> CellPlacement:
    pagesize_kib = memory.page_size(host_cell, demand)
    if not demand.is_pinned:
        return CellPlacement(guest_cell, host_cell.id, pagesize_kib)
    chosen, emulator_cpus, taken = cores.choose(host_cell, demand)
    pins = tuple(zip(cpuset.ids(guest_cell.dedicated_vcpus), chosen, strict=True))
    return CellPlacement(guest_cell, host_cell.id, pagesize_kib, pins, emulator_cpus, taken)
