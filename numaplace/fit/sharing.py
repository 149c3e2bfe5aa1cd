# SPDX-License-Identifier: Apache-2.0
"""Several guest cells of one guest on one host cell: page sizes and CPUs for all of them, none used twice.

They fit if they can be placed one after another in some order, each by the rule for one cell with a free choice of
page size and cores, and if together they do not overcommit against each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import count
from operator import or_
from typing import NamedTuple

from numaplace import cpuset
from numaplace.fit import cells
from numaplace.fit.cell_demand import Demand, Lack, distinct
from numaplace.fit.cores import most_threads_first, whole_core_shortfalls
from numaplace.fit.memory import backing_pages, page_shortfall, shortfall_mib
from numaplace.model import ISOLATE, REQUIRE, CellPlacement, FreeCores, GuestCell, HostCell
from numaplace.units import KIB_PER_MIB

__all__ = ['shared_placements', 'shortfalls']


class _Cpus(NamedTuple):
    """CPUs of one guest cell: those of its vCPUs, those of the emulator, and all that are taken."""

    chosen: list[int]
    emulator: int
    taken: int


def shared_placements(
    host_cell: HostCell, guest_cells: Sequence[GuestCell], demands: Sequence[Demand]
) -> list[CellPlacement] | Lack:
    """Place guest cells together on a host cell that each of them fits alone.

    The choice of page sizes is exponential at worst in the number of guest cells that leave it open, the choice of
    cores under thread policy require in the number of unequal guest cells.

    :returns: a placement for each guest cell, or the first thing that they lack together
    """
    lack = next(_sum_shortfalls(host_cell, demands), None)
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


def shortfalls(host_cell: HostCell, demands: Sequence[Demand]) -> list[Lack]:
    """Return all that guest cells lack together if each fits the host cell alone; it costs as much as placing them."""
    sums = list(_sum_shortfalls(host_cell, demands))
    sizes, cpus = _page_sizes(host_cell, demands), _share_cpus(host_cell, demands)
    by_memory = [sizes if isinstance(sizes, Lack) else None, *(lack for lack in sums if lack.unit == 'MiB')]
    dedicated = [lack for lack in sums if lack.code.startswith('cpus.dedicated')]
    # If there are too few CPUs, a shortage after whole cores is not a second lack.
    if isinstance(cpus, Lack) and not (dedicated and cpus.code.startswith('cpus.dedicated')):
        dedicated.append(cpus)
    shared = [lack for lack in sums if lack.code.startswith('cpus.shared')]
    return [*distinct(by_memory), *distinct(shared), *distinct(dedicated)]


def _sum_shortfalls(host_cell: HostCell, demands: Sequence[Demand]) -> Iterator[Lack]:
    """Compare the sums of CPUs and memory with what the host cell has and with the limits."""
    sums = [cells.dedicated_shortfall(host_cell, sum(demand.dedicated + demand.emulator for demand in demands))]
    sharing = [demand for demand in demands if demand.is_shared]
    if sharing:
        vcpus = sum(demand.shared for demand in sharing)
        memory_mib = sum(demand.memory_mib for demand in sharing)
        sums += [
            cells.shared_shortfall(host_cell, vcpus),
            cells.cpu_limit_shortfall(host_cell, vcpus, sharing[0].cpu_ratio),
            cells.memory_limit_shortfall(host_cell, memory_mib, sharing[0].ram_ratio),
        ]
    yield from filter(None, sums)


# --- memory -------------------------------------------------------------------------


def _page_sizes(host_cell: HostCell, demands: Sequence[Demand]) -> list[int | None] | Lack:
    """Choose the page size of each guest cell, the largest first, so that no page is used twice."""
    smallest = host_cell.smallest_pages
    if smallest is None:
        pinned_mib = sum(demand.memory_mib for demand in demands if demand.is_pinned)
        lack = shortfall_mib(host_cell, sum(demand.memory_mib for demand in demands), pinned_mib)
        return lack or [None] * len(demands)
    options = [_size_options(host_cell, demand, smallest.size_kib) for demand in demands]
    floating_mib = sum(demand.memory_mib for demand in demands if not (demand.pagesize_kib or demand.is_pinned))
    lack = _fixed_size_shortfall(host_cell, demands, options, floating_mib)
    if lack is not None:
        return lack
    free_kib = {pages.size_kib: pages.free * pages.size_kib for pages in host_cell.pages}
    total_kib = smallest.total * smallest.size_kib
    free_kib[smallest.size_kib] = min(free_kib[smallest.size_kib], total_kib - floating_mib * KIB_PER_MIB)
    sizes = _choose_sizes([demand.memory_mib * KIB_PER_MIB for demand in demands], options, free_kib)
    if sizes is None:
        held_mib = sum(demand.memory_mib for demand, option in zip(demands, options, strict=True) if option)
        usable_kib = sum(free_kib[size] for size in {size for option in options for size in option})
        return Lack('memory.shared', held_mib, usable_kib // KIB_PER_MIB, 'MiB')
    return [size if demand.pagesize_kib else None for demand, size in zip(demands, sizes, strict=True)]


def _size_options(host_cell: HostCell, demand: Demand, smallest_kib: int) -> list[int]:
    """Return the page sizes that a guest cell may hold, best first; none if it may overcommit memory."""
    if not demand.memory_mib:
        return []
    if demand.pagesize_kib:
        return [pages.size_kib for pages in backing_pages(host_cell, demand.pagesize_kib)]
    return [smallest_kib] if demand.is_pinned else []


def _fixed_size_shortfall(
    host_cell: HostCell, demands: Sequence[Demand], options: Sequence[Sequence[int]], floating_mib: int
) -> Lack | None:
    """Return what the guest cells that leave no choice of a page size lack together.

    :param floating_mib: memory of the guest cells that hold no pages, but not more than all of the smallest size
    """
    for pages in host_cell.pages:
        fixed = [demand for demand, sizes in zip(demands, options, strict=True) if sizes == [pages.size_kib]]
        memory_mib = sum(demand.memory_mib for demand in fixed)
        memory_kib = memory_mib * KIB_PER_MIB
        if any(demand.pagesize_kib for demand in fixed) and memory_kib > pages.free * pages.size_kib:
            return page_shortfall(pages, memory_kib)
        if pages == host_cell.smallest_pages:
            lack = shortfall_mib(host_cell, memory_mib + floating_mib, memory_mib)
            if lack is not None:
                return lack
    return None


def _choose_sizes(
    needs_kib: Sequence[int], options: Sequence[Sequence[int]], free_kib: dict[int, int]
) -> list[int | None] | None:
    """Return one of its sizes for each need, None where it has no options, so that no size is exceeded."""
    left, chosen = dict(free_kib), list[int | None]()
    dead: set[tuple[int, tuple[int, ...]]] = set()
    waiting: list[Iterator[int | None]] = []
    while len(chosen) < len(needs_kib):
        need_kib, state = needs_kib[len(chosen)], (len(chosen), tuple(left.values()))
        if len(waiting) == len(chosen):
            waiting.append(iter(() if state in dead else options[len(chosen)] or (None,)))
        fitting = (size for size in waiting[-1] if not size or (need_kib <= left[size] and need_kib % size == 0))
        size = next(fitting, 0)
        if size != 0:
            chosen.append(size)
        else:
            dead.add(state)
            waiting.pop()
            if not chosen:
                return None
            need_kib, size = -needs_kib[len(chosen) - 1], chosen.pop()
        if size:
            left[size] -= need_kib
    return chosen


# --- CPUs ---------------------------------------------------------------------------


class _Chosen(NamedTuple):
    """CPUs chosen so far: by guest cell, the mask of the emulator's, and the mask of all that are taken."""

    cpus: dict[int, list[int]]
    emulator: int
    taken: int


