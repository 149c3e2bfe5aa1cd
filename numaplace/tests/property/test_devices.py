# SPDX-License-Identifier: Apache-2.0
"""The fit with devices is that of brute force, whether or not more host cells can make devices go away."""

import random

import hypothesis
import pytest
from hypothesis import strategies as st

from numaplace.tests.property import cases, judge, oracle, strategies


class _Devices:
    """Devices that can be had near certain sets of host cells; counts how often it is asked.

    :param supported: takes a frozenset of ids
    :param places: ``(id, place in the order)`` pairs
    """

    def __init__(self, monotone, supported, places=()):
        self.monotone = monotone
        self.asked = []
        self._supported = supported
        self._places = dict(places)

    def supports(self, host_cells):
        assert isinstance(host_cells, frozenset)
        self.asked.append(host_cells)
        return self._supported(host_cells)

    def preference(self, host_cell):
        return self._places.get(host_cell, 0)


def _near_each_need(needs):
    """Return a monotone predicate: of each set of ids, one is chosen."""
    return lambda chosen: all(chosen & need for need in needs)


def _nowhere_else(sets):
    """Return a predicate that more host cells can make false: exactly one of these sets is chosen."""
    return lambda chosen: chosen in sets


def _draw_devices(dice, case):
    ids = sorted(cell['id'] for cell in case['host'])
    places = [(cell_id, dice.choice((0, 0, -1, -2, 1))) for cell_id in ids] if dice.random() < 0.5 else []

    def some(size):
        return frozenset(dice.sample(ids, size))

    if dice.random() < 0.5:
        needs = [some(dice.randint(1, len(ids))) for _ in range(dice.randint(0, 3))]
        return _Devices(True, _near_each_need(needs), places)
    # Sets of the size that will be asked for, or the predicate would be false throughout.
    size = min(len(case['guest']), len(ids))
    if dice.random() < 0.5:
        return _Devices(False, _nowhere_else({some(size) for _ in range(dice.randint(0, 4))}), places)
    shunned = some(min(2, len(ids)))
    return _Devices(False, lambda chosen: not shunned <= chosen or len(chosen) % 2 == 0, places)


def _assert_like_brute_force(case, devices):
    answer = cases.place(case, devices)
    got = tuple(placed.host_cell for placed in answer.cells) if answer else None
    sets_asked = len(devices.asked)
    assert oracle.choose(case, devices.supports, devices.preference) == got
    assert len(set(devices.asked[:sets_asked])) == sets_asked, 'a set was asked about twice'
    if not answer:
        codes = [reason.code for reason in answer.reasons]
        assert codes
        assert ('pci.required' in codes) == (oracle.choose(case) is not None)
    return answer


@pytest.mark.parametrize('first', range(0, 4000, 1000))
def test_seeded_cases_with_devices_are_answered_like_brute_force(first):
    verdicts = set()
    for seed in range(first, first + 1000):
        case, dice = cases.draw(seed), random.Random(seed)
        verdicts.add(bool(_assert_like_brute_force(case, _draw_devices(dice, case))))
    assert {True, False} == verdicts


@hypothesis.given(strategies.fits(), st.randoms(use_true_random=False))
def test_any_case_with_devices_is_answered_like_brute_force(case, dice):
    _assert_like_brute_force(case, _draw_devices(dice, case))


@pytest.mark.parametrize('monotone', [True, False])
def test_devices_that_are_everywhere_change_nothing(monotone):
    for case in map(cases.draw, range(300)):
        answer, other = cases.place(case, _Devices(monotone, lambda chosen: True)), cases.place(case)
        assert (other.cells if other else None) == (answer.cells if answer else None)
        assert [] == judge.faults(case)


def test_devices_that_are_nowhere_refuse_and_are_the_reason():
    refused = 0
    for case in map(cases.draw, range(300)):
        answer = cases.place(case, _Devices(True, lambda chosen: False))
        assert not answer
        if cases.place(case):
            refused += 1
            assert ['pci.required'] == [r.code for r in answer.reasons if len(r.guest_cells) != 1]
    assert refused


def test_only_monotone_devices_are_asked_about_sets_that_are_not_whole():
    """Of others, nothing follows from a set that is refused."""
    for case in map(cases.draw, range(300)):
        devices = _Devices(False, lambda chosen: False)
        assert not cases.place(case, devices)
        assert {len(case['guest'])} >= {len(chosen) for chosen in devices.asked}
