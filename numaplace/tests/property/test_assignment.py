# SPDX-License-Identifier: Apache-2.0
"""The joint choice is the first permutation that will do, on masks alone: many more and harder ones than hosts give."""

import itertools
import os
import random

import pytest

from numaplace.fit import assignment

#: Cases of each kind for the nearest columns.
NEAREST = int(os.environ.get('NUMAPLACE_NEAREST_CASES', '1500'))


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


def _brute_nearest(rows, width, sets, predicate, costs):
    """Return the first permutation of the set with the least sum of costs, of equal ones the first set."""
    best = None
    for columns in itertools.combinations(range(width), len(rows)):
        for chosen in itertools.permutations(columns):
            if (
                all(rows[number] >> column & 1 for number, column in enumerate(chosen))
                and all(any(wanted >> column & 1 for column in chosen) for wanted in sets)
                and predicate(frozenset(chosen))
            ):
                length = sum(costs[one][other] for one, other in itertools.combinations_with_replacement(columns, 2))
                best = min(best or (length, columns, chosen), (length, columns, chosen))
                break
    return best and best[2]


def _costs(dice, width):
    """Return costs as sockets have them, or any; each column may have one of its own."""
    socket, own = dice.choice((2, 3)), dice.choice(((0,), (0, 0, 3), (0, 1, 5, 30)))
    near = dice.choice((None, (20, 24, 32, 42, 64)))
    table = [[0] * width for _ in range(width)]
    for one, other in itertools.combinations(range(width), 2):
        cost = dice.choice(near) if near else 24 if one // socket == other // socket else 42
        table[one][other] = table[other][one] = cost
    for column in range(width):
        table[column][column] = dice.choice(own)
    return table


@pytest.mark.parametrize('kind', ['anything', 'monotone', 'not monotone'])
def test_the_nearest_columns_are_those_that_trying_everything_finds(kind):
    dice, found = random.Random(kind), 0
    for _ in range(NEAREST):
        rows, width, sets = _draw(dice, 6)
        costs = _costs(dice, width)
        wanted = frozenset(dice.sample(range(width), dice.randint(1, min(width, 3))))
        predicate = {'anything': _anything, 'monotone': wanted.intersection}.get(kind, _avoids(wanted, len(rows)))
        accepts = None
        if kind != 'anything':
            kinds = [column if column in wanted else None for column in range(width)]
            accepts = _Accepts(kind == 'monotone', predicate, kinds)
        expected = _brute_nearest(rows, width, sets, predicate, costs)
        assert expected == assignment.nearest_assignment(rows, sets, accepts, costs), (rows, sets, wanted, costs)
        found += expected is not None
    assert NEAREST // 10 < found < NEAREST


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
