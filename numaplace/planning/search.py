# SPDX-License-Identifier: Apache-2.0
"""Ask the solver, confirm each host by the exact fit, exclude what is not possible, and ask again."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from numaplace.explain import HostRefusal
from numaplace.fleet.plan import Step
from numaplace.planning.carrying import Course, carry, order_at
from numaplace.planning.classes import Classes, Question
from numaplace.planning.solver import Cut, Proposal, check_installed, solve
from numaplace.planning.state import State

__all__ = ['Outcome', 'search']

#: The share of the time that is left which the solver may take at once.
_SHARE = 0.5
#: Seconds of a search at least, once the solver is there.
_LEAST = 0.5


@dataclass(frozen=True, slots=True)
class Outcome:
    """Moves that were found, and the state after them.

    :param reached: how much of the goal, as of :class:`~numaplace.planning.solver.Proposal`
    :param best: a bound of that; None if it is not known
    :param fewest: a bound of the moves
    """

    steps: tuple[Step, ...]
    state: State
    reached: int
    best: int | None
    fewest: int


@dataclass(slots=True)
class _Bounds:
    """What is proven while all that was excluded is surely impossible: `fewest` moves are to what was `reached`."""

    best: int | None = None
    fewest: int = 0
    reached: int | None = None
    is_sound: bool = True

    def learn(self, proposal: Proposal) -> None:
        """Remember the bounds of a proposal."""
        if self.is_sound:
            self.best = proposal.best if self.best is None else max(self.best, proposal.best)
            self.fewest, self.reached = proposal.fewest, proposal.reached


def search(
    classes: Classes, question: Question, seconds: float, new: tuple[str, ...] = ()
) -> tuple[Outcome | None, int | None]:
    """Return the moves to the best that is found in time, and a bound of the goal.

    :param seconds: in which to look, with the start of the solver, which alone may take longer
    :param new: UUIDs of new guests that need room afterwards, of the wanted class
    """
    end = time.monotonic() + seconds
    check_installed()  # which takes its time
    bounds, left = _Bounds(), max(_LEAST, end - time.monotonic())
    while left > 0:
        start, limit = time.monotonic(), left * _SHARE
        proposal = solve(question.problem, limit)
        beyond = max(0.0, time.monotonic() - start - limit)  # what makes the problem, and reads the answer
        if proposal is None:
            break
        bounds.learn(proposal)
        orders, cuts = _check(classes, question, proposal, new, bounds)
        if not cuts:
            steps, state = _carried(classes, question, proposal, orders)
            if steps is not None and _place_new(classes, state, question, proposal, new):
                fewest = bounds.fewest if proposal.reached == bounds.reached else 0
                return Outcome(tuple(steps), state, proposal.reached, bounds.best, fewest), bounds.best
            cuts = [Cut(proposal.arrivals, proposal.departures, exact=True)]
            bounds.is_sound = False
        question.problem.cuts += cuts
        left = end - time.monotonic() - beyond
    return None, bounds.best


def _check(
    classes: Classes, question: Question, proposal: Proposal, new: tuple[str, ...], bounds: _Bounds
) -> tuple[dict[str, list[int]], list[Cut]]:
    """Return by host the order of arrivals, and what is not possible where there is none."""
    wanted = question.problem.wanted
    pool = question.leaving(proposal.departures)
    if wanted is not None:
        pool[wanted[0]] = list(new)
    arriving: dict[str, dict[int, int]] = {}
    for (number, host), amount in proposal.arrivals.items():
        arriving.setdefault(host, {})[number] = amount
    orders, cuts = dict[str, list[int]](), list[Cut]()
    for host, amounts in sorted(arriving.items()):
        left = {
            stack: amount
            for stack, amount in proposal.departures.items()
            if question.problem.stacks[stack].host == host
        }
        leaving = [uuid for stack, amount in left.items() for uuid in question.members[stack][:amount]]
        news = [wanted[0]] * amounts.get(wanted[0], 0) if wanted else []
        arrivals = [
            number for number, amount in amounts.items() if not wanted or number != wanted[0] for _ in range(amount)
        ]
        order, is_complete = order_at(classes, host, arrivals, leaving, pool=pool, last=news)
        if order is None:
            cuts.append(Cut({(number, host): amount for number, amount in amounts.items()}, left))
            bounds.is_sound = bounds.is_sound and is_complete
        else:
            orders[host] = order
    return orders, cuts


def _carried(
    classes: Classes, question: Question, proposal: Proposal, orders: dict[str, list[int]]
) -> tuple[list[Step] | None, State]:
    state = replace(classes.state.copy())
    course = Course(question.leaving(proposal.departures), {host: list(order) for host, order in orders.items()})
    return (course.steps if carry(classes, state, course) else None), state


def _place_new(classes: Classes, state: State, question: Question, proposal: Proposal, new: tuple[str, ...]) -> bool:
    """Place the new guests where the proposal has them; return whether all fit."""
    if question.problem.wanted is None:
        return True
    waiting = list(new)
    for (number, host), amount in proposal.arrivals.items():
        for _ in range(amount if number == question.problem.wanted[0] else 0):
            uuid = waiting.pop()
            answer = state.offer(uuid, classes.known[number].kinds, host)
            if isinstance(answer, HostRefusal):
                return False
            state.claim(uuid, answer[0], host, answer[1])
    return True
