# SPDX-License-Identifier: Apache-2.0
"""Servers that any host answers alike, and the numbers of them that the solver is asked about."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from numaplace.fleet.usage import count
from numaplace.model import Guest, Placement
from numaplace.model.records import HostRecord, InstanceRecord
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
    _empty: dict[str, HostRecord] = field(default_factory=dict)

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

    def size(self) -> int:
        """Return how many arrivals there may be, of the classes that are known, times the resources of their hosts."""
        hosts = self.state.hosts
        return len(self.known) * sum([len(demand.room(hosts[name])) for name in self.state.open_hosts()])

    def may(self, number: int, host: str) -> bool:
        """Return whether a host would take a server of a class if it had no others."""
        found = self._admits.get((number, host))
        if found is None:
            one = self.known[number]
            found = True
            if one.is_steady and one.first.host != host:
                if host not in self._empty:
                    record = self.state.hosts[host]
                    self._empty[host] = replace(record, host=count(record.host, ()), servers=frozenset(), unmanaged=())
                answers = (self.state.ask(one.first, kind, self._empty[host], None) for kind in one.kinds)
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
        is_pooled: bool = False,
    ) -> Question:
        """Return what the solver is asked.

        :param scope: hosts that may take servers, or lose some
        :param sources: those of them whose servers may move
        :param wanted: class and number of new guests
        :param is_pooled: it is not asked which classes may go where
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
        problem = Problem(
            goal,
            {host: demand.room(state.hosts[host]) for host in scope},
            [one.needs for one in classes.known],
            [not one.guest.cells for one in classes.known],
            [Stack(number, host, dict(gives), len(uuids)) for (number, host, gives), uuids in stacks.items()],
            [],
            frozenset(leaves),
            frozenset(fixed),
            frozenset(floating),
            wanted,
            most_moves,
        )
        question = cls(problem, list(stacks.values()))
        if not is_pooled:
            question.pair(classes)
        return question

    def numbers(self) -> list[int]:
        """Return the classes that may move, or are new."""
        wanted = [] if self.problem.wanted is None else [self.problem.wanted[0]]
        return sorted({*wanted, *(stack.kind for stack in self.problem.stacks)})

    def pair(self, classes: Classes) -> None:
        """Ask which hosts may take which classes."""
        problem, hosts = self.problem, classes.state.open_hosts()
        takers = [host for host in hosts if host in problem.rooms and host not in problem.leaves]
        problem.pairs = [(number, host) for number in self.numbers() for host in takers if classes.may(number, host)]

    def leaving(self, departures: Mapping[int, int]) -> dict[int, list[str]]:
        """Return the servers that leave, by class.

        :param departures: numbers by stack
        """
        found: dict[int, list[str]] = {}
        for stack, amount in departures.items():
            found.setdefault(self.problem.stacks[stack].kind, []).extend(self.members[stack][:amount])
        return found
