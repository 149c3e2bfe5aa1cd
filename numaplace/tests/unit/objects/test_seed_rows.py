# SPDX-License-Identifier: Apache-2.0
"""Rows that a Nova of 2020 wrote are read, converted, written and read again."""

import json
from importlib import resources

import pytest

from numaplace import objects, wire
from numaplace.tests import nova_requests
from numaplace.wire import details

HOSTS = {'one-cell-host': [(0, 0xFF, 7975)], 'three-cell-host': [(0, 0xF, 3966), (1, 0x30, 1994), (2, 0xC0, 2014)]}
GUESTS = {'one-cell-guest': [(0, 0xF, 1024)], 'two-cell-guest': [(0, 0x3, 512), (1, 0xC, 512)]}


def row(name: str) -> str:
    return resources.files('numaplace.tests.data.seed').joinpath(f'{name}.json').read_text('utf-8')


def brought_up(value, key=None):
    """Return a row as today's versions write it: with the fields that came since, and without what was changed."""
    if isinstance(value, list):
        return [brought_up(item) for item in value]
    if not isinstance(value, dict):
        return value
    value = {key: brought_up(item) for key, item in value.items() if key != 'nova_object.changes'}
    if value.get('nova_object.name') == 'NUMACell':
        value['nova_object.version'] = '1.5'
        value['nova_object.data']['socket'] = None
    if value.get('nova_object.name') == 'InstanceNUMACell':
        value['nova_object.version'] = '1.6'
        value['nova_object.data']['pcpuset'] = []
    return value


@pytest.mark.parametrize('name', [*HOSTS, *GUESTS])
def test_a_row_loses_nothing(name):
    """By wire and by objects: what is written is the row in today's versions, and reads the same again."""
    text = row(name)
    expected = brought_up(json.loads(text))
    cls = objects.NUMATopology if name in HOSTS else objects.InstanceNUMATopology
    read, write = (wire.read_host, wire.write_host) if name in HOSTS else (wire.read_guest, nova_requests.write_guest)
    stored = cls.from_json(text)
    assert json.loads(stored.to_json()) == expected
    assert write(read(wire.loads(text))) == expected
    assert stored.to_model() == read(wire.loads(text)) == read(expected)
    model = stored.to_model() if name in HOSTS else stored.to_placement()
    assert cls.from_json(stored.to_json()) == cls.from_model(model) == stored


@pytest.mark.parametrize('name', HOSTS)
def test_a_host_is_what_the_row_says(name):
    cells = objects.NUMATopology.from_json(row(name)).to_model().cells
    assert [(cell.id, cell.shape.dedicated_cpus, cell.shape.memory_mib) for cell in cells] == HOSTS[name]
    assert [[pages.size_kib for pages in cell.pages] for cell in cells] == [[4, 2048, 1048576]] * len(cells)


def test_cores_keep_the_order_of_the_row():
    first = objects.NUMATopology.from_json(row('three-cell-host')).to_model().cells[0]
    assert first.shape.siblings == (0b100, 0b1, 0b1000, 0b10)


@pytest.mark.parametrize('name', GUESTS)
def test_a_guest_is_what_the_row_says(name):
    placement = objects.InstanceNUMATopology.from_json(row(name)).to_placement()
    cells = placement.cells
    assert [(cell.host_cell, cell.guest_cell.shared_vcpus, cell.guest_cell.memory_mib) for cell in cells] == GUESTS[
        name
    ]
    assert [(cell.pins, cell.taken, cell.pagesize_kib) for cell in cells] == [((), 0, None)] * len(cells)
    assert placement.guest.vcpus == 4


def test_rows_without_details_are_read():
    host = wire.read_host(wire.loads(row('one-cell-host')))
    assert details.read_host(None, host) == host
