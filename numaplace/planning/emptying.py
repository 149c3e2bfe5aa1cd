# SPDX-License-Identifier: Apache-2.0
"""Empty one host after the other into those that have servers: a first plan, which the solver improves."""

from __future__ import annotations

import time

from numaplace.fleet.plan import Step
from numaplace.model.records import InstanceRecord
from numaplace.planning.classes import Classes
from numaplace.planning.spreading import Spreader, largest_first
from numaplace.planning.state import State

__all__ = ['empty']


def empty(classes: Classes, most: int, until: float) -> tuple[list[Step], State]:
    """Return the moves that empty hosts, those with the fewest servers first, and the state after them.

    No host both loses a server and gets one, so that all moves are one group. A host whose servers do not all fit
    elsewhere keeps them.

    :param most: number of moves at most
    :param until: when to end, in seconds of the monotonic clock
    """
    after, steps = classes.state.copy(), list[Step]()
    on = {host: servers for host, servers in after.on(after.hosts).items() if servers}
    movable = {host for host, servers in on.items() if all(_learn(classes, server) for server in servers)}
    spreader, takers, taking = Spreader(classes), set(on), set[str]()
    for host in sorted(movable, key=lambda host: (len(on[host]), host)):
        if host in taking or len(steps) + len(on[host]) > most:
            continue
        if time.monotonic() > until:
            break
        trial = after.copy()
        made = _empty(spreader, trial, [server.uuid for server in on[host]], takers - {host})
        if made is not None:
            after, steps = trial, steps + made
            takers.remove(host)
            taking.update(step.destination for step in made)
    for step in steps:
        after.release(step.server)
    return steps, after


def _learn(classes: Classes, server: InstanceRecord) -> bool:
    """Return whether a server can be moved; its class is known then."""
    kinds, _reason = classes.state.kinds(server)
    if kinds:
        classes.of(server, kinds)
    return bool(kinds)


def _empty(spreader: Spreader, state: State, uuids: list[str], takers: set[str]) -> list[Step] | None:
    made = []
    for uuid in largest_first(state, uuids):
        step = spreader.place(state, uuid, allowed=takers.__contains__)
        if step is None:
            return None
        made.append(step)
    return made
