# SPDX-License-Identifier: Apache-2.0
"""Plans by goal: empty hosts, make room for a flavor, use fewer hosts, use all alike."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import replace
from math import ceil

from numaplace import explain
from numaplace.explain import HostRefusal
from numaplace.fleet.plan import Plan, Step, Stuck
from numaplace.model.records import InstanceRecord
from numaplace.planning import demand, solver
from numaplace.planning.classes import Classes, Question
from numaplace.planning.emptying import empty
from numaplace.planning.search import search
from numaplace.planning.spreading import Spreader, largest_first
from numaplace.planning.state import NEW, State

__all__ = ['LOADS', 'consolidate', 'defragment', 'drain', 'leave', 'rebalance', 'share']

#: The most hosts whose servers the solver moves to make room; with more, it gets those with the most room.
_SCOPE = 40
#: What rebalancing makes alike.
LOADS = CPUS, VCPUS, MEMORY = 'cpus', 'vcpus', 'memory'


def drain(state: State, hosts: Collection[str], seconds: float) -> Plan:
    """Return a plan that moves every server away from hosts.

    :param state: which takes no server on these hosts
    """
    classes = Classes(state)
    waiting, stuck = _movable(classes, hosts)
    steps, after, left = leave(classes, waiting)
    fewest = len(waiting)
    if left:
        scope = {*hosts, *_roomiest(classes, [classes.by_uuid[uuid] for uuid in left])}
        question = Question.of(classes, solver.LEAVE, scope, sources=scope, leaves=hosts)
        outcome, _best = search(classes, question, seconds)
        fewest = max(0, len(waiting) - len(left))
        if outcome is not None and outcome.reached <= len(left):
            steps, after = list(outcome.steps), outcome.state
            fewest = max(len(waiting) - outcome.reached, outcome.fewest if _is_all(state, scope) else 0)
        left = [uuid for uuid in waiting if after.servers[uuid].host in hosts]
    stuck += [_refused(classes, after, uuid) for uuid in left]
    return Plan(f'drain {", ".join(hosts)}', tuple(steps), tuple(stuck), fewest)


def _is_all(state: State, scope: Collection[str]) -> bool:
    return set(state.open_hosts()) <= set(scope)


def _movable(classes: Classes, hosts: Iterable[str]) -> tuple[list[str], list[Stuck]]:
    """Return the servers on hosts that can be moved, and those that cannot."""
    state, waiting, stuck = classes.state, list[str](), list[Stuck]()
    for host, servers in state.on(hosts).items():
        for server in servers:
            kinds, reason = state.kinds(server)
            if kinds and server.host == host:
                classes.of(server, kinds)
                waiting.append(server.uuid)
            else:
                stuck.append(Stuck(server.uuid, server.name, host, (reason,)))
    return waiting, stuck


def leave(
    classes: Classes, waiting: Iterable[str], spreader: Spreader | None = None, state: State | None = None
) -> tuple[list[Step], State, list[str]]:
    """Move servers, the largest first, to the fullest hosts, all in one group.

    :returns: the moves, the state after them, and the servers that no host took
    """
    after = (state or classes.state).copy()
    known, steps, left = spreader or Spreader(classes), list[Step](), list[str]()
    for uuid in largest_first(after, waiting):
        step = known.place(after, uuid)
        steps += [step] if step else []
        left += [] if step else [uuid]
    for step in steps:
        after.release(step.server)
    return steps, after, left


def _refused(classes: Classes, state: State, uuid: str) -> Stuck:
    """Return why no host takes a server."""
    server, one = state.servers[uuid], classes.known[classes.by_uuid[uuid]]
    refusals = [
        answer
        for host in state.open_hosts()
        if host != server.host and isinstance(answer := state.offer(uuid, one.kinds, host), HostRefusal)
    ]
    lines = explain.grouped(refusals) or ['there is no other host that takes servers']
    return Stuck(uuid, server.name, server.host or '', tuple(lines))


def _roomiest(classes: Classes, numbers: Iterable[int]) -> list[str]:
    """Return the hosts with the most room that may take servers of some class."""
    state, kinds = classes.state, set(numbers)
    hosts = state.open_hosts()
    rooms = {host: demand.room(state.hosts[host]) for host in hosts}

    def key(host: str) -> tuple[bool, int, str]:
        has = any(demand.has_room(rooms[host], classes.known[number].needs) for number in kinds)
        return not has, -sum([amount for slot, amount in rooms[host].items() if slot[1] in ('cpus', 'vcpus')]), host

    found = list[str]()
    for host in sorted(hosts, key=key):
        if len(found) == _SCOPE:
            break
        if any(classes.may(number, host) for number in kinds):
            found.append(host)
    return found


def defragment(state: State, new: list[InstanceRecord], seconds: float) -> Plan:
    """Return a plan with the fewest moves after which new guests fit.

    :param new: guests that are alike
    """
    goal = f'room for {len(new)} more of {new[0].flavor.name}'
    state.servers.update({server.uuid: server for server in new})
    classes = Classes(state)
    uuids = tuple([server.uuid for server in new])
    number = next(iter([classes.of(server, (NEW,)) for server in new]))
    spreader, after = Spreader(classes), state.copy()
    fit = sum([spreader.place(after, uuid) is not None for uuid in uuids])
    if fit == len(new):
        return Plan(goal, measures={'guests that fit': (fit, fit, fit)})
    scope = _roomiest(classes, [number])
    question = Question.of(classes, solver.ROOM, scope, sources=scope, wanted=(number, len(new)))
    outcome, best = search(classes, question, seconds, uuids)
    reached = fit if outcome is None else len(new) - outcome.reached
    is_all = _is_all(state, scope)
    most = len(new) if best is None or not is_all else max(reached, len(new) - best)
    stuck = _refused(classes, after if outcome is None else outcome.state, uuids[0])
    short = () if reached == len(new) else (replace(stuck, name=new[0].flavor.name, host='the request'),)
    measures = {'guests that fit': (fit, reached, most)}
    if outcome is None or reached <= fit:
        return Plan(goal, (), short, 0, measures)
    return Plan(goal, outcome.steps, short, outcome.fewest if is_all else min(1, len(outcome.steps)), measures)


def consolidate(state: State, seconds: float, most: float) -> Plan:
    """Return a plan after which the fewest hosts have servers.

    :param most: share of the servers that may move
    """
    classes, before = Classes(state), _active(state)
    number = int(most * len(state.servers))
    end = time.monotonic() + seconds
    steps, after = empty(classes, number, time.monotonic() + seconds / 2)
    question = Question.of(classes, solver.HOSTS, set(state.hosts), sources=set(state.hosts), most_moves=number)
    outcome, best = search(classes, question, max(0.5, end - time.monotonic()))
    fewest = 0
    if outcome is not None and (_active(outcome.state), len(outcome.steps)) <= (_active(after), len(steps)):
        steps, after, fewest = list(outcome.steps), outcome.state, outcome.fewest
    hosts = _active(after)
    least = min(hosts, 1) if best is None else min(hosts, best)
    measures = {'hosts with servers': (before, hosts, least)}
    return Plan('consolidate', tuple(steps), (), fewest, measures)


def _active(state: State) -> int:
    return sum([bool(servers) for servers in state.on(state.hosts).values()])


def rebalance(state: State, seconds: float, most: float, load: str) -> Plan:
    """Return a plan after which the largest share of a resource that a host uses is as small as can be.

    :param most: share of the servers that may move
    :param load: one of LOADS
    """
    classes = Classes(state)
    question = Question.of(
        classes,
        solver.LOAD,
        set(state.hosts),
        sources=set(state.hosts),
        most_moves=int(most * len(state.servers)),
    )
    problem = question.problem
    problem.loads = {name: _load(state, name, load) for name in state.open_hosts()}
    problem.weights = [_weight(one.first, load) for one in classes.known]
    before = _largest(state, load)
    outcome, best = search(classes, question, seconds)
    after = before if outcome is None else _largest(outcome.state, load)
    least = 0.0 if best is None else min(after, best / 10)
    measures = {f'largest use of {load} in %': (before, after, least)}
    if outcome is None or after >= before:
        return Plan(f'rebalance {load}', measures=dict.fromkeys(measures, (before, before, least)))
    return Plan(f'rebalance {load}', outcome.steps, (), outcome.fewest, measures)


def _load(state: State, name: str, load: str) -> tuple[int, int]:
    """Return how much of a resource a host uses, and how much it has."""
    host = state.hosts[name].host
    if load == MEMORY:
        return host.memory_used_mib, host.memory_mib
    if load == VCPUS:
        return host.vcpus_used, host.cpu_count
    total = host.dedicated_cpus
    return (total & ~host.free_cpus).bit_count(), total.bit_count()


def _weight(server: InstanceRecord, load: str) -> int:
    guest = server.placement.guest
    if load == MEMORY:
        return guest.memory_mib
    return guest.vcpus if load == VCPUS else sum([cell.dedicated_vcpus.bit_count() for cell in guest.cells])


def share(state: State, name: str, load: str) -> float:
    """Return which share of a resource a host uses, in percent to one decimal place, rounded up."""
    used, total = _load(state, name, load)
    return ceil(1000 * used / total) / 10 if total else 0.0


def _largest(state: State, load: str) -> float:
    return max([share(state, name, load) for name in state.open_hosts()], default=0.0)
