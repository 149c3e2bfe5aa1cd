# SPDX-License-Identifier: Apache-2.0
"""A divided guest is placed on its host cells; auto mode finds them."""

from dataclasses import replace

import pytest

from numaplace.model import Guest, Host, Refusal, Wish
from numaplace.model.wish import AUTO_MODE, INTERLEAVE, PIN_TO_CORE
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


def test_a_tier_needs_nodes_without_cpus():
    answer = place(talk(), GUEST, Wish(AUTO_MODE, tier_mib=1024))
    assert ['vnuma'] == [reason.code for reason in answer.reasons]
    assert 'cells without CPUs' in answer.reasons[0].subject


def test_a_guest_without_a_wish_is_placed_by_its_own_cells():
    assert place(talk(), GUEST, None)
