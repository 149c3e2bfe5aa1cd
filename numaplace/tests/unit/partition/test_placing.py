# SPDX-License-Identifier: Apache-2.0
"""A divided guest is placed on its host cells; auto mode finds them."""

from dataclasses import replace

import pytest

from numaplace import cpuset
from numaplace.fit import Devices
from numaplace.model import PAGES_ANY, CellShape, Guest, Host, HostCell, Networks, Pages, Refusal, Wish
from numaplace.model.vnuma import AUTO_MODE, HOST_MODE, INTERLEAVE, PIN_TO_CORE
from numaplace.partition import place as place_guest
from numaplace.tests.unit.partition.hosts import node, plain, talk

GUEST = Guest(16, 32768)


def place(host, guest, wish):
    """Place a guest that wishes to be divided."""
    return place_guest(host, replace(guest, wish=wish))


def _pins(placement):
    return dict(pin for cell in placement.cells for pin in cell.pins)


def test_pinning_by_core_keeps_siblings_together_and_the_first_core_of_each_node_free():
    """The talk's own map: vCPUs 2i and 2i+1 on a pair of siblings."""
    expected = [1, 61, 2, 62, 16, 76, 17, 77, 31, 91, 32, 92, 46, 106, 47, 107]
    assert dict(enumerate(expected)) == _pins(place(talk(), GUEST, Wish(pinning=PIN_TO_CORE)))


def test_no_core_needs_to_be_kept():
    assert 0 == _pins(place(talk(), GUEST, Wish(pinning=PIN_TO_CORE, keep=0)))[0]


def test_a_guest_with_threads_gets_no_half_core():
    cells = [replace(cell, pinned_cpus=1 << 15 * cell.id + 1) for cell in talk().cells]
    pins = _pins(place(Host(tuple(cells)), GUEST, Wish(pinning=PIN_TO_CORE)))
    assert [2, 62] == [pins[0], pins[1]]
    single = _pins(place(Host(tuple(cells)), GUEST, Wish(pinning=PIN_TO_CORE, distribution=INTERLEAVE)))
    assert len(set(single.values())) == 16


def test_pinning_by_node_pins_nothing():
    placement = place(talk(), GUEST, Wish())
    assert {} == _pins(placement)
    assert [0, 1, 2, 3] == [cell.host_cell for cell in placement.cells]


def test_auto_takes_one_node_where_one_will_do():
    assert [0] == [cell.host_cell for cell in place(talk(), GUEST, Wish(AUTO_MODE)).cells]


def test_auto_takes_the_nearest_nodes_that_are_free():
    near = {frozenset((1, 3)): 12}
    cells = [
        node(
            number,
            [[4 * number + cpu] for cpu in range(4)],
            distances=[
                (other, 10 if other == number else near.get(frozenset((number, other)), 20)) for other in range(4)
            ],
        )
        for number in range(4)
    ]
    wish = Wish(AUTO_MODE, pinning=PIN_TO_CORE, keep=0)
    assert [1, 3] == [cell.host_cell for cell in place(Host(tuple(cells)), Guest(8, 1024), wish).cells]
    cells[3] = replace(cells[3], pinned_cpus=1 << 12)
    assert [0, 1] == [cell.host_cell for cell in place(Host(tuple(cells)), Guest(8, 1024), wish).cells]


def test_auto_divides_over_unequal_nodes_in_proportion():
    placement = place(plain(4, 2, 2), Guest(8, 1024), Wish(AUTO_MODE, pinning=PIN_TO_CORE, keep=0))
    assert [4, 2, 2] == [cell.guest_cell.vcpus.bit_count() for cell in placement.cells]
    assert [512, 256, 256] == [cell.guest_cell.memory_mib for cell in placement.cells]


def test_auto_says_why_nothing_is_large_enough():
    answer = place(plain(4, 4), Guest(16, 1024), Wish(AUTO_MODE, pinning=PIN_TO_CORE))
    assert isinstance(answer, Refusal)
    assert {'cpus.dedicated.total'} == {reason.code for reason in answer.reasons}


def test_auto_passes_over_numbers_of_nodes_that_do_not_divide():
    placement = place(plain(4, 4, 4, 4), Guest(10, 1000), Wish(AUTO_MODE, pinning=PIN_TO_CORE, keep=0))
    assert isinstance(placement, Refusal), 'ten over three or four does not divide'
    wish = Wish(AUTO_MODE, pinning=PIN_TO_CORE, keep=0, remainder_first=True)
    assert [4, 3, 3] == [
        cell.guest_cell.vcpus.bit_count() for cell in place(plain(4, 4, 4, 4), Guest(10, 1000), wish).cells
    ]


def _with_memory_nodes():
    distances = {0: [(2, 14), (3, 24)], 1: [(2, 24), (3, 14)]}
    cpus = [node(number, [[2 * number], [2 * number + 1]], distances=distances[number]) for number in range(2)]
    return Host((*cpus, node(2, [], 512), node(3, [], 512)))


