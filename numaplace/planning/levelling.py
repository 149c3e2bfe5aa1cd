# SPDX-License-Identifier: Apache-2.0
"""Use hosts alike: servers leave those that use too much, for those that use least; and what no plan passes.

Shares are counted in thousandths, rounded up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from numaplace.fleet.plan import Step
from numaplace.model.records import HostRecord
from numaplace.planning.classes import Classes
from numaplace.planning.places import Places
from numaplace.planning.search import Outcome
from numaplace.planning.solver import SCALE
from numaplace.planning.spreading import largest_first

__all__ = ['Loads', 'level']


@dataclass(slots=True)
class Loads:
    """What hosts use of a resource.

    :param measure: tells of a host how much it uses, and how much it has
    :param used: the same by host, of all that count
    :param weights: by host, how much less is used when a server leaves, by UUID of those that may move
    :param saved: how much less all servers may use elsewhere
    :param most: how many servers may move
    """

    measure: Callable[[HostRecord], tuple[int, int]]
    used: Mapping[str, tuple[int, int]]
    weights: Mapping[str, Mapping[str, int]]
    saved: int
    most: int
    _sorted: dict[str, list[int]] = field(init=False)

    def __post_init__(self) -> None:
        self._sorted = {host: sorted(each.values(), reverse=True) for host, each in self.weights.items()}

    def largest(self) -> int:
        """Return the largest share."""
        return max([-(-SCALE * used // total) for used, total in self.used.values() if total], default=0)

    def leaving(self, host: str, share: int) -> int | None:
        """Return how many servers must leave a host that may use a share at most; None if all are too few."""
        used, total = self.used[host]
        excess, number = used - share * total // SCALE, 0
        weights = self._sorted.get(host, [])
        while total and excess > 0:
            if number == len(weights):
                return None
            excess -= weights[number]
            number += 1
        return number

    def fewest(self, share: int) -> int | None:
        """Return how many servers move at least so that no host uses more; None if it is not possible."""
        used = sum([used for used, total in self.used.values() if total]) - self.saved
        if sum([share * total // SCALE for _used, total in self.used.values()]) < used:
            return None
        numbers = [self.leaving(host, share) for host in self.used]
        moves = sum([number for number in numbers if number is not None])
        return None if None in numbers or moves > self.most else moves

    def least(self) -> int:
        """Return a bound: the smallest share for which there may be enough room, and servers that may move."""
        low, high = 0, self.largest()
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.fewest(middle) is None else (low, middle)
        return low

    def chosen(self, host: str, share: int) -> list[str]:
        """Return the fewest servers that must leave a host, of those the smallest that are enough."""
        number, (used, total) = self.leaving(host, share) or 0, self.used[host]
        excess, found = used - share * total // SCALE, list[str]()
        left = sorted(self.weights.get(host, {}).items(), key=lambda item: (item[1], item[0]))
        for rest in range(number - 1, -1, -1):
            others = sum([weight for _uuid, weight in left[len(left) - rest :]])
            place = next(place for place, (_uuid, weight) in enumerate(left) if weight + others >= excess)
            place = min(place, len(left) - rest - 1)
            uuid, weight = left.pop(place)
            found.append(uuid)
            excess -= weight
        return found


def level(classes: Classes, loads: Loads, until: float) -> Outcome:
    """Return the best plan that is found in time, with its bounds; the first one may take longer.

    The first plan is for the share that no plan passes; what is in between is halved for the next ones.

    :param until: when to end, in seconds of the monotonic clock
    """
    least, best = loads.least(), Outcome((), classes.state, loads.largest(), None, 0)
    low, took = least, 0.0
    while low < best.reached and (best.best is None or time.monotonic() + took < until):
        start = time.monotonic()
        share = least if best.best is None else (low + best.reached) // 2
        found = _Levelling(classes, loads, share).plan(least)
        took = time.monotonic() - start
        if found.reached > share:
            low = share + 1
        best = min(best, found, key=lambda one: (one.reached, len(one.steps)))
        best = Outcome(best.steps, best.state, best.reached, least, 0)
    return Outcome(best.steps, best.state, best.reached, least, loads.fewest(best.reached) or 0)


class _Levelling:
    """One plan: hosts that use more than a share lose servers, to hosts that use no more with them."""

    def __init__(self, classes: Classes, loads: Loads, share: int) -> None:
        self._places, self._loads = Places(classes, classes.state.copy()), loads
        names = self._places.rooms.names
        self._used = np.array([loads.used[name][0] for name in names], float)
        self._totals = np.array([loads.used[name][1] for name in names], float)
        # A host that has none of the resource is neither too full nor a place for more.
        self._is_open = self._totals > 0
        self._most = np.where(self._is_open, share * self._totals // SCALE, np.inf)
        self._share, self._steps = share, list[Step]()

    def plan(self, least: int) -> Outcome:
        """Return what is reached."""
        rows, loads, state = self._places.rooms.rows, self._loads, self._places.state
        over = [host for host in rows if self._used[rows[host]] > self._most[rows[host]]]
        self._is_open[[rows[host] for host in over]] = False  # no host both loses a server and gets one
        chosen = {uuid: host for host in over for uuid in loads.chosen(host, self._share)}
        for uuid in largest_first(state, chosen):
            self._move(uuid, chosen[uuid])
        for host in sorted(over, key=lambda host: -self._used[rows[host]] / self._totals[rows[host]]):
            others = sorted(loads.weights.get(host, {}).items(), key=lambda item: (-item[1], item[0]))
            for uuid, _weight in others:
                if self._used[rows[host]] <= self._most[rows[host]]:
                    break
                if uuid not in chosen:
                    self._move(uuid, host)
        for step in self._steps:
            state.release(step.server)
        after = replace(loads, used={host: loads.measure(state.hosts[host]) for host in loads.used})
        return Outcome(tuple(self._steps), state, after.largest(), least, 0)

    def _move(self, uuid: str, source: str) -> None:
        """Move a server to the host that uses least with it."""
        if len(self._steps) >= self._loads.most:
            return
        places, weight = self._places, self._loads.weights[source][uuid]
        after = self._used + weight
        scores = np.where(self._is_open & (after <= self._most), after / np.maximum(self._totals, 1), np.inf)
        step = places.place(uuid, scores)
        if step is not None:
            rows = places.rooms.rows
            self._steps.append(step)
            self._used[rows[source]] -= weight
            self._used[rows[step.destination]] = self._loads.measure(places.state.hosts[step.destination])[0]
