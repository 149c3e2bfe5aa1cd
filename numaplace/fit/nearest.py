# SPDX-License-Identifier: Apache-2.0
"""The host cells that lie nearest to each other, among those that together have enough."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import inf
from typing import Generic, NamedTuple, TypeVar

from numaplace.model import HostCell

__all__ = ['Candidate', 'Choice', 'distances', 'nearest']

#: The distance between two cells of a host that reports none: the kernel's default, and less within a socket.
_REMOTE = 20
_SAME_SOCKET = 15

T = TypeVar('T')


def distances(cells: Sequence[HostCell]) -> dict[int, dict[int, int]]:
    """Return the distance between each two host cells by their ids: the sum of both directions, 0 to itself."""
    one_way = {cell.id: dict(cell.shape.distances) for cell in cells}
    sockets = {cell.id: cell.shape.socket for cell in cells}

    def direction(one: int, other: int) -> int:
        near = sockets[one] is not None and sockets[one] == sockets[other]
        return one_way[one].get(other, _SAME_SOCKET if near else _REMOTE)

    return {
        one: {other: direction(one, other) + direction(other, one) if one != other else 0 for other in one_way}
        for one in one_way
    }


class Candidate(NamedTuple):
    """A host cell that may be chosen.

    :param id: the host cell
    :param most: how much of each amount it has, at least 1
    :param as_first: the same if it is the first of those chosen; it cannot be that one without any
    :param labels: not all of those chosen may have the same label, for each position
    :param networks: mask of the networks that it is near to
    :param cost: its own distance
    :param kind: candidates that are alike in all else are not alike if this differs
    """

    id: int
    most: tuple[int, ...]
    as_first: tuple[int, ...]
    labels: tuple[object, ...] = ()
    networks: int = 0
    cost: int = 0
    kind: Hashable = None


@dataclass(frozen=True, slots=True)
class Choice(Generic[T]):
    """What is chosen from, and what the chosen ones need together.

    :param candidates: by id
    :param between: the distance of each pair of candidates
    :param needs: how much of each amount
    :param networks: mask of the networks of which each needs a chosen candidate near to it
    :param accept: returns the answer for the places of a sufficient choice; falsy if it is not accepted
    :param possible: returns False if no choice out of these places can be accepted; None if that is not known
    :param symmetric: `accept` is the same for candidates that are alike
    """

    candidates: Sequence[Candidate]
    between: Sequence[Sequence[int]]
    needs: tuple[int, ...]
    networks: int
    accept: Callable[[tuple[int, ...]], T | None]
    possible: Callable[[tuple[int, ...]], bool] | None = None
    symmetric: bool = True


class _Nearest(NamedTuple, Generic[T]):
    """The best choice: its sum of distances, its ids, and the answer for it."""

    length: int
    ids: tuple[int, ...]
    answer: T


class _State(NamedTuple):
    """A partial choice, the candidates that may still be added, and what each of these adds to the length."""

    chosen: tuple[int, ...]
    left: tuple[int, ...]
    length: int
    totals: tuple[int, ...]
    adds: Sequence[int]


def nearest(choices: Iterable[Choice[T]], number: int) -> T | None:
    """Return the answer for the number of candidates with the smallest sum of distances; ties go by id.

    Branch and bound: a partial choice is dropped if the candidates that are left cannot make it sufficient, or not
    nearer than the best one so far. Of candidates that are alike in all respects, distances included, the first are
    chosen. So there are at most twice as many partial choices as ways to take a number of each kind of candidates: the
    product of (candidates of a kind + 1), which is 2 ** candidates if no two are alike, or if `accept` is not
    symmetric. Each costs candidates x log(candidates). In general the problem is that of the minimum-weight clique,
    which is NP-hard.

    :param choices: the candidates of one of these are chosen
    :returns: the answer of `accept` for the best choice, or None if no choice is accepted
    """
    best: _Nearest[T] | None = None
    for choice in choices:
        # As near as the best one so far is near enough: ids decide.
        found = _nearest(choice, number, best.length + 1 if best else inf)
        if found and (best is None or found[:2] < best[:2]):
            best = found
    return best.answer if best else None


def _nearest(choice: Choice[T], number: int, limit: float) -> _Nearest[T] | None:
    """Return the best choice whose sum of distances is below a limit."""
    bounds, kinds = _Bounds(choice, number), _kinds(choice)
    best: _Nearest[T] | None = None
    adds = [candidate.cost for candidate in choice.candidates]
    waiting = [_State((), tuple(range(len(adds))), 0, (0,) * len(choice.needs), adds)]
    while waiting:
        state = waiting.pop()
        if not bounds.hold(state, limit):
            continue
        if len(state.chosen) < number:
            waiting.extend(_branches(choice, state, kinds))
        elif answer := choice.accept(state.chosen):
            ids = tuple(choice.candidates[place].id for place in state.chosen)
            best, limit = _Nearest(state.length, ids, answer), state.length
    return best


def _branches(choice: Choice[T], state: _State, kinds: Sequence[int]) -> Iterator[_State]:
    """Yield the state without the next candidate and those alike, then the one with it."""
    place, *others = state.left
    candidate = choice.candidates[place]
    alike = state.chosen or candidate.most == candidate.as_first
    without = [other for other in others if not alike or kinds[other] != kinds[place]]
    yield state._replace(left=tuple(without))
    more = candidate.most if state.chosen else candidate.as_first
    if not all(more):
        return
    yield _State(
        (*state.chosen, place),
        tuple(others),
        state.length + state.adds[place],
        tuple(total + amount for total, amount in zip(state.totals, more, strict=True)),
        [before + added for before, added in zip(state.adds, choice.between[place], strict=True)],
    )


def _kinds(choice: Choice[T]) -> list[int]:
    """Return for each candidate the place of the first one that is like it."""
    kinds: list[int] = []
    for place, candidate in enumerate(choice.candidates):
        firsts = dict.fromkeys(kinds) if choice.symmetric else ()
        alike = (first for first in firsts if choice.candidates[first][1:] == candidate[1:])
        kinds.append(next((first for first in alike if _alike(choice.between, first, place)), place))
    return kinds


def _alike(between: Sequence[Sequence[int]], one: int, other: int) -> bool:
    """Return whether two candidates have equal distances to each of the others."""
    row = list(between[other])
    row[one], row[other] = row[other], row[one]
    return row == list(between[one])


class _Bounds(Generic[T]):
    """Whether a partial choice can still become the best one."""

    def __init__(self, choice: Choice[T], number: int) -> None:
        self._choice, self._number = choice, number
        self._amounts = list(zip(*(candidate.most for candidate in choice.candidates), strict=True))
        self._labels = list(zip(*(candidate.labels for candidate in choice.candidates), strict=True))
        # For each candidate the sums of its smallest distances to others, of none to all of them.
        self._sums = [
            list(accumulate(sorted(row[:place] + row[place + 1 :]), initial=0))
            for place, row in enumerate(map(list, choice.between))
        ]

    def hold(self, state: _State, limit: float) -> bool:
        """Return whether the candidates that are left may suffice, with a sum of distances below a limit."""
        missing = self._number - len(state.chosen)
        return (
            len(state.left) >= missing
            and 2 * state.length + self._least(state, missing) < 2 * limit
            and self._suffice(state, missing)
            and self._reach(state, missing)
        )

    def _least(self, state: _State, missing: int) -> int:
        """Return a lower bound of twice what is added to the length: each pair counts once from both its ends."""
        if not missing:
            return 0
        adds, sums, among = state.adds, self._sums, missing - 1
        return sum(sorted([2 * adds[place] + sums[place][among] for place in state.left])[:missing])

    def _suffice(self, state: _State, missing: int) -> bool:
        for amounts, total, needed in zip(self._amounts, state.totals, self._choice.needs, strict=True):
            if total < needed:
                largest = sorted([amounts[place] for place in state.left], reverse=True)[:missing]
                if total + sum(largest) < needed:
                    return False
        return True

    def _reach(self, state: _State, missing: int) -> bool:
        """Return whether labels can differ, each network can be near, and the choice is possible."""
        choice, places = self._choice, state.chosen + state.left if missing else state.chosen
        if any(len({labels[place] for place in places}) == 1 for labels in self._labels):
            return False
        if choice.networks and self._networks(state) > missing:
            return False
        return choice.possible is None or choice.possible(places)

    def _networks(self, state: _State) -> int:
        """Return a lower bound of the candidates that the networks need: some that no two have in common."""
        candidates, lacking = self._choice.candidates, self._choice.networks
        for place in state.chosen:
            lacking &= ~candidates[place].networks
        needed = 0
        while lacking:
            network = lacking & -lacking
            needed += 1
            lacking ^= network
            near = 0
            for place in state.left:
                if candidates[place].networks & network:
                    near |= candidates[place].networks
            if not near:
                return len(candidates) + 1
            lacking &= ~near
        return needed
