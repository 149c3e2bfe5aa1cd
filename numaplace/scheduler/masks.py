# SPDX-License-Identifier: Apache-2.0
"""The rules of the fit over all hosts at once: which hosts may take a guest.

For one guest cell on one host cell they are the rule of :mod:`numaplace.fit.cells`. For the guest cells together they
are necessary: as many host cells as any choice of guest cells needs (Hall's condition), and one near each network.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from itertools import combinations
from typing import Final

import numpy as np
import numpy.typing as npt

from numaplace.fit.cell_demand import Demand, demands
from numaplace.model import ISOLATE, PAGES_ANY, PAGES_LARGE, PAGES_SMALL, REQUIRE, Guest, Limits, Networks
from numaplace.scheduler.index import CellMask, HostIndex, Mask, clip
from numaplace.units import KIB_PER_MIB

__all__ = ['lacking', 'takes']

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
    if (index.by_host['floating'] > 0).any():
        for room in _beside_floating(index, guest).values():
            mask &= room
    return mask


def lacking(index: HostIndex, guest: Guest, host_cell_ids: Sequence[int] | None) -> dict[str, Mask]:
    """Return which hosts surely lack a resource, whatever else they have.

    :returns: by ``cells``, ``cpus``, ``threads``, ``memory`` and ``pages``; a host that has each, but not all in the
        same cells, or not near the networks, is in none; bound cells are compared by their IDs only
    """
    if guest.wish is not None:
        return {}
    if not guest.cells:
        return {kind: ~room for kind, room in _floating(index, guest).items()}
    if host_cell_ids is not None:
        known = [(index.by_cell['ids'] == clip(host_cell)).any(axis=0) for host_cell in set(host_cell_ids)]
        return {'cells': ~reduce(np.bitwise_and, known, index.everything())}
    wanted = Counter(demands(guest, _LIMITED))
    parts = {demand: _parts(index, demand) for demand in wanted}
    anywhere = np.ones(index.by_cell['ids'].shape, bool)

    def short(kind: str) -> Mask:
        return ~_is_enough({demand: part.get(kind, anywhere) for demand, part in parts.items()}, wanted)

    for part in parts.values():
        if 'threads' in part:  # cells with too few free CPUs lack no more than those
            part['threads'] &= part['cpus']
    found = {kind: short(kind) for kind in dict.fromkeys(kind for part in parts.values() for kind in part)}
    if 'threads' in found:
        found['threads'] &= ~found['cpus']
    found['cells'] = ~index.host_has('cells', len(guest.cells))
    for kind in found.keys() - {'cells'}:
        found[kind] &= ~found['cells']
    for kind, room in _beside_floating(index, guest).items():
        found[kind] = found.get(kind, False) | ~room
    return found


def _takes_floating(index: HostIndex, guest: Guest) -> Mask:
    return reduce(np.bitwise_and, _floating(index, guest).values())


def _floating(index: HostIndex, guest: Guest) -> dict[str, Mask]:
    """Return the hosts that have room for a guest without cells, by resource."""
    return {
        'cpus': index.host_has('shared', guest.vcpus) & index.host_has('shared_left', guest.vcpus),
        'memory': index.host_has('ram_left_mib', guest.memory_mib),
    }


def _beside_floating(index: HostIndex, guest: Guest) -> dict[str, Mask]:
    """Return the hosts on which the guests that float keep their room, or that have none, by resource."""
    none = index.by_host['floating'] == 0
    shared = sum(cell.shared_vcpus.bit_count() for cell in guest.cells)
    cpus = index.host_has('shared_left', shared) if shared else index.everything()
    cpus = cpus & (index.host_has('shared_left', guest.vcpus) | (index.by_host['overlaps'] == 0))
    found = {'cpus': none | cpus}
    return {**found, 'memory': none | index.host_has('ram_left_mib', guest.memory_mib)} if guest.memory_mib else found


def _takes_bound(index: HostIndex, guest: Guest, host_cell_ids: Sequence[int]) -> Mask:
    """Return the hosts whose cells have the CPUs for the guest cells that are bound to them."""
    wanted: Counter[int] = Counter()
    for cell, host_cell in zip(guest.cells, host_cell_ids, strict=False):
        wanted[host_cell] += cell.dedicated_vcpus.bit_count()
    mask = index.everything()
    for host_cell, cpus in wanted.items():
        here = index.by_cell['ids'] == clip(host_cell)
        mask = mask & (here & index.cells_have('free_cpus', cpus)).any(axis=0)
    return mask


def _takes_cells(index: HostIndex, guest: Guest, networks: Networks | None) -> Mask:
    wanted = Counter(demands(guest, _LIMITED))
    fitting = {demand: _fits(index, demand) for demand in wanted}
    mask = _is_enough(fitting, wanted)
    if networks is not None:
        cells = _union(list(fitting.values()))
        for name in (*networks.physnets, *([None] if networks.tunneled else [])):
            near = index.near(name)
            if near is not None:
                mask &= ~near.any(axis=0) | (near & cells).any(axis=0)
    return mask


def _is_enough(fitting: Mapping[Demand, CellMask], wanted: Counter[Demand]) -> Mask:
    """Return the hosts with as many fitting cells as any choice of guest cells needs."""
    enough = [
        _number(_union([fitting[kind] for kind in kinds])) >= sum(wanted[kind] for kind in kinds)
        for kinds in _choices(list(wanted))
    ]
    return reduce(np.bitwise_and, enough)


def _choices(kinds: list[Demand]) -> Iterator[Sequence[Demand]]:
    sizes = range(1, len(kinds) + 1) if len(kinds) <= _MOST_KINDS else {1, len(kinds)}
    for size in sizes:
        yield from combinations(kinds, size)


def _union(sets: Sequence[CellMask]) -> CellMask:
    return reduce(np.bitwise_or, sets)


def _number(cells: CellMask) -> npt.NDArray[np.integer]:
    """Return how many cells of each host are set; bytes are added many times faster than larger numbers."""
    kind = np.uint8 if len(cells) < _MOST_IN_A_BYTE else np.int32
    counts: npt.NDArray[np.integer] = np.add.reduce(cells.view(np.uint8), axis=0, dtype=kind)
    return counts


def _fits(index: HostIndex, demand: Demand) -> CellMask:
    """Return which host cells a guest cell fits."""
    return reduce(np.bitwise_and, _parts(index, demand).values())


def _parts(index: HostIndex, demand: Demand) -> dict[str, CellMask]:
    """Return which host cells have what a guest cell needs, by resource."""
    found = {'pages': _fits_pages(index, demand)} if demand.pagesize_kib else {'memory': _fits_memory(index, demand)}
    if demand.is_pinned:
        found['cpus'] = _fits_dedicated(index, demand)
        threads = _fits_threads(index, demand)
        if threads is not None:
            found['threads'] = threads
    if demand.is_shared:
        cpus = index.cells_have('shared_cpus', demand.shared)
        if demand.shared:
            cpus &= index.cells_have('shared_left', demand.shared)
        found['cpus'] = found['cpus'] & cpus if 'cpus' in found else cpus
        memory = index.cells_have('memory_left_mib', demand.memory_mib)
        found['memory'] = found['memory'] & memory if 'memory' in found else memory
    return found


def _fits_dedicated(index: HostIndex, demand: Demand) -> CellMask:
    if not demand.dedicated and (demand.emulator or demand.thread_policy == ISOLATE):
        return np.zeros(index.by_cell['ids'].shape, bool)
    return index.cells_have('free_cpus', demand.dedicated + demand.emulator)


def _fits_threads(index: HostIndex, demand: Demand) -> CellMask | None:
    """Return which host cells have what the thread policy needs; None if it needs nothing."""
    if demand.thread_policy == ISOLATE:
        fits = index.cells_have('isolate_room', demand.dedicated)
        return fits & index.cells_have('whole_cores', demand.dedicated + 1) if demand.emulator else fits
    return index.cells_have('require_room', max(demand.dedicated, 1)) if demand.thread_policy == REQUIRE else None


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
