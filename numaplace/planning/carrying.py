# SPDX-License-Identifier: Apache-2.0
"""Turn numbers of servers into moves: each is asked for as its claim would be, while its group holds both sides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, permutations

from numaplace.explain import HostRefusal
from numaplace.fleet.plan import Step
from numaplace.planning import demand
from numaplace.planning.classes import Classes
from numaplace.planning.state import State

__all__ = ['Course', 'carry', 'order_at']

#: Up to so many arrivals at a host, all their orders are tried.
_MOST_PERMUTED = 4


@dataclass(slots=True)
class Course:
    """Which servers leave, and what arrives where.

    :param pending: UUIDs that leave, by class
    :param quotas: by host the classes that arrive, in the order in which they do
    """

    pending: dict[int, list[str]]
    quotas: dict[str, list[int]]
    steps: list[Step] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether all have moved."""
        return not any(self.quotas.values())


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
    server and gets one: so they may be made at once. Where all wait for each other, one of them makes a detour.
    """
    group, is_strict, detours = 0, True, set[str]()
    while not course.is_over:
        group += 1
        made = list(_group(classes, state, course, group, is_strict=is_strict))
        if not made and not is_strict:
            step = _detour(classes, state, course, group, detours)
            if step is None:
                return False
            made = [step]
        for step in made:
            state.release(step.server)
        course.steps += made
        is_strict = bool(made)
    return True


def _group(classes: Classes, state: State, course: Course, group: int, *, is_strict: bool) -> Iterator[Step]:
    sources, destinations = set[str](), set[str]()
    for host, quota in course.quotas.items():
        position = 0
        while position < len(quota) and host not in sources:
            number = quota[position]
            uuid = _next(state, course, number, host, destinations)
            step = None if uuid is None else _claim(classes, state, uuid, host, group)
            if uuid is None or step is None:
                if is_strict:
                    break
                position += 1
                continue
            quota.pop(position)
            course.pending[number].remove(uuid)
            sources.add(step.source)
            destinations.add(host)
            yield step


def _claim(classes: Classes, state: State, uuid: str, host: str, group: int) -> Step | None:
    """Claim a host for a server, if it takes it."""
    one = classes.known[classes.by_uuid[uuid]]
    if not state.has_room(host, one.needs):
        return None
    answer = state.offer(uuid, one.kinds, host)
    return None if isinstance(answer, HostRefusal) else state.claim(uuid, answer[0], host, answer[1], group)


def _detour(classes: Classes, state: State, course: Course, group: int, detours: set[str]) -> Step | None:
    """Move a server that others wait for to some host that takes it for a while; each makes one detour at most."""
    waiting = [
        uuid
        for uuids in course.pending.values()
        for uuid in uuids
        if uuid not in detours and course.quotas.get(state.servers[uuid].host or '')
    ]
    for uuid in waiting:
        for host in state.open_hosts():
            if host != state.servers[uuid].host and not course.quotas.get(host):
                step = _claim(classes, state, uuid, host, group)
                if step is not None:
                    detours.add(uuid)
                    return step
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
