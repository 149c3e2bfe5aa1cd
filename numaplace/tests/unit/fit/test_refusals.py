# SPDX-License-Identifier: Apache-2.0
"""Every cause for which a guest does not fit has its code, its numbers and its cells."""

from dataclasses import replace
from math import comb

import pytest

from numaplace import explain, fit
from numaplace.model import PAGES_ANY, PAGES_LARGE, PAGES_SMALL, Guest, Limits, Networks, Placement, Reason
from numaplace.tests.unit.fit.builders import cell, guest, guest_cell, host, pages

PAIR = {'guest_cells': (0,), 'host_cells': (0,)}
SMALL, HUGE = pages(4, 262144), pages(2048, 512, used=400, reserved=12)
NO_LIMIT = Limits(16.0, 16.0)

# name: host cell, guest cell, further arguments, reason
ONE_CELL = {
    'more pinned vCPUs than dedicated CPUs': (
        cell(cpus='0-1'),
        guest_cell(0, '0-3'),
        {},
        Reason('cpus.dedicated.total', 4, 2, 'CPUs', **PAIR),
    ),
    'dedicated CPUs that others hold': (
        cell(pinned='0-1'),
        guest_cell(0, '0-2'),
        {},
        Reason('cpus.dedicated.free', 3, 2, 'CPUs', **PAIR),
    ),
    'a shared guest against itself': (
        cell(shared='0-1'),
        guest_cell(0, '0-2', 'shared'),
        {'limits': NO_LIMIT},
        Reason('cpus.shared.total', 3, 2, 'CPUs', **PAIR),
    ),
    'shared vCPUs over the limit': (
        cell(cpu_usage=7),
        guest_cell(0, '0-1', None),
        {'limits': Limits(2.0, 1.0)},
        Reason('cpus.shared.limit', 2, 1.0, 'vCPUs', **PAIR),
    ),
    'memory over the limit': (
        cell(used_mib=4000),
        guest_cell(0, '0', 'shared'),
        {'limits': Limits(2.0, 1.0)},
        Reason('memory.limit', 512, 96.0, 'MiB', **PAIR),
    ),
    'a pinned guest on memory in use': (
        cell(used_mib=4000),
        guest_cell(0, '0'),
        {},
        Reason('memory.free', 512, 96, 'MiB', **PAIR),
    ),
    'a pinned guest on small pages in use': (
        cell(sizes=(pages(4, 262144, used=200000),)),
        guest_cell(0, '0'),
        {},
        Reason('memory.free', 512, 242, 'MiB', **PAIR),
    ),
    'a shared guest larger than the cell': (
        cell(memory_mib=256),
        guest_cell(0, '0', 'shared'),
        {},
        Reason('memory.total', 512, 256, 'MiB', **PAIR),
    ),
    'huge pages in use or reserved': (
        cell(sizes=(SMALL, HUGE)),
        guest_cell(0, '0', pagesize_kib=2048),
        {},
        Reason('pages.2048', 256, 100, 'pages', **PAIR),
    ),
    'a page size that the cell does not have': (
        cell(sizes=(SMALL, HUGE)),
        guest_cell(0, '0', memory_mib=1024, pagesize_kib=1048576),
        {},
        Reason('pages.1048576.total', 1, 0, 'pages', **PAIR),
    ),
    'more huge pages than the cell has': (
        cell(sizes=(SMALL, HUGE)),
        guest_cell(0, '0', memory_mib=1024, pagesize_kib=2048),
        {},
        Reason('pages.2048.total', 512, 500, 'pages', **PAIR),
    ),
    'memory that is no multiple of a page size that the cell does not have': (
        cell(sizes=(SMALL, HUGE)),
        guest_cell(0, '0', memory_mib=250, pagesize_kib=1048576),
        {},
        Reason('memory.multiple', 256000, 1048576, 'KiB', **PAIR),
    ),
    'memory that is no multiple of a page size that is used up': (
        cell(sizes=(SMALL, pages(1048576, 2, used=2))),
        guest_cell(0, '0', memory_mib=250, pagesize_kib=1048576),
        {},
        Reason('memory.multiple', 256000, 1048576, 'KiB', **PAIR),
    ),
    'a pinned guest larger than the cell': (
        cell(memory_mib=256, used_mib=200),
        guest_cell(0, '0'),
        {},
        Reason('memory.total', 512, 256, 'MiB', **PAIR),
    ),
    'cores to keep free': (
        replace(cell(pinned='3'), withheld_cpus=0b1),
        guest_cell(0, '0-2'),
        {},
        Reason('cpus.dedicated.free', 3, 2, 'CPUs', **PAIR, subject='1'),
    ),
    'more CPUs than there are without those to keep free': (
        replace(cell(), withheld_cpus=0b1),
        guest_cell(0, '0-3'),
        {},
        Reason('cpus.dedicated.total', 4, 3, 'CPUs', **PAIR, subject='1'),
    ),
    'large, the fullest size named': (
        cell(sizes=(SMALL, HUGE, pages(1048576, 0))),
        guest_cell(0, '0', pagesize_kib=PAGES_LARGE),
        {},
        Reason('pages.2048', 256, 100, 'pages', **PAIR),
    ),
    'large on small pages alone': (
        cell(sizes=(SMALL,)),
        guest_cell(0, '0', pagesize_kib=PAGES_LARGE),
        {},
        Reason('pages.large', 1, 0, 'page sizes', **PAIR),
    ),
    'a page size of a cell without any': (
        cell(),
        guest_cell(0, '0', pagesize_kib=PAGES_ANY),
        {},
        Reason('pages.none', 1, 0, 'page sizes', **PAIR),
    ),
    'memory that is not a whole number of pages': (
        cell(sizes=(pages(1048576, 4),)),
        guest_cell(0, '0', pagesize_kib=PAGES_SMALL),
        {},
        Reason('memory.multiple', 524288, 1048576, 'KiB', **PAIR),
    ),
    'require without SMT': (
        cell(siblings='0 1 2 3'),
        guest_cell(0, '0-1', thread_policy='require'),
        {},
        Reason('threads.require.smt', 2, 1, 'threads per core', **PAIR),
    ),
    'require where each core has one free thread': (
        cell(siblings='0-1 2-3', pinned='0,2'),
        guest_cell(0, '0-1', thread_policy='require'),
        {},
        Reason('threads.require', 1, 0, 'cores', **PAIR, subject='2'),
    ),
    'require with the number of threads for which the smallest share is missing': (
        cell(cpus='0-15', siblings='0-3 4-7 8-11 12-15', pinned='4-5,8-9,12-15'),
        guest_cell(0, '0-6', thread_policy='require'),
        {},
        Reason('threads.require', 4, 3, 'cores', **PAIR, subject='2'),
    ),
    'require where only one core has two dedicated CPUs': (
        cell(cpus='0-2', siblings='0-1 2-3'),
        guest_cell(0, '0-2', thread_policy='require'),
        {},
        Reason('threads.require.total', 2, 1, 'cores', **PAIR, subject='2'),
    ),
    'isolate without enough cores': (
        cell(siblings='0-1 2-3', pinned='0'),
        guest_cell(0, '0-2', thread_policy='isolate'),
        {},
        Reason('threads.isolate.total', 3, 2, 'cores', **PAIR),
    ),
    'isolate without enough free cores': (
        cell(siblings='0-1 2-3', pinned='0'),
        guest_cell(0, '0-1', thread_policy='isolate'),
        {},
        Reason('threads.isolate', 2, 1, 'cores', **PAIR),
    ),
    'isolate on SMT with a dedicated set': (
        cell(siblings='0-1 2-3', shared='4-7'),
        guest_cell(0, '0', thread_policy='isolate'),
        {},
        Reason('threads.isolate.smt', 1, 2, 'threads per core', **PAIR),
    ),
    'isolate with an emulator and no core for it': (
        cell(cpus='0-5', siblings='0-1 2-3 4-5', pinned='0'),
        guest_cell(0, '0-1', thread_policy='isolate'),
        {'emulator': 'isolate'},
        Reason('threads.isolate.emulator', 3, 2, 'cores', **PAIR),
    ),
    'an emulator without a dedicated vCPU with it': (
        cell(),
        guest_cell(0, '0-1', 'mixed'),
        {'emulator': 'isolate'},
        Reason('cpus.dedicated.none', 1, 0, 'vCPUs', **PAIR),
    ),
    'memory below 0': (
        cell(),
        guest_cell(0, '0', memory_mib=-256),
        {},
        Reason('memory.invalid', 1, -256, 'MiB', (0,)),
    ),
    'no memory': (cell(), guest_cell(0, '0', memory_mib=0), {}, Reason('memory.invalid', 1, 0, 'MiB', (0,))),
    'a page size below those that stand for a choice': (
        cell(sizes=(SMALL, HUGE)),
        guest_cell(0, '0', pagesize_kib=-2048),
        {},
        Reason('pages.invalid', 1, -2048, 'KiB', (0,)),
    ),
    'a page size of 0': (
        cell(sizes=(SMALL, HUGE)),
        guest_cell(0, '0', pagesize_kib=0),
        {},
        Reason('pages.invalid', 1, 0, 'KiB', (0,)),
    ),
    'a physical network far from the cell that fits': (
        cell(),
        guest_cell(0, '0-1'),
        {'networks': Networks(frozenset({'far'})), 'others': (cell(1, '4', physnets='far'),)},
        Reason('network.physnet', 1, 0, 'cells', (), (1,), 'far'),
    ),
    'a tunnel far from the cell that fits': (
        cell(),
        guest_cell(0, '0-1'),
        {'networks': Networks(tunneled=True), 'others': (cell(1, '4', tunneled=True),)},
        Reason('network.tunnel', 1, 0, 'cells', (), (1,)),
    ),
    'two networks that no one cell is near to': (
        cell(physnets='a'),
        guest_cell(0, '0'),
        {'networks': Networks(frozenset({'a', 'b'})), 'others': (cell(1, '4', physnets='b'),)},
        Reason('network.joint', subject='a, b'),
    ),
}


