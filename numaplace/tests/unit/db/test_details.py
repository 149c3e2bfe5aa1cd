# SPDX-License-Identifier: Apache-2.0
"""The columns beside Nova's JSON: what they hold that they should not is named."""

import json

import pytest

from numaplace import exception, objects, wire
from numaplace.db import details
from numaplace.libvirt import capabilities
from numaplace.model import Guest, MemoryModule, Offline
from numaplace.tests import recordings, samples


@pytest.mark.parametrize(
    ('change', 'error', 'message'),
    [
        ({'numaplace_object.version': '2.0'}, exception.IncompatibleObjectVersion, r"version '2\.0' cannot be read"),
        ({'numaplace_object.name': 'Else'}, exception.InvalidObject, "found 'Else'"),
        ({'numaplace_object.data': {}}, exception.InvalidObject, 'KeyError at '),
        ({'numaplace_object.data': None}, exception.InvalidObject, 'TypeError at '),
    ],
)
def test_details_that_cannot_be_read_are_a_fault(change, error, message):
    host, guest = samples.host(), samples.guest()
    with pytest.raises(error, match=message):
        details.read_host(details.write_host(host) | change, host)
    with pytest.raises(error, match=message):
        details.read_guest(details.write_guest(guest) | change, guest)
    with pytest.raises(error, match=message):
        details.read_move(details.write_move(guest, guest) | change)


def test_a_guest_without_details_is_read():
    assert details.read_guest(None, Guest(1, 512)) == Guest(1, 512)


def test_a_guest_of_the_first_version_has_all_its_vcpus_on_and_no_modules():
    guest = Guest(2, 1024, offline=(Offline(0b10, 0b100),), modules=(MemoryModule(512, 0, '/dev/dax0.0', pmem=True),))
    stored = json.loads(json.dumps(details.write_guest(guest)))
    assert details.read_guest(stored, Guest(2, 1024)) == guest
    stored['numaplace_object.version'] = '1.0'
    for name in ('offline', 'modules'):
        del stored['numaplace_object.data'][name]
    assert details.read_guest(stored, Guest(2, 1024)) == Guest(2, 1024)
    told = objects.GuestDetails.from_json(json.dumps(stored))
    assert (told.VERSION, told.apply(Guest(2, 1024))) == ('1.1', Guest(2, 1024))


def test_cells_of_the_first_version_are_read_without_what_came_later():
    """Both ways; they are written in the version of today."""
    host = capabilities.read(recordings.capabilities('tiers'))
    stored = details.write_host(host)
    for cell in stored['numaplace_object.data']['cells']:
        cell['numaplace_object.version'] = '1.0'
        for name in ('dies', 'clusters', 'caches', 'accesses'):
            del cell['numaplace_object.data'][name]
    plain = wire.read_host(wire.write_host(host))
    found = details.read_host(stored, plain)
    assert found.cells[0].shape.distances == host.cells[0].shape.distances
    assert [shape for cell in found.cells if (shape := cell.shape).dies or shape.caches or shape.accesses] == []
    told = objects.HostDetails.from_json(json.dumps(stored))
    assert told.apply(plain) == found
    assert {cell.VERSION for cell in told.cells} == {'1.1'}


def test_what_lies_around_the_cpus_comes_back():
    host = capabilities.read(recordings.capabilities('tiers'))
    plain = wire.read_host(wire.write_host(host))
    stored = json.loads(json.dumps(details.write_host(host)))
    assert details.read_host(stored, plain) == host == objects.HostDetails.from_json(json.dumps(stored)).apply(plain)


def test_a_part_of_a_cell_of_another_version_is_a_fault():
    host = capabilities.read(recordings.capabilities('tiers'))
    stored = details.write_host(host)
    stored['numaplace_object.data']['cells'][0]['numaplace_object.data']['caches'][0]['numaplace_object.version'] = (
        '9.0'
    )
    with pytest.raises(exception.IncompatibleObjectVersion, match=r"CacheDetails version '9\.0' cannot be read"):
        details.read_host(stored, host)
