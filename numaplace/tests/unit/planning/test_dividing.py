# SPDX-License-Identifier: Apache-2.0
"""What arrives at hosts is divided among cells that have room for it; where they have none, more hosts keep servers."""

import random
import time
from collections import Counter
from dataclasses import replace

import pytest

from numaplace.planning import solver
from numaplace.planning.dividing import _ways, divide, emptied
from numaplace.planning.solver import Problem, Proposal, Stack

pytest.importorskip('ortools')

#: CPUs of the cells of a server of each class.
CLASSES = ((1,), (3,), (5,), (2, 2), (6, 6))
CELL, CELLS = 8, (0, 1)


def problem(hosts):
    """Return hosts of two cells with servers: by host, pairs of a class and the cells of a server of it."""
    rooms, stacks = {}, Counter()
    for host, servers in hosts.items():
        room = {(cell, 'cpus'): CELL for cell in CELLS}
        for kind, cells in servers:
            gives = tuple(((cell, 'cpus'), need) for cell, need in zip(cells, CLASSES[kind], strict=True))
            for slot, need in gives:
                room[slot] -= need
            stacks[kind, host, gives] += 1
        rooms[host] = room
    needs = [(*({'cpus': need} for need in cells), {}) for cells in CLASSES]
    return Problem(
        solver.HOSTS,
        rooms,
        needs,
        [False] * len(CLASSES),
        [Stack(kind, host, dict(gives), number) for (kind, host, gives), number in stacks.items()],
        [(kind, host) for kind in range(len(CLASSES)) for host in hosts],
    )


def check(asked, proposal, kept):
    """Make sure that as many servers of a class arrive as leave; return whether all cells have room."""
    free = {host: dict(room) for host, room in asked.rooms.items()}
    balance = Counter()
    for row, number in proposal.departures.items():
        stack = asked.stacks[row]
        assert 0 < number <= stack.number
        balance[stack.kind] += number
        for slot, amount in stack.gives.items():
            free[stack.host][slot] += number * amount
    for (kind, host), number in proposal.arrivals.items():
        assert host in kept
        balance[kind] -= number
        assert number == sum(proposal.cells[kind, host].values())
        for cells, each in proposal.cells[kind, host].items():
            assert len(cells) == len(CLASSES[kind])
            for cell, need in zip(cells, CLASSES[kind], strict=True):
                free[host][cell, 'cpus'] -= need * each
    assert not any(balance.values())
    return all(amount >= 0 for room in free.values() for amount in room.values())


def numbers_of(asked, first, numbers, until):
    division = divide(asked, first, numbers, until)
    assert division.moves == sum(division.proposal.arrivals.values())
    return division.proposal, division.kept


def test_a_wide_server_gets_two_cells():
    asked = problem({'a': [(1, (0,)), (1, (0,)), (1, (1,))], 'b': [(3, (0, 1)), (1, (0,))]})
    proposal, kept = numbers_of(asked, {'a'}, emptied(asked, {'a'}), time.monotonic() + 20)
    assert check(asked, proposal, kept)
    assert {'a'} == kept
    assert {(0, 1): 1} == proposal.cells[3, 'a']


def test_servers_of_a_cell_leave_so_that_what_arrives_has_room():
    """The numbers say that one of two servers leaves, not from which cell: one alone has room then."""
    asked = problem(
        {
            'a': [(0, (0,)), (2, (0,)), (0, (1,)), (1, (1,)), (1, (1,))],
            'b': [(1, (0,))],
            'c': [(2, (0,)), (0, (0,)), (0, (0,)), (2, (1,)), (1, (1,))],
        }
    )
    goes = {
        row: 1
        for row, stack in enumerate(asked.stacks)
        if stack.host == 'b' or (stack.host == 'a' and stack.gives == {(1, 'cpus'): 1})
    }
    numbers = Proposal(goes, {(1, 'a'): 1, (0, 'c'): 1}, 2, 0, 0)
    proposal, kept = numbers_of(asked, {'a', 'c'}, numbers, time.monotonic() + 20)
    assert check(asked, proposal, kept)
    assert {'a', 'c'} == kept
    assert {(0,): 1} == proposal.cells[1, 'a']
    assert 2 == sum(proposal.departures.values())


def test_another_host_keeps_servers_where_no_cell_has_room():
    """In all, two hosts have room for the six servers of 5 CPUs; their cells have it for four."""
    asked = problem({host: [(2, (0,)), (2, (1,))] for host in 'abc'})
    proposal, kept = numbers_of(asked, {'a', 'b'}, emptied(asked, {'a', 'b'}), time.monotonic() + 20)
    assert check(asked, proposal, kept)
    assert {'a', 'b', 'c'} == kept
    assert not proposal.departures, 'its servers return'


def test_with_too_many_moves_another_host_keeps_servers_or_no_place_is_sought():
    """All servers of the third host have room elsewhere, after three moves; two may move, or one."""
    hosts = {'a': [(0, (0,)), (0, (1,))], 'b': [(0, (0,))], 'c': [(0, (0,)), (0, (0,)), (2, (1,))]}
    limited = replace(problem(hosts), most_moves=2)
    division = divide(limited, {'a', 'b'}, emptied(limited, {'a', 'b'}), time.monotonic() + 20)
    assert (frozenset('ab'), 3) == (division.kept, division.moves)
    nearly = replace(problem({**hosts, 'd': [(0, (0,))] * 8 + [(0, (1,))] * 8, 'e': [(0, (0,))] * 8}), most_moves=26)
    division = divide(nearly, {'a', 'b'}, emptied(nearly, {'a', 'b'}), time.monotonic() + 20)
    assert check(nearly, division.proposal, division.kept)
    assert frozenset('ab') < division.kept
    assert 26 >= division.moves


def test_numbers_hold_in_drawn_fleets():
    dice, right, fewer = random.Random(1), 0, 0
    for _ in range(40):
        hosts = {}
        for host in range(dice.randint(3, 6)):
            left, servers = dict.fromkeys(CELLS, CELL), []
            for _server in range(dice.randint(1, 4)):
                kind = dice.randrange(len(CLASSES))
                cells = tuple(sorted(dice.sample(CELLS, len(CLASSES[kind]))))
                if all(need <= left[cell] for cell, need in zip(cells, CLASSES[kind], strict=True)):
                    servers.append((kind, cells))
                    for cell, need in zip(cells, CLASSES[kind], strict=True):
                        left[cell] -= need
            hosts[f'host{host}'] = servers
        asked = problem(hosts)
        first = set(sorted(hosts)[: len(hosts) // 2])
        proposal, kept = numbers_of(asked, first, emptied(asked, first), time.monotonic() + 20)
        right += check(asked, proposal, kept)
        assert first <= kept
        fewer += len(kept) < len(hosts)
    assert 38 <= right, 'a server that has no place where all hosts are kept stays, though others took its room'
    assert 10 <= fewer <= 40


def test_alike_guest_cells_take_each_choice_of_cells_once():
    """Ten alike cells on ten have one way; three, two of them alike, on four have as many as a choice of each."""
    need, other, whole = {'cpus': 2}, {'cpus': 1}, {'memory': 5}
    assert 1 == len(list(_ways([*[need] * 10, whole], range(10))))
    ways = list(_ways([need, other, need, whole], range(4)))
    assert 12 == len(ways) == len({tuple(sorted(way.items(), key=str)) for way in ways})
    assert all(5 + 5 == sum(way.values()) and 5 == way[None, 'memory'] for way in ways)
