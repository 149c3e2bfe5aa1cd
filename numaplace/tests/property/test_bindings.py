# SPDX-License-Identifier: Apache-2.0
"""Guest cells that share a host cell, against every order in which they could be placed one after another."""

from collections import Counter
from functools import reduce
from itertools import combinations, permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numaplace import cpuset, exception, fit
from numaplace.model import CellShape, Guest, GuestCell, Host, HostCell, Limits, Networks, Pages

# --- the oracle: sets and loops over the rule for one cell -----------------------------


def _even(free_cores, number):
    """Yield the sets of CPUs that thread policy require may take: as many from each core but the last."""
    if not number:
        if any(len(core) > 1 for core in free_cores):
            yield frozenset()
        return
    for threads in range(2, 5):
        wide = [core for core in free_cores if len(core) >= threads]
        full, rest = divmod(number, threads)
        for chosen in permutations(wide, full + bool(rest)):
            shares = [threads] * full + [rest] * bool(rest)
            for parts in product(*(combinations(sorted(core), n) for core, n in zip(chosen, shares, strict=True))):
                yield frozenset(cpu for part in parts for cpu in part)


def _cpu_choices(cell, free, guest_cell, emulator):
    """Yield the sets of CPUs that a guest cell may take of the free ones, the emulator's included."""
    cores = [frozenset(cpuset.ids(core)) for core in cell.shape.cores]
    number = guest_cell.dedicated_vcpus.bit_count()
    if not guest_cell.is_pinned:
        yield frozenset()
    elif guest_cell.thread_policy == 'isolate':
        whole = [core for core in cores if core <= free]
        width = max(map(len, cores))
        for chosen in combinations([core for core in whole if len(core) == width], number):
            rest = [core for core in whole if core not in chosen]
            for own in combinations(rest, emulator):
                yield frozenset().union(*chosen, *own)
    else:
        if guest_cell.thread_policy == 'require':
            choices = set(_even([core & free for core in cores], number))
        else:
            choices = map(frozenset, combinations(sorted(free), number))
        for chosen in choices:
            for own in combinations(sorted(free - chosen), emulator):
                yield chosen | set(own)


def _size_choices(cell, pages, guest_cell):
    """Yield the page sizes that a guest cell may take; None where it holds no pages of its own."""
    asked, memory_kib = guest_cell.pagesize_kib, guest_cell.memory_mib * 1024
    sizes = sorted(pages)
    if asked is None:
        if not sizes or not guest_cell.is_pinned:
            yield None
            return
        allowed = sizes[:1]
    else:
        allowed = {-1: sizes[:1], -2: sizes[1:], -3: sizes}.get(asked, [asked] if asked in sizes else [])
    for size in allowed:
        if memory_kib % size == 0 and memory_kib // size <= pages[size]:
            yield size


def _sequence_fits(world, order, free, pages):
    cell, emulator, floating_kib = world
    if not order:
        return _within_itself(cell, pages, floating_kib)
    guest_cell, rest = order[0], order[1:]
    own = emulator if guest_cell.id == 0 else 0
    for size in _size_choices(cell, pages, guest_cell):
        left = dict(pages)
        if size:
            left[size] -= guest_cell.memory_mib * 1024 // size
        for taken in set(_cpu_choices(cell, free, guest_cell, own)):
            if _sequence_fits(world, rest, free - taken, left):
                return True
    return False


def _alone_fits(cell, guest, limits):
    return all(fit.place(Host((cell,)), _only(guest, number), limits=limits) for number in range(len(guest.cells)))


def _only(guest, number):
    """Return a guest of one of the cells; an isolated emulator stays with cell 0."""
    one = guest.cells[number]
    return Guest(
        one.vcpus.bit_count(), one.memory_mib, (one,), emulator_policy=guest.emulator_policy if number == 0 else None
    )


