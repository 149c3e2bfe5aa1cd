# SPDX-License-Identifier: Apache-2.0
"""The rules of the fit over all hosts at once: which hosts may take a guest.

For one guest cell on one host cell they are the rule of :mod:`numaplace.fit.cells`. For the guest cells together they
are necessary: as many host cells as any choice of guest cells needs (Hall's condition), and one near each network.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import combinations
from typing import Final

import numpy as np
import numpy.typing as npt

from numaplace.fit.cell_demand import Demand, demands
from numaplace.model import ISOLATE, PAGES_ANY, PAGES_LARGE, PAGES_SMALL, REQUIRE, Guest, Limits, Networks
from numaplace.scheduler.index import CellMask, HostIndex, Mask, clip
from numaplace.units import KIB_PER_MIB

__all__ = ['takes']

#: With more kinds of guest cells, only each alone and all together are counted.
_MOST_KINDS: Final = 4
#: A byte counts fewer cells than this.
_MOST_IN_A_BYTE: Final = 256
#: The demands name the ratios only to say that there are limits: each host has its own.
_LIMITED: Final = Limits(1.0, 1.0)


def takes(index: HostIndex, guest: Guest, networks: Networks | None, host_cell_ids: Sequence[int] | None) -> Mask:
    """Return the hosts that may take a guest within their allocation ratios; the others surely do not.

    :param host_cell_ids: for each guest cell the id of its host cell, or None where host cells are searched
    """
    if guest.wish is not None:
        return index.everything()  # how it is divided depends on the host
    if not guest.cells:
        return _takes_floating(index, guest)
    if host_cell_ids is not None:
        return _takes_bound(index, guest, host_cell_ids)
    mask = _takes_cells(index, guest, networks)
    floating = index.by_host['floating'] > 0
    return mask & (~floating | _takes_beside_floating(index, guest)) if floating.any() else mask


def _takes_floating(index: HostIndex, guest: Guest) -> Mask:
    mask = index.host_has('shared', guest.vcpus) & index.host_has('shared_left', guest.vcpus)
    return mask & index.host_has('ram_left_mib', guest.memory_mib)


def _takes_beside_floating(index: HostIndex, guest: Guest) -> Mask:
    """Return the hosts on which the guests that float keep their room."""
    shared = sum(cell.shared_vcpus.bit_count() for cell in guest.cells)
    mask = index.host_has('shared_left', shared) if shared else index.everything()
    mask &= index.host_has('shared_left', guest.vcpus) | (index.by_host['overlaps'] == 0)
    return mask & index.host_has('ram_left_mib', guest.memory_mib) if guest.memory_mib else mask


def _takes_bound(index: HostIndex, guest: Guest, host_cell_ids: Sequence[int]) -> Mask:
    """Return the hosts whose cells have the CPUs for the guest cells that are bound to them."""
    wanted: Counter[int] = Counter()
    for cell, host_cell in zip(guest.cells, host_cell_ids, strict=False):
        wanted[host_cell] += cell.dedicated_vcpus.bit_count()
    mask = index.everything()
    for host_cell, cpus in wanted.items():
        here = index.by_cell['ids'] == clip(host_cell)
        mask &= (here & index.cells_have('free_cpus', cpus)).any(axis=0)
    return mask


def _takes_cells(index: HostIndex, guest: Guest, networks: Networks | None) -> Mask:
    wanted = Counter(demands(guest, _LIMITED))
    fitting = {demand: _fits(index, demand) for demand in wanted}
    mask = index.everything()
    for kinds in _choices(list(wanted)):
        cells = _union([fitting[kind] for kind in kinds])
        mask &= _number(cells) >= sum(wanted[kind] for kind in kinds)
    if networks is not None:
        cells = _union(list(fitting.values()))
        for name in (*networks.physnets, *([None] if networks.tunneled else [])):
            near = index.near(name)
            if near is not None:
                mask &= ~near.any(axis=0) | (near & cells).any(axis=0)
    return mask


def _choices(kinds: list[Demand]) -> Iterator[Sequence[Demand]]:
    sizes = range(1, len(kinds) + 1) if len(kinds) <= _MOST_KINDS else {1, len(kinds)}
    for size in sizes:
        yield from combinations(kinds, size)


def _union(sets: Sequence[CellMask]) -> CellMask:
    return reduce(np.bitwise_or, sets)


def _number(cells: CellMask) -> npt.NDArray[np.integer]:
    """Return how many cells of each host are set; bytes are added many times faster than larger numbers."""
    return cells.view(np.uint8).sum(axis=0, dtype=np.uint8 if len(cells) < _MOST_IN_A_BYTE else np.int32)


def _fits(index: HostIndex, demand: Demand) -> CellMask:
    """Return which host cells a guest cell fits."""
    fits = _fits_pages(index, demand) if demand.pagesize_kib else _fits_memory(index, demand)
    if demand.is_pinned:
        fits &= index.cells_have('free_cpus', demand.dedicated + demand.emulator)
        fits &= _fits_threads(index, demand)
    if demand.is_shared:
        fits &= index.cells_have('shared_cpus', demand.shared)
        if demand.shared:
            fits &= index.cells_have('shared_left', demand.shared)
        fits &= index.cells_have('memory_left_mib', demand.memory_mib)
    return fits


def _fits_threads(index: HostIndex, demand: Demand) -> CellMask | bool:
    if not demand.dedicated and (demand.emulator or demand.thread_policy == ISOLATE):
        return False
    if demand.thread_policy == ISOLATE:
        fits = index.cells_have('isolate_room', demand.dedicated)
        return fits & index.cells_have('whole_cores', demand.dedicated + 1) if demand.emulator else fits
    return index.cells_have('require_room', max(demand.dedicated, 1)) if demand.thread_policy == REQUIRE else True


def _fits_memory(index: HostIndex, demand: Demand) -> CellMask:
    if not demand.memory_mib:
        return index.cells_have('shared_cpus', 0)
    fits = index.cells_have('memory_total_mib', demand.memory_mib)
    if odd := [size for size in index.smallest_sizes if size and demand.memory_mib * KIB_PER_MIB % size]:
        fits &= ~np.isin(index.by_cell['smallest_kib'], odd)
    return fits & index.cells_have('memory_free_mib', demand.memory_mib) if demand.is_pinned else fits


def _fits_pages(index: HostIndex, demand: Demand) -> CellMask:
    if not demand.memory_mib:
        return index.cells_have('shared_cpus', 0)
    memory_kib, wanted = demand.memory_mib * KIB_PER_MIB, demand.pagesize_kib or PAGES_ANY
    fits = np.zeros(index.by_cell['ids'].shape, bool)
    for size_kib, free in index.free_pages.items():
        if memory_kib % size_kib or (wanted > 0 and wanted != size_kib):
            continue
        backed = free >= clip(memory_kib // size_kib)
        if wanted == PAGES_SMALL:
            backed &= index.by_cell['smallest_kib'] == clip(size_kib)
        elif wanted == PAGES_LARGE:
            backed &= index.by_cell['large_from_kib'] <= clip(size_kib)
        fits |= backed
    return fits
