# SPDX-License-Identifier: Apache-2.0
"""Servers without a place get one by exchanges: what is left adds up, and nothing is taken twice."""

import copy
import random
import time
from collections import Counter

import pytest

from numaplace.planning.mending import HostNumbers, Number, Spots, mend

#: What a server of each class takes: vCPUs and memory.
CLASSES = ((1, 1), (1, 4), (2, 8), (4, 4))
WEIGHTS = [vcpus + memory for vcpus, memory in CLASSES]
CPUS, MEMORY = (None, 'vcpus'), (None, 'memory')


def place(numbers, capacity, cell=None):
    """Return a host with so many servers of each class; each may leave, and any may arrive."""
    slots = (cell, 'vcpus'), (cell, 'memory')
    takes = [dict(zip(slots, each, strict=True)) for each in CLASSES]
    gives = [{slot: -amount for slot, amount in each.items()} for each in takes]
    free = {
        slot: amount - sum(number * each[slot] for number, each in zip(numbers, takes, strict=True))
        for slot, amount in zip(slots, capacity, strict=True)
    }
    leaving = [Number(kind, False, 0, number, gives[kind]) for kind, number in enumerate(numbers)]
    arriving = [Number(kind, True, 0, 99, takes[kind]) for kind in range(len(CLASSES))]
    return HostNumbers([*leaving, *arriving], free)


def spots_of(places):
    """Return all that hosts have left; there are classes for all servers that tests add."""
    spots = Spots(len(CLASSES) + 1, {(cell is None, name) for one in places for cell, name in one.free})
    spots.add(*places)
    assert spots.moves == sum(each.value for one in places for each in one.numbers if each.is_arrival)
    return spots


def mended(places, homeless, seconds=20):
    """Mend copies of hosts; make sure that numbers and room are right, whatever comes of it."""
    after, left = copy.deepcopy(places), Counter(homeless)
    found = mend(spots_of(after), left, WEIGHTS, time.monotonic() + seconds)
    placed = Counter(homeless)
    placed.subtract(left)
    arrived = Counter()
    for then, now in zip(places, after, strict=True):
        assert all(0 <= each.value <= each.most for each in now.numbers)
        assert all(amount >= 0 for amount in now.free.values())
        for slot, amount in then.free.items():
            taken = sum(each.value * each.takes.get(slot, 0) for each in now.numbers)
            assert now.free[slot] == amount - taken
        for each in now.numbers:
            arrived[each.kind] += each.value if each.is_arrival else -each.value
    assert +placed == +arrived
    assert found == (not +left)
    return found, after


def test_a_host_gets_the_memory_of_others_for_its_free_cpus():
    places = [place((0, 2, 0, 0), (4, 8)), place((2, 0, 0, 0), (2, 8))]
    found, after = mended(places, {1: 1})
    assert found
    assert 2 <= sum(each.value for one in after for each in one.numbers if not each.is_arrival), 'both exchange'


def test_room_on_a_host_is_taken_without_a_move():
    found, after = mended([place((1, 0, 0, 1), (8, 16)), place((0, 0, 2, 0), (4, 16))], {2: 1})
    assert found
    assert 0 == sum(each.value for one in after for each in one.numbers if not each.is_arrival)


def test_cells_are_places_for_servers_of_one_cell():
    both = [place((0, 2, 0, 0), (4, 8), 0), place((2, 0, 0, 0), (2, 8), 1)]
    host = HostNumbers(both[0].numbers + both[1].numbers, both[0].free | both[1].free)
    assert mended([host], {1: 1})[0]


def test_each_cell_of_a_wide_server_gets_room():
    """A server of two cells arrives once each of them has swapped what is in its way."""
    both = [place((0, 2, 0, 0), (4, 8), 0), place((0, 2, 0, 0), (4, 8), 1)]
    host = HostNumbers(both[0].numbers + both[1].numbers, both[0].free | both[1].free)
    takes = {(cell, name): amount for cell in (0, 1) for name, amount in (('vcpus', 2), ('memory', 6))}
    host.numbers.append(Number(4, True, 0, 1, takes))
    other = place((4, 0, 0, 0), (4, 18), 0)
    left = Counter({4: 1})
    assert mend(spots_of([host, other]), left, [*WEIGHTS, 20], time.monotonic() + 20)
    assert 1 == host.numbers[-1].value
    assert all(amount >= 0 for one in (host, other) for amount in one.free.values())


