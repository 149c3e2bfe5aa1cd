# SPDX-License-Identifier: Apache-2.0
"""Servers that any host answers alike, and the numbers of them that the solver is asked about."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from numaplace.fleet.usage import count
from numaplace.model import Guest, Placement
from numaplace.model.records import InstanceRecord
from numaplace.planning import demand
from numaplace.planning.solver import Problem, Stack
from numaplace.planning.state import State, key_of

__all__ = ['Class', 'Classes', 'Question']


@dataclass(slots=True)
class Class:
    """Servers that are alike.

    :param first: one of them, with which hosts are asked
    :param kinds: of moves, the best first
    :param guest: what each needs
    """

    first: InstanceRecord
    kinds: tuple[str, ...]
    guest: Guest
    needs: tuple[dict[str, int], ...]

    @property
    def is_steady(self) -> bool:
        """Whether a host that refuses one of them refuses it with more servers too."""
        return not self.first.hints and self.first.group is None


@dataclass(slots=True)
class Classes:
    """All classes of a state, by number, and which hosts may ever take them.

    :param by_key: numbers of classes
    """

    state: State
    known: list[Class] = field(default_factory=list)
    by_key: dict[Any, int] = field(default_factory=dict)
    by_uuid: dict[str, int] = field(default_factory=dict)
    _admits: dict[tuple[int, str], bool] = field(default_factory=dict)

    def of(self, server: InstanceRecord, kinds: tuple[str, ...]) -> int:
        """Return the number of the class of a server that can be moved."""
        if server.uuid not in self.by_uuid:
            key = key_of(server, kinds)
            if key not in self.by_key:
                self.by_key[key] = len(self.known)
                guest = server.placement.guest
                self.known.append(Class(server, kinds, guest, demand.needed(guest)))
            self.by_uuid[server.uuid] = self.by_key[key]
        return self.by_uuid[server.uuid]

    def may(self, number: int, host: str) -> bool:
        """Return whether a host would take a server of a class if it had no others."""
        found = self._admits.get((number, host))
        if found is None:
            one, record = self.known[number], self.state.hosts[host]
            found = True
            if one.is_steady and one.first.host != host:
                empty = replace(record, host=count(record.host, ()), servers=frozenset(), unmanaged=())
                answers = (self.state.ask(one.first, kind, empty, None) for kind in one.kinds)
                found = any(isinstance(answer, Placement) for answer in answers)
            self._admits[number, host] = found
        return found


@dataclass(slots=True)
class Question:
    """A problem, and which servers its stacks are.

    :param members: UUIDs by stack
    """

    problem: Problem
    members: list[list[str]]

    @classmethod
    def of(
        cls,
        classes: Classes,
        goal: str,
        scope: Collection[str],
        *,
        sources: Iterable[str],
        leaves: Collection[str] = (),
        wanted: tuple[int, int] | None = None,
        most_moves: int | None = None,
    ) -> Question:
        """Return what the solver is asked.

        :param scope: hosts that may take servers, or lose some
        :param sources: those of them whose servers may move
        :param wanted: class and number of new guests
        """
        state, stacks = classes.state, dict[Any, list[str]]()
        fixed, floating = set[str](), set[str]()
        for host, servers in state.on(scope).items():
            record = state.hosts[host].host
            if record.floating_vcpus or record.held_vcpus:
                floating.add(host)
            for server in servers:
                kinds, _reason = state.kinds(server)
                if not kinds or host not in sources or server.host != host:
                    fixed.add(host)
                    continue
                number = classes.of(server, kinds)
                gives = tuple(sorted(demand.given(server.placement).items(), key=str))
                stacks.setdefault((number, host, gives), []).append(server.uuid)
        takers = [host for host in state.open_hosts() if host in scope and host not in leaves]
        numbers = sorted({number for number, _host, _gives in stacks} | ({wanted[0]} if wanted else set()))
        problem = Problem(
            goal,
            {host: demand.room(state.hosts[host]) for host in scope},
            [one.needs for one in classes.known],
            [not one.guest.cells for one in classes.known],
            [Stack(number, host, dict(gives), len(uuids)) for (number, host, gives), uuids in stacks.items()],
            [(number, host) for number in numbers for host in takers if classes.may(number, host)],
            frozenset(leaves),
            frozenset(fixed),
            frozenset(floating),
            wanted,
            most_moves,
        )
        return cls(problem, list(stacks.values()))
