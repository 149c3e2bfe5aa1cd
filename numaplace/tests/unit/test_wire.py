# SPDX-License-Identifier: Apache-2.0
"""Stored objects with values that no object of Nova's holds: the fault is named, and no other error comes of them."""

import re

import pytest

from numaplace import exception, wire
from numaplace.model import CellPlacement, Guest, GuestCell, Placement

CELL = GuestCell(0, 0, 0b1, 512, cpu_policy='dedicated')
PLACED = wire.write_placement(Placement(Guest(1, 512, (CELL,)), (CellPlacement(CELL, 0, None, ((0, 2),)),)))

# name: fields of the cell, what the text names
CELLS = {
    'a CPU below 0': ({'cpu_pinning_raw': {'0': -1}}, "'cpu_pinning_raw' is {'0': -1}"),
    'a vCPU below 0': ({'cpu_pinning_raw': {'-1': 2}}, "'cpu_pinning_raw' is {'-1': 2}"),
    'a CPU beyond all lists': ({'cpu_pinning_raw': {'0': 10**12}}, 'numbers up to 65535'),
    'a CPU that is a list': ({'cpu_pinning_raw': {'0': [2]}}, 'an object of vCPU to CPU'),
    'CPUs of the emulator below 0': ({'cpuset_reserved': [-1]}, "'cpuset_reserved' is [-1]"),
    'memory that is not a number': ({'memory': float('nan')}, "'memory' is nan; expected an integer"),
    'memory without end': ({'memory': float('inf')}, "'memory' is inf; expected an integer"),
    'memory in words': ({'memory': '512'}, "'memory' is '512'; expected an integer"),
    'a part of a page size': ({'pagesize': 2048.5}, "'pagesize' is 2048.5; expected an integer"),
    'a policy that is a list': ({'cpu_policy': ['dedicated']}, "'cpu_policy' is ['dedicated']"),
}


def _changed(fields, **top):
    (cell,) = PLACED['nova_object.data']['cells']
    cells = [cell | {'nova_object.data': cell['nova_object.data'] | fields}]
    return PLACED | {'nova_object.data': PLACED['nova_object.data'] | {'cells': cells}} | top


@pytest.mark.parametrize(('fields', 'words'), CELLS.values(), ids=CELLS)
def test_a_value_that_no_object_holds_is_named(fields, words):
    with pytest.raises(exception.InvalidObject, match=re.escape(words)):
        wire.read_placement(_changed(fields))


@pytest.mark.parametrize('version', ['1.²', '1.-1', '1.', '1.x', '²', None, 5])
def test_a_version_that_is_none_cannot_be_read(version):
    with pytest.raises(exception.IncompatibleObjectVersion, match='cannot be read'):
        wire.read_placement(_changed({}, **{'nova_object.version': version}))


def test_amounts_below_zero_are_read_for_others_to_judge():
    """Nova stores them, and they are counted as it counts them."""
    placement = wire.read_placement(_changed({'memory': -256, 'pagesize': -2048}))
    assert (placement.cells[0].guest_cell.memory_mib, placement.cells[0].pagesize_kib) == (-256, -2048)
