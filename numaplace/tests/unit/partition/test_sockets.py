# SPDX-License-Identifier: Apache-2.0
"""The sockets of a divided guest follow its cells, and what flavor and image allow."""

import pytest

from numaplace import cpuset, exception
from numaplace.model import CpuTopology, Guest, GuestCell
from numaplace.model.cpu_topology import UNLIMITED
from numaplace.partition.sockets import arrange


def _masks(*texts):
    return [cpuset.parse(text) for text in texts]


@pytest.mark.parametrize(
    ('cells', 'threads', 'expected'),
    [
        (('0-7',), 2, CpuTopology(1, 4, 2)),
        (('0-3', '4-7'), 1, CpuTopology(2, 4, 1)),
        (('0-7', '8-11'), 1, CpuTopology(3, 4, 1)),
        (('0-11', '12-17'), 2, CpuTopology(3, 3, 2)),
        (('0-2', '3-4'), 1, CpuTopology(5, 1, 1)),
        (('0-3,8-11', '4-7,12-15'), 2, CpuTopology(4, 2, 2)),
        (('0-1,4-5', '2-3,6-7'), 2, CpuTopology(4, 1, 2)),
        (('0,2', '1,3'), 1, CpuTopology(4, 1, 1)),
        (('0-3', '4-7', ''), 1, CpuTopology(2, 4, 1)),
    ],
    ids=lambda value: ' '.join(value) if isinstance(value, tuple) else None,
)
def test_there_are_as_few_sockets_as_lie_in_one_cell_each(cells, threads, expected):
    assert expected == arrange(_masks(*cells), threads, UNLIMITED)


@pytest.mark.parametrize(
    ('most', 'expected', 'dies'),
    [
        (CpuTopology(4, 4, 1), CpuTopology(3, 4, 1), 1),
        (CpuTopology(12, 2, 1), CpuTopology(6, 2, 1), 1),
        (CpuTopology(2, 12, 1), CpuTopology(1, 12, 1), 3),
        (CpuTopology(2, 6, 1), CpuTopology(2, 6, 1), 3),
    ],
)
def test_within_limits_sockets_are_smaller_or_have_dies(most, expected, dies):
    masks = _masks('0-7', '8-11')
    assert expected == arrange(masks, 1, most)
    cells = tuple(GuestCell(number, mask, 0, 1) for number, mask in enumerate(masks))
    assert dies == Guest(12, 2, cells, cpu_topology=expected).dies


def test_limits_that_no_sockets_and_cores_meet_are_refused():
    with pytest.raises(exception.InvalidPartition, match='no sockets:cores within 2:4 have 12 cores'):
        arrange(_masks('0-7', '8-11'), 1, CpuTopology(2, 4, 1))
