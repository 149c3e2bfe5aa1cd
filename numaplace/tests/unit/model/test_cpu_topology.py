# SPDX-License-Identifier: Apache-2.0
"""How the cells of a guest divide its sockets and cores."""

import pytest

from numaplace import cpuset
from numaplace.model import CpuTopology, Guest, GuestCell, Offline
from numaplace.model.cpu_topology import divisors


def _guest(topology, *cells, **more):
    masks = [cpuset.parse(text) for text in cells]
    made = tuple(GuestCell(number, mask, 0, 64) for number, mask in enumerate(masks))
    return Guest(sum(mask.bit_count() for mask in masks), 64 * len(made), made, cpu_topology=topology, **more)


@pytest.mark.parametrize(
    ('topology', 'cells', 'dies'),
    [
        (CpuTopology(2, 4, 1), ('0-3', '4-7'), 1),
        (CpuTopology(1, 8, 1), ('0-3', '4-7'), 2),
        (CpuTopology(1, 4, 2), ('0-3', '4-7'), 2),
        (CpuTopology(2, 8, 1), ('0-3', '4-7', '8-11', '12-15'), 2),
        (CpuTopology(1, 12, 1), ('0-7', '8-11'), 3),
        (CpuTopology(2, 2, 1), ('0,2', '1,3'), 2),
        (CpuTopology(1, 2, 2), ('0-2', '3'), 1),
        (CpuTopology(1, 8, 1), ('0-7',), 1),
        (None, ('0-3', '4-7'), 1),
        (CpuTopology(1, 8, 1), (), 1),
    ],
    ids=lambda value: ' '.join(value) if isinstance(value, tuple) else None,
)
def test_a_socket_in_several_cells_has_the_fewest_dies_that_are_in_one_each(topology, cells, dies):
    assert dies == _guest(topology, *cells).dies


@pytest.mark.parametrize(
    ('topology', 'cells', 'whole'),
    [
        (CpuTopology(2, 1, 2), ('0-1', '2-3'), True),
        (CpuTopology(2, 1, 2), ('0-2', '3'), False),
        (CpuTopology(2, 1, 2), ('0,2', '1,3'), False),
        (CpuTopology(4, 1, 1), ('0,2', '1,3'), True),
        (None, ('0-2', '3'), True),
    ],
    ids=lambda value: ' '.join(value) if isinstance(value, tuple) else None,
)
def test_a_core_is_whole_where_its_threads_are_in_one_cell(topology, cells, whole):
    assert whole is _guest(topology, *cells).has_whole_cores


def test_vcpus_that_are_off_count():
    guest = _guest(CpuTopology(1, 8, 1), '0-1', '4-5', offline=(Offline(0b1100), Offline(0b11000000)))
    assert 2 == guest.dies
    assert CpuTopology(8) == _guest(None, '0-1', '4-5', offline=guest.offline).topology


def test_divisors_are_in_order():
    assert [[1], [1, 7], [1, 3, 9], [1, 2, 3, 4, 6, 12]] == [divisors(number) for number in (1, 7, 9, 12)]
