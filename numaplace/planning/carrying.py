# SPDX-License-Identifier: Apache-2.0
"""Turn numbers of servers into moves: each is asked for as its claim would be, while its group holds both sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice, permutations
from typing import TypeAlias

from numaplace.explain import HostRefusal
from numaplace.fleet.plan import Step
from numaplace.model import Placement
from numaplace.model.grouping import ServerGroup
from numaplace.model.records import HostRecord
from numaplace.planning import demand
from numaplace.planning.classes import Classes
from numaplace.planning.solver import Arrival, Cells
from numaplace.planning.state import State

__all__ = ['Course', 'carry', 'order_at']

#: What an answer depends on: values that are replaced when they change.
_Seen: TypeAlias = tuple[HostRecord, ServerGroup | None]

#: Up to so many arrivals at a host, all their orders are tried.
_MOST_PERMUTED = 4


@dataclass(slots=True)
class Course:
    """Which servers leave, and what arrives where.

    :param pending: UUIDs that leave, by class
    :param quotas: by host the classes that arrive, in the order in which they do
    :param group: the last group that was made before
    :param cells: by class and host, how many are to arrive at which host cells; where it is empty, at any
    """

    pending: dict[int, list[str]]
    quotas: dict[str, list[int]]
    group: int = 0
    cells: dict[Arrival, Counter[Cells]] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    _refused: dict[tuple[int, str, bool], _Seen] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether all have moved."""
        return not any(self.quotas.values())

    def takes(self, number: int, host: str, placement: Placement) -> bool:
        """Return whether a server may arrive at host cells: those of its class, or cells for which no others wait."""
        planned = self.cells.get((number, host), Counter())
        cells = _cells(placement)
        if not planned or planned[cells] > 0:
            return True
        waiting = {
            cell
            for kind in set(self.quotas[host])
            for each, amount in self.cells.get((kind, host), Counter()).items()
            if amount > 0
            for cell in each
        }
        return waiting.isdisjoint(cells)

    def offer(
        self, classes: Classes, state: State, uuid: str, host: str, *, is_strict: bool
    ) -> tuple[str, Placement] | None:
        """Return how a host takes a server, if it does; where nothing has changed since, the last answer counts.

        :param is_strict: only at host cells at which it may arrive
        """
        number = classes.by_uuid[uuid]
        key, seen = (number, host, is_strict), _seen(state, uuid, host)
        known = self._refused.get(key)
        if known is not None and known[0] is seen[0] and known[1] is seen[1]:
            return None
        placed = _offer(classes, state, uuid, host)
        if placed is None or (is_strict and not self.takes(number, host, placed[1])):
            self._refused[key] = seen
            return None
        return placed

    def arrive(self, uuid: str, number: int, host: str, placement: Placement) -> None:
        """Note that a server has arrived."""
        self.quotas[host].remove(number)
        self.pending[number].remove(uuid)
        planned, cells = self.cells.get((number, host), Counter()), _cells(placement)
        if +planned:
            planned[cells if planned[cells] > 0 else next(iter(+planned))] -= 1


def _seen(state: State, uuid: str, host: str) -> _Seen:
    return state.hosts[host], state.groups.get(state.servers[uuid].group or '')


def _cells(placement: Placement) -> Cells:
    return tuple(sorted({placed.host_cell for placed in placement.cells}))


def order_at(
    classes: Classes,
    host: str,
    arrivals: Iterable[int],
    leaving: Iterable[str],
    *,
    pool: Mapping[int, list[str]],
    last: Iterable[int] = (),
) -> tuple[list[int] | None, bool]:
    """Return an order in which a host takes servers once others have left it, and whether all orders were tried.

    Up to four arrivals are tried in all orders; more of them largest first and smallest first.

    :param leaving: UUIDs
    :param pool: UUIDs by class; an arrival is one of them
    :param last: classes of guests that arrive after the others
    """
    after = classes.state.copy()
    for uuid in leaving:
        after.remove(uuid)
    by_size = sorted(arrivals, key=lambda number: demand.size(classes.known[number].guest), reverse=True)
    is_complete = len(by_size) <= _MOST_PERMUTED
    more: Iterator[tuple[int, ...]] = permutations(by_size) if is_complete else iter([tuple(reversed(by_size))])
    for order in dict.fromkeys(chain([tuple(by_size)], more)):
        if _takes(classes, after.copy(), host, (*order, *last), pool):
            return list(order), is_complete
    return None, is_complete