@pytest.mark.parametrize('name', ONE_CELL)
def test_a_cause_is_named_with_its_numbers(name):
    host_cell, asked, more, expected = ONE_CELL[name]
    others, emulator = more.pop('others', ()), more.pop('emulator', None)
    refusal = fit.place(host(host_cell, *others), guest(asked, emulator=emulator), **more)
    assert not refusal
    assert expected in refusal.reasons


def test_more_guest_cells_than_host_cells_are_too_many():
    refusal = fit.place(host(cell()), guest(guest_cell(0, '0'), guest_cell(1, '1')))
    assert refusal.reasons == (Reason('cells.count', 2, 1, 'cells'),)


def test_guest_cells_that_fit_one_host_cell_compete_for_it():
    """Both fit host cell 5 and nothing else: a Hall violator of two guest cells and one host cell."""
    refusal = fit.place(
        host(cell(5, '0-3'), cell(6, '4'), cell(7, '5')),
        guest(guest_cell(0, '0-1'), guest_cell(1, '2-3'), guest_cell(2, '4')),
    )
    assert Reason('cells.assignment', 2, 1, 'cells', (0, 1), (5,)) in refusal.reasons
    assert len(refusal.reasons) == 5  # and two guest cells on two host cells each


def test_a_floating_guest_needs_the_memory_of_the_whole_host():
    small = host(cell(memory_mib=512))
    assert fit.place(small, Guest(4, 512)) == Placement(Guest(4, 512))
    assert fit.place(small, Guest(1, 513)).reasons == (Reason('memory.host.total', 513, 512, 'MiB'),)
    busy = small.consume(Placement(Guest(1, 500)))
    assert fit.place(busy, Guest(1, 13)).reasons == (Reason('memory.host', 13, 12, 'MiB'),)
    assert fit.place(small, Guest(1, 768), limits=Limits(1.0, 1.5))


