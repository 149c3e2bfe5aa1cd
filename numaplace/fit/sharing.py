# SPDX-License-Identifier: Apache-2.0
"""Several guest cells of one guest on one host cell: page sizes and CPUs for all of them, none used twice.

They fit if they can be placed one after another in some order, each by the rule for one cell with a free choice of
page size and cores, and if together they do not overcommit against each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from operator import or_
from typing import NamedTuple

from numaplace import cpuset
from numaplace.fit.cores import most_threads_first
from numaplace.fit.demand import Demand, Lack
from numaplace.fit.memory import backing_pages
from numaplace.model import ISOLATE, REQUIRE, CellPlacement, FreeCores, GuestCell, HostCell
from numaplace.units import KIB_PER_MIB

__all__ = ['shared_placements']


class _Cpus(NamedTuple):
    """CPUs of one guest cell: for its vCPUs, the emulator's, and all that are taken."""

    chosen: list[int]
    emulator: int
    taken: int


def shared_placements(
    host_cell: HostCell, guest_cells: Sequence[GuestCell], demands: Sequence[Demand]
) -> list[CellPlacement] | Lack:
    """Place guest cells together on a host cell that each of them fits alone.

    The choice of page sizes is exponential at worst in the number of guest cells that leave it open, the choice of
    cores under thread policy require in the number of unequal guest cells.

    :returns: a placement for each guest cell, or what they lack together
    """
    lack = _sum_shortfall(host_cell, demands)
    if lack is not None:
        return lack
    sizes = _page_sizes(host_cell, demands)
    if isinstance(sizes, Lack):
        return sizes
    cpus = _share_cpus(host_cell, demands)
    if isinstance(cpus, Lack):
        return cpus
    return [
        CellPlacement(
            cell,
            host_cell.id,
            size,
            tuple(zip(cpuset.ids(cell.dedicated_vcpus), share.chosen, strict=True)),
            share.emulator,
            share.taken,
        )
        for cell, size, share in zip(guest_cells, sizes, cpus, strict=True)
    ]


def _sum_shortfall(host_cell: HostCell, demands: Sequence[Demand]) -> Lack | None:
    """Compare the sums of CPUs and memory with what there is and with the limits."""
    shape = host_cell.shape
    dedicated = sum(demand.dedicated + demand.emulator for demand in demands)
    free = host_cell.free_cpus.bit_count()
    if dedicated > free:
        return Lack('cpus.dedicated.free', dedicated, free, 'CPUs')
    sharing = [demand for demand in demands if demand.is_shared]
    shared, have = sum(demand.shared for demand in sharing), shape.shared_cpus.bit_count()
    if shared > have:
        return Lack('cpus.shared.total', shared, have, 'CPUs')
    ratios = [demand.cpu_ratio for demand in sharing if demand.cpu_ratio is not None]
    if ratios and host_cell.cpu_usage + shared > have * ratios[0]:
        return Lack('cpus.shared.limit', shared, have * ratios[0] - host_cell.cpu_usage, 'vCPUs')
    memory_mib = sum(demand.memory_mib for demand in sharing)
    ratios = [demand.ram_ratio for demand in sharing if demand.ram_ratio is not None]
    if ratios and host_cell.memory_usage_mib + memory_mib > shape.memory_mib * ratios[0]:
        return Lack('memory.limit', memory_mib, shape.memory_mib * ratios[0] - host_cell.memory_usage_mib, 'MiB')
    return None


# --- memory -------------------------------------------------------------------------


