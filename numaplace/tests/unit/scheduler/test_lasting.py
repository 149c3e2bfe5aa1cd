# SPDX-License-Identifier: Apache-2.0
"""Ages of hosts: what a guest costs is what the ages of all guests say, however they came and left."""

import math
import random

import numpy as np
import pytest

from numaplace.scheduler.lasting import Ages

HOUR = 3600.0
ALONE = np.ones(2)


def _expected(guests, hosts, group, now_s):
    """Return the costs from a list of guests: host, group, and since when."""
    since = {(host, name): since_s for host, name, since_s in guests}
    return [
        math.prod(12 * HOUR / (12 * HOUR + now_s - since_s) for (host, _name), since_s in since.items() if host == row)
        * (0.1 if (row, group) in since else 1)
        for row in range(hosts)
    ]


def test_costs_are_those_of_the_guests_that_are_there():
    chance, hosts, now_s = random.Random(1), 4, 0.0
    ages, guests = Ages(hosts, 12 * HOUR), []
    for _ in range(600):
        now_s += chance.choice((0.0, 0.0, 900.0))
        if guests and chance.random() < 0.45:
            host, group, _since_s = left = chance.choice(guests)
            guests.remove(left)
            ages.remove(host, group)
        else:
            group = f'{now_s}:{chance.randrange(3)}'
            guests.append((chance.randrange(hosts), group, now_s))
            ages.add(*guests[-1])
        assert _expected(guests, hosts, group, now_s) == pytest.approx(ages.costs(group, now_s, np.ones(hosts)))


def test_a_guest_costs_less_the_older_those_of_the_host_are():
    ages = Ages(2, 12 * HOUR)
    ages.add(0, 'a', 0.0)
    assert [0.5, 1] == ages.costs('new', 12 * HOUR, ALONE).tolist()
    ages.add(1, 'b', 12 * HOUR)
    assert [12 / 48, 12 / 36] == pytest.approx(ages.costs('new', 36 * HOUR, ALONE))


def test_guests_created_together_count_once_and_cost_less_where_the_others_are():
    ages = Ages(2, 12 * HOUR)
    for row, group in ((0, 'a'), (0, 'a'), (1, 'a'), (1, 'b')):
        ages.add(row, group, 0.0)
    assert [0.5, 0.25] == ages.costs('new', 12 * HOUR, ALONE).tolist()
    assert [0.05, 0.025] == pytest.approx(ages.costs('a', 12 * HOUR, ALONE))
    assert [0.05, 0.25] == pytest.approx(ages.costs('b', 12 * HOUR, np.array([10, 0.1])))
