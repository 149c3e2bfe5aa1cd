# SPDX-License-Identifier: Apache-2.0
"""Whether all servers of hosts that die find places elsewhere, all at once, by the rules of an evacuation."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations

from numaplace import explain
from numaplace.explain import HostRefusal
from numaplace.model.records import DOWN, EVACUATION
from numaplace.planning import solver
from numaplace.planning.classes import Classes, Question
from numaplace.planning.goals import leave
from numaplace.planning.search import search
from numaplace.planning.spreading import Spreader
from numaplace.planning.state import State

__all__ = ['Death', 'survive']


#: The share of the time that is left which one set of hosts may take.
_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Death:
    """What becomes of the servers of hosts that die at once.

    :param hosts: their names
    :param servers: how many there are
    :param homeless: by name of the flavor, how many of them no host takes
    :param is_sure: no way to place more of them is left untried
    :param reasons: why hosts do not take the first of them
    """

    hosts: tuple[str, ...]
    servers: int
    homeless: tuple[tuple[str, int], ...] = ()
    is_sure: bool = True
    reasons: tuple[str, ...] = ()


def survive(state: State, number: int, seconds: float, done: Callable[[], object] = lambda: None) -> Iterator[Death]:
    """Yield for each set of hosts what becomes of its servers.

    One after the other is tried first, the largest first; where that leaves servers, the solver looks for another way.

    :param number: how many hosts die at once
    :param seconds: how long the solver may search in all
    :param done: called after each set
    """
    classes = Classes(state)
    on = state.on(state.hosts)
    for servers in on.values():
        for server in servers:
            if not state.kinds(server)[1]:
                classes.of(server, (EVACUATION,))
    spreader, end = Spreader(classes), time.monotonic() + seconds
    for hosts in combinations(sorted(state.hosts), number):
        there = [server.uuid for host in hosts for server in on[host]]
        yield _die(classes, spreader, hosts, there, (end - time.monotonic()) * _SHARE)
        done()


def _die(classes: Classes, spreader: Spreader, hosts: tuple[str, ...], there: list[str], seconds: float) -> Death:
    state = classes.state.copy()
    state.closed = state.closed | set(hosts)
    for host in hosts:
        state.hosts[host] = replace(state.hosts[host], state=DOWN)
    waiting, lost = list[str](), list[str]()
    for server in dict.fromkeys(there):
        is_known = server in classes.by_uuid and bool(state.kinds(state.servers[server])[0])
        (waiting if is_known else lost).append(server)
    _steps, after, left = leave(classes, waiting, spreader, state)
    if not left and not lost:
        return Death(hosts, len(waiting))
    is_sure = all(spreader.is_refused(uuid, without=hosts) for uuid in left)
    if not is_sure and seconds > 0:
        # Hosts that die, and all that are left: no other server moves.
        shown = replace(classes, state=state)
        question = Question.of(shown, solver.LEAVE, set(state.hosts), sources=hosts, leaves=hosts)
        outcome, best = search(shown, question, seconds)
        if outcome is not None and outcome.reached < len(left):
            after = outcome.state
            left = [uuid for uuid in waiting if after.servers[uuid].host in hosts]
        is_sure = best is not None and best >= len(left)
        if not left and not lost:
            return Death(hosts, len(waiting))
    homeless = Counter([state.servers[uuid].flavor.name for uuid in (*left, *lost)])
    reasons = _reasons(classes, after, left[0]) if left else [state.kinds(state.servers[lost[0]])[1]]
    return Death(hosts, len(waiting) + len(lost), tuple(sorted(homeless.items())), is_sure, tuple(reasons))


def _reasons(classes: Classes, state: State, uuid: str) -> list[str]:
    kinds = classes.known[classes.by_uuid[uuid]].kinds
    answers = [state.offer(uuid, kinds, host) for host in state.open_hosts()]
    return explain.grouped([answer for answer in answers if isinstance(answer, HostRefusal)])