def test_guest_cells_that_share_a_host_cell_need_pages_for_all_of_them():
    """Two guest cells of 3 MiB, each on pages of 1 or 2 MiB of which there are 4 and 2 MiB: 6 MiB do not go round."""
    shared = cell(sizes=(pages(4, 0), pages(1024, 4), pages(2048, 1)))
    wanted = [guest_cell(number, str(number), memory_mib=3, pagesize_kib=PAGES_LARGE) for number in range(2)]
    refusal = fit.place(host(shared), guest(*wanted), host_cell_ids=[0, 0])
    assert refusal.reasons == (Reason('memory.shared', 6, 6, 'MiB', (0, 1), (0,)),)


def test_a_binding_to_a_host_cell_that_does_not_exist_is_named():
    refusal = fit.place(host(cell()), guest(guest_cell(0, '0')), host_cell_ids=[3])
    assert refusal.reasons == (Reason('cells.unknown', guest_cells=(0,), host_cells=(3,)),)


def test_a_floating_guest_needs_shared_cpus_of_the_whole_host():
    divided = host(cell(0, '0-3', shared='8'), cell(1, '4-7', shared='9', cpu_usage=1))
    assert fit.place(divided, Guest(2, 1))
    assert fit.place(divided, Guest(3, 1)).reasons == (Reason('cpus.host.total', 3, 2, 'CPUs'),)
    assert fit.place(divided, Guest(2, 1), limits=Limits(1.5, 1.0))
    assert fit.place(divided, Guest(2, 1), limits=Limits(1.0, 1.0)).reasons == (Reason('cpus.host', 2, 1.0, 'vCPUs'),)


