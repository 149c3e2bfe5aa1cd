# SPDX-License-Identifier: Apache-2.0
"""Replays: each decision is that of the scheduler, and what is counted is what happened."""

import random
from dataclasses import replace

import pytest

from numaplace import fit
from numaplace.db.records import InstanceRequest
from numaplace.fleet.traces import Event, Kind, generate
from numaplace.model import Flavor
from numaplace.scheduler import simulation
from numaplace.scheduler.filters import Request
from numaplace.scheduler.weights import weigh
from numaplace.tests.unit.fit.builders import guest, guest_cell

SMALL, WIDE = Kind(2, 1024), Kind(8, 4096, 2)


def _made(number=200, seed=1, load=0.9):
    return generate(number, 4 * 2 * 16, load, random.Random(seed).random)


def _hosts(number=4):
    return simulation.hosts(number, 2, 16, 56 * 1024)


def _one_by_one(events, way):
    """Return which guests are accepted where every host is asked and weighed for each of them."""
    records, where, accepted = {record.name: record for record in _hosts()}, {}, set()
    for event in events:
        if event.kind is None:
            if event.guest in where:
                name, placement = where.pop(event.guest)
                records[name] = replace(records[name], host=records[name].host.release(placement))
            continue
        each, memory_mib = event.kind.vcpus // event.kind.cells, event.kind.memory_mib // event.kind.cells
        wanted = guest(
            *(
                guest_cell(cell, f'{cell * each}-{cell * each + each - 1}', memory_mib=memory_mib)
                for cell in range(event.kind.cells)
            )
        )
        request = Request(InstanceRequest('one', Flavor('f', 1, 1, 0, {}, 'f'), wanted))
        takers = [record for record in records.values() if fit.refusal(record.host, wanted) is None]
        if takers:
            name = weigh(takers, way.weighers, request)[0][0].name
            placement = fit.place(records[name].host, wanted, strategy=way.strategy)
            records[name] = replace(records[name], host=records[name].host.consume(placement))
            where[event.guest] = name, placement
            accepted.add(event.guest)
    return accepted


@pytest.mark.parametrize('name', simulation.POLICIES)
def test_the_decisions_are_those_of_asking_all_hosts_each_time(name):
    events, way = _made(), simulation.POLICIES[name]
    accepted = _one_by_one(events, way)
    found = simulation.replay(_hosts(), events, way)
    assert len(accepted) == found.accepted
    assert 200 - len(accepted) == found.refused > 0


def test_novas_weighers_leave_the_wide_guest_without_a_host_and_preserve_finds_one():
    """Small guests on each host; a guest of two cells of 16 CPUs needs one that is empty."""
    events = [Event(float(number), str(number), SMALL) for number in range(4)]
    events.append(Event(10.0, 'wide', Kind(32, 4096, 2)))
    found = {name: simulation.replay(_hosts(), events, way) for name, way in simulation.POLICIES.items()}
    assert (4, 1, 1, 1) == (
        found['nova'].accepted,
        found['nova'].refused,
        found['nova'].refused_wide,
        found['nova'].refused_with_room,
    )
    assert (5, 0, 1) == (found['preserve'].accepted, found['preserve'].refused, found['preserve'].accepted_wide)


def test_host_hours_count_hosts_with_guests_and_the_bound_what_is_in_use():
    events = [Event(0.0, 'a', WIDE), Event(7200.0, 'a'), Event(10800.0, 'b', SMALL)]
    found = simulation.replay(_hosts(), events, simulation.POLICIES['preserve'])
    assert 2.0 == found.host_hours
    assert 2.0 * 8 / 32 == pytest.approx(found.bound_hours)
    assert found.over_bound == pytest.approx(3.0)


def test_a_defragmentation_empties_hosts_within_its_share():
    """Four guests on four hosts, which one host takes."""
    events = [Event(float(number), str(number), SMALL) for number in range(4)] + [Event(7200.0, 'late', SMALL)]
    nova = simulation.POLICIES['nova']
    without = simulation.replay(_hosts(), events, nova)
    assert (0, 3, 3) == (without.moves, without.moves_at_end, without.hosts_at_end)
    with_all = simulation.replay(_hosts(), events, nova, hourly=1.0)
    assert (3, 0, 5) == (with_all.moves, with_all.refused, with_all.accepted)
    assert 2 == with_all.samples[-1].active_hosts
    assert 0 == simulation.replay(_hosts(), events, nova, hourly=0.2).moves


def test_stranded_is_what_is_free_on_hosts_without_room_for_the_widest_guest():
    events = [Event(0.0, 'a', Kind(14, 1024)), Event(1.0, 'b', WIDE)]
    sample = simulation.replay(_hosts(1), events, simulation.POLICIES['nova']).samples[0]
    assert (1, 18, 18) == (sample.active_hosts, sample.free_cpus, sample.stranded_cpus)
    assert 2 * 56 * 1024 - 1024 == sample.stranded_mib
