# SPDX-License-Identifier: Apache-2.0
"""The bound of patterns: what is left beside a large guest cell counts as far as small ones can use it, never less."""

import random

import pytest

from numaplace.planning import solver
from numaplace.planning.packing import least_hosts
from numaplace.planning.patterns import fewest_hosts
from numaplace.planning.solver import Problem, Stack

pytest.importorskip('ortools')


def problem(hosts, capacity, classes):
    """Return hosts of alike cells with room for more: by host, the number of servers of one cell by class and cell."""
    names = 'cpus', 'plain'
    rooms, stacks = {}, []
    for host, cells in hosts.items():
        rooms[host] = {}
        for cell, numbers in enumerate(cells):
            used = [sum(number * classes[kind][row] for kind, number in numbers.items()) for row in (0, 1)]
            rooms[host] |= {(cell, name): capacity[row] - used[row] for row, name in enumerate(names)}
            for kind, number in numbers.items():
                gives = {(cell, name): amount for name, amount in zip(names, classes[kind], strict=True)}
                stacks.append(Stack(kind, host, gives, number))
    needs = [(dict(zip(names, each, strict=True)), {}) for each in classes]
    pairs = [(kind, host) for kind in range(len(classes)) for host in hosts]
    return Problem(solver.HOSTS, rooms, needs, [False] * len(classes), stacks, pairs)


def test_two_large_guests_share_no_cell():
    """Five guests of 5 of 8 CPUs need five cells, though four have as many CPUs."""
    asked = problem({f'host{host}': [{0: 1, 1: int(host == 0)}] for host in range(5)}, (8, 8), [(5, 1), (1, 1)])
    assert 4 == least_hosts(asked)
    assert 5 == fewest_hosts(asked)


def test_what_small_guests_cannot_use_is_left():
    """Beside 7 of 8 CPUs with 2 of 16 GiB, one small guest leaves 10 GiB: the others need cells of their own."""
    asked = problem({f'host{host}': [{0: 1}, {1: 3}] for host in range(6)}, (8, 16), [(7, 2), (1, 4)])
    assert 4 == least_hosts(asked)
    assert 5 == fewest_hosts(asked)


@pytest.mark.parametrize('seed', range(12))
def test_the_bound_is_none_that_the_exact_solver_passes(seed):
    dice = random.Random(seed)
    classes = [(dice.randint(1, 8), dice.randint(1, 8)) for _ in range(3)]
    hosts = {}
    for host in range(dice.randint(3, 5)):
        cells = []
        for _cell in range(2):
            left, numbers = [8, 8], {}
            for kind in dice.choices(range(3), k=3):
                if all(need <= has for need, has in zip(classes[kind], left, strict=True)):
                    numbers[kind] = numbers.get(kind, 0) + 1
                    left = [has - need for need, has in zip(classes[kind], left, strict=True)]
            cells.append(numbers)
        hosts[f'host{host}'] = cells
    asked = problem(hosts, (8, 8), classes)
    exact = solver.solve(asked, 30)
    assert exact.reached == exact.best
    assert max(fewest_hosts(asked), least_hosts(asked)) <= exact.reached
