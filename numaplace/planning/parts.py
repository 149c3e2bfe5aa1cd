# SPDX-License-Identifier: Apache-2.0
"""Use fewer hosts where there are too many for numbers at once: some hosts at a time, as if they were a fleet."""

from __future__ import annotations

import random
import time
from collections.abc import Collection
from dataclasses import replace

from numaplace.model.allocations import holds
from numaplace.planning.classes import Classes
from numaplace.planning.packing import least_hosts, pack, question_of
from numaplace.planning.search import Outcome
from numaplace.planning.state import State

__all__ = ['pack_parts']

#: So many cells have the hosts of a part.
_CELLS = 128
#: Seconds for a part at least.
_LEAST = 1.0


def pack_parts(outcome: Outcome, most: int, until: float) -> Outcome:
    """Return a plan that goes on with the servers of hosts that it keeps, part by part.

    No part shares a host with another, so their moves may be made at once.

    :param most: how many servers may move, with those of the plan
    :param until: when to end, in seconds of the monotonic clock
    """
    state, steps, moved = outcome.state.copy(), list(outcome.steps), {step.server for step in outcome.steps}
    group = max([step.group for step in steps], default=0)
    parts = _parts(state)
    for number, names in enumerate(parts):
        left = until - time.monotonic()
        if left < _LEAST or len(moved) >= most:
            break
        found = _packed(_part(state, names), most - len(moved), max(_LEAST, left / (len(parts) - number)))
        if found is not None and found.reached < len(names):
            steps += [replace(step, group=group + step.group) for step in found.steps]
            moved |= {step.server for step in found.steps}
            state.hosts.update(found.state.hosts)
            state.servers.update(found.state.servers)
            state.groups.update(found.state.groups)
    steps.sort(key=lambda step: step.group)
    return replace(outcome, steps=tuple(steps), state=state, reached=len(state.active()))


def _parts(state: State) -> list[list[str]]:
    """Return the hosts that have servers, in drawn parts."""
    active = sorted(state.active())
    random.Random(1).shuffle(active)  # noqa: S311 - which hosts are together
    cells = sum([len(state.hosts[name].host.cells) for name in active])
    size = max(2, _CELLS * len(active) // max(1, cells))
    return [active[first : first + size] for first in range(0, len(active), size)]


def _part(state: State, names: Collection[str]) -> State:
    """Return some hosts with the servers that hold something there."""
    there = set(names)
    servers = {
        uuid: server for uuid, server in state.servers.items() if any(side.host in there for side in holds(server))
    }
    return replace(
        state,
        hosts={name: state.hosts[name] for name in names},
        servers=servers,
        groups=dict(state.groups),
        leaving={},
    )


def _packed(state: State, most: int, seconds: float) -> Outcome | None:
    classes = Classes(state)
    question = question_of(classes, most)
    return pack(classes, question, least_hosts(question.problem), seconds)