def test_no_guest_floats_over_cpus_that_are_dedicated_alone():
    assert fit.place(host(cell(shared='')), Guest(1, 1)).reasons == (Reason('cpus.host.total', 1, 0, 'CPUs'),)


def test_pinned_cpus_are_no_room_for_floating_guests_where_both_sets_are_one():
    busy = host(cell(pinned='0-2'))
    assert fit.place(busy, Guest(1, 1), limits=Limits(1.0, 1.0))
    assert fit.place(busy, Guest(2, 1), limits=Limits(1.0, 1.0)).reasons == (Reason('cpus.host', 2, 1.0, 'vCPUs'),)


def test_guests_that_float_count_until_they_are_released():
    limits, one = Limits(1.0, 1.0), host(cell())
    placement = fit.place(one, Guest(3, 1), limits=limits)
    used = one.consume(placement)
    assert fit.place(used, Guest(2, 1), limits=limits).reasons == (Reason('cpus.host', 2, 1.0, 'vCPUs'),)
    assert one == used.release(placement)


#: 8 CPUs and 2048 MiB, of which a guest without cells has 6 and 1024.
FLOATING = host(cell(0, '0-3', memory_mib=1024), cell(1, '4-7', memory_mib=1024)).consume(Placement(Guest(6, 1024)))


@pytest.mark.parametrize('host_cell_ids', [None, [0]])
@pytest.mark.parametrize('policy', [None, 'dedicated'])
def test_guests_with_cells_leave_floating_guests_the_room_that_they_were_given(policy, host_cell_ids):
    """8 CPUs x 1.0 hold 6 floating vCPUs and two more, in cells or not, pinned or not."""
    limits = Limits(1.0, 1.0)
    two, three = (guest(guest_cell(0, vcpus, policy)) for vcpus in ('0-1', '0-2'))
    assert fit.place(FLOATING, two, limits=limits, host_cell_ids=host_cell_ids)
    lacks = (Reason('cpus.host', 3, 2.0, 'vCPUs'),)
    assert fit.place(FLOATING, three, limits=limits, host_cell_ids=host_cell_ids).reasons == lacks
    assert fit.place(FLOATING, three, host_cell_ids=host_cell_ids)
    if host_cell_ids is None:
        assert fit.refusal(FLOATING, two, limits=limits) is None
        assert fit.refusal(FLOATING, three, limits=limits).reasons == lacks


