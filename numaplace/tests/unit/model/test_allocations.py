# SPDX-License-Identifier: Apache-2.0
"""What counts on a host follows from the servers alone."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from numaplace import exception, fit
from numaplace.model import Guest, allocations
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