def _page_sizes(host_cell: HostCell, demands: Sequence[Demand]) -> list[int | None] | Lack:
    """Choose the page size of each guest cell, the largest first, so that no page is used twice."""
    smallest = host_cell.smallest_pages
    if smallest is None:
        return _without_pages(host_cell, demands)
    total_kib = smallest.total * smallest.size_kib
    floating_kib = sum(
        demand.memory_mib * KIB_PER_MIB for demand in demands if not (demand.pagesize_kib or demand.is_pinned)
    )
    if floating_kib > total_kib:
        return Lack('memory.total', floating_kib // KIB_PER_MIB, total_kib // KIB_PER_MIB, 'MiB')
    free_kib = {pages.size_kib: pages.free * pages.size_kib for pages in host_cell.pages}
    free_kib[smallest.size_kib] = min(free_kib[smallest.size_kib], total_kib - floating_kib)
    options = [_size_options(host_cell, demand, smallest.size_kib) for demand in demands]
    sizes = _choose_sizes([demand.memory_mib * KIB_PER_MIB for demand in demands], options, free_kib)
    if sizes is None:
        held_mib = sum(demand.memory_mib for demand, option in zip(demands, options, strict=True) if option)
        return Lack('memory.shared', held_mib, sum(free_kib.values()) // KIB_PER_MIB, 'MiB')
    return [size if demand.pagesize_kib else None for demand, size in zip(demands, sizes, strict=True)]


def _size_options(host_cell: HostCell, demand: Demand, smallest_kib: int) -> list[int]:
    """Return the page sizes that a guest cell may hold, best first; none if it may overcommit memory."""
    if not demand.memory_mib:
        return []
    if demand.pagesize_kib:
        return [pages.size_kib for pages in backing_pages(host_cell, demand.pagesize_kib)]
    return [smallest_kib] if demand.is_pinned else []


def _without_pages(host_cell: HostCell, demands: Sequence[Demand]) -> list[int | None] | Lack:
    pinned_mib = sum(demand.memory_mib for demand in demands if demand.is_pinned)
    if pinned_mib and pinned_mib > host_cell.free_memory_mib:
        return Lack('memory.free', pinned_mib, host_cell.free_memory_mib, 'MiB')
    memory_mib = sum(demand.memory_mib for demand in demands)
    if memory_mib > host_cell.shape.memory_mib:
        return Lack('memory.total', memory_mib, host_cell.shape.memory_mib, 'MiB')
    return [None] * len(demands)


def _choose_sizes(
    needs_kib: Sequence[int], options: Sequence[Sequence[int]], free_kib: dict[int, int]
) -> list[int | None] | None:
    """Return for each need one of its sizes, None where it has no option to take, so that no size is overdrawn."""
    dead: set[tuple[int, tuple[int, ...]]] = set()

    def choose(number: int) -> list[int | None] | None:
        if number == len(needs_kib):
            return []
        state = number, tuple(free_kib.values())
        if state in dead:
            return None
        if not options[number]:
            rest = choose(number + 1)
            return None if rest is None else [None, *rest]
        for size in options[number]:
            if needs_kib[number] <= free_kib[size] and needs_kib[number] % size == 0:
                free_kib[size] -= needs_kib[number]
                rest = choose(number + 1)
                free_kib[size] += needs_kib[number]
                if rest is not None:
                    return [size, *rest]
        dead.add(state)
        return None

    return choose(0)


# --- CPUs ---------------------------------------------------------------------------


class _Chosen(NamedTuple):
    """CPUs chosen so far: by guest cell, the mask of the emulator's, and the mask of all that are taken."""

    cpus: dict[int, list[int]]
    emulator: int
    taken: int


def _share_cpus(host_cell: HostCell, demands: Sequence[Demand]) -> list[_Cpus] | Lack:
    """Choose CPUs: whole cores first, then even shares of cores, then whatever is left.

    In that order nobody takes from another what that one needs more: a whole core serves anyone, a thread does not.
    """
    whole = _whole_shares(host_cell, demands)
    if isinstance(whole, Lack):
        return whole
    free = [left for core in host_cell.free_cores.cores if (left := core & ~whole.taken)]
    threads = sum(core.bit_count() for core in free)
    wanted = sum(
        demand.dedicated + demand.emulator for number, demand in enumerate(demands) if number not in whole.cpus
    )
    if wanted > threads:
        return Lack('cpus.dedicated.free', wanted, threads, 'CPUs')
    required = {number: demand.dedicated for number, demand in enumerate(demands) if _is(demand, REQUIRE)}
    even = _even_shares(free, required)
    if even is None:
        threads = sum(core.bit_count() for core in free if core.bit_count() > 1)
        return Lack('threads.require', sum(required.values()), threads, 'CPUs')
    return _share_rest(host_cell, demands, whole, even)


def _is(demand: Demand, policy: str) -> bool:
    return demand.is_pinned and demand.dedicated > 0 and demand.thread_policy == policy


def _whole_shares(host_cell: HostCell, demands: Sequence[Demand]) -> _Chosen | Lack:
    """Choose cores under thread policy isolate; an emulator beside it gets the narrowest core that is left."""
    isolated = [number for number, demand in enumerate(demands) if _is(demand, ISOLATE)]
    if not isolated:
        return _Chosen({}, 0, 0)
    whole, width = host_cell.whole_cores, host_cell.shape.threads_per_core
    widest = [core for core in whole if core.bit_count() == width]
    wanted = sum(demands[number].dedicated for number in isolated)
    for_emulator = sum(demands[number].emulator for number in isolated)
    if len(widest) < wanted or len(whole) < wanted + for_emulator:
        return Lack('threads.isolate', wanted + for_emulator, len(whole), 'cores')
    cores = widest[:wanted]
    firsts = [cpuset.first(core, 1).bit_length() - 1 for core in cores]
    found: dict[int, list[int]] = {}
    for number in isolated:
        found[number], firsts = firsts[: demands[number].dedicated], firsts[demands[number].dedicated :]
    emulator = 0
    if for_emulator:
        spare = min((core for core in whole if core not in cores), key=lambda core: core.bit_count())
        cores, emulator = [*cores, spare], cpuset.first(spare, 1)
    return _Chosen(found, emulator, reduce(or_, cores))


def _share_rest(
    host_cell: HostCell, demands: Sequence[Demand], whole: _Chosen, even: dict[int, list[int]]
) -> list[_Cpus]:
    """Choose CPUs for who takes any, and for the emulator unless it has a core; return what everybody has."""
    found = whole.cpus | even
    used = reduce(or_, map(cpuset.mask, even.values()), whole.taken)
    for number, demand in enumerate(demands):
        if number not in found:
            left = (core & ~used for core in host_cell.free_cores.cores if core & ~used)
            free = FreeCores.of(left, host_cell.shape.threads_per_core)
            found[number] = most_threads_first(free, demand.dedicated)
            used |= cpuset.mask(found[number])
    emulator = whole.emulator or cpuset.first(host_cell.free_cpus & ~used, 1)
    shares = []
    for number, demand in enumerate(demands):
        own = emulator if demand.emulator else 0
        taken = cpuset.mask(found[number]) | own
        if number in whole.cpus:
            taken = host_cell.shape.with_siblings(taken)
        shares.append(_Cpus(found[number], own, taken))
    return shares


def _even_shares(free: list[int], needs: dict[int, int]) -> dict[int, list[int]] | None:
    """Choose CPUs under thread policy require, and take them out of `free`; None if there is no choice.

    :param free: masks of the free threads of each core
    :param needs: number of CPUs by guest cell
    """
    plan = _plan(tuple(sorted(core.bit_count() for core in free)), tuple(sorted(needs.values())), {})
    if plan is None:
        return None
    waiting = sorted(needs, key=lambda number: (needs[number], number))
    found: dict[int, list[int]] = {}
    for need, takes in plan:
        number = next(number for number in waiting if needs[number] == need and number not in found)
        found[number] = []
        for have, take in takes:
            place = next(place for place, core in enumerate(free) if core.bit_count() == have)
            share = cpuset.first(free[place], take)
            # Cores of one share are distinct: what is left of this one goes to the end, as another core.
            free.append(free.pop(place) & ~share)
            found[number].extend(cpuset.ids(share))
    return found


#: How one need is met: pairs of the free threads of a core and the threads taken of it.
_Takes = tuple[tuple[int, int], ...]
_Plan = tuple[tuple[int, _Takes], ...]


def _plan(
    counts: tuple[int, ...], needs: tuple[int, ...], known: dict[tuple[tuple[int, ...], tuple[int, ...]], _Plan | None]
) -> _Plan | None:
    """Return an order of the needs and how each is met on cores of which only the free threads are told."""
    if not needs:
        return ()
    state = counts, needs
    if state not in known:
        known[state] = None
        for need in sorted(set(needs), reverse=True):
            rest = list(needs)
            rest.remove(need)
            for takes in _ways(counts, need):
                after = _plan(_after(counts, takes), tuple(rest), known)
                if after is not None:
                    known[state] = ((need, takes), *after)
                    return known[state]
    return known[state]


def _after(counts: tuple[int, ...], takes: _Takes) -> tuple[int, ...]:
    left = list(counts)
    for have, take in takes:
        left.remove(have)
        if have > take:
            left.append(have - take)
    return tuple(sorted(left))


def _ways(counts: tuple[int, ...], need: int) -> Iterator[_Takes]:
    """Yield the ways in which one need is met: the same number of threads, at least 2, from each core but the last."""
    for threads in range(max(counts, default=0), 1, -1):
        wide = [have for have in counts if have >= threads]
        full, rest = divmod(need, threads)
        if full + bool(rest) > len(wide):
            continue
        for chosen in _multisets(wide, full):
            takes = tuple((have, threads) for have in chosen)
            if not rest:
                yield takes
                continue
            others = list(wide)
            for have in chosen:
                others.remove(have)
            for have in sorted(set(others)):
                yield (*takes, (have, rest))


def _multisets(values: Sequence[int], number: int) -> Iterator[tuple[int, ...]]:
    """Yield the different ways to take some of the values, each value as often as it is there."""
    if not number:
        yield ()
        return
    for value in sorted(set(values)):
        rest = list(values)
        rest.remove(value)
        for more in _multisets([other for other in rest if other >= value], number - 1):
            yield (value, *more)
