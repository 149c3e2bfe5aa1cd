# SPDX-License-Identifier: Apache-2.0
"""Make room for new guests: the fewest servers leave the host cells that then have room; and what no plan passes."""

from __future__ import annotations

import heapq
import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TypeAlias

import numpy as np

from numaplace.fleet.plan import Step
from numaplace.model import Placement
from numaplace.model.allocations import release
from numaplace.model.records import HostRecord, InstanceRecord
from numaplace.planning import demand
from numaplace.planning.classes import Classes
from numaplace.planning.places import Places
from numaplace.planning.search import Outcome
from numaplace.planning.spreading import largest_first
from numaplace.planning.state import NEW

__all__ = ['Vacancies', 'vacate']

#: Amounts by resource.
_Need: TypeAlias = dict[str, int]
#: How far a bound may be off as a float.
_ROUNDING = 1e-6


@dataclass(slots=True)
class _Cell:
    """A host cell: what it has left, and by server that may leave it what it gives back, and to how many cells."""

    left: _Need
    gives: dict[str, tuple[_Need, int]] = field(default_factory=dict)

    def fewest(self, need: _Need, without: set[str]) -> set[str] | None:
        """Return few servers after which there is room; None if all are too few.

        :param without: those that leave anyway
        """
        short = Counter(need)
        short.subtract({name: self.left.get(name, amount) for name, amount in need.items()})
        for uuid in without & self.gives.keys():
            short.subtract(self.gives[uuid][0])
        wanted, found = {name: amount for name, amount in short.items() if amount > 0 and name in need}, set[str]()

        def part(uuid: str) -> float:
            gives = self.gives[uuid][0]
            return sum([min(gives.get(name, 0), amount) / amount for name, amount in wanted.items()])

        for uuid in sorted(self.gives.keys() - without, key=lambda uuid: (-part(uuid), uuid)):
            if not wanted:
                break
            found.add(uuid)
            gives = self.gives[uuid][0]
            wanted = {name: rest for name, amount in wanted.items() if (rest := amount - gives.get(name, 0)) > 0}
        return None if wanted else found

    def costs(self, need: _Need) -> Iterator[float]:
        """Yield how many servers leave at least for one guest cell, for two and so on; one on N cells counts 1/N."""
        are_whole = all(cells == 1 for _gives, cells in self.gives.values())
        for number in count(1):
            cost = max([self._cover(name, number * amount) for name, amount in need.items()], default=math.inf)
            if math.isinf(cost):
                return
            yield math.ceil(cost - _ROUNDING) if are_whole else cost

    def _cover(self, name: str, amount: int) -> float:
        """Return how many servers leave at least so that there is an amount; infinite if all are too few."""
        if name not in self.left:
            return 0.0
        short, cost = amount - self.left[name], 0.0
        for each, cells in sorted([(gives.get(name, 0), cells) for gives, cells in self.gives.values()], key=_worth):
            if short > 0 and each:
                cost += min(1.0, short / each) / cells
                short -= each
        return math.inf if short > 0 else cost


def _worth(part: tuple[int, int]) -> int:
    return -part[0] * part[1]


