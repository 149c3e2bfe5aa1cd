# SPDX-License-Identifier: Apache-2.0
"""What a guest needs of a host, in the columns by which a database compares hosts.

The rules are those of :mod:`numaplace.fit.cells`, for the host and for its best cell: necessary, never too strict.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from numaplace.db.capacity import GIANT_KIB, HUGE_KIB
from numaplace.fit.cell_demand import Demand, demands
from numaplace.model import PAGES_LARGE, Guest, Limits

__all__ = ['needed']

#: The demands name the ratios only to say that there are limits: each host has its own.
_LIMITED: Final = Limits(1.0, 1.0)


def needed(guest: Guest, *, is_bound: bool) -> Mapping[str, float | str]:
    """Return the least that a host has which takes a guest, by column of :data:`numaplace.db.capacity.ROOMS`.

    :param is_bound: its cells have their host cells, several of them perhaps the same one
    """
    if guest.wish is not None:
        return {}  # how it is divided depends on the host
    if not guest.cells:
        return {'room_vcpus': guest.vcpus, 'room_memory_mb': guest.memory_mib}
    if is_bound:
        return {'room_cpus': sum([cell.dedicated_vcpus.bit_count() for cell in guest.cells])}
    wanted = demands(guest, _LIMITED)
    least: dict[str, float | str] = {
        'room_cpus': sum([demand.dedicated + demand.emulator for demand in wanted if demand.is_pinned])
    }
    for column, amount in (one for demand in wanted for one in _of_cell(demand)):
        least[column] = max(amount, least.get(column, amount))
    return least


def _of_cell(demand: Demand) -> Iterator[tuple[str, float]]:
    """Yield what a guest cell needs of its host cell, by column."""
    if demand.is_pinned:
        yield 'room_cell_cpus', demand.dedicated + demand.emulator
    if demand.is_shared and demand.shared:
        yield 'room_cell_vcpus', demand.shared
    if not demand.memory_mib:
        return
    pages = demand.pagesize_kib
    if not pages:
        if demand.is_pinned:
            yield 'room_cell_memory_mb', demand.memory_mib
    elif pages >= GIANT_KIB:
        yield 'room_cell_giant_mb', demand.memory_mib
    elif pages >= HUGE_KIB or pages == PAGES_LARGE:
        yield 'room_cell_huge_mb', demand.memory_mib