def test_pinned_guests_take_no_room_of_floating_guests_on_cpus_of_their_own():
    divided = host(cell(0, '0-3', shared='8-9')).consume(Placement(Guest(2, 1)))
    pinned, shared = guest(guest_cell(0, '0-3')), guest(guest_cell(0, '0', None))
    assert fit.place(divided, pinned, limits=Limits(1.0, 1.0))
    assert fit.place(divided, shared, limits=Limits(1.0, 1.0)).reasons == (Reason('cpus.host', 1, 0.0, 'vCPUs'),)


def test_memory_of_cells_without_cpus_is_for_the_guest_cells_that_are_bound_to_it():
    """Guests that float leave 100 of 2048 MiB, and the cell without CPUs has 4096 more."""
    bare = host(*FLOATING.cells, cell(2, '', memory_mib=4096)).consume(Placement(Guest(1, 1948)))
    asked = {'limits': Limits(4.0, 1.0)}
    assert fit.place(bare, Guest(1, 101), **asked).reasons == (Reason('memory.host', 101, 100.0, 'MiB'),)
    assert fit.place(bare, Guest(1, 100), **asked)
    for own_mib, answer in ((100, True), (101, False)):
        tiered = guest(guest_cell(0, '0', None, memory_mib=own_mib), guest_cell(1, '', None, memory_mib=4096))
        placement = fit.place(bare, tiered, host_cell_ids=[0, 2], **asked)
        assert bool(placement) is answer
    assert placement.reasons == (Reason('memory.host', 101, 100.0, 'MiB'),)


def test_memory_of_floating_guests_is_not_given_to_guests_with_cells():
    """The whole host has 1024 MiB left, whatever its two cells of 1024 have."""
    two = [guest_cell(number, str(number), memory_mib=600) for number in range(2)]
    asked = {'limits': Limits(2.0, 1.0)}
    refusal = fit.place(FLOATING, guest(*two), **asked)
    assert refusal.reasons == (Reason('memory.host', 1200, 1024.0, 'MiB'),)
    assert fit.place(FLOATING, guest(*two[:1]), **asked)


def test_reasons_of_the_cells_and_of_the_whole_host_are_given_together():
    refusal = fit.place(FLOATING, guest(guest_cell(0, '0-4')), limits=Limits(1.0, 1.0))
    assert [reason.code for reason in refusal.reasons] == ['cpus.dedicated.total', 'cpus.dedicated.total', 'cpus.host']


#: 4 CPUs of which 2 are free, and 400 MiB of free memory of 512 that are needed.
SCARCE = cell(pinned='0-1', used_mib=3696)

