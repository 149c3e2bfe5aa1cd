# SPDX-License-Identifier: Apache-2.0
"""How many guest cells that are alike fit on one host cell, and which resource ends it."""

from __future__ import annotations

from math import inf

from numaplace.fit import cells
from numaplace.fit.cell_demand import Demand
from numaplace.fit.memory import backing_pages
from numaplace.model import ISOLATE, REQUIRE, GuestCell, HostCell, Limits, limit
from numaplace.units import KIB_PER_MIB

__all__ = ['at_most', 'cpus_left', 'exact', 'ram_left']


def exact(host_cell: HostCell, guest_cell: GuestCell, demand: Demand) -> tuple[float, str]:
    """Return how many fit, one after the other, and the code of what refuses the next.

    A quotient for each resource; where the fit's choice of CPUs decides, the fit is asked for one after the other.
    """
    number, code = at_most(host_cell, demand)
    if not number or not demand.is_pinned or _is_even(host_cell, demand):
        return number, code
    by_pairs = demand.thread_policy == REQUIRE and host_cell.shape.threads_per_core == 2
    if by_pairs and demand.dedicated and not demand.emulator:
        return _by_pairs(host_cell, demand, number, code)
    left = host_cell
    for placed in range(int(number)):
        lack = cells.shortfall(left, demand)
        if lack is not None:
            return placed, lack.code
        left = left.consume(cells.place(left, guest_cell, demand))
    return number, code


def _by_pairs(host_cell: HostCell, demand: Demand, number: float, code: str) -> tuple[float, str]:
    """Return how many fit where each takes its CPUs from cores with both threads free: half a core may stay behind."""
    most = host_cell.free_cores.at_least[2] // -(-demand.dedicated // 2)
    if most >= number:
        return number, code
    is_short = host_cell.free_cpus.bit_count() - most * demand.dedicated < demand.dedicated
    return most, 'cpus.dedicated.free' if is_short else 'threads.require'


def _is_even(host_cell: HostCell, demand: Demand) -> bool:
    """Return whether the number of free CPUs or whole cores alone decides."""
    if demand.thread_policy == ISOLATE:
        return len({core.bit_count() for core in host_cell.whole_cores}) == 1
    return demand.thread_policy != REQUIRE


def at_most(host_cell: HostCell, demand: Demand) -> tuple[float, str]:
    """Return an upper bound for any order, infinite where nothing ends it, and the code of the resource."""
    lack = cells.shortfall(host_cell, demand)
    if lack is not None:
        return 0, lack.code
    found = [_memory(host_cell, demand)]
    if demand.is_pinned:
        found.append(_cpus(host_cell, demand))
    if demand.is_shared and demand.cpu_ratio is not None and demand.ram_ratio is not None:
        limits = Limits(demand.cpu_ratio, demand.ram_ratio)
        if demand.shared:
            found.append((cpus_left(host_cell, limits) // demand.shared, 'cpus.shared.limit'))
        found.append((ram_left(host_cell, limits) // demand.memory_mib, 'memory.limit'))
    return min(found, key=lambda each: each[0])


def cpus_left(host_cell: HostCell, limits: Limits | None) -> float:
    """Return how many shared vCPUs the limit still allows."""
    if limits is None:
        return inf
    return limit(host_cell.shape.shared_cpus.bit_count(), limits.cpu_allocation_ratio) - host_cell.cpu_usage


def ram_left(host_cell: HostCell, limits: Limits | None) -> float:
    """Return how much memory the limit still allows, in MiB."""
    if limits is None:
        return inf
    most = limit(host_cell.shape.memory_mib, limits.ram_allocation_ratio)
    return most - host_cell.memory_usage_mib - host_cell.held_mib


def _cpus(host_cell: HostCell, demand: Demand) -> tuple[float, str]:
    each = demand.dedicated + demand.emulator
    if not each:
        return inf, ''
    if demand.thread_policy == ISOLATE:
        return len(host_cell.whole_cores) // each, 'threads.isolate'
    return host_cell.free_cpus.bit_count() // each, 'cpus.dedicated.free'


def _memory(host_cell: HostCell, demand: Demand) -> tuple[float, str]:
    memory_kib = demand.memory_mib * KIB_PER_MIB
    if demand.pagesize_kib:
        backing = [pages for pages in backing_pages(host_cell, demand.pagesize_kib) if memory_kib % pages.size_kib == 0]
        number = sum([max(0, pages.free) // (memory_kib // pages.size_kib) for pages in backing])
        return number, f'pages.{backing[-1].size_kib}'
    if not demand.is_pinned:
        return inf, ''
    smallest = host_cell.smallest_pages
    free_mib = host_cell.free_memory_mib
    if smallest is not None:
        free_mib = smallest.free * smallest.size_kib // KIB_PER_MIB
    return free_mib // demand.memory_mib, 'memory.free'
