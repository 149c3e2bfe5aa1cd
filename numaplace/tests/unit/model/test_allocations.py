# SPDX-License-Identifier: Apache-2.0
"""What counts on a host follows from the servers alone."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from numaplace import exception, fit
from numaplace.fleet import usage
from numaplace.model import GrantedDevice, Guest, HostDevices, PciDevice, Placement, allocations
from numaplace.model.host_resources import Encryption, HostResources
from numaplace.model.records import ACTIVE, ENDED, LIVE_MIGRATION, RESIZE, RESIZED, InstanceRecord, Move, Side
from numaplace.tests import samples

HOST = samples.host()
FLAVOR = samples.instance_request(samples.guest()).flavor
OLD = Side('a', FLAVOR, fit.place(HOST, samples.guest()))
NEW = Side('b', FLAVOR, fit.place(HOST, samples.guest(vcpus=4)))
SERVER = InstanceRecord('u', 'db1', 1, 'a', FLAVOR, {}, OLD.placement, None, ACTIVE, datetime.now(UTC))
MOVING = replace(SERVER, move=Move(LIVE_MIGRATION, 'running', OLD, NEW, 'move'))


def records(**hosts):
    return {name: replace(samples.host_record(name), host=host) for name, host in hosts.items()}


def test_a_server_holds_its_place():
    assert (OLD,) == allocations.holds(SERVER)
    assert () == allocations.holds(replace(SERVER, host=None))


def test_a_server_in_a_move_holds_both_places_wherever_it_is():
    arrived = replace(MOVING, host='b', placement=NEW.placement)
    assert (OLD, NEW) == allocations.holds(MOVING) == allocations.holds(arrived)
    assert [OLD.placement] == allocations.held_on('a', [MOVING, replace(SERVER, host='c')])


@pytest.mark.parametrize('status', ENDED)
def test_a_move_that_is_over_holds_nothing(status):
    assert (OLD,) == allocations.holds(replace(MOVING, move=replace(MOVING.move, status=status)))


def test_only_what_changes_is_counted():
    """A claim adds the new side, its end takes the old one away, in between nothing changes."""
    hosts = records(a=HOST.consume(OLD.placement), b=HOST)
    begun = allocations.recount(hosts, SERVER, MOVING)
    assert {'a': HOST.consume(OLD.placement), 'b': HOST.consume(NEW.placement)} == begun
    arrived = replace(MOVING, host='b', placement=NEW.placement)
    assert begun == allocations.recount(records(**begun), MOVING, arrived)
    over = replace(arrived, move=replace(MOVING.move, status='completed'))
    assert {'a': HOST, 'b': HOST.consume(NEW.placement)} == allocations.recount(records(**begun), MOVING, over)


def test_equal_sides_count_twice():
    floating = Side('a', FLAVOR, fit.place(HOST, Guest(2, 512)))
    server = replace(SERVER, placement=floating.placement)
    moving = replace(server, move=Move(RESIZE, 'pre-migrating', floating, floating, 'move'))
    counted = allocations.recount(records(a=HOST.consume(floating.placement)), server, moving)
    assert 1024 == counted['a'].memory_used_mib
    assert {'a': HOST} == allocations.recount(records(**counted), moving, None)


def test_a_host_that_does_not_hold_what_is_given_back_is_named():
    with pytest.raises(exception.CPUUnpinningInvalid, match=r"server u on host 'a': .* not pinned"):
        allocations.recount(records(a=HOST), SERVER, None)


@pytest.mark.parametrize(
    ('changes', 'status'),
    [
        ({}, 'ACTIVE'),
        ({'vm_state': RESIZED}, 'VERIFY_RESIZE'),
        ({'vm_state': 'shelved_offloaded'}, 'SHELVED_OFFLOADED'),
        ({'move': Move(RESIZE, 'pre-migrating', OLD, NEW, 'move')}, 'RESIZE'),
        ({'move': Move('migration', 'pre-migrating', OLD, NEW, 'move')}, 'RESIZE'),
        ({'move': Move(LIVE_MIGRATION, 'running', OLD, NEW, 'move')}, 'MIGRATING'),
        ({'move': Move('evacuation', 'pre-migrating', OLD, NEW, 'move')}, 'REBUILD'),
        ({'move': Move(RESIZE, 'error', OLD, NEW, 'move')}, 'ACTIVE'),
        ({'move': Move(RESIZE, 'finished', OLD, NEW, 'move'), 'vm_state': RESIZED}, 'VERIFY_RESIZE'),
    ],
)
def test_the_status_is_the_word_of_novas_api(changes, status):
    assert status == replace(SERVER, **changes).status


def test_what_the_host_has_no_more_is_not_released():
    """A device, and memory encryption of which there is less: each that is left is released as often as it is held."""
    gone, left = (PciDevice(f'0000:0{number}:00.0', '8086', '1572') for number in (1, 2))
    devices = tuple([GrantedDevice(device) for device in (gone, left)])
    held = Placement(Guest(1, 64), devices=devices, resources=('sev', 'sev-es'))
    host = replace(
        HOST, devices=HostDevices((left,)), resources=HostResources((Encryption('sev', 1), Encryption('sev-es', 0)))
    )
    counted = usage.count(host, [held, held])
    assert (('sev', 'sev'), {left.address}) == (counted.resources.used, counted.devices.taken)
    once = allocations.release(counted, held)
    assert (('sev',), frozenset()) == (once.resources.used, once.devices.taken)
    with pytest.raises(exception.PciDeviceInvalid, match=left.address):
        allocations.release(once, held)


def test_what_the_host_has_and_does_not_count_is_a_fault():
    cells = tuple([replace(cell, shape=replace(cell.shape, id=1 - cell.id)) for cell in HOST.cells])
    with pytest.raises(exception.CPUUnpinningInvalid, match='host cell 1: CPUs 0-1'):
        allocations.release(replace(HOST, cells=cells), OLD.placement)