# name: host cell, guest cell, further arguments, codes and missing shares in their order
ALL_LACKS = {
    'memory is the least short': (
        SCARCE,
        guest_cell(0, '0-2'),
        {},
        [('memory.free', 112 / 512), ('cpus.dedicated.free', 1 / 3)],
    ),
    'CPUs are the least short': (
        cell(pinned='0', used_mib=3996),
        guest_cell(0, '0-3'),
        {},
        [('cpus.dedicated.free', 1 / 4), ('memory.free', 412 / 512)],
    ),
    'both pools of CPUs, pages and the limits of a mixed guest': (
        cell(shared='4-5', pinned='0-3', cpu_usage=3, used_mib=3072, sizes=(SMALL, HUGE)),
        guest_cell(0, '0-4', 'mixed', pinned='0-1', memory_mib=2048, pagesize_kib=2048),
        {'limits': Limits(1.0, 1.0)},
        [
            ('cpus.shared.total', 1 / 3),
            ('pages.2048.total', 524 / 1024),
            ('memory.limit', 1 / 2),
            ('cpus.dedicated.free', 1.0),
            ('cpus.shared.limit', 4 / 3),
        ],
    ),
    'too few cores are more than too few CPUs': (
        cell(cpus='0-7', siblings='0-1 2-3 4-5 6-7', pinned='0,2'),
        guest_cell(0, '0-6', thread_policy='isolate'),
        {},
        [('threads.isolate.total', 3 / 7), ('cpus.dedicated.free', 1 / 7)],
    ),
    'too few cores with one thread are no more than too few CPUs': (
        cell(siblings='0 1 2 3', pinned='0'),
        guest_cell(0, '0-3', thread_policy='isolate'),
        {},
        [('cpus.dedicated.free', 1 / 4)],
    ),
    'threads that no number of CPUs gives': (
        cell(siblings='0 1 2 3'),
        guest_cell(0, '0-4', thread_policy='require', memory_mib=8192),
        {},
        [('cpus.dedicated.total', 1 / 5), ('memory.total', 1 / 2), ('threads.require.smt', 1.0)],
    ),
    'a limit of overcommit that says no more than the size of the cell': (
        cell(memory_mib=256),
        guest_cell(0, '0', 'shared'),
        {'limits': Limits(16.0, 1.0)},
        [('memory.total', 1 / 2)],
    ),
    'a limit of overcommit that others have nearly reached': (
        cell(memory_mib=256, used_mib=200),
        guest_cell(0, '0', 'shared'),
        {'limits': Limits(16.0, 1.0)},
        [('memory.total', 1 / 2), ('memory.limit', 456 / 512)],
    ),
}


@pytest.mark.parametrize('host_cell_ids', [None, [0]], ids=['searched', 'bound'])
@pytest.mark.parametrize(('host_cell', 'asked', 'more', 'expected'), ALL_LACKS.values(), ids=ALL_LACKS)
def test_what_a_host_cell_can_never_give_is_listed_before_what_is_used_up_by_missing_share(
    host_cell, asked, more, expected, host_cell_ids
):
    refusal = fit.place(host(host_cell), guest(asked), **more, host_cell_ids=host_cell_ids)
    assert expected == [(reason.code, reason.missing) for reason in refusal.reasons]


def test_guest_cells_that_share_a_host_cell_have_all_their_reasons_together():
    """Each has its 2 of 3 CPUs and its 300 of 512 MiB; together they lack 1 of 4 and 88 of 600."""
    two = [guest_cell(number, f'{2 * number}-{2 * number + 1}', memory_mib=300) for number in range(2)]
    refusal = fit.place(host(cell(pinned='0', memory_mib=512)), guest(*two), host_cell_ids=[0, 0])
    assert refusal.reasons == (
        Reason('memory.total', 600, 512, 'MiB', (0, 1), (0,)),
        Reason('cpus.dedicated.free', 4, 3, 'CPUs', (0, 1), (0,)),
    )


#: 8 cores of 2 threads and 16 of one, all free, as on a processor with efficient and fast cores.
HYBRID = cell(cpus='0-31', siblings=' '.join([*(f'{n}-{n + 1}' for n in range(0, 16, 2)), *map(str, range(16, 32))]))


