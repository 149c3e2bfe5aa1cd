# SPDX-License-Identifier: Apache-2.0
"""Move servers one after the other, the largest first, to the fullest host that takes each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from numaplace.explain import HostRefusal
from numaplace.fleet.plan import Step
from numaplace.planning import demand
from numaplace.planning.classes import Classes
from numaplace.planning.demand import Amounts
from numaplace.planning.state import State

__all__ = ['Spreader', 'largest_first']


def largest_first(state: State, uuids: Iterable[str]) -> list[str]:
    """Return servers by size."""

    def key(uuid: str) -> tuple[tuple[int, ...], str, str]:
        server = state.servers[uuid]
        return tuple([-each for each in demand.size(server.placement.guest)]), server.name, uuid

    return sorted(uuids, key=key)


class Spreader:
    """What is known of a state: the hosts from the fullest, and which of them may take which class.

    What a host refuses it refuses with more servers too; so the answers hold for all that happens to the state.
    """

    def __init__(self, classes: Classes) -> None:
        self._classes, self._state = classes, classes.state.copy()
        self._rooms = {host: demand.room(self._state.hosts[host]) for host in self._state.open_hosts()}
        self._order = sorted(self._rooms, key=lambda host: (_free(self._rooms[host]), host))
        self._takers: dict[int, list[str]] = {}
        self._refused: dict[tuple[int, str], bool] = {}

    def takers(self, number: int) -> list[str]:
        """Return the hosts that may take a server of a class, the fullest first."""
        if number not in self._takers:
            needs = self._classes.known[number].needs
            self._takers[number] = [host for host in self._order if demand.has_room(self._rooms[host], needs)]
        return self._takers[number]

    def place(
        self, state: State, uuid: str, group: int = 1, allowed: Callable[[str], bool] = lambda _host: True
    ) -> Step | None:
        """Claim the first host that takes a server; None if none does.

        :param state: which has as many servers as the one that is known, or more, but for those that move
        """
        number = self._classes.by_uuid[uuid]
        one = self._classes.known[number]
        source = state.servers[uuid].host
        for host in self.takers(number):
            if host == source or not allowed(host) or not state.has_room(host, one.needs):
                continue
            if self._refuses(number, host):
                continue
            answer = state.offer(uuid, one.kinds, host)
            if not isinstance(answer, HostRefusal):
                return state.claim(uuid, answer[0], host, answer[1], group)
        return None

    def _refuses(self, number: int, host: str) -> bool:
        one = self._classes.known[number]
        if not one.is_steady or one.first.host == host:
            return False
        if (number, host) not in self._refused:
            answer = self._state.offer(one.first.uuid, one.kinds, host)
            self._refused[number, host] = isinstance(answer, HostRefusal)
        return self._refused[number, host]

    def is_refused(self, uuid: str, without: Collection[str]) -> bool:
        """Return whether every host but some refuses a server in the state that is known, before anything moves."""
        number = self._classes.by_uuid[uuid]
        return self._classes.known[number].is_steady and all(
            host in without or self._refuses(number, host) for host in self.takers(number)
        )


def _free(room: Amounts) -> tuple[int, int]:
    return sum([amount for slot, amount in room.items() if slot[1] == 'cpus']), room.get((None, 'memory'), 0)
