# SPDX-License-Identifier: Apache-2.0
"""How many guests fit on a host: bounds hold, and what is said to be exact is what brute force finds."""

import itertools
import os
import random
from dataclasses import replace

import pytest

from numaplace import fit, model
from numaplace.fit import cells
from numaplace.fit.cell_demand import demands
from numaplace.fit.networks import affinities
from numaplace.fleet.room import room
from numaplace.tests import amount
from numaplace.tests.property import cases

#: Cases of the sweep in all; 20,000 in its long form.
CASES = int(os.environ.get('NUMAPLACE_CAPACITY_CASES', '1000'))
_SHARES = 4
_MOST_STATES = 200


class _TooLargeError(Exception):
    """Brute force would take too long."""


def _most(host, guest, limits, networks, budget):
    """Return the most guests over every sequence of choices of host cells, each confirmed by the whole fit."""
    known = {}
    wanted = demands(guest, limits)

    def best(host):
        key = host.cells, host.floating_vcpus, host.memory_used_mib
        if key not in known:
            budget.append(1)
            if len(budget) > _MOST_STATES:
                raise _TooLargeError
            known[key] = max((1 + best(after) for after in _after(host, guest, wanted, limits, networks)), default=0)
        return known[key]

    return best(host)


def _after(host, guest, wanted, limits, networks):
    if fit.refusal(host, guest, limits=limits, networks=networks) is not None:
        return
    near = [affinity.columns for affinity in affinities(host.cells, networks)]
    for chosen in itertools.permutations(range(len(host.cells)), len(wanted)):
        mask = sum(1 << column for column in chosen)
        pairs = [
            (host.cells[column], cell, demand) for column, cell, demand in zip(chosen, guest.cells, wanted, strict=True)
        ]
        if all(mask & columns for columns in near) and all(
            cells.shortfall(own, demand) is None for own, _, demand in pairs
        ):
            placed = tuple(cells.place(own, cell, demand) for own, cell, demand in pairs)
            yield host.consume(model.Placement(guest, placed))


def _case(seed):
    """Return a case whose host is small, at times with guests that float; limits so that the number is finite."""
    dice = random.Random(seed)
    case = cases.draw(seed)
    case['host'] = case['host'][: dice.choice((1, 2, 2, 3))]
    case['guest'] = case['guest'][: dice.choice((1, 1, 2, 2, 3))]
    case['limits'] = case['limits'] or [2.0, 1.5]
    host, guest, limits, networks = cases.build(case)
    if dice.random() < 0.3:
        host = replace(host, floating_vcpus=dice.randint(1, 4), vcpus_used=host.vcpus_used + 4)
    return host, guest, limits, networks


@pytest.mark.parametrize('share', range(_SHARES))
def test_bounds_hold_and_are_exact_where_they_are_equal(share):
    count = CASES // _SHARES
    judged = exact = 0
    for seed in amount.seeds(share * count, count):
        host, guest, limits, networks = _case(seed)
        found = room(host, guest, limits=limits, networks=networks)
        assert found.at_least <= found.at_most, f'seed {seed}'
        try:
            most = _most(host, guest, limits, networks, [])
        except _TooLargeError:
            continue
        judged += 1
        exact += found.at_least == found.at_most
        assert found.at_least <= most <= found.at_most, f'seed {seed}'
    assert judged >= 0.6 * count
    assert exact >= 0.95 * judged
