# SPDX-License-Identifier: Apache-2.0
"""Every cause for which a guest does not fit has its code, its numbers and its cells."""

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
        guest_cell(0, '0', pagesize_kib=1048576),
        {},
        Reason('pages.1048576', 1, 0, 'pages', **PAIR),
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
    'memory that is no whole number of pages': (
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
        Reason('threads.require', 2, 0, 'CPUs', **PAIR),
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
        cell(siblings='0-1 2-3'),
        guest_cell(0, '0-1', thread_policy='isolate'),
        {'emulator': 'isolate'},
        Reason('threads.isolate.emulator', 3, 2, 'cores', **PAIR),
    ),
    'an emulator without a dedicated vCPU beside it': (
        cell(),
        guest_cell(0, '0-1', 'mixed'),
        {'emulator': 'isolate'},
        Reason('cpus.dedicated.none', 1, 0, 'vCPUs', **PAIR),
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
    assert fit.place(small, Guest(1, 513)).reasons == (Reason('memory.host', 513, 512.0, 'MiB'),)
    assert fit.place(small, Guest(1, 768), limits=Limits(1.0, 1.5))


def test_guest_cells_that_share_a_host_cell_need_pages_for_all_of_them():
    """Two guest cells of 3 MiB, each on pages of 1 or 2 MiB of which there are 4 and 2 MiB: 6 MiB do not go round."""
    shared = cell(sizes=(pages(4, 0), pages(1024, 4), pages(2048, 1)))
    wanted = [guest_cell(number, str(number), memory_mib=3, pagesize_kib=PAGES_LARGE) for number in range(2)]
    refusal = fit.place(host(shared), guest(*wanted), bindings=[0, 0])
    assert refusal.reasons == (Reason('memory.shared', 6, 6, 'MiB', (0, 1), (0,)),)


def test_a_binding_to_a_host_cell_that_does_not_exist_is_named():
    refusal = fit.place(host(cell()), guest(guest_cell(0, '0')), bindings=[3])
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


@pytest.mark.parametrize('bindings', [None, [0]])
@pytest.mark.parametrize('policy', [None, 'dedicated'])
def test_guests_with_cells_leave_floating_guests_the_room_that_they_were_given(policy, bindings):
    """8 CPUs x 1.0 are room for 6 that float and two more, in cells or not, pinned or not."""
    limits = Limits(1.0, 1.0)
    two, three = (guest(guest_cell(0, vcpus, policy)) for vcpus in ('0-1', '0-2'))
    assert fit.place(FLOATING, two, limits=limits, bindings=bindings)
    lacks = (Reason('cpus.host', 3, 2.0, 'vCPUs'),)
    assert fit.place(FLOATING, three, limits=limits, bindings=bindings).reasons == lacks
    assert fit.place(FLOATING, three, bindings=bindings)
    if bindings is None:
        assert fit.refusal(FLOATING, two, limits=limits) is None
        assert fit.refusal(FLOATING, three, limits=limits).reasons == lacks


def test_pinned_guests_take_no_room_of_floating_guests_on_cpus_of_their_own():
    divided = host(cell(0, '0-3', shared='8-9')).consume(Placement(Guest(2, 1)))
    pinned, shared = guest(guest_cell(0, '0-3')), guest(guest_cell(0, '0', None))
    assert fit.place(divided, pinned, limits=Limits(1.0, 1.0))
    assert fit.place(divided, shared, limits=Limits(1.0, 1.0)).reasons == (Reason('cpus.host', 1, 0.0, 'vCPUs'),)


def test_memory_of_floating_guests_is_not_given_to_guests_with_cells():
    """The whole host has 1024 MiB left, whatever its two cells of 1024 have."""
    two = [guest_cell(number, str(number), memory_mib=600) for number in range(2)]
    asked = {'limits': Limits(2.0, 1.0)}
    refusal = fit.place(FLOATING, guest(*two), **asked)
    assert refusal.reasons == (Reason('memory.host', 1200, 1024.0, 'MiB'),)
    assert fit.place(FLOATING, guest(*two[:1]), **asked)


def test_lacks_of_the_cells_and_of_the_whole_host_are_told_together():
    refusal = fit.place(FLOATING, guest(guest_cell(0, '0-4')), limits=Limits(1.0, 1.0))
    assert [reason.code for reason in refusal.reasons] == ['cpus.dedicated.total', 'cpus.dedicated.total', 'cpus.host']


class _NoDevices:
    monotone = False

    def supports(self, host_cells):
        return False

    def preference(self, host_cell):
        return 0


def test_devices_that_cannot_be_had_are_named():
    refusal = fit.place(host(cell(), cell(1, '4-7')), guest(guest_cell(0, '0')), devices=_NoDevices())
    assert refusal.reasons == (Reason('pci.required'),)


def test_every_code_of_the_fit_is_met_here():
    fit_codes = {code for code in explain.CODES if code.partition('.')[0] in _ROOMS}
    met = {explain.code_of(expected) for _cell, _guest, _more, expected in ONE_CELL.values()}
    elsewhere = {'cells.count', 'cells.assignment', 'cells.unknown', 'memory.host', 'memory.shared', 'pci.required'}
    elsewhere |= {'cpus.host.total', 'cpus.host', 'pci.unsupported'}  # the last is a filter's
    assert fit_codes == met | elsewhere


_ROOMS = {'cells', 'cpus', 'memory', 'pages', 'threads', 'network', 'pci'}
