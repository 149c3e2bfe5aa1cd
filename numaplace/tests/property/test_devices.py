# SPDX-License-Identifier: Apache-2.0
"""The fit with devices is that of brute force, whether or not more host cells can make devices go away."""

import random
from math import comb

import hypothesis
import pytest
from hypothesis import strategies as st

from numaplace import fit
from numaplace.fit import assignment
from numaplace.tests.property import cases, judge, oracle, strategies


class _Devices(fit.Devices):
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

    def excludes(self, host_cells, most):
        return self.monotone and not self._supported(host_cells)

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


@pytest.mark.parametrize('guest_cells', [4, 5, 6, 8])
def test_devices_are_asked_about_each_set_of_equal_host_cells_once(guest_cells):
    """Not about each of the orders in which equal guest cells may take them."""
    asked = []
    found = assignment.first_assignment([(1 << 16) - 1] * guest_cells, accepts=_Refuses(asked))
    assert found is None
    assert comb(16, guest_cells) == len(asked) == len(set(asked))


class _Refuses:
    def __init__(self, asked):
        self._asked = asked

    def __call__(self, columns):
        self._asked.append(columns)
        return False

    def excludes(self, columns, most):
        return False

    def kinds(self):
        return range(16)


def test_more_than_a_thousand_host_cells_are_no_recursion():
    """Each guest cell but the last fits two host cells, and takes the one that the next needs."""
    count = 1100
    rows = [0b11 << row for row in range(count - 1)] + [1]
    expected = (*range(1, count), 0)
    assert expected == assignment.first_assignment(rows)
    assert expected == assignment.first_assignment(rows, accepts=_Accepts())


class _Accepts:
    def __call__(self, columns):
        return columns.bit_count() > 1

    def excludes(self, columns, most):
        return columns.bit_count() < 2

    def kinds(self):
        return range(1100)