def test_servers_of_cells_and_those_that_float_share_what_a_host_has_as_a_whole():
    """A float leaves the only host with a free CPU, so that its memory is enough for a server of the cell."""
    takes = {(0, 'vcpus'): 1, MEMORY: 4}
    leaving, coming = (Number(4, is_arrival, 0, 1, {MEMORY: 4 if is_arrival else -4}) for is_arrival in (False, True))
    full = HostNumbers([leaving, Number(0, True, 0, 1, takes, (0,))], {(0, 'vcpus'): 1, MEMORY: 0})
    other = HostNumbers([coming, Number(0, True, 0, 1, takes, (0,))], {(0, 'vcpus'): 0, MEMORY: 4})
    left = Counter({0: 1})
    assert mend(spots_of([full, other]), left, [*WEIGHTS, 4], time.monotonic() + 20)
    assert (1, 1, 1) == (leaving.value, coming.value, full.numbers[1].value)
    assert {MEMORY: 0, (0, 'vcpus'): 0} == full.free == other.free


def test_what_is_limited_on_one_host_alone_is_counted_there():
    """A server of a cell takes its CPU on one host, and only memory of the whole on one without a limit of CPUs."""
    cpu, cells = (0, 'vcpus'), ((0, 'vcpus'), (1, 'vcpus'))
    first = HostNumbers(
        [Number(0, False, 0, 2, {cpu: -1, MEMORY: -4}), Number(0, True, 0, 9, {cpu: 1, MEMORY: 4}, (0,))],
        {**dict.fromkeys(cells, 0), MEMORY: 0},
    )
    second = HostNumbers(
        [Number(1, False, 0, 2, {MEMORY: -1}), *[Number(kind, True, 0, 9, {MEMORY: 4 - 3 * kind}) for kind in (0, 1)]],
        {MEMORY: 3},
    )
    places, homeless = [first, second], Counter({0: 1})
    mend(spots_of(places), homeless, WEIGHTS, time.monotonic() + 20)
    assert all(0 <= number.value <= number.most for one in places for number in one.numbers)
    assert all(amount >= 0 for one in places for amount in one.free.values())


def test_hosts_without_limits_leave_nothing_to_swap():
    left = Counter({0: 1})
    assert not mend(spots_of([HostNumbers([], {}), HostNumbers([], {})]), left, WEIGHTS, time.monotonic() + 20)
    assert Counter({0: 1}) == left


def test_servers_return_where_that_saves_moves():
    """Two hosts have given each other a server: both stay where they are instead."""
    places = [place((0, 1, 0, 0), (1, 4)), place((1, 0, 0, 0), (1, 4))]
    for one, gone, come in ((places[0], 1, 0), (places[1], 0, 1)):
        leaving, arriving = (
            next(each for each in one.numbers if each.kind == kind and each.is_arrival == is_arrival)
            for kind, is_arrival in ((gone, False), (come, True))
        )
        one.change(leaving, 1)
        one.change(arriving, 1)
    mend(spots_of(places), Counter(), WEIGHTS, time.monotonic() + 20)
    assert 0 == sum(each.value for one in places for each in one.numbers)


@pytest.mark.parametrize('homeless', [{2: 1}, {3: 2}])
def test_what_has_no_room_in_all_gets_no_place(homeless):
    found, _after = mended([place((0, 2, 0, 0), (4, 8)), place((2, 0, 0, 0), (2, 6))], homeless)
    assert not found


def test_a_class_that_may_arrive_nowhere_stays():
    places = [place((0, 0, 0, 0), (8, 8))]
    places[0].numbers = [each for each in places[0].numbers if each.kind != 1]
    assert not mended(places, {1: 1})[0]


def test_numbers_hold_in_drawn_fleets():
    dice, reached = random.Random(1), 0
    for _ in range(40):
        places = []
        for _host in range(dice.randint(2, 6)):
            numbers = [dice.randint(0, 3) for _ in CLASSES]
            used = [sum(number * each[part] for number, each in zip(numbers, CLASSES, strict=True)) for part in (0, 1)]
            places.append(place(numbers, [amount + dice.randint(0, 3) for amount in used]))
        reached += mended(places, {dice.randrange(4): 1, dice.randrange(4): 1}, 2)[0]
    assert 10 <= reached <= 39
