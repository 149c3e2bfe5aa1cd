# SPDX-License-Identifier: Apache-2.0
"""The columns next to Nova's JSON: wrong values in them are named."""

import json
from dataclasses import replace

import pytest

from numaplace import exception, objects, wire
from numaplace.libvirt import capabilities
from numaplace.model import GrantedDevice, Guest, HostDevices, MemoryModule, Offline, PciDevice, Placement
from numaplace.model.fleet import Fleet
from numaplace.tests import recordings, samples
from numaplace.wire import details
from numaplace.wire.fleet import read_fleet, write_fleet

#: What came with version 1.2 of a cell.
_NEW = ('memory_kind', 'counts_as_general')


@pytest.mark.parametrize(
    ('change', 'error', 'message'),
    [
        ({'numaplace_object.version': '2.0'}, exception.IncompatibleObjectVersion, r"version '2\.0' cannot be read"),
        ({'numaplace_object.name': 'Else'}, exception.InvalidObject, "found 'Else'"),
        ({'numaplace_object.data': {}}, exception.InvalidObject, "the field '[a-z_]+' is missing"),
        ({'numaplace_object.data': None}, exception.InvalidObject, "'numaplace_object.data' is no object"),
    ],
)
def test_details_that_cannot_be_read_are_a_fault(change, error, message):
    host, guest = samples.host(), samples.guest()
    with pytest.raises(error, match=message):
        details.read_host(details.write_host(host) | change, host)
    with pytest.raises(error, match=message):
        details.read_guest(details.write_guest(guest) | change, guest)
    with pytest.raises(error, match=message):
        details.read_move(details.write_move(Placement(guest), Placement(guest)) | change)


def test_a_guest_without_details_is_read():
    assert details.read_guest(None, Guest(1, 512)) == Guest(1, 512)


def test_a_guest_of_the_first_version_has_all_its_vcpus_on_and_no_modules():
    guest = Guest(2, 1024, offline=(Offline(0b10, 0b100),), modules=(MemoryModule(512, 0, '/dev/dax0.0', pmem=True),))
    stored = json.loads(json.dumps(details.write_guest(guest)))
    assert details.read_guest(stored, Guest(2, 1024)) == guest
    stored['numaplace_object.version'] = '1.0'
    for name in ('offline', 'modules', 'devices', 'resources'):
        del stored['numaplace_object.data'][name]
    assert details.read_guest(stored, Guest(2, 1024)) == Guest(2, 1024)
    read = objects.GuestDetails.from_json(json.dumps(stored))
    assert (read.VERSION, read.apply(Guest(2, 1024))) == ('1.3', Guest(2, 1024))


def test_cells_of_the_first_version_are_read_without_what_came_later():
    """Both ways; they are written in the version of today."""
    host = capabilities.read(recordings.capabilities('tiers'))
    stored = details.write_host(host)
    for cell in stored['numaplace_object.data']['cells']:
        cell['numaplace_object.version'] = '1.0'
        for name in ('dies', 'clusters', 'caches', 'accesses', *_NEW):
            del cell['numaplace_object.data'][name]
    plain = wire.read_host(wire.write_host(host))
    found = details.read_host(stored, plain)
    assert found.cells[0].shape.distances == host.cells[0].shape.distances
    assert [shape for cell in found.cells if (shape := cell.shape).dies or shape.caches or shape.accesses] == []
    read = objects.HostDetails.from_json(json.dumps(stored))
    assert read.apply(plain) == found
    assert {cell.VERSION for cell in read.cells} == {'1.2'}
    assert [cell.shape.kind for cell in found.cells] == ['general', 'general', 'general', 'unknown']


def test_cells_of_the_second_version_are_read_without_kinds_of_memory():
    host = capabilities.read(recordings.capabilities('tiers'), general_memory=('slow',))
    stored = details.write_host(host)
    for cell in stored['numaplace_object.data']['cells']:
        cell['numaplace_object.version'] = '1.1'
        for name in _NEW:
            del cell['numaplace_object.data'][name]
    plain = wire.read_host(wire.write_host(host))
    found = details.read_host(stored, plain)
    assert found.cells[3].shape == replace(host.cells[3].shape, memory_kind=None, counts_as_general=False)
    assert (found.memory_mib, host.memory_mib) == (host.memory_mib - 4096, host.memory_mib)
    assert objects.HostDetails.from_json(json.dumps(stored)).apply(plain) == found


def test_a_kind_of_memory_that_is_not_known_is_a_fault():
    host = capabilities.read(recordings.capabilities('tiers'))
    stored = details.write_host(host)
    stored['numaplace_object.data']['cells'][3]['numaplace_object.data']['memory_kind'] = 'tape'
    words = "CellDetails: the field 'memory_kind' is 'tape'; expected general or cxl or gpu or hbm or slow or unknown"
    with pytest.raises(exception.InvalidObject, match=words):
        details.read_host(stored, host)


@pytest.mark.parametrize('topology', [{'sockets': 0, 'cores': 1, 'threads': 1}, {'sockets': 1, 'cores': 1}])
def test_a_topology_without_sockets_cores_or_threads_is_a_fault(topology):
    stored = details.write_guest(Guest(1, 64))
    stored['numaplace_object.data']['cpu_topology'] = topology
    words = r"GuestDetails: the field 'cpu_topology' is \{.*\}; expected sockets, cores, threads from 1 on"
    with pytest.raises(exception.InvalidObject, match=words):
        details.read_guest(stored, Guest(1, 64))


def test_what_lies_around_the_cpus_comes_back():
    host = capabilities.read(recordings.capabilities('tiers'), general_memory=('slow',))
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


def test_devices_of_a_host_and_of_both_sides_of_a_move_come_back():
    card = PciDevice('0000:05:00.0', '8086', '1572', 'type-PF', 1, tags={'physical_network': 'p1'})
    vf = PciDevice('0000:05:02.0', '8086', '154c', 'type-VF', 1, card.address)
    sides = tuple(Placement(Guest(1, 64), devices=(GrantedDevice(device, 'nic'),)) for device in (card, vf))
    assert details.read_move(json.loads(json.dumps(details.write_move(*sides)))) == sides
    host = replace(samples.host(), devices=HostDevices((card, vf), frozenset({vf.address})))
    record = replace(samples.host_record('h'), host=host)
    fleet = Fleet((record,))
    assert read_fleet(json.loads(json.dumps(write_fleet(fleet)))) == fleet