def _sums_fit(cell, guest, limits):
    shared = [one for one in guest.cells if one.cpu_policy != 'dedicated']
    vcpus = sum(one.shared_vcpus.bit_count() for one in shared)
    memory_mib = sum(one.memory_mib for one in shared)
    if vcpus > cell.shape.shared_cpus.bit_count():
        return False
    if limits is None or not shared:
        return True
    return (
        not vcpus or cell.cpu_usage + vcpus <= cell.shape.shared_cpus.bit_count() * limits.cpu_allocation_ratio
    ) and cell.memory_usage_mib + memory_mib <= cell.shape.memory_mib * limits.ram_allocation_ratio


def _within_itself(cell, left, floating_kib):
    """Return whether what the guest holds of the smallest pages and what floats there stay within their total."""
    if not cell.pages:
        return True
    smallest = min(cell.pages, key=lambda pages: pages.size_kib)
    held = smallest.free - left[smallest.size_kib]
    return held * smallest.size_kib + floating_kib <= smallest.total * smallest.size_kib


def _memory_fits(cell, guest):
    """Return whether the guest cells have room together on a host cell that names no pages."""
    pinned = sum(one.memory_mib for one in guest.cells if one.is_pinned)
    return pinned <= cell.free_memory_mib and sum(one.memory_mib for one in guest.cells) <= cell.shape.memory_mib


def _oracle(cell, guest, limits):
    if not (_alone_fits(cell, guest, limits) and _sums_fit(cell, guest, limits)):
        return False
    if not cell.pages and not _memory_fits(cell, guest):
        return False
    emulator = int(guest.emulator_policy == 'isolate')
    free = frozenset(cpuset.ids(cell.free_cpus))
    pages = {item.size_kib: item.free for item in cell.pages}
    floating_kib = 1024 * sum(one.memory_mib for one in guest.cells if one.pagesize_kib is None and not one.is_pinned)
    world = cell, emulator, floating_kib
    return any(_sequence_fits(world, order, free, pages) for order in permutations(guest.cells))


# --- what hypothesis thinks of ----------------------------------------------------------


@st.composite
def _host_cells(draw):
    widths = draw(st.lists(st.sampled_from([1, 2, 2, 3, 4]), min_size=1, max_size=3).filter(lambda w: sum(w) <= 7))
    firsts = [sum(widths[:number]) for number in range(len(widths))]
    siblings = tuple(((1 << width) - 1) << first for width, first in zip(widths, firsts, strict=True))
    cpus = (1 << sum(widths)) - 1
    shape = CellShape(4, draw(st.sampled_from([cpus, 0b11 << 16])), cpus, 8, siblings)
    pages = draw(st.sampled_from([(), (Pages(4, 2048),), (Pages(4, 1536), Pages(1024, 2)), (Pages(1024, 4, 1, 1),)]))
    used_mib = draw(st.sampled_from([0, 0, 3]))
    return HostCell(shape, cpus & draw(st.sampled_from([0, 0, 1, 0b1010])), draw(st.integers(0, 2)), used_mib, pages)


@st.composite
def _guests(draw):
    cells, first = [], 0
    policies = st.sampled_from(['dedicated', 'dedicated', 'shared', 'mixed', None])
    threads = st.sampled_from([None, 'prefer', 'require', 'require', 'isolate'])
    for number in range(draw(st.integers(2, 3))):
        policy, vcpus = draw(policies), draw(st.integers(1, 4))
        mask = ((1 << vcpus) - 1) << first
        first += vcpus
        dedicated = {'dedicated': mask, 'mixed': mask & (0b10101 << number)}.get(policy or '', 0)
        size = draw(st.sampled_from([None, None, -1, -2, -3, 4, 1024]))
        thread_policy = draw(threads) if dedicated else None
        cells.append(
            GuestCell(number, mask & ~dedicated, dedicated, draw(st.integers(1, 3)), size, policy, thread_policy)
        )
    emulator = draw(st.sampled_from([None, 'isolate'])) if cells[0].is_pinned else None
    return Guest(first, sum(cell.memory_mib for cell in cells), tuple(cells), emulator_policy=emulator)


