# SPDX-License-Identifier: Apache-2.0
"""How many steps the search for the nearest host cells takes: the bound of its docstring, and the hosts that matter."""

import random
import sys
from collections import Counter
from contextlib import contextmanager
from math import prod

import pytest

from numaplace.fit.nearest import Candidate, Choice, nearest
from numaplace.model import CellShape, Guest, Host, HostCell, Placement, Wish
from numaplace.model.vnuma import AUTO_MODE, PIN_TO_CORE
from numaplace.partition import place

#: Partial choices for one guest on 16 nodes; each takes about 10 microseconds.
MOST_STEPS = 2500


@contextmanager
def counted():
    """Count the partial choices that are looked at."""
    steps = Counter()

    def count(frame, event, _argument):
        if event == 'call' and frame.f_code.co_qualname == '_Bounds.hold':
            steps['steps'] += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield steps
    finally:
        sys.setprofile(before)


def _choice(dice, kinds):
    """Return a choice of candidates of some kinds, shuffled; only candidates of one kind are alike."""
    of = [kind for kind, number in enumerate(kinds) for _ in range(number)]
    dice.shuffle(of)
    lengths = {(one, other): dice.randint(11, 40) for one in range(len(kinds)) for other in range(one + 1)}
    between = [[lengths[max(one, other), min(one, other)] for other in of] for one in of]
    for place_, row in enumerate(between):
        row[place_] = 0
    amounts = [dice.randint(1, 9) for _ in kinds]
    candidates = [Candidate(number, (amounts[kind],), (amounts[kind],)) for number, kind in enumerate(of)]
    return Choice(
        candidates, between, (dice.randint(1, 40),), 0, lambda places: places if dice.random() < 0.5 else None
    )


@pytest.mark.parametrize('kinds', [(16,), (1, 15), (4, 4, 4, 4), (2,) * 5, (1,) * 9], ids=str)
def test_there_are_at_most_twice_as_many_steps_as_ways_to_take_a_number_of_each_kind(kinds):
    dice, most = random.Random(str(kinds)), 0
    for _ in range(8):
        choice = _choice(dice, kinds)
        for number in range(1, len(choice.candidates) + 1):
            with counted() as steps:
                nearest([choice], number)
            most = max(most, steps['steps'])
    assert 0 < most <= 2 * prod(size + 1 for size in kinds)


def _host(between, cpus=range(2, 2048), bare=0):
    """Return 16 nodes of 128 CPUs with two threads a core, and nodes without CPUs."""
    dedicated, cells = sum(1 << cpu for cpu in cpus), []
    for number in range(16 + bare):
        siblings = tuple((1 | 1 << 64) << (128 * number + core) for core in range(64)) if number < 16 else ()
        distances = tuple((other, between(number, other)) for other in range(16 + bare))
        memory_mib = 262144 if siblings else 16384
        shape = CellShape(number, 0, sum(siblings) & dedicated, memory_mib, siblings, distances=distances)
        cells.append(HostCell(shape))
    return Host(tuple(cells))


DISTANCES = {
    'equal': lambda _one, _other: 21,
    'sockets': lambda one, other: 12 if one // 4 == other // 4 else 32,
    'ring': lambda one, other: 10 + 3 * min((one - other) % 16, (other - one) % 16),
    'scattered': lambda one, other: random.Random(f'{sorted((one, other))}').choice((11, 12, 16, 21, 32)),
}
GUESTS = {
    'fits half': (Guest(1016, 65536), 9),
    'fits all': (Guest(2010, 16 * 262144 - 16), 16),
    'lacks memory': (Guest(1016, 16 * 262144 + 16), None),
    'lacks CPUs': (Guest(2018, 65536), None),
}


@pytest.mark.parametrize(('guest', 'nodes'), GUESTS.values(), ids=GUESTS)
@pytest.mark.parametrize('between', DISTANCES.values(), ids=DISTANCES)
def test_a_guest_is_placed_or_refused_in_few_steps_on_16_nodes_of_which_one_has_less(between, guest, nodes):
    wish = Wish(AUTO_MODE, pinning=PIN_TO_CORE)
    with counted() as steps:
        answer = place(_host(between), Guest(guest.vcpus, guest.memory_mib, wish=wish))
    assert nodes == (len(answer.cells) if isinstance(answer, Placement) else None)
    assert steps['steps'] <= MOST_STEPS


@pytest.mark.parametrize(('tier_mib', 'nodes'), [(49152, 3), (65537, None)], ids=['fits', 'does not fit'])
@pytest.mark.parametrize('between', DISTANCES.values(), ids=DISTANCES)
def test_a_tier_takes_few_steps(between, tier_mib, nodes):
    wish = Wish(AUTO_MODE, pinning=PIN_TO_CORE, tier_mib=tier_mib)
    with counted() as steps:
        answer = place(_host(between, bare=4), Guest(256, 131072, wish=wish))
    tier = [cell for cell in answer.cells if not cell.guest_cell.vcpus] if isinstance(answer, Placement) else None
    assert nodes == (None if tier is None else len(tier))
    assert steps['steps'] <= MOST_STEPS