#: Guest cells that share a host cell, which each of them fits alone; what they lack together.
TOGETHER = {
    'pages of one size': (
        cell(sizes=(SMALL, HUGE)),
        [{'memory_mib': 102, 'pagesize_kib': 2048}] * 2,
        Reason('pages.2048', 102, 100, 'pages', (0, 1), (0,)),
    ),
    'the smallest pages, not those of other sizes': (
        cell(sizes=(pages(4, 262144, used=131072), HUGE)),
        [{'memory_mib': 300}] * 2,
        Reason('memory.free', 600, 512, 'MiB', (0, 1), (0,)),
    ),
    'even shares of cores': (
        cell(cpus='0-7', siblings='0-1 2-3 4-5 6-7', pinned='6'),
        [{'vcpus': 4, 'thread_policy': 'require'}, {'vcpus': 3, 'thread_policy': 'require'}],
        Reason('threads.require', 4, 3, 'cores', (0, 1), (0,), '2'),
    ),
    'even shares of the cores that there are': (
        cell(cpus='0-6', siblings='0-1 2-3 4-5 6-7'),
        [{'vcpus': 4, 'thread_policy': 'require'}, {'vcpus': 3, 'thread_policy': 'require'}],
        Reason('threads.require.total', 4, 3, 'cores', (0, 1), (0,), '2'),
    ),
}


@pytest.mark.parametrize(('host_cell', 'parts', 'expected'), TOGETHER.values(), ids=TOGETHER)
def test_guest_cells_that_share_a_host_cell_have_numbers_that_add_up(host_cell, parts, expected):
    cells = []
    for number, part in enumerate(parts):
        first = 10 * number
        vcpus = f'{first}-{first + part.get("vcpus", 1) - 1}'
        more = {key: value for key, value in part.items() if key != 'vcpus'}
        cells.append(guest_cell(number, vcpus, **more))
    assert fit.place(host(host_cell), guest(*cells), host_cell_ids=[0] * len(cells)).reasons == (expected,)


def test_a_limit_counts_whole_vcpus():
    """0.29 x 100 is 28.999999999999996 in floating point."""
    large = cell(cpus='0-99')
    refusal = fit.place(host(large), guest(guest_cell(0, '0-99', None)), limits=Limits(0.29, 1.0))
    assert refusal.reasons == (Reason('cpus.shared.limit', 100, 28, 'vCPUs', **PAIR),)


@pytest.mark.parametrize('parts', [1, 2], ids=['one guest cell', 'two on one host cell'])
def test_wholly_free_cores_that_isolate_does_not_count_are_in_the_reason(parts):
    vcpus = {1: ['0-8'], 2: ['0-4', '5-8']}[parts]
    cells = [guest_cell(number, own, thread_policy='isolate') for number, own in enumerate(vcpus)]
    (reason,) = fit.place(host(HYBRID), guest(*cells), host_cell_ids=[0] * parts).reasons
    assert ('threads.isolate.total', 9, 8, 'cores', '16') == (
        reason.code,
        reason.needed,
        reason.available,
        reason.unit,
        reason.subject,
    )


def test_guest_cells_that_share_a_host_cell_have_no_core_left_for_the_emulator():
    """24 cores are wholly free; 8 vCPUs take the widest, and 16 others are there for the emulator."""
    cells = [guest_cell(number, own, thread_policy='isolate') for number, own in enumerate(('0-3', '4-7'))]
    assert fit.place(host(HYBRID), guest(*cells, emulator='isolate'), host_cell_ids=[0, 0])
    wide = cell(cpus='0-15', siblings=' '.join(f'{n}-{n + 1}' for n in range(0, 16, 2)))
    refusal = fit.place(host(wide), guest(*cells, emulator='isolate'), host_cell_ids=[0, 0])
    assert refusal.reasons == (Reason('threads.isolate.total', 9, 8, 'cores', (0, 1), (0,)),)


# name: guest, reasons
IMPOSSIBLE = {
    'memory that is not a number': (
        guest(replace(guest_cell(0, '0'), memory_mib=float('nan'))),
        {'memory.invalid': (0,)},
    ),
    'two cells that add up': (
        guest(guest_cell(0, '0-1', None, memory_mib=-256), guest_cell(1, '2-3', None, memory_mib=768)),
        {'memory.invalid': (0,)},
    ),
    'several faults of one cell': (
        guest(guest_cell(0, '0'), guest_cell(1, '1', memory_mib=-(10**30), pagesize_kib=-4)),
        {'memory.invalid': (1,), 'pages.invalid': (1,)},
    ),
    'memory below 0 of a guest that floats': (Guest(1, -1), {'memory.invalid': ()}),
    'no memory of a guest that floats': (Guest(1, 0), {'memory.invalid': ()}),
    'vCPUs below 0 of a guest that floats': (Guest(-1, 512), {'cpus.invalid': ()}),
    'no vCPU of a guest that floats': (Guest(0, 512), {'cpus.invalid': ()}),
}


