# SPDX-License-Identifier: Apache-2.0
"""Dedicated CPUs of one host cell for one guest cell: do the threads suffice, and which are taken.

Nova 34, `_pack_instance_onto_cores`, with these differences: CPUs without known siblings count as cores of one
thread, an emulator CPU with thread policy isolate gets a wholly free core, and ties go by CPU number.
"""

from __future__ import annotations

from collections.abc import Iterator

from numaplace import cpuset
from numaplace.fit.cell_demand import Demand, Lack
from numaplace.model import ISOLATE, REQUIRE, FreeCores, HostCell

__all__ = ['choose', 'most_threads_first', 'shortfall', 'shortfalls', 'whole_core_shortfalls']


#: The thread policy or the isolated emulator needs dedicated vCPUs, and the guest cell has none.
_NONE = Lack('cpus.dedicated.none', 1, 0, 'vCPUs')


def shortfall(host_cell: HostCell, demand: Demand) -> Lack | None:
    """Return what the free threads lack for a demand whose number of free CPUs suffices, or None.

    Linear in the number of cores for the first call on a host cell value, constant afterwards.
    """
    return next(shortfalls(host_cell, demand), None)


def shortfalls(host_cell: HostCell, demand: Demand) -> Iterator[Lack]:
    """Yield all that the threads lack for a demand, whether or not the number of free CPUs suffices."""
    if demand.thread_policy == ISOLATE:
        yield from _isolate_shortfalls(host_cell, demand)
        return
    if demand.thread_policy == REQUIRE:
        yield from _require_shortfalls(host_cell, max(demand.dedicated, 1))
    if demand.emulator and not demand.dedicated:
        yield _NONE


def _require_shortfalls(host_cell: HostCell, vcpus: int) -> Iterator[Lack]:
    """Yield the cores that are missing with the number of threads for which the smallest share is."""
    if host_cell.shape.threads_per_core == 1:
        yield Lack('threads.require.smt', 2, 1, 'threads per core')
        return
    counts = range(2, host_cell.shape.threads_per_core + 1)
    free = host_cell.free_cores.at_least
    if any(threads * free[threads] >= vcpus for threads in counts):
        return
    total = _dedicated_cores(host_cell).at_least
    enough = [threads for threads in counts if threads * total[threads] >= vcpus]
    code, at_least = ('threads.require', free) if enough else ('threads.require.total', total)
    lacks = [Lack(code, -(-vcpus // threads), at_least[threads], 'cores', str(threads)) for threads in enough or counts]
    yield min(lacks, key=lambda lack: (lack.needed - lack.available) / lack.needed)


def _dedicated_cores(host_cell: HostCell) -> FreeCores:
    """Return the dedicated CPUs by core as if no guest were there."""
    shape = host_cell.shape
    return FreeCores.of((own for core in shape.cores if (own := core & shape.dedicated_cpus)), shape.threads_per_core)


def _isolate_shortfalls(host_cell: HostCell, demand: Demand) -> Iterator[Lack]:
    shape = host_cell.shape
    if not demand.dedicated:
        yield _NONE
        return
    if shape.threads_per_core != 1 and shape.dedicated_cpus != shape.shared_cpus:
        yield Lack('threads.isolate.smt', 1, shape.threads_per_core, 'threads per core')
    yield from whole_core_shortfalls(host_cell, demand.dedicated, demand.emulator)


def whole_core_shortfalls(host_cell: HostCell, vcpus: int, emulator: int) -> Iterator[Lack]:
    """Yield the wholly free cores that are missing under thread policy isolate.

    The subject is the number of narrower cores, which do not count for vCPUs, where there are some.

    :param vcpus: number of vCPUs, each of which needs one of the widest cores
    :param emulator: number of further cores, of any width
    """
    widest = host_cell.free_cores.at_least[-1]
    if widest >= vcpus and not (emulator and len(host_cell.whole_cores) < vcpus + emulator):
        return
    shape = host_cell.shape
    dedicated = [core for core in shape.cores if core & shape.dedicated_cpus == core]
    total = sum(core.bit_count() == shape.threads_per_core for core in dedicated)
    short = max(vcpus - total, vcpus + emulator - len(dedicated))
    if short > 0:
        narrower = len(dedicated) - total if short == vcpus - total else 0
        needed = vcpus if narrower else vcpus + emulator
        yield Lack('threads.isolate.total', needed, needed - short, 'cores', str(narrower or ''))
        return
    whole = len(host_cell.whole_cores)
    if widest < vcpus:
        yield Lack('threads.isolate', vcpus, widest, 'cores', str(whole - widest or ''))
    if emulator and whole < vcpus + emulator:
        yield Lack('threads.isolate.emulator', vcpus + emulator, whole, 'cores')


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
        while share:  # without cpuset.ids: a fit spends most of its time here
            low = left & -left
            chosen.append(low.bit_length() - 1)
            left ^= low
            share -= 1
    return chosen[:needed]
