# SPDX-License-Identifier: Apache-2.0
"""Replays: each decision is that of the scheduler, and what is counted is what happened."""

import random
from dataclasses import replace

import pytest

from numaplace import fit
from numaplace.db.records import InstanceRequest
from numaplace.fit.usefulness import Mix
from numaplace.fleet.traces import Event, Kind, generate, mix
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


LASTING = simulation.POLICIES['lasting']
_WAYS = {**simulation.POLICIES, 'preserve-mix': simulation.preserve(Mix.of(mix(_made())))}
_WEIGHED = {name: way for name, way in _WAYS.items() if way.ahead_s is None}


@pytest.mark.parametrize('way', _WEIGHED.values(), ids=_WEIGHED)
def test_the_decisions_are_those_of_asking_all_hosts_each_time(way):
    events = _made()
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


def test_the_floor_counts_a_cell_as_full_beside_which_no_guest_of_the_trace_fits():
    """Guests of 8 CPUs and all memory of a cell, and of 16 CPUs in it: each has it alone; two small ones share one."""
    whole = [Kind(8, 56 * 1024), Kind(16, 1024)]
    events = [Event(0.0, str(number), kind) for number, kind in enumerate([*whole, SMALL, SMALL])]
    events.append(Event(3600.0, '0'))
    found = simulation.replay(_hosts(), events, simulation.POLICIES['preserve'])
    assert (2 + 4 / 16) / 2 == pytest.approx(found.floor_hours)
    assert (8 + 16 + 4) / 32 == pytest.approx(found.bound_hours)
    assert found.bound_hours < found.floor_hours <= found.host_hours
    assert found.floor_over_bound == pytest.approx(found.floor_hours / found.bound_hours - 1)


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


_STEPS = [Event(300.0 * step, 'nobody') for step in range(1, 14)]


def test_the_moves_of_an_hour_can_be_spread_over_it():
    """Forty guests on as many hosts, of which 12 may move each hour: one each five minutes, or all at its end."""
    events = [*[Event(0.0, str(number), SMALL) for number in range(40)], *_STEPS]
    each_hour, spread = (
        simulation.replay(_hosts(40), events, simulation.POLICIES['nova'], hourly=0.3, every_s=every_s)
        for every_s in (3600.0, 300.0)
    )
    assert (12, 12) == (each_hour.moves, spread.moves)
    assert 40 + 28 / 12 == pytest.approx(each_hour.host_hours)
    assert sum(range(28, 41)) / 12 == pytest.approx(spread.host_hours)


def test_a_defragmentation_sees_the_departures_of_its_time():
    """A guest that leaves no room departs after an hour, and the small one beside it finds room on the other host."""
    large = Kind(28, 2048, 2)
    events = [Event(0.0, 'leaves', large), Event(0.0, 'stays', large), Event(0.0, 'small', SMALL)]
    events += [Event(3600.0, 'leaves'), Event(7200.0, 'nobody')]
    found = simulation.replay(_hosts(2), events, simulation.POLICIES['nova'], hourly=1.0)
    assert (1, 3.0) == (found.moves, found.host_hours)


@pytest.mark.parametrize('until_s', [1e9, 1e300])
def test_a_trace_may_have_long_gaps(until_s):
    """Each hour two of four hosts are emptied at most; what is left to do is done before the gap is over."""
    events = [*[Event(0.0, str(number), SMALL) for number in range(4)], Event(until_s, 'nobody')]
    found = simulation.replay(_hosts(4), events, simulation.POLICIES['nova'], hourly=0.5, every_s=60.0)
    assert (3, pytest.approx(until_s / 3600, rel=1e-4)) == (found.moves, found.host_hours)


