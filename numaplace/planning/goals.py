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
from numaplace.model.records import HostRecord, InstanceRecord
from numaplace.planning import demand, solver
from numaplace.planning.classes import Classes, Question
from numaplace.planning.clearing import clear, pooled
from numaplace.planning.emptying import empty
from numaplace.planning.levelling import Loads, level
from numaplace.planning.packing import least_hosts, pack
from numaplace.planning.parts import pack_parts
from numaplace.planning.patterns import fewest_hosts
from numaplace.planning.search import Outcome, search
from numaplace.planning.spreading import Spreader, largest_first
from numaplace.planning.state import NEW, State
from numaplace.planning.vacating import Vacancies, vacate

__all__ = ['LOADS', 'consolidate', 'defragment', 'drain', 'leave', 'rebalance', 'share']

#: The most hosts whose servers the solver moves to make room; with more, it gets those with the most room.
_SCOPE = 40
#: In a problem with more stacks, the solver does not look for fewer moves to as few hosts.
_MOST_STACKS = 300
#: More possible arrivals times resources of their hosts are too many to look for numbers.
_MOST_NUMBERS = 200_000
#: The share of the time after which the solver takes over, where it is not too large for it.
_FIRST = 0.5
#: So many seconds the first plan may take, however little time there is.
_LEAST_SECONDS = 1.0
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
    end, vacancies = time.monotonic() + seconds, Vacancies(classes, number)
    waiting = [uuid for uuid in uuids if after.servers[uuid].host is None]
    first = vacate(replace(classes, state=after), number, waiting, max(_LEAST_SECONDS, _FIRST * seconds))
    found = [Outcome((), after, len(waiting), None, 0), first]
    most, fewest, reached = vacancies.most(len(new)), 0, len(new) - first.reached
    is_best = (reached, len(first.steps)) == (most, vacancies.fewest(reached))
    if not is_best and (time.monotonic() < end or len(state.hosts) <= _SCOPE):
        scope = _roomiest(classes, [number])
        question = Question.of(classes, solver.ROOM, scope, sources=scope, wanted=(number, len(new)))
        outcome, bound = search(classes, question, max(0.5, end - time.monotonic()), uuids)
        found += [outcome] if outcome else []
        if _is_all(state, scope):
            most = min(most, len(new) - (bound or 0))
            fewest = outcome.fewest if outcome and outcome.reached <= first.reached else 0
    best = min(found, key=lambda one: (one.reached, len(one.steps)))
    reached = len(new) - best.reached
    measures = {'guests that fit': (fit, reached, max(reached, most))}
    fewest = max(fewest, vacancies.fewest(reached))
    if not best.reached:
        return Plan(goal, best.steps, (), fewest, measures)
    left = next(uuid for uuid in uuids if best.state.servers[uuid].host is None)
    stuck = replace(_refused(classes, best.state, left), name=new[0].flavor.name, host='the request')
    return Plan(goal, best.steps, (stuck,), fewest, measures)


def consolidate(state: State, seconds: float, most: float) -> Plan:
    """Return a plan after which the fewest hosts have servers.

    :param most: share of the servers that may move
    """
    classes, before = Classes(state), len(state.active())
    end, number = time.monotonic() + seconds, int(most * len(state.servers))
    question = pooled(classes, number)
    plans = [Outcome((), state, before, 0, 0)]
    if classes.size() > _MOST_NUMBERS:
        cleared = clear(classes, question.problem, end)
        plans += cleared + [pack_parts(plan, number, end) for plan in cleared if plan.reached > (plan.best or 0)]
    else:
        question.pair(classes)
        plans += _packed(classes, question, seconds, end)
    best = min(reversed(plans), key=lambda plan: (plan.reached, len(plan.steps)))
    least = max([plan.best or 0 for plan in plans])
    measures = {'hosts with servers': (before, best.reached, min(best.reached, least))}
    return Plan('consolidate', best.steps, (), best.fewest if best.reached == least else 0, measures)