class Vacancies:
    """The cells of all hosts that take servers, and bounds for new guests of a class."""

    def __init__(self, classes: Classes, number: int) -> None:
        state = classes.state
        *self.needs, _whole = classes.known[number].needs
        self.cells = {host: _cells(state.hosts[host]) for host in state.open_hosts()}
        for host, servers in state.on(self.cells).items():
            for server in servers:
                kinds, _reason = state.kinds(server)
                if kinds and server.host == host and server.uuid not in state.leaving:
                    classes.of(server, kinds)
                    _give(self.cells[host], server)
        # Each guest cell needs as much at least, and a host cell of its own.
        names = set[str]().union(*self.needs)
        least = {name: min([need.get(name, 0) for need in self.needs]) for name in names}
        self._least = {name: amount for name, amount in least.items() if amount}
        steps = [step for cells in self.cells.values() for cell in cells.values() for step in self._convex(cell)]
        self._steps = sorted(steps)

    def _convex(self, cell: _Cell) -> Iterator[tuple[float, int]]:
        """Yield what guest cells cost each at least, and how many: cheap ones first."""
        points, place = [0.0, *cell.costs(self._least)], 0
        while place < len(points) - 1:
            cost, more = min(
                [((points[end] - points[place]) / (end - place), place - end) for end in range(place + 1, len(points))]
            )
            yield cost, -more
            place -= more

    def most(self, wanted: int) -> int:
        """Return how many of so many guests fit at most, whatever moves."""
        if not self._least:
            return wanted
        return min(wanted, sum([number for _cost, number in self._steps]) // len(self.needs))

    def fewest(self, guests: int) -> int:
        """Return how many servers move at least so that so many guests fit."""
        left, moves = guests * len(self.needs), 0.0
        for cost, number in self._steps if self._least else ():
            moves += cost * min(left, number)
            left -= min(left, number)
        return math.ceil(moves - _ROUNDING)

    def leaving(self, host: str) -> set[str] | None:
        """Return few servers that leave a host so that a guest fits, each of its cells in another host cell."""
        found, free = set[str](), dict(self.cells[host])
        for need in sorted(self.needs, key=lambda need: sorted(need.items()), reverse=True):
            ways = [(cell.fewest(need, found), key) for key, cell in free.items()]
            possible = [(len(way), key, way) for way, key in ways if way is not None]
            if not possible:
                return None
            _number, key, way = min(possible, key=lambda each: each[:2])
            found |= way
            del free[key]
        return found

    def change(self, record: HostRecord, gone: Iterable[str]) -> None:
        """Note that a host is changed, and that servers have left it."""
        before, without = self.cells[record.name], set(gone)
        after = self.cells[record.name] = _cells(record)
        for key, cell in after.items():
            cell.gives = {uuid: gives for uuid, gives in before[key].gives.items() if uuid not in without}


def _cells(record: HostRecord) -> dict[int, _Cell]:
    found = {cell.id: _Cell({}) for cell in record.host.cells}
    for (cell, name), amount in demand.room(record).items():
        if cell is not None:
            found[cell].left[name] = amount
    return found


def _give(cells: Mapping[int, _Cell], server: InstanceRecord) -> None:
    on, amounts = {placed.host_cell for placed in server.placement.cells}, dict[int, _Need]()
    for (cell, name), amount in demand.given(server.placement).items():
        if cell is not None:
            amounts.setdefault(cell, {})[name] = amount
    for cell in on & cells.keys():
        cells[cell].gives[server.uuid] = amounts[cell], len(on)


def vacate(classes: Classes, number: int, new: Sequence[str], seconds: float) -> Outcome:
    """Return moves after which new guests fit as well; what is reached is how many still do not.

    The host that the fewest servers must leave comes first. Hosts with new guests take no servers, so that all moves
    are one group.

    :param classes: of a state in which other new guests have their places
    :param number: the class of the new guests
    :param new: their UUIDs
    :param seconds: how long to look for more, once the hosts are known
    """
    vacancies = Vacancies(classes, number)
    room = _Vacating(classes, vacancies, number, list(new))
    queue = [(len(way), host) for host in vacancies.cells if (way := vacancies.leaving(host)) is not None]
    heapq.heapify(queue)
    until = time.monotonic() + seconds
    while queue and room.waiting and time.monotonic() < until:
        _number, host = heapq.heappop(queue)
        if room.is_made(host) and (way := vacancies.leaving(host)) is not None:
            heapq.heappush(queue, (len(way), host))
    return room.outcome()


class _Vacating:
    """Moves that were found, and the hosts as they are afterwards."""

    def __init__(self, classes: Classes, vacancies: Vacancies, number: int, waiting: list[str]) -> None:
        self._classes, self._vacancies, self._number, self.waiting = classes, vacancies, number, waiting
        state, self._steps = classes.state.copy(), list[Step]()
        self._places = Places(classes, state)
        self._after: dict[str, HostRecord] = {}
        self._new: list[tuple[str, str, Placement]] = []
        self._taking = set[str]()
        taken = {state.servers[uuid].host for uuid in state.leaving}  # by new guests
        self._closed = np.array([np.inf if host in taken else 0.0 for host in self._places.rooms.names])

    def is_made(self, host: str) -> bool:
        """Return whether there is room for one guest more on a host, which has it then."""
        state, places = self._places.state, self._places
        way = None if host in self._taking else self._vacancies.leaving(host)
        if way is None or not self._classes.may(self._number, host):
            return False
        row, made = places.rooms.rows[host], list[Step]()
        was_closed, self._closed[row] = self._closed[row], np.inf
        record, uuid = self._after.get(host, state.hosts[host]), self.waiting[-1]
        placements = {one: state.servers[one].placement for one in way}
        for one in largest_first(state, way):
            needs = self._classes.known[self._classes.by_uuid[one]].needs
            step = places.place(one, places.rooms.rest(needs) + self._closed)
            if step is None:
                break
            made.append(step)
        for one, placement in placements.items():
            record = replace(record, host=release(record.host, placement), servers=record.servers - {one})
        answer = None if len(made) < len(way) else state.ask(state.servers[uuid], NEW, record, None)
        if not isinstance(answer, Placement):
            places.take_back(len(made))
            self._closed[row] = was_closed
            return False
        self._after[host] = record.with_server(self.waiting.pop(), answer)
        self._new.append((uuid, host, answer))
        self._steps += made
        self._taking |= {step.destination for step in made}
        self._vacancies.change(self._after[host], way)
        return True

    def outcome(self) -> Outcome:
        """Return what is reached."""
        state = self._places.state
        for step in self._steps:
            state.release(step.server)
        for uuid, host, placement in self._new:
            state.claim(uuid, NEW, host, placement)
        return Outcome(tuple(self._steps), state, len(self.waiting), None, 0)
