# SPDX-License-Identifier: Apache-2.0
"""Use fewer hosts where there are too many for numbers by host and class: all servers of some hosts leave together.

The hosts are those of a pool; their servers leave the largest first, so that small ones fill what large ones
leave. Servers that find no place gather on few of the hosts that were to be empty.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import replace

import numpy as np

from numaplace.fleet.plan import Step
from numaplace.planning import solver
from numaplace.planning.classes import Classes, Question
from numaplace.planning.emptying import empty
from numaplace.planning.places import Places
from numaplace.planning.pooling import pool
from numaplace.planning.search import Outcome
from numaplace.planning.solver import Problem
from numaplace.planning.spreading import largest_first
from numaplace.planning.state import State

__all__ = ['clear', 'pooled']

#: For so many seconds servers without a place gather, however late it is.
_GATHERING = 1.0


def pooled(classes: Classes, most_moves: int) -> Question:
    """Return how the fewest hosts have servers, whatever each may take."""
    hosts = set(classes.state.hosts)
    return Question.of(classes, solver.HOSTS, hosts, sources=hosts, most_moves=most_moves, is_pooled=True)


def clear(classes: Classes, problem: Problem, until: float) -> list[Outcome]:
    """Return plans of few hosts, with a bound of their number.

    :param problem: as of :func:`pooled`
    :param until: when to end, in seconds of the monotonic clock; the servers of the first hosts may take longer
    """
    bound, choice, most = pool(problem), pool(problem, others_stay=True), problem.most_moves or 0
    if bound is None or choice is None:
        return []
    steps, state = _leave(classes, choice.kept, most)
    until = max(until, time.monotonic() + _GATHERING)
    more, state = empty(replace(classes, state=state), most - len(steps), until, {step.destination for step in steps})
    group = 2 if steps else 1
    steps += [replace(step, group=group) for step in more]
    return [Outcome(tuple(steps), state, len(state.active()), bound.hosts, bound.moves)]


def _leave(classes: Classes, kept: Collection[str], most: int) -> tuple[list[Step], State]:
    """Let the servers of all other hosts leave."""
    places, steps = Places(classes, classes.state.copy()), list[Step]()
    state, rooms = places.state, places.rooms
    active = state.active()
    leaving = sorted(active - set(kept))
    closed = np.array([0.0 if host in kept and host in active else np.inf for host in rooms.names])
    uuids = [server.uuid for host, servers in state.on(leaving).items() for server in servers if server.host == host]
    for uuid in largest_first(state, uuids):
        if len(steps) < most:
            step = places.place(uuid, rooms.rest(classes.known[classes.by_uuid[uuid]].needs) + closed)
            steps += [step] if step else []
    for step in steps:
        state.release(step.server)
    return steps, state
