# SPDX-License-Identifier: Apache-2.0
"""The joint choice is the first permutation that will do, on masks alone: many more and harder ones than hosts give."""

import itertools
import random

import pytest

from numaplace.fit import assignment


class _Accepts:
    """Accepts what a predicate over frozensets of columns does."""

    def __init__(self, monotone, predicate, kinds):
        self._monotone = monotone
        self._predicate = predicate
        self._kinds = kinds

    def __call__(self, columns):
        return self._predicate(_places(columns))

    def excludes(self, columns, most):
        return self._monotone and not self(columns)

    def kinds(self):
        return self._kinds


def _places(mask):
    return frozenset(place for place in range(mask.bit_length()) if mask >> place & 1)


def _brute_force(rows, width, sets, predicate):
    for chosen in itertools.permutations(range(width), len(rows)):
        if (
            all(rows[number] >> column & 1 for number, column in enumerate(chosen))
            and all(any(wanted >> column & 1 for column in chosen) for wanted in sets)
            and predicate(frozenset(chosen))
        ):
            return chosen
    return None


def _draw(dice, most_columns):
    """Return rows, a number of columns, and sets; sparse enough that the first choice is often wrong."""
    width = dice.randint(1, most_columns)
    height = dice.randint(1, min(width, 5))
    density = dice.choice((0.3, 0.45, 0.6, 0.8))

    def mask():
        return sum(1 << column for column in range(width) if dice.random() < density)

    if dice.random() < 0.3:  # nested rows, the last the narrowest: a greedy choice is wrong every time
        rows = [(1 << dice.randint(height - number, width)) - 1 for number in range(height)]
    else:
        rows = [mask() or 1 << dice.randrange(width) for _ in range(height)]
    sets = [mask() or 1 for _ in range(dice.choice((0, 0, 1, 2, 3, 4)))]
    return rows, width, sets


def _anything(chosen):
    return True


def _avoids(unwanted, size):
    """Return a predicate that is not monotone, and false of every set that is not whole."""
    return lambda chosen: len(chosen) == size and not unwanted <= chosen


@pytest.mark.parametrize(
    ('rows', 'width', 'sets'),
    [
        pytest.param([63, 127, 7, 31, 127], 7, [4, 96], id='a set is used by the last guest cell alone'),
        pytest.param([24, 30, 26, 7, 48], 6, [16, 4], id='a cover takes the column of a guest cell that is settled'),
        pytest.param([7, 3, 1], 3, [], id='each guest cell makes way for the next'),
    ],
)
def test_hard_assignments_are_the_first_permutations(rows, width, sets):
    """Random cases meet the like of these once in tens of thousands."""
    assert _brute_force(rows, width, sets, _anything) == assignment.first_assignment(rows, sets)


@pytest.mark.parametrize('share', range(4))
def test_the_assignment_is_the_first_permutation_that_uses_every_set(share):
    dice, found = random.Random(share), 0
    for _ in range(10_000):
        rows, width, sets = _draw(dice, 6)
        expected = _brute_force(rows, width, sets, _anything)
        assert expected == assignment.first_assignment(rows, sets), (rows, sets)
        found += expected is not None
    assert 2000 < found < 9900


@pytest.mark.parametrize('monotone', [True, False])
def test_the_assignment_is_the_first_permutation_that_is_accepted(monotone):
    dice, found = random.Random(7), 0
    for _ in range(3000):
        rows, width, sets = _draw(dice, 6)
        wanted = frozenset(dice.sample(range(width), dice.randint(1, min(width, 3))))
        predicate = wanted.intersection if monotone else _avoids(wanted, len(rows))
        expected = _brute_force(rows, width, sets, predicate)
        # Those that no predicate knows are alike.
        accepts = _Accepts(monotone, predicate, [column if column in wanted else None for column in range(width)])
        assert expected == assignment.first_assignment(rows, sets, accepts), (rows, sets, wanted)
        found += expected is not None
    assert 300 < found < 2900


def test_a_hall_violator_is_found_exactly_where_no_assignment_is():
    dice, found = random.Random(11), 0
    for _ in range(5000):
        rows, width, _ = _draw(dice, 7)
        violator = assignment.hall_violator(rows)
        assert (violator is None) == (_brute_force(rows, width, (), _anything) is not None), rows
        if violator is not None:
            competing, columns = violator
            neighbours = frozenset().union(*(_places(rows[number]) for number in _places(competing)))
            assert neighbours == _places(columns)
            assert len(_places(competing)) > len(neighbours)
            found += 1
    assert 200 < found