@pytest.mark.parametrize(
    ('nodes', 'tier_mib', 'expected'), [(0b01, 512, [0, 2]), (0b10, 512, [1, 3]), (0b01, 600, [0, 2, 3])]
)
def test_memory_of_a_tier_comes_from_the_nearest_nodes_without_cpus(nodes, tier_mib, expected):
    placement = place(_with_memory_nodes(), Guest(2, 2048), Wish(AUTO_MODE, nodes=nodes, tier_mib=tier_mib))
    assert expected == [cell.host_cell for cell in placement.cells]
    assert 2048 - tier_mib == placement.cells[0].guest_cell.memory_mib
    assert tier_mib == sum(cell.guest_cell.memory_mib for cell in placement.cells[1:])
    assert not any(cell.guest_cell.vcpus for cell in placement.cells[1:])


def test_a_node_whose_cpus_are_in_neither_set_gives_no_tier():
    """Its memory is general, and libvirt wants vCPUs in a cell of it."""
    bare = _with_memory_nodes()
    shape = replace(bare.cells[2].shape, online_cpus=0b11 << 8)
    host = replace(bare, cells=(*bare.cells[:2], replace(bare.cells[2], shape=shape), bare.cells[3]))
    placement = place(host, Guest(2, 2048), Wish(AUTO_MODE, nodes=0b01, tier_mib=512))
    assert [0, 3] == [cell.host_cell for cell in placement.cells]


@pytest.mark.parametrize('left', ['online', 'siblings'])
def test_a_node_whose_cpus_are_in_no_set_is_no_memory_node(left):
    cpus = {'online_cpus': 0b11 << 8} if left == 'online' else {'siblings': (0b11 << 8,)}
    bare = _with_memory_nodes()
    cells = [replace(cell, shape=replace(cell.shape, **cpus)) if cell.id > 1 else cell for cell in bare.cells]
    answer = place(replace(bare, cells=tuple(cells)), Guest(2, 2048), Wish(AUTO_MODE, tier_mib=512))
    assert ['vnuma'] == [reason.code for reason in answer.reasons]


def test_a_full_memory_node_is_skipped():
    bare = _with_memory_nodes()
    full = replace(bare.cells[2], shape=replace(bare.cells[2].shape, memory_mib=100))
    host = replace(bare, cells=(*bare.cells[:2], full, bare.cells[3]))
    placement = place(host, Guest(2, 2048), Wish(AUTO_MODE, nodes=0b01, tier_mib=400))
    assert [0, 3] == [cell.host_cell for cell in placement.cells]


def test_memory_nodes_give_what_they_have():
    bare = _with_memory_nodes()
    cells = [*bare.cells[:3], node(3, [], 100)]
    placement = place(Host(tuple(cells)), Guest(2, 2048), Wish(AUTO_MODE, nodes=0b01, tier_mib=600))
    assert [(2, 500), (3, 100)] == [(cell.host_cell, cell.guest_cell.memory_mib) for cell in placement.cells[1:]]


def _shares(placement):
    return [(cell.host_cell, cell.guest_cell.vcpus.bit_count()) for cell in placement.cells]


def _pinned_to(widths, pinned, vcpus, keep=0, **wish):
    """Place a guest on nodes of cores without threads, of which the first in each node are pinned."""
    bare = plain(*widths)
    cells = [
        replace(cell, pinned_cpus=cpuset.first(cell.shape.dedicated_cpus, number))
        for cell, number in zip(bare.cells, pinned, strict=True)
    ]
    return place(Host(tuple(cells)), Guest(vcpus, 1024), Wish(AUTO_MODE, pinning=PIN_TO_CORE, keep=keep, **wish))


@pytest.mark.parametrize(
    ('widths', 'pinned', 'vcpus', 'keep', 'expected'),
    [
        pytest.param((8, 2), (0, 0), 8, 1, [(0, 7), (1, 1)], id='the core to keep is no capacity'),
        pytest.param((30, 2), (11, 0), 21, 0, [(0, 19), (1, 2)], id='in proportion, as far as each has enough'),
        pytest.param((100, 1), (81, 0), 20, 0, [(0, 19), (1, 1)], id='no share is empty'),
        pytest.param((8, 4, 2), (6, 0, 0), 8, 0, [(0, 2), (1, 4), (2, 2)], id='a share beyond a node goes to others'),
    ],
)
def test_shares_follow_what_each_node_has(widths, pinned, vcpus, keep, expected):
    assert expected == _shares(_pinned_to(widths, pinned, vcpus, keep))


def test_the_remainder_goes_to_the_first_nodes_that_have_enough():
    placement = _pinned_to((4, 4, 4), (1, 0, 0), 11, remainder_first=True)
    assert [(0, 3), (1, 4), (2, 4)] == _shares(placement)


