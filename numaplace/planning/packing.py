# SPDX-License-Identifier: Apache-2.0
"""Use fewer hosts in a large fleet: a linear program that is rounded, and its moves one after the other."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import replace

from numaplace.fleet.plan import Step
from numaplace.planning import demand, solver
from numaplace.planning.carrying import Course, carry
from numaplace.planning.classes import Classes, Question
from numaplace.planning.demand import Slot
from numaplace.planning.dividing import Division, divide, emptied
from numaplace.planning.emptying import empty
from numaplace.planning.relaxation import Choice, Rounding, choose
from numaplace.planning.search import Outcome
from numaplace.planning.solver import Problem, Proposal
from numaplace.planning.state import State

__all__ = ['least_hosts', 'pack', 'question_of']

#: The share of the time in which the first numbers are sought.
_FIRST = 0.4
#: The same where their servers get host cells.
_LAST = 0.8
#: So often the numbers of servers that found no place are sought again, before more hosts keep servers: of those that
#: their servers could not leave, one of so many.
_TRIES, _PART = 2, 4
#: So many ways to round numbers are tried at most.
_ROUNDINGS = 20
#: Seconds at least in which servers get host cells, and in which what cannot leave is gathered on few hosts.
_DIVIDING, _GATHERING = 0.5, 2.0
#: Numbers with more moves than the bound times this are sought once more.
_CLOSE = 1.03


def question_of(classes: Classes, most_moves: int) -> Question:
    """Return how the fewest hosts have servers, while some servers move."""
    hosts = set(classes.state.hosts)
    return Question.of(classes, solver.HOSTS, hosts, sources=hosts, most_moves=most_moves)


def least_hosts(problem: Problem) -> int:
    """Return a bound of the number of hosts with servers: by the amounts of each resource, whatever else decides.

    What a host cell holds is a multiple of the greatest common divisor of what servers need.
    """
    needed, divisors, numbers = Counter[str](), Counter[str](), Counter[int]()
    for stack in problem.stacks:
        numbers[stack.kind] += stack.number
    for kind, number in numbers.items():
        *cells, whole = problem.needs[kind]
        for need in cells or [whole]:
            for name, amount in need.items():
                needed[name] += number * amount
                divisors[name] = math.gcd(divisors[name], amount)
    rooms = {host: Counter(room) for host, room in problem.rooms.items()}
    for stack in problem.stacks:
        for slot, amount in stack.gives.items():
            if slot in rooms[stack.host]:
                rooms[stack.host][slot] += amount * stack.number
    least = len(problem.fixed)
    for name, total in needed.items():
        sizes = {host: _size(slots, name, divisors[name]) for host, slots in rooms.items()}
        rest = total - sum([sizes[host] for host in problem.fixed])
        others = sorted([size for host, size in sizes.items() if host not in problem.fixed])
        number = len(problem.fixed)
        while rest > 0 and others:
            rest -= others.pop()
            number += 1
        least = max(least, number)
    return least


def _size(room: Counter[Slot], name: str, divisor: int) -> float:
    """Return how much of a resource a host has: in its cells, or else as a whole; without end if no limit is known."""
    cells = [amount // divisor * divisor for (cell, each), amount in room.items() if each == name and cell is not None]
    whole = room[None, name] // divisor * divisor if (None, name) in room else math.inf
    return sum(cells) if cells else whole


def pack(classes: Classes, question: Question, least: int, seconds: float) -> Outcome | None:
    """Return moves to few hosts; None if none are found.

    While more hosts keep servers than are planned, and there is time, the numbers are rounded in other ways.

    :param least: a bound of the number of hosts
    """
    start = time.monotonic()
    problem = question.problem
    merged = problem.merged()
    choice, best = choose(merged, least), None
    if choice is None:
        return None
    bound, until, last = choice.hosts, start + _FIRST * seconds, start + _LAST * seconds
    for try_ in range(_ROUNDINGS):
        begun = time.monotonic()
        found = _divided(problem, merged, choice, try_, (until, last))
        if found is None:
            break
        merged, choice, division = found
        after = _carried(classes, question, division, start + seconds)
        outcome = replace(after, best=bound, fewest=choice.moves)
        best = outcome if best is None else min(best, outcome, key=lambda one: (one.reached, len(one.steps)))
        now = time.monotonic()
        if best.reached <= choice.hosts or 2 * now - begun > start + _LAST * seconds:
            break
        until, last = now + _FIRST * (now - begun), 2 * now - begun
    return best


def _carried(classes: Classes, question: Question, division: Division, until: float) -> Outcome:
    """Make the moves, and return what is reached.

    The fit may give a server other host cells than the numbers have, so that a later one finds no room. Then numbers
    are sought again from there on.
    """
    most, left, tries = question.problem.most_moves or 0, math.inf, 0
    proposal, kept = division.proposal, division.kept
    state, steps, moved = classes.state.copy(), list[Step](), 0
    while sum(proposal.departures.values()) <= most - moved:
        cells = {pair: Counter(each) for pair, each in proposal.cells.items()}
        group = steps[-1].group if steps else 0
        course = Course(question.leaving(proposal.departures), _quotas(classes, proposal), group, cells)
        carry(classes, state, course)
        steps += course.steps
        moved = len({step.server for step in steps})
        waiting = {host: len(servers) for host, servers in state.on(state.active() - kept).items()}
        if not waiting or time.monotonic() > until:
            break
        tries += sum(waiting.values()) >= left
        if tries > _TRIES:
            tries = 0
            fullest = sorted(waiting, key=lambda host: (-waiting[host], host))
            kept |= frozenset(fullest[: -(-len(fullest) // _PART)])
        left = sum(waiting.values())
        classes = replace(classes, state=state)
        question = question_of(classes, most - moved)
        problem = question.problem
        division = divide(problem, kept, emptied(problem, kept), until)
        proposal, kept = division.proposal, division.kept
    if state.active() - kept:
        steps, state = _gather(replace(classes, state=state), steps, most, max(until, time.monotonic() + _GATHERING))
    return Outcome(tuple(steps), state, len(state.active()), None, 0)


def _gather(classes: Classes, steps: list[Step], most: int, until: float) -> tuple[list[Step], State]:
    """Empty hosts that servers could not leave, one after the other."""
    group = steps[-1].group + 1 if steps else 1
    made, state = empty(classes, most - len({step.server for step in steps}), until)
    return steps + [replace(step, group=group) for step in made], state


def _divided(
    problem: Problem, merged: Problem, choice: Choice, try_: int, times: tuple[float, float]
) -> tuple[Problem, Choice, Division] | None:
    """Return numbers with as few moves as are allowed, and for what they were sought.

    :param try_: how many other ways to round came before
    :param times: when to end the rounding, and all
    """
    until, last = times
    most, chosen = problem.most_moves or 0, choice
    while True:
        # What is divided moves otherwise in the end: the first numbers do.
        enough = None if problem.is_divided else _CLOSE * chosen.moves
        found = Rounding(merged, chosen.kept, try_).find(until, enough)
        if found is None:
            return None
        division = divide(problem, chosen.kept, found, max(last, time.monotonic() + _DIVIDING))
        if division.moves <= most:
            return merged, chosen, division
        if time.monotonic() > last:
            return None
        # With more hosts, fewer servers move.
        merged = replace(merged, most_moves=most * chosen.moves // division.moves)
        more = choose(merged, chosen.hosts + 1)
        if more is None:
            return None
        chosen = more


def _quotas(classes: Classes, proposal: Proposal) -> dict[str, list[int]]:
    """Return by host the classes that arrive, the largest first."""
    found: dict[str, list[int]] = {}
    for (number, host), amount in proposal.arrivals.items():
        found.setdefault(host, []).extend([number] * amount)
    for order in found.values():
        order.sort(key=lambda number: demand.size(classes.known[number].guest), reverse=True)
    return found
