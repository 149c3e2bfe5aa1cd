# SPDX-License-Identifier: Apache-2.0
"""Which vCPUs are on when not all of them are."""

import pytest

from numaplace import cpuset
from numaplace.partition import enabled


@pytest.mark.parametrize(
    ('cells', 'number', 'expected'),
    [
        (('0-3', '4-7', '8-11', '12-15'), 8, '0-1,4-5,8-9,12-13'),
        (('0-3', '4-7', '8-11', '12-15'), 6, '0-1,4-5,8,12'),
        (('0-3', '4-7'), 1, '0'),
        (('4-7', '0-3'), 1, '0'),
        (('4-7', '0-3'), 2, '0,4'),
        (('0', '1-5'), 4, '0-3'),
        (('0-1', ''), 2, '0-1'),
    ],
)
def test_each_cell_in_turn_has_its_lowest_on_and_the_first_vcpu_always(cells, number, expected):
    assert cpuset.text(enabled([cpuset.parse(cell) for cell in cells], number)) == expected


def test_more_never_switches_one_off():
    cells = [0b1010101, 0b0101010, 0b10000000]
    for number in range(1, 8):
        assert enabled(cells, number) & ~enabled(cells, number + 1) == 0
