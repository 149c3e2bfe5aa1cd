# SPDX-License-Identifier: Apache-2.0
"""Supplies for requests: an exact joint choice, also where one half of a card may be given or the other, never both.

All of it is numbers: requests are bits of a mask, and what a supply is made of does not matter.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeAlias

from numaplace import cpuset

__all__ = ['Allocation', 'Card', 'Choice', 'Supply', 'allocate', 'choose', 'violator']

#: After so many steps a choice that is good enough is not improved further.
_MOST_STEPS = 500

#: How much of a supply each request takes, by its number; requests that take nothing may be missing.
Allocation: TypeAlias = dict[int, int]

#: Costs in the order of their importance: devices on other host cells, on unknown ones, and broken cards.
_Cost: TypeAlias = tuple[int, int, int]


class Supply(NamedTuple):
    """Some devices that are alike.

    :param takers: mask of the requests that may have them
    :param distance: 0, 1 or 2; the fewest of distance 2 are taken, and then the fewest of distance 1
    """

    amount: int
    takers: int
    distance: int = 0


class Card(NamedTuple):
    """Devices of which either the whole is given, or parts.

    :param whole: one device
    :param parts: at least one
    """

    whole: Supply
    parts: tuple[Supply, ...]


class Choice(NamedTuple):
    """Who takes what.

    :param supplies: an allocation of each supply
    :param cards: for each kind of cards how many of them are split, the allocation of wholes, and those of the parts
    """

    supplies: list[Allocation]
    cards: list[tuple[int, Allocation, list[Allocation]]]


class _Part(NamedTuple):
    """A supply as the flow sees it."""

    amount: int
    takers: int
    cost: _Cost


def allocate(wanted: Sequence[int], parts: Sequence[tuple[int, int]]) -> list[Allocation] | None:
    """Return an allocation of each part, or None if they do not suffice; the first parts are used as far as possible.

    What is used of the parts is the basis of a matroid, so if they are ordered by any cost, it costs the least. Each
    part is augmented at most requests x parts times, in requests x parts steps; as a rule once for each request.

    :param wanted: how much each request takes
    :param parts: amount, and mask of the requests that may have it
    """
    found, left = _flow(wanted, parts)
    return None if any(left) else found


def _flow(wanted: Sequence[int], parts: Sequence[tuple[int, int]]) -> tuple[list[Allocation], list[int]]:
    """Return the allocation that meets the most, and how much each request still lacks."""
    left = list(wanted)
    found: list[Allocation] = [{} for _ in parts]
    lacking = sum(1 << request for request, amount in enumerate(left) if amount)
    for (amount, takers), own in zip(parts, found, strict=True):
        while amount and lacking and (path := _path(takers, lacking, parts, found)):
            first, last = path[0][0], path[-1][0]
            pushed = min(amount, left[last], *(found[part][request] for request, part in path[:-1]))
            own[first] = own.get(first, 0) + pushed
            for (request, part), (successor, _) in pairwise(path):
                found[part][request] -= pushed
                found[part][successor] = found[part].get(successor, 0) + pushed
            amount -= pushed
            left[last] -= pushed
            if not left[last]:
                lacking &= ~(1 << last)
    return found, left


def _path(
    takers: int, lacking: int, parts: Sequence[tuple[int, int]], found: Sequence[Allocation]
) -> list[tuple[int, int]] | None:
    """Return how a part reaches a request that lacks something: pairs of a request and the part that it gives away."""
    if direct := takers & lacking:
        return [((direct & -direct).bit_length() - 1, -1)]
    waiting: list[list[tuple[int, int]]] = [[(request, -1)] for request in cpuset.ids(takers)]
    seen = takers
    for path in waiting:
        request = path[-1][0]
        for part, taken in enumerate(found):
            if not taken.get(request):
                continue
            begun = [*path[:-1], (request, part)]
            if direct := parts[part][1] & lacking:
                return [*begun, ((direct & -direct).bit_length() - 1, -1)]
            for successor in cpuset.ids(parts[part][1] & ~seen):
                seen |= 1 << successor
                waiting.append([*begun, (successor, -1)])
    return None


def violator(wanted: Sequence[int], parts: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    """Return requests that compete for too little, or None if all can be met.

    :returns: mask of the requests, and how much there is for them together
    """
    found, left = _flow(wanted, parts)
    competing = next((1 << request for request, amount in enumerate(left) if amount), 0)
    if not competing:
        return None
    while True:
        grown = competing
        for (_, takers), own in zip(parts, found, strict=True):
            if takers & competing:
                grown |= sum(1 << request for request, amount in own.items() if amount)
        if grown == competing:
            return competing, sum(amount for amount, takers in parts if takers & competing)
        competing = grown


def choose(
    wanted: Sequence[int], supplies: Sequence[Supply], cards: Sequence[tuple[Card, int]], *, best: bool = True
) -> Choice | None:
    """Return a choice that meets all requests, or None if there is none.

    Branch and bound over how many cards of each kind are split. Each step is one :func:`allocate` of a relaxation that
    lets a card be both; without cards of which it gives both, the first step is the answer. It is exponential in the
    number of kinds of cards of which it gives both, at worst: few, as cards of one kind are alike to all requests.

    :param cards: kinds of cards, each with the number of cards
    :param best: with the least distances and, of these, the fewest cards split, as far as that is found in 500 steps;
        otherwise any
    """
    problem = _Problem(wanted, supplies, cards)
    waiting = [found] if (found := problem.relax([(0, number) for _, number in cards])) else []
    incumbent: tuple[_Cost, Choice] | None = None
    while waiting:
        node = heapq.heappop(waiting)
        if incumbent is not None and (incumbent[0] <= node.bound or problem.steps > _MOST_STEPS):
            break
        kind, limit, valid = problem.branch(node)
        if valid:
            cost = problem.cost(node)
            if not best or cost <= node.bound:
                return node.choice
            if incumbent is None or cost < incumbent[0]:
                incumbent = cost, node.choice
        low, high = node.splits[kind]
        for interval in ((low, limit), (limit + 1, high)):
            splits = [*node.splits[:kind], interval, *node.splits[kind + 1 :]]
            if interval[0] <= interval[1] and (found := problem.relax(splits)):
                heapq.heappush(waiting, found)
    return incumbent[1] if incumbent else None


class _Node(NamedTuple):
    """The answer of a relaxation.

    :param bound: no choice within it costs less
    :param step: tells nodes of equal bounds apart
    :param splits: for each kind of cards the fewest and the most that are split
    """

    bound: _Cost
    step: int
    splits: list[tuple[int, int]]
    choice: Choice


class _Problem:
    """The relaxations of a choice.

    The cost of a split card is spread over its parts, so that the flow sees it, in units of a common multiple.
    """

    def __init__(self, wanted: Sequence[int], supplies: Sequence[Supply], cards: Sequence[tuple[Card, int]]) -> None:
        self._wanted = wanted
        self._supplies = supplies
        self._cards = cards
        self.steps = 0
        self._unit = math.lcm(*(part.amount * len(card.parts) for card, _ in cards for part in card.parts))

    def _parts(self, splits: Sequence[tuple[int, int]]) -> Iterator[_Part]:
        """Yield each supply, then for each kind of cards the wholes and the parts, of cards split anyway first."""
        for amount, takers, distance in self._supplies:
            yield _Part(amount, takers, _cost(distance))
        for (card, number), (least, most) in zip(self._cards, splits, strict=True):
            yield _Part(number - least, card.whole.takers, _cost(card.whole.distance))
            for amount, takers, distance in card.parts:
                share = self._unit // (amount * len(card.parts))
                yield _Part(amount * least, takers, _cost(distance))
                yield _Part(amount * (most - least), takers, _cost(distance, share))

    def relax(self, splits: list[tuple[int, int]]) -> _Node | None:
        """Return what is cheapest if a card may be given whole and in parts."""
        self.steps += 1
        parts = list(self._parts(splits))
        order = sorted(range(len(parts)), key=lambda part: parts[part].cost)
        flow = allocate(self._wanted, [parts[part][:2] for part in order])
        if flow is None:
            return None
        taken: list[Allocation] = [{}] * len(parts)
        bound = [0, 0, self._unit * sum(least for least, _ in splits)]
        for part, allocation in zip(order, flow, strict=True):
            taken[part] = allocation
            amount = sum(allocation.values())
            bound = [total + amount * cost for total, cost in zip(bound, parts[part].cost, strict=True)]
        return _Node((bound[0], bound[1], bound[2]), self.steps, splits, self._gather(taken))

    def _gather(self, taken: list[Allocation]) -> Choice:
        known = iter(taken)
        supplies = [next(known) for _ in self._supplies]
        cards = []
        for card, _ in self._cards:
            whole = next(known)
            parts = [_sum(next(known), next(known)) for _ in card.parts]
            split = max(-(-sum(used.values()) // part.amount) for part, used in zip(card.parts, parts, strict=True))
            cards.append((split, whole, parts))
        return Choice(supplies, cards)

    def branch(self, node: _Node) -> tuple[int, int, bool]:
        """Return a kind of cards to divide the choices by, and how many are split at most in the first half.

        Also returned is whether the choice is valid. If not, the kind is one of which a card is given whole and in
        parts, otherwise the one of which most cards are split beyond the bound.
        """
        gaps = []
        for kind, ((_, number), (split, whole, _parts)) in enumerate(zip(self._cards, node.choice.cards, strict=True)):
            least, wholes = node.splits[kind][0], sum(whole.values())
            if max(split, least) + wholes > number:
                return kind, number - wholes, False
            gaps.append((split - least, -kind, split - 1))
        _, kind, limit = max(gaps, default=(0, 0, 0))
        return -kind, limit, True

    def cost(self, node: _Node) -> _Cost:
        """Return the cost of a valid choice."""
        return node.bound[0], node.bound[1], self._unit * sum(split for split, _, _ in node.choice.cards)


def _cost(distance: int, share: int = 0) -> _Cost:
    return int(distance == 2), int(distance == 1), share


def _sum(one: Allocation, other: Allocation) -> Allocation:
    return {request: one.get(request, 0) + other.get(request, 0) for request in one | other}