def _packed(classes: Classes, question: Question, seconds: float, end: float) -> list[Outcome]:
    """Return plans of few hosts by numbers of servers, with their bounds."""
    number, plans = question.problem.most_moves or 0, list[Outcome]()
    least = max(least_hosts(question.problem), fewest_hosts(question.problem))
    packed = pack(classes, question, least, seconds)
    plans += [packed] if packed else []
    if packed is None or (packed.reached > least and time.monotonic() < end):
        until = end if packed else max(end, time.monotonic() + seconds / 2)
        steps, after = empty(classes, number, until)
        plans.append(Outcome(tuple(steps), after, len(after.active()), least, 0))
    if len(question.problem.stacks) <= _MOST_STACKS:
        outcome, bound = search(classes, question, max(0.5, end - time.monotonic()))
        plans += [outcome] if outcome else [Outcome((), classes.state, len(classes.state.active()), bound, 0)]
    return plans


def rebalance(state: State, seconds: float, most: float, load: str) -> Plan:
    """Return a plan after which the largest share of a resource that a host uses is as small as can be.

    :param most: share of the servers that may move
    :param load: one of LOADS
    """
    classes, end = Classes(state), time.monotonic() + seconds
    before, number = _largest(state, load), int(most * len(state.servers))
    loads = _loads(classes, load, number)
    is_large = classes.size() > _MOST_NUMBERS
    first = max(_LEAST_SECONDS, seconds if is_large else _FIRST * seconds)
    levelled = level(classes, loads, time.monotonic() + first)
    plans, least = [levelled], levelled.best or 0
    if not is_large and (levelled.reached, len(levelled.steps)) > (least, levelled.fewest):
        outcome, bound = search(classes, _of_loads(classes, loads, load), max(0.5, end - time.monotonic()))
        plans += [outcome] if outcome else []
        least = max(least, bound or 0)
    # A server on a cell that there is no longer gives less than it counts.
    plans = [plan for plan in plans if _largest(plan.state, load) <= before]
    plans = plans or [Outcome((), state, loads.largest(), least, 0)]
    best = min(plans, key=lambda plan: (plan.reached, len(plan.steps)))
    fewest = max(best.fewest, loads.fewest(best.reached) or 0)
    after = _largest(best.state, load)
    measures = {f'largest use of {load} in %': (before, after, min(after, least / 10))}
    return Plan(f'rebalance {load}', best.steps, (), fewest, measures)


def _loads(classes: Classes, load: str, most: int) -> Loads:
    """Return what hosts use, and what servers that may move use of it."""
    state, weights, saved = classes.state, dict[str, dict[str, int]](), 0
    for server in state.servers.values():
        kinds, _reason = state.kinds(server)
        if kinds and server.host is not None:
            classes.of(server, kinds)
            least, taken = _weight(server, load), sum([placed.taken.bit_count() for placed in server.placement.cells])
            weight = max(least, taken) if load == CPUS else least
            saved += weight - least
            weights.setdefault(server.host, {}).update({server.uuid: weight} if weight else {})
    used = {name: _load(state.hosts[name], load) for name in state.open_hosts()}
    return Loads(lambda record: _load(record, load), used, weights, saved, most)


def _of_loads(classes: Classes, loads: Loads, load: str) -> Question:
    hosts = set(classes.state.hosts)
    question = Question.of(classes, solver.LOAD, hosts, sources=hosts, most_moves=loads.most)
    question.problem.loads = loads.used
    question.problem.weights = [_weight(one.first, load) for one in classes.known]
    question.problem.freed = [
        loads.weights.get(stack.host, {}).get(members[0], 0)
        for stack, members in zip(question.problem.stacks, question.members, strict=True)
    ]
    return question


def _load(record: HostRecord, load: str) -> tuple[int, int]:
    """Return how much of a resource a host uses, and how much it has."""
    host = record.host
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
    return guest.vcpus if load == VCPUS else demand.dedicated(guest)


def share(state: State, name: str, load: str) -> float:
    """Return which share of a resource a host uses, in percent to one decimal place, rounded up."""
    used, total = _load(state.hosts[name], load)
    return ceil(1000 * used / total) / 10 if total else 0.0


def _largest(state: State, load: str) -> float:
    return max([share(state, name, load) for name in state.open_hosts()], default=0.0)