def _share_cpus(host_cell: HostCell, demands: Sequence[Demand]) -> list[_Cpus] | Lack:
    """Choose CPUs: whole cores first, then even shares of cores, then whatever is left.

    In this order no guest cell takes CPUs that another needs more: a whole core serves any cell, a thread does not.
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
        return _require_shortfall(host_cell, whole.taken, list(required.values()))
    return _share_rest(host_cell, demands, whole, even)


def _is(demand: Demand, policy: str) -> bool:
    return demand.is_pinned and demand.dedicated > 0 and demand.thread_policy == policy


def _whole_shares(host_cell: HostCell, demands: Sequence[Demand]) -> _Chosen | Lack:
    """Choose cores under thread policy isolate; an emulator with it gets the narrowest core that is left."""
    isolated = [number for number, demand in enumerate(demands) if _is(demand, ISOLATE)]
    if not isolated:
        return _Chosen({}, 0, 0)
    whole, width = host_cell.whole_cores, host_cell.shape.threads_per_core
    wanted = sum(demands[number].dedicated for number in isolated)
    for_emulator = sum(demands[number].emulator for number in isolated)
    lack = next(whole_core_shortfalls(host_cell, wanted, for_emulator), None)
    if lack is not None:
        return lack
    cores = [core for core in whole if core.bit_count() == width][:wanted]
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
    """Choose CPUs for cells that take any, and for the emulator unless it has a core; return those of every cell."""
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
    """Choose CPUs under thread policy require, and remove them from `free`; None if that is impossible.

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


def _require_shortfall(host_cell: HostCell, taken: int, needs: list[int]) -> Lack:
    """Return how many more cores guest cells under thread policy require need, if all threads of these are free.

    :param taken: mask of the CPUs that other cells of the guest take
    """
    shape = host_cell.shape
    total, free = (
        [threads for core in shape.cores if (threads := (core & cpus & ~taken).bit_count())]
        for cpus in (shape.dedicated_cpus, host_cell.free_cpus)
    )
    code, counts = ('threads.require', free) if _suffices(total, needs) else ('threads.require.total', total)
    width = shape.threads_per_core
    more = next(more for more in count(1) if _suffices(counts + [width] * more, needs))
    available = counts.count(width)
    return Lack(code, available + more, available, 'cores', str(width))


def _suffices(counts: Sequence[int], needs: Sequence[int]) -> bool:
    return _plan(tuple(sorted(counts)), tuple(sorted(needs)), {}) is not None


#: How one need is met: pairs of the free threads of a core and the threads taken from it.
_Takes = tuple[tuple[int, int], ...]
_Plan = tuple[tuple[int, _Takes], ...]


def _plan(
    counts: tuple[int, ...], needs: tuple[int, ...], known: dict[tuple[tuple[int, ...], tuple[int, ...]], _Plan | None]
) -> _Plan | None:
    """Return an order of the needs and how each is met, given only the number of free threads of each core."""
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
    """Yield the different ways to take some of the values, each value at most as often as it occurs."""
    if not number:
        yield ()
        return
    for value in sorted(set(values)):
        rest = list(values)
        rest.remove(value)
        for more in _multisets([other for other in rest if other >= value], number - 1):
            yield (value, *more)