def test_the_threads_of_a_core_are_those_of_the_chosen_nodes():
    host = Host((node(0, [[2 * core, 2 * core + 1] for core in range(4)]), node(1, [[8 + core] for core in range(8)])))
    placement = place(host, Guest(7, 1024), Wish(AUTO_MODE, pinning=PIN_TO_CORE, keep=0))
    assert [(1, 7)] == _shares(placement)
    assert 1 == placement.guest.cpu_topology.threads


@pytest.mark.parametrize('mode', [AUTO_MODE, HOST_MODE])
def test_a_guest_core_gets_no_host_core_with_a_shared_thread(mode):
    shape = CellShape(0, 0b1111, 0b11110000, 16384, tuple(0b10001 << core for core in range(4)))
    answer = place(Host((HostCell(shape),)), Guest(2, 1024), Wish(mode, pinning=PIN_TO_CORE, keep=0))
    assert {'cpus.dedicated.total'} == {reason.code for reason in answer.reasons}


def test_a_guest_that_was_divided_keeps_its_cells_on_whole_cores():
    """As when it is moved while it runs."""
    wish = Wish(AUTO_MODE, pinning=PIN_TO_CORE, keep=1)
    guest = place(Host((node(0, [[2 * core, 2 * core + 1] for core in range(4)]),)), Guest(4, 1024), wish).guest
    assert 2 == guest.cpu_topology.threads
    running = replace(guest, wish=wish)
    two, six = ([[core, core + 8] for core in range(number)] for number in (2, 6))
    assert 'cpus.dedicated.total' in {reason.code for reason in place_guest(Host((node(0, two),)), running).reasons}
    # The first thread of core 1 and the second of core 2 are taken.
    placement = place_guest(Host((replace(node(0, six), pinned_cpus=0b1 << 1 | 0b1 << 10),)), running)
    assert [3, 4, 11, 12] == sorted(cpu for _, cpu in placement.cells[0].pins)
    assert guest == placement.guest


def _near_node_3(full=0):
    cells = [
        replace(cell, shape=replace(cell.shape, physnets=frozenset({'lake'} if cell.id == 3 else ())))
        for cell in plain(4, 4, 4, 4).cells
    ]
    return Host(
        tuple(replace(cell, pinned_cpus=cell.shape.dedicated_cpus) if cell.id < full else cell for cell in cells)
    )


@pytest.mark.parametrize('full', [0, 1])
def test_networks_are_judged_by_all_chosen_nodes(full):
    wish = Wish(AUTO_MODE, pinning=PIN_TO_CORE, keep=0)
    placement = place_guest(_near_node_3(full), Guest(8, 1024, wish=wish), networks=Networks(frozenset({'lake'})))
    assert [full, 3] == [cell.host_cell for cell in placement.cells]


class _Near(Devices):
    """Devices near all of these host cells together."""

    def __init__(self, *needed):
        self._needed = set(needed)

    def supports(self, host_cells):
        return self._needed <= host_cells

    def excludes(self, host_cells, most):
        return not self.supports(host_cells)


def test_devices_are_judged_by_all_chosen_nodes():
    wish = Wish(AUTO_MODE, pinning=PIN_TO_CORE, keep=0)
    placement = place_guest(plain(4, 4, 4, 4), Guest(8, 1024, wish=wish), devices=_Near(1, 3))
    assert [1, 3] == [cell.host_cell for cell in placement.cells]
    answer = place_guest(plain(4, 4), Guest(8, 1024, wish=wish), devices=_Near(0, 1, 7))
    assert ['pci.required'] == [reason.code for reason in answer.reasons]


def test_a_refusal_is_about_the_nodes_that_come_nearest_to_fitting():
    answer = _pinned_to((4, 4, 4, 4), (4, 1, 4, 1), 8)
    assert {1, 3} == {cell_id for reason in answer.reasons for cell_id in reason.host_cells}


def test_more_than_a_thousand_cells_share_nodes():
    width = 512
    cells = [replace(cell, pages=(Pages(4, 16384 * 256), Pages(2048, 16))) for cell in plain(width, width).cells]
    wish = Wish(cells=2 * width, pinning=PIN_TO_CORE, keep=0, pagesize_kib=PAGES_ANY)
    placement = place(Host(tuple(cells)), Guest(2 * width, 2 * width), wish)
    assert 2 * width == len({cpu for cell in placement.cells for _, cpu in cell.pins})


def test_auto_mode_goes_over_more_than_a_thousand_nodes():
    count = 1010
    bare = plain(*[1] * count, memory_mib=64)
    placement = place(bare, Guest(count, count), Wish(AUTO_MODE, nodes=(1 << count) - 1, pinning=PIN_TO_CORE, keep=0))
    assert count == len(placement.cells)


def test_a_tier_needs_nodes_without_cpus():
    answer = place(talk(), GUEST, Wish(AUTO_MODE, tier_mib=1024))
    assert ['vnuma'] == [reason.code for reason in answer.reasons]
    assert 'cells without CPUs' in answer.reasons[0].subject


def test_a_guest_without_a_wish_is_placed_by_its_own_cells():
    assert place(talk(), GUEST, None)
