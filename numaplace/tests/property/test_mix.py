# SPDX-License-Identifier: Apache-2.0
"""How many rounds of a mix fit on small fleets: bounds hold, and equal ones are what brute force finds."""

import functools
import itertools
import os
import random

from numaplace import fit
from numaplace.fleet.capacity import Question
from numaplace.fleet.mix import Mix, mix
from numaplace.model import CellShape, Guest, GuestCell, Host, HostCell, Limits, Pages, Placement
from numaplace.model.fleet import Fleet
from numaplace.model.records import HostRecord
from numaplace.tests import amount

#: Cases of the sweep in all.
CASES = int(os.environ.get('NUMAPLACE_MIX_CASES', '20000' if amount.IS_LONG else '300'))
_MOST_STATES = 3000


class _TooLargeError(Exception):
    """Brute force would take too long."""


def _host(dice):
    cells = []
    for number in range(dice.choice((1, 2, 2))):
        cpus = dice.choice((2, 3, 4))
        mask, width = ((1 << cpus) - 1) << number * 8, dice.choice((1, 2))
        siblings = tuple(mask & (((1 << width) - 1) << cpu) for cpu in range(number * 8, number * 8 + cpus, width))
        memory = dice.choice((4, 6, 8))
        pages = (Pages(2048, memory // 2, dice.randint(0, 1)),) if dice.random() < 0.3 else ()
        cells.append(HostCell(CellShape(number, mask, mask, memory, siblings), 0, dice.randint(0, 1), 0, pages))
    return Host(tuple(cells))


def _guest(dice):
    policy = dice.choice(('dedicated', 'dedicated', 'shared'))
    threads = dice.choice((None, None, 'require', 'isolate')) if policy == 'dedicated' else None
    cells, first, memory = [], 0, dice.choice((1, 2, 2, 4))
    for number in range(dice.choice((1, 1, 2))):
        count = dice.choice((1, 1, 2))
        mask = ((1 << count) - 1) << first
        first += count
        shared, dedicated = (0, mask) if policy == 'dedicated' else (mask, 0)
        cells.append(GuestCell(number, shared, dedicated, memory, None, policy, threads))
    return Guest(first, memory * len(cells), tuple(cells))


def _most(hosts, guests, numbers, limits):
    """Return the most rounds over every sequence of guests and choices of host cells."""
    states = set()

    def fits(hosts, left):
        if not any(left):
            return True
        if (hosts, left) in states:
            return False
        states.add((hosts, left))
        if len(states) > _MOST_STATES:
            raise _TooLargeError
        for place, guest in enumerate(guests):
            fewer = (*left[:place], left[place] - 1, *left[place + 1 :])
            if left[place] and any(fits(after, fewer) for after in _after(hosts, guest, limits)):
                return True
        return False

    for rounds in itertools.count(1):
        if not fits(tuple(hosts), tuple(number * rounds for number in numbers)):
            return rounds - 1
    return None


def _after(hosts, guest, limits):
    for number, host in enumerate(hosts):
        for after in _consumed(host, guest, limits):
            yield (*hosts[:number], after, *hosts[number + 1 :])


@functools.lru_cache(10_000)
def _consumed(host, guest, limits):
    """Return what a host may be after it takes a guest, each once."""
    found = {}
    for ids in itertools.permutations([cell.id for cell in host.cells], len(guest.cells)):
        placed = fit.place(host, guest, limits=limits, host_cell_ids=ids)
        if isinstance(placed, Placement):
            found[host.consume(placed)] = None
    return tuple(found)


def test_bounds_hold_and_are_exact_where_they_are_equal():
    judged = exact = fitting = 0
    for seed in amount.seeds(0, CASES):
        dice = random.Random(seed)
        hosts = [_host(dice) for _ in range(dice.choice((1, 2, 2)))]
        guests, limits = [_guest(dice), _guest(dice)], Limits(dice.choice((1.0, 2.0)), 1.0)
        numbers = dice.choice(((1, 1), (2, 1), (1, 2), (3, 1)))
        questions = tuple(
            Question(name, guest, lambda _record, limits=limits: limits, lambda _record, _before: None)
            for name, guest in zip('ab', guests, strict=True)
        )
        fleet = Fleet(tuple(HostRecord(f'h{number}', host) for number, host in enumerate(hosts)))
        found = mix(fleet, Mix(questions, numbers))
        assert found.at_least <= found.at_most, f'seed {seed}'
        try:
            most = _most(hosts, guests, numbers, limits)
        except _TooLargeError:
            continue
        judged += 1
        fitting += most > 0
        exact += found.at_least == found.at_most
        assert found.at_least <= most <= found.at_most, f'seed {seed}: {found}, brute force {most}'
    assert judged >= 0.8 * CASES
    assert fitting >= 0.5 * judged
    assert exact >= 0.95 * judged
