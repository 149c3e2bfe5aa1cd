# SPDX-License-Identifier: Apache-2.0
"""Dedicated CPUs of one host cell for one guest cell: do the threads suffice, and which are taken.

Nova 34, `_pack_instance_onto_cores`, with these differences: CPUs without known siblings count as cores of one
thread, an emulator CPU beside thread policy isolate gets a wholly free core, and ties go by CPU number.
"""

from __future__ import annotations

from numaplace import cpuset
from numaplace.fit.demand import Demand, Lack
from numaplace.model import ISOLATE, REQUIRE, FreeCores, HostCell

__all__ = ['choose', 'most_threads_first', 'shortfall']


def shortfall(host_cell: HostCell, demand: Demand) -> Lack | None:
    """Return what the free threads lack for a demand whose number of free CPUs suffices, or None.

    Linear in the number of cores for the first question on a host cell value, constant afterwards.
    """
    if demand.thread_policy == ISOLATE:
        return _isolate_shortfall(host_cell, demand)
    if demand.thread_policy == REQUIRE:
        lack = _require_shortfall(host_cell, demand)
        if lack:
            return lack
    if demand.emulator and not demand.dedicated:
        return Lack('cpus.dedicated.none', 1, 0, 'vCPUs')
    return None


def _require_shortfall(host_cell: HostCell, demand: Demand) -> Lack | None:
    if host_cell.shape.threads_per_core == 1:
        return Lack('threads.require.smt', 2, 1, 'threads per core')
    at_least = host_cell.free_cores.at_least
    best = max(threads * at_least[threads] for threads in range(2, len(at_least)))
    needed = max(demand.dedicated, 1)
    if best < needed:
        return Lack('threads.require', needed, best, 'CPUs')
    return None


def _isolate_shortfall(host_cell: HostCell, demand: Demand) -> Lack | None:
    shape = host_cell.shape
    if not demand.dedicated:
        return Lack('cpus.dedicated.none', 1, 0, 'vCPUs')
    if shape.threads_per_core != 1 and shape.dedicated_cpus != shape.shared_cpus:
        return Lack('threads.isolate.smt', 1, shape.threads_per_core, 'threads per core')
    free = host_cell.free_cores
    if free.at_least[-1] < demand.dedicated:
        return Lack('threads.isolate', demand.dedicated, free.at_least[-1], 'cores')
    wanted = demand.dedicated + demand.emulator
    if demand.emulator and len(host_cell.whole_cores) < wanted:
        return Lack('threads.isolate.emulator', wanted, len(host_cell.whole_cores), 'cores')
    return None


def choose(host_cell: HostCell, demand: Demand) -> tuple[list[int], int, int]:
    """Choose CPUs for a demand that fits.

    :returns: CPUs for the dedicated vCPUs in the order of the vCPUs; mask of the emulator's CPUs; mask of all CPUs
        that are taken, which with thread policy isolate are whole cores
    """
    if demand.thread_policy == ISOLATE:
        return _choose_isolated(host_cell, demand)
    chosen = most_threads_first(host_cell.free_cores, demand.dedicated)
    taken = 0
    for cpu in chosen:
        taken |= 1 << cpu
    emulator = 0
    if demand.emulator:
        left = (core & ~taken for core in host_cell.free_cores.cores)
        emulator = cpuset.first(next(core for core in left if core), 1)
    return chosen, emulator, taken | emulator


def _choose_isolated(host_cell: HostCell, demand: Demand) -> tuple[list[int], int, int]:
    whole = host_cell.whole_cores
    width = host_cell.shape.threads_per_core
    cores = [core for core in whole if core.bit_count() == width][: demand.dedicated]
    emulator = 0
    if demand.emulator:
        emulator = cpuset.first(next(core for core in whole if core not in cores), 1)
    chosen = [next(cpuset.ids(core)) for core in cores]
    return chosen, emulator, host_cell.shape.with_siblings(cpuset.mask(chosen) | emulator)


def most_threads_first(free: FreeCores, needed: int) -> list[int]:
    """Return CPUs from as few cores as possible, the same number of threads from each.

    Where no even share suffices, every free thread counts, core by core.
    """
    even = len(free.at_least) - 1
    while even and even * free.at_least[even] < needed:
        even -= 1
    chosen: list[int] = []
    for core in free.cores:
        if len(chosen) >= needed:
            break
        if core.bit_count() < even:
            continue
        left, share = core, even or core.bit_count()
        while share:  # not by cpuset.ids: this is where a fit spends its time
            low = left & -left
            chosen.append(low.bit_length() - 1)
            left ^= low
            share -= 1
    return chosen[:needed]
