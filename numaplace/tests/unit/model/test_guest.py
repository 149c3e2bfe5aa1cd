# SPDX-License-Identifier: Apache-2.0
"""What follows from the fields of a guest cell."""

import pytest

from numaplace import model


@pytest.mark.parametrize(
    ('policy', 'pinned'), [(None, False), (model.SHARED, False), (model.DEDICATED, True), (model.MIXED, True)]
)
def test_dedicated_and_mixed_cells_are_pinned(policy, pinned):
    cell = model.GuestCell(0, 0b11, 0b100, 512, cpu_policy=policy)
    assert pinned is cell.is_pinned
    assert cell.vcpus == 0b111