def test_no_hour_has_more_moves_than_its_share_where_nothing_was_to_move_before():
    """Thirty hosts are full for an hour, then ten guests come that one host takes: of 40 guests, 4 may move."""
    later = [Event(3600.0 + event.time_s, event.guest) for event in _STEPS]
    full = [Event(0.0, f'full{number}', Kind(32, 4096, 2)) for number in range(30)]
    small = [Event(3600.0, f'small{number}', SMALL) for number in range(10)]
    nova = simulation.POLICIES['nova']
    found = simulation.replay(_hosts(40), [*full, *_STEPS, *small, *later], nova, hourly=0.1, every_s=300.0)
    assert (40, 4) == (found.accepted, found.moves)


def _aged(old_for_s):
    """Return events that leave host 1 with 12 CPUs free and host 2 with 24, whose guest is older by so many seconds."""
    first = [Event(0.0, 'first', Kind(32, 4096, 2)), Event(0.0, 'old', Kind(8, 4096)), Event(old_for_s, 'first')]
    return [*first, Event(old_for_s, 'young', Kind(20, 4096, 2))]


@pytest.mark.parametrize(('policy', 'active_hosts'), [('best-fit', 2), ('lasting', 1)])
def test_lasting_takes_the_host_that_stays_in_use_anyway(policy, active_hosts):
    """Best fit takes the fuller host, which is empty soon but for the new guest."""
    hour = 3600.0
    events = [*_aged(9 * hour), Event(10 * hour, 'new', SMALL), Event(11 * hour, 'young'), Event(12 * hour, 'nobody')]
    found = simulation.replay(_hosts(2), events, simulation.POLICIES[policy])
    assert (4, active_hosts) == (found.accepted, found.samples[-1].active_hosts)


def test_lasting_takes_the_fuller_host_of_those_whose_guests_are_as_old():
    events = [*_aged(0.0), Event(0.0, 'new', Kind(12, 4096, 2)), Event(0.0, 'wide', Kind(24, 4096, 2))]
    assert 4 == simulation.replay(_hosts(2), events, LASTING).accepted
    assert 1 == simulation.replay(_hosts(2), events, LASTING).refused_wide


@pytest.mark.parametrize(('batch', 'active_hosts'), [('', 2), ('batch', 1)])
def test_lasting_places_guests_together_that_are_created_together(batch, active_hosts):
    """Of four guests on two hosts, one of which has room for two, all go to one host: with it they leave together."""
    hour = 3600.0
    events = [Event(0.0, 'other', Kind(24, 4096, 2))]
    events += [Event(hour, f'guest{number}', Kind(4, 1024), batch) for number in range(4)]
    events += [Event(2 * hour, 'other'), Event(3 * hour, 'nobody')]
    found = simulation.replay(_hosts(2), events, LASTING)
    assert (5, active_hosts) == (found.accepted, found.samples[-1].active_hosts)


def test_stranded_is_what_is_free_on_hosts_without_room_for_the_widest_guest():
    events = [Event(0.0, 'a', Kind(14, 1024)), Event(1.0, 'b', WIDE)]
    sample = simulation.replay(_hosts(1), events, simulation.POLICIES['nova']).samples[0]
    assert (1, 18, 18) == (sample.active_hosts, sample.free_cpus, sample.stranded_cpus)
    assert 2 * 56 * 1024 - 1024 == sample.stranded_mib


def test_the_mix_of_a_trace_is_what_a_cell_of_its_guests_needs_and_their_number():
    events = [Event(0.0, 'a', SMALL), Event(1.0, 'b', WIDE), Event(2.0, 'a'), Event(3.0, 'c', SMALL)]
    assert ((1, 2, 1024, 2), (2, 4, 2048, 1)) == mix(events)


def test_more_wide_guests_find_a_host_where_the_mix_is_known():
    found = dict.fromkeys(('best-fit', 'preserve-mix'), 0)
    for seed in range(1, 4):
        events = generate(800, 10 * 2 * 16, 0.9, random.Random(seed).random)
        for name in found:
            found[name] += simulation.replay(_hosts(10), events, _WAYS[name]).accepted_wide
    assert found['preserve-mix'] > 1.03 * found['best-fit'], found
