# SPDX-License-Identifier: Apache-2.0
"""Empty one host after the other into those that have servers: a first plan, which the solver improves."""

from __future__ import annotations

import time
from collections.abc import Iterable

import numpy as np

from numaplace.fleet.plan import Step
from numaplace.model.records import InstanceRecord
from numaplace.planning.classes import Classes
from numaplace.planning.places import Places
from numaplace.planning.spreading import largest_first
from numaplace.planning.state import State

__all__ = ['empty']


def empty(classes: Classes, most: int, until: float, taking: Iterable[str] = ()) -> tuple[list[Step], State]:
    """Return the moves that empty hosts, and the state after them.

    No host both loses a server and gets one, so that all moves are one group. A host whose servers do not all fit
    elsewhere keeps them.

    :param most: number of moves at most
    :param until: when to end, in seconds of the monotonic clock
    :param taking: hosts that have taken servers, and keep them
    """
    places, steps = Places(classes, classes.state.copy()), list[Step]()
    on = {host: servers for host, servers in places.state.on(places.state.hosts).items() if servers}
    movable = [host for host, servers in on.items() if all(_learn(classes, server) for server in servers)]
    taken = set(taking)
    closed = np.array([0.0 if host in on else np.inf for host in places.rooms.names])
    for host in sorted(movable, key=lambda host: (len(on[host]), host)):
        if host in taken or len(steps) + len(on[host]) > most:
            continue
        if time.monotonic() > until:
            break
        row = places.rooms.rows.get(host)
        if row is not None:
            closed[row] = np.inf
        made = _empty(places, [server.uuid for server in on[host]], closed)
        if made is not None:
            steps += made
            taken.update(step.destination for step in made)
        elif row is not None:
            closed[row] = 0.0
    for step in steps:
        places.state.release(step.server)
    return steps, places.state


def _learn(classes: Classes, server: InstanceRecord) -> bool:
    """Return whether a server can be moved; its class is known then."""
    kinds, _reason = classes.state.kinds(server)
    if kinds:
        classes.of(server, kinds)
    return bool(kinds)


def _empty(places: Places, uuids: list[str], closed: np.ndarray) -> list[Step] | None:
    """Move servers to the hosts that each fits most tightly, if all find one."""
    classes, is_open = places.classes, np.isfinite(closed)
    if not all(np.any(places.may(number) & is_open) for number in {classes.by_uuid[uuid] for uuid in uuids}):
        return None
    made = list[Step]()
    for uuid in largest_first(places.state, uuids):
        needs = classes.known[classes.by_uuid[uuid]].needs
        step = places.place(uuid, places.rooms.rest(needs) + closed)
        if step is None:
            places.take_back(len(made))
            return None
        made.append(step)
    return made
