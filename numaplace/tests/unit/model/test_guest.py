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


def test_vcpus_that_are_off_stay_in_their_cells():
    cells = model.GuestCell(0, 0b1, 0, 64), model.GuestCell(1, 0, 0b100, 64)
    guest = model.Guest(2, 128, cells, offline=(model.Offline(0b10), model.Offline(0, 0b1000)))
    assert (guest.offline_vcpus, guest.most_vcpus, guest.cell_vcpus) == (0b1010, 4, (0b11, 0b1100))
    assert model.Guest(2, 64, offline=(model.Offline(0b100),)).cell_vcpus == (0b111,)


def test_only_memory_of_the_host_is_claimed():
    modules = model.MemoryModule(512, 0), model.MemoryModule(64, 0, '/dev/dax0.0')
    assert [(module.model, module.claimed_mib) for module in modules] == [(model.DIMM, 512), (model.NVDIMM, 0)]
    assert model.Guest(1, 1024, modules=modules).plugged_mib == 512