@pytest.mark.parametrize(('asked', 'expected'), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_what_no_guest_can_have_is_refused_before_any_host_cell_is_looked_at(asked, expected):
    for refusal in (fit.place(host(cell(), cell(1)), asked), fit.refusal(host(cell(), cell(1)), asked)):
        assert expected == {reason.code: reason.guest_cells for reason in refusal.reasons}
        assert all(reason.host_cells == () for reason in refusal.reasons)


def test_nothing_may_come_to_a_cell_of_a_running_guest_but_not_less():
    """Bound, a guest is also what comes to one that runs: vCPUs without memory, or nothing to some of its cells."""
    assert fit.place(host(cell()), guest(guest_cell(0, '0', memory_mib=0)), host_cell_ids=[0])
    refusal = fit.place(host(cell()), guest(guest_cell(0, '0', memory_mib=-1)), host_cell_ids=[0])
    assert refusal.reasons == (Reason('memory.invalid', 0, -1, 'MiB', (0,)),)


def test_a_mixed_cell_without_shared_vcpus_is_not_held_to_their_limit():
    """As a cell of a guest may be that has shared vCPUs in other cells."""
    over = cell(cpus='4-7', shared='0-3', cpu_usage=9)
    limits = Limits(1.0, 1.0)
    assert fit.place(host(over), guest(guest_cell(0, '0-1', 'mixed', pinned='0-1')), limits=limits)
    refusal = fit.place(host(over), guest(guest_cell(0, '0-1', 'mixed', pinned='0')), limits=limits)
    assert refusal.reasons == (Reason('cpus.shared.limit', 1, -5, 'vCPUs', **PAIR),)


class _NoDevices(fit.Devices):
    def __init__(self):
        self.asked = []

    def supports(self, host_cells):
        self.asked.append(host_cells)
        return False


def test_devices_that_cannot_be_had_are_named():
    refusal = fit.place(host(cell(), cell(1, '4-7')), guest(guest_cell(0, '0')), devices=_NoDevices())
    assert refusal.reasons == (Reason('pci.required'),)


@pytest.mark.parametrize('number', range(1, 9))
def test_each_set_of_host_cells_is_asked_for_devices_once(number):
    devices = _NoDevices()
    host_cells = [cell(each, f'{4 * each}-{4 * each + 3}') for each in range(8)]
    asked = [guest_cell(each, str(each), memory_mib=512 * (1 + each % 2)) for each in range(number)]
    assert not fit.place(host(*host_cells), guest(*asked), devices=devices)
    assert comb(8, number) == len(devices.asked) == len(set(devices.asked))


def test_every_code_of_the_fit_is_met_here():
    fit_codes = {code for code in explain.CODES if code.partition('.')[0] in _SUBJECTS}
    met = {explain.code_of(expected) for _cell, _guest, _more, expected in ONE_CELL.values()}
    elsewhere = {'cells.count', 'cells.assignment', 'cells.unknown', 'memory.host', 'memory.shared', 'pci.required'}
    elsewhere |= {
        'memory.host.total',
        'cpus.invalid',
        'cpus.host.total',
        'cpus.host',
        'pci.greedy',
    }  # the last is that of Nova's choice
    elsewhere |= {'pci.place', 'pci.affinity', 'pci.functions', 'pci.joint', 'pci.total'}  # test_pci
    assert fit_codes == met | elsewhere


_SUBJECTS = {'cells', 'cpus', 'memory', 'pages', 'threads', 'network', 'pci'}