def _is_even(cell, placed):
    """Whether the CPUs of a placed cell come in equal parts of at least 2 from the cores, but for one smaller part."""
    cpus = cpuset.mask(cpu for _vcpu, cpu in placed.pins)
    parts = Counter((core & cpus).bit_count() for core in cell.shape.cores if core & cpus)
    return not cpus or (len(parts) <= 2 and (len(parts) == 1 or parts[min(parts)] == 1))


@settings(max_examples=600, deadline=None)
@given(_host_cells(), _guests(), st.sampled_from([None, Limits(2.0, 1.5)]))
def test_sharing_guest_cells_fit_exactly_where_some_order_of_them_does(cell, guest, limits):
    host = Host((HostCell(CellShape(9, 1 << 30, 1 << 31, 8)), cell), memory_used_mib=0)
    answer = fit.place(host, guest, limits=limits, host_cell_ids=[4] * len(guest.cells))
    assert _oracle(cell, guest, limits) == bool(answer)
    if not answer:
        assert answer.reasons
        assert {(4,)} == {reason.host_cells for reason in answer.reasons}
        return
    used = host.consume(answer)
    assert host == used.release(answer)
    taken = [placed.taken for placed in answer.cells]
    assert reduce(int.__or__, taken).bit_count() == sum(mask.bit_count() for mask in taken)
    for guest_cell, placed in zip(guest.cells, answer.cells, strict=True):
        assert list(cpuset.ids(guest_cell.dedicated_vcpus)) == [vcpu for vcpu, _cpu in placed.pins]
        assert bool(placed.emulator_cpus) == (guest.emulator_policy == 'isolate' and guest_cell.id == 0)
        assert guest_cell.thread_policy != 'require' or _is_even(cell, placed)
    for pages in used.cell(4).pages:
        held = sum(
            placed.guest_cell.memory_mib * 1024 // pages.size_kib
            for placed in answer.cells
            if placed.pagesize_kib == pages.size_kib
        )
        assert held <= next(item.free for item in cell.pages if item.size_kib == pages.size_kib)


# --- bound one by one ---------------------------------------------------------------------

_CELL = GuestCell(0, 0, 0b11, 1, cpu_policy='dedicated')
_HOST = Host(tuple(HostCell(CellShape(number, 0, 0b1111 << 4 * number, 8)) for number in range(3)))


@pytest.mark.parametrize('host_cell_ids', list(product(range(3), repeat=2)))
def test_a_bound_guest_goes_where_it_is_bound(host_cell_ids):
    guest = Guest(4, 2, (_CELL, GuestCell(1, 0, 0b1100, 1, cpu_policy='dedicated')))
    placement = fit.place(_HOST, guest, host_cell_ids=host_cell_ids)
    assert list(host_cell_ids) == [placed.host_cell for placed in placement.cells]
    assert _HOST == _HOST.consume(placement).release(placement)


def test_bindings_that_cannot_hold_are_refused_with_reasons():
    guest = Guest(2, 1, (_CELL,))
    near = Host(
        (HostCell(CellShape(0, 0, 0b11, 8)), HostCell(CellShape(1, 0, 0b1100, 8, physnets=frozenset({'lake'}))))
    )
    unknown = fit.place(near, guest, host_cell_ids=[7])
    far = fit.place(near, guest, networks=Networks(frozenset({'lake'})), host_cell_ids=[0])
    assert [('cells.unknown', (7,))] == [(reason.code, reason.host_cells) for reason in unknown.reasons]
    assert [('network.physnet', (1,))] == [(reason.code, reason.host_cells) for reason in far.reasons]


def test_as_many_bindings_as_guest_cells_are_needed():
    with pytest.raises(exception.Invalid, match='2 host cell ids for 1 guest cells'):
        fit.place(_HOST, Guest(2, 1, (_CELL,)), host_cell_ids=[0, 1])
