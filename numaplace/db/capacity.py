# SPDX-License-Identifier: Apache-2.0
"""What a database compares and sorts hosts by: derived from their usage, and stored beside it in every write.

Each ``room_`` column is the most of something that a guest can get: a guest that needs more does not fit. The ``order``
columns are measures of weighers, negative, so that an index in its plain order begins with the best host and has those
that are alike by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from numaplace.conf import default
from numaplace.db.records import HostUsage
from numaplace.model import Host, HostCell, Limits, limit
from numaplace.model.held import hold
from numaplace.model.holding import Holding
from numaplace.model.records import HostRecord
from numaplace.units import KIB_PER_MIB

__all__ = ['GIANT_KIB', 'HUGE_KIB', 'ORDERS', 'ROOMS', 'capacity', 'capacity_of', 'free_vcpus', 'limits', 'most']

#: Measures of weighers: free memory in MiB, and free vCPUs.
ORDERS: Final = ('memory_order', 'vcpus_order')
#: Of the host: dedicated CPUs; of its best cell: dedicated CPUs, MiB in pages of the smallest size, MiB in huge pages,
#: MiB in giant pages, vCPUs on shared CPUs. Of the host again: vCPUs on shared CPUs, general MiB within the ratio.
ROOMS: Final = (
    'room_cpus',
    'room_cell_cpus',
    'room_cell_memory_mb',
    'room_cell_huge_mb',
    'room_cell_giant_mb',
    'room_cell_vcpus',
    'room_vcpus',
    'room_memory_mb',
)
#: From which size in KiB on pages count as huge, beside all but the smallest of their cell; and as giant.
HUGE_KIB, GIANT_KIB = 2048, 1048576

_MOST: Final = 2**31 - 1
_MOST_MEASURE: Final = 1e300


def most(amount: float) -> int:
    """Return an amount as the columns hold it: what is larger counts as the largest number."""
    return int(max(-_MOST, min(amount, _MOST)))


def limits(host: HostRecord | HostUsage) -> Limits:
    """Return the host's allocation ratios; if it has none, the defaults of the configuration."""
    return Limits(
        host.cpu_allocation_ratio or default.INITIAL_CPU_RATIO,
        host.ram_allocation_ratio or default.INITIAL_RAM_RATIO,
    )


def free_vcpus(host: Host, ratio: float) -> float:
    """Return CPUs x allocation ratio - vCPUs of all guests; below zero where overcommitted."""
    return host.cpu_count * ratio - host.vcpus_used


def capacity(record: HostRecord | HostUsage) -> dict[str, float]:
    """Return the columns of a host, by name."""
    return capacity_of(record.host, record.unmanaged, limits(record))


def capacity_of(host: Host, unmanaged: Sequence[Holding], ratios: Limits) -> dict[str, float]:
    """Return the columns of a host, by name.

    :param unmanaged: domains there that numaplace does not manage, whatever `host` counts as held
    """
    if unmanaged or host.held_vcpus or host.held_mib:
        host = hold(host, unmanaged)
    shared = host.shared_cpus.bit_count()
    rooms = [_cell_room(cell, ratios.cpu_allocation_ratio) for cell in host.cells]
    return {
        'memory_order': _order(host.free_memory_mib),
        'vcpus_order': _order(free_vcpus(host, ratios.cpu_allocation_ratio)),
        'room_cpus': most(sum([cell.free_cpus.bit_count() for cell in host.cells])),
        **{
            name: most(max(column))
            for name, column in zip(ROOMS[1:6], zip(*rooms, strict=True) if rooms else [(0,)] * 5, strict=True)
        },
        'room_vcpus': most(min(shared, limit(shared, ratios.cpu_allocation_ratio) - host.shared_vcpus_used)),
        'room_memory_mb': most(limit(host.memory_mib, ratios.ram_allocation_ratio) - host.general_memory_used_mib),
    }


def _order(measure: float) -> float:
    return 0.0 - max(0.0, min(measure, _MOST_MEASURE))


def _cell_room(cell: HostCell, cpu_ratio: float) -> tuple[float, ...]:
    """Return what a guest cell can get of a host cell, as ROOMS names it."""
    smallest = cell.smallest_pages
    plain_mib = cell.free_memory_mib if smallest is None else smallest.free * smallest.size_kib // KIB_PER_MIB
    huge_kib = [
        pages.free * pages.size_kib for pages in cell.pages if pages is not smallest or pages.size_kib >= HUGE_KIB
    ]
    giant_kib = [pages.free * pages.size_kib for pages in cell.pages if pages.size_kib >= GIANT_KIB]
    shared = cell.shape.shared_cpus.bit_count()
    return (
        cell.free_cpus.bit_count(),
        plain_mib,
        max(huge_kib, default=0) // KIB_PER_MIB,
        max(giant_kib, default=0) // KIB_PER_MIB,
        min(shared, limit(shared, cpu_ratio) - cell.cpu_usage),
    )
