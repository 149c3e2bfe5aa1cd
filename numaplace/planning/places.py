# SPDX-License-Identifier: Apache-2.0
"""Move servers one after the other to the best host that takes each, as long as no server leaves."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from numaplace.explain import HostRefusal
from numaplace.fleet.plan import Step
from numaplace.model.records import HostRecord, InstanceRecord
from numaplace.planning.classes import Classes
from numaplace.planning.rooms import Rooms, Scores
from numaplace.planning.state import State

__all__ = ['Places']

#: So many hosts are asked for one server at most.
_MOST_ASKED = 16


@dataclass(slots=True)
class Places:
    """A state that gets fuller, its rooms, and what hosts have refused.

    What a host refuses it refuses with more servers too; what is taken back is forgotten.
    """

    classes: Classes
    state: State
    rooms: Rooms = field(init=False)
    _refused: dict[int, npt.NDArray[np.bool_]] = field(default_factory=dict)
    _before: list[tuple[InstanceRecord, HostRecord]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rooms = Rooms([self.state.hosts[name] for name in self.state.open_hosts()])

    def may(self, number: int) -> npt.NDArray[np.bool_]:
        """Return which hosts may take a server of a class."""
        found = self.rooms.may(self.classes.known[number].needs)
        if number in self._refused:
            found &= ~self._refused[number]
        return found

    def place(self, uuid: str, scores: Scores, group: int = 1) -> Step | None:
        """Claim the host of the smallest score that takes a server; None if none of the best does.

        :param scores: by host; those of infinite ones are not asked
        """
        number = self.classes.by_uuid[uuid]
        one, server = self.classes.known[number], self.state.servers[uuid]
        scores = np.where(self.may(number), scores, np.inf)
        for row in np.argsort(scores, kind='stable')[:_MOST_ASKED].tolist():
            if not np.isfinite(scores[row]):
                break
            host = self.rooms.names[row]
            if host == server.host:
                continue
            answer = self.state.offer(uuid, one.kinds, host)
            if not isinstance(answer, HostRefusal):
                self._before.append((server, self.state.hosts[host]))
                step = self.state.claim(uuid, answer[0], host, answer[1], group)
                self.rooms.update(self.state.hosts[host])
                return step
            if one.is_steady:
                self._refused.setdefault(number, np.zeros(len(scores), bool))[row] = True
        return None

    def take_back(self, number: int) -> None:
        """Undo the last claims."""
        for _ in range(number):
            server, record = self._before.pop()
            self.state.undo(server, record)
            self.rooms.update(record)
            for refused in self._refused.values():
                refused[self.rooms.rows[record.name]] = False