def _takes(classes: Classes, state: State, host: str, order: Iterable[int], pool: Mapping[int, list[str]]) -> bool:
    used = dict.fromkeys(pool, 0)
    for number in order:
        uuid = pool[number][used[number] % len(pool[number])]
        used[number] += 1
        answer = state.offer(uuid, classes.known[number].kinds, host)
        if isinstance(answer, HostRefusal):
            return False
        state.claim(uuid, answer[0], host, answer[1])
    return True


def carry(classes: Classes, state: State, course: Course) -> bool:
    """Move servers until all have moved, or none can; return whether all have.

    The moves of a group hold both of their sides until the last of them is made, and none of its hosts both loses a
    server and gets one: so they may be made at once. Where all wait for each other, one of them makes a detour, and
    after that goes to other host cells than it is to.
    """
    detours = set[str]()
    while not course.is_over:
        course.group += 1
        made = list(_group(classes, state, course, is_strict=True))
        if not made and not course.cells:
            made = list(_group(classes, state, course, is_strict=False))
        if not made and (step := _detour(classes, state, course, detours)):
            made = [step]
        if not made and course.cells:
            made = list(islice(_group(classes, state, course, is_strict=False), 1))
        if not made:
            return False
        for step in made:
            state.release(step.server)
        course.steps += made
    return True


def _group(classes: Classes, state: State, course: Course, *, is_strict: bool) -> Iterator[Step]:
    sources, destinations = set[str](), set[str]()
    for host, quota in course.quotas.items():
        refused = set[int]()
        while (
            host not in sources and (number := next((each for each in quota if each not in refused), None)) is not None
        ):
            uuid = _next(state, course, number, host, destinations)
            placed = None if uuid is None else course.offer(classes, state, uuid, host, is_strict=is_strict)
            if uuid is None or placed is None:
                if is_strict and not course.cells:
                    break  # the order is all that is known to be possible
                refused.add(number)
                continue
            refused.clear()
            course.arrive(uuid, number, host, placed[1])
            step = state.claim(uuid, placed[0], host, placed[1], course.group)
            sources.add(step.source)
            destinations.add(host)
            yield step


def _offer(classes: Classes, state: State, uuid: str, host: str) -> tuple[str, Placement] | None:
    """Return how a host takes a server, if it does."""
    one = classes.known[classes.by_uuid[uuid]]
    if not state.has_room(host, one.needs):
        return None
    answer = state.offer(uuid, one.kinds, host)
    return None if isinstance(answer, HostRefusal) else answer


def _detour(classes: Classes, state: State, course: Course, detours: set[str]) -> Step | None:
    """Move a server that others wait for to some host that takes it for a while; each makes one detour at most."""
    hosts = [host for host in state.open_hosts() if not course.quotas.get(host)]
    for uuids in course.pending.values():
        waiting = [uuid for uuid in uuids if uuid not in detours and course.quotas.get(state.servers[uuid].host or '')]
        for host in hosts if waiting else ():
            # Whoever of a class is asked for, the answer is the same; its host has quotas, and so is another one.
            if (placed := course.offer(classes, state, waiting[0], host, is_strict=False)) is not None:
                detours.add(waiting[0])
                return state.claim(waiting[0], placed[0], host, placed[1], course.group)
    return None


def _next(state: State, course: Course, number: int, host: str, destinations: set[str]) -> str | None:
    """Return the server of a class that arrives next: one whose host waits for room, if there is any."""
    found = None
    for uuid in course.pending.get(number, ()):
        source = state.servers[uuid].host or ''
        if source == host or source in destinations:
            continue
        if course.quotas.get(source):
            return uuid
        found = found or uuid
    return found
