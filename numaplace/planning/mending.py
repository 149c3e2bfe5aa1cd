# SPDX-License-Identifier: Apache-2.0
"""Find places for the last servers where few hosts have to do, by swaps between two cells at a time.

Each cell has little left then. One of them, the hub, swaps servers with others so that its room grows, until a server
without a place fits there. A spot is a cell, or a host as a whole; servers that float may leave any spot of their host.
"""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from numaplace.planning.demand import Slot
from numaplace.planning.solver import Cells

__all__ = ['HostNumbers', 'Number', 'Spots', 'mend']

#: So many spots grow for a server before it stays without a place; more where there are few spots, up to so many looks.
_HUBS, _LOOKS = 8, 2_000
#: So many spots are looked at for a swap.
_MOST_SPOTS = 400
#: So many pairs may leave a hub, and so many swaps are looked at.
_MOST_PAIRS, _MOST_SWAPS = 2_000, 2_000_000
#: Which part of a server's needs one move is worth.
_PRICE = 0.1
#: What is no gain, as a float.
_ROUNDING = 1e-6

_Amounts: TypeAlias = npt.NDArray[np.float64]
_Integers: TypeAlias = npt.NDArray[np.int64]
#: Classes that leave a hub, another spot, and classes that come from there.
_Change: TypeAlias = tuple[tuple[int, ...], int, tuple[int, ...]]


@dataclass(slots=True)
class Number:
    """How many servers of a class arrive at a host, or leave it.

    :param takes: how much of each slot of the host one more takes: less than nothing where servers leave
    :param cells: the host cells at which servers arrive
    """

    kind: int
    is_arrival: bool
    value: int
    most: int
    takes: dict[Slot, int]
    cells: Cells = ()


@dataclass(slots=True)
class HostNumbers:
    """The numbers of a host, and what it has left by slot."""

    numbers: list[Number]
    free: dict[Slot, int]

    def change(self, number: Number, more: int) -> None:
        """Add to a number."""
        number.value += more
        for slot, amount in number.takes.items():
            self.free[slot] -= amount * more


def mend(
    spots: Spots, homeless: Counter[int], weights: Sequence[float], until: float, most_moves: float = math.inf
) -> bool:
    """Change numbers so that all servers have a place, and then so that fewer move; return whether all have a place.

    :param spots: whose numbers change
    :param homeless: how many servers of each class have none; those that get one are subtracted
    :param most_moves: with more moves, no further servers get a place
    :param weights: sizes of servers by class
    :param until: when to end, in seconds of the monotonic clock
    """
    before = homeless.total() + 1
    while +homeless and homeless.total() < before and time.monotonic() < until:
        before = homeless.total()
        for kind in sorted(+homeless, key=lambda kind: -weights[kind]):
            if spots.moves <= most_moves:
                _place(spots, homeless, kind, until)
    is_better = not +homeless
    while is_better:
        is_better = False
        for spot in range(len(spots.may)):
            while time.monotonic() < until and (change := _best(spots, spot, None)):
                spots.swap(spot, *change)
                is_better = True
    return not +homeless


def _place(spots: Spots, homeless: Counter[int], kind: int, until: float) -> None:
    """Let servers of a class arrive where the most of the room is."""
    ways, tried = spots.ways(kind), list[int]()
    most = min(max(_HUBS, _LOOKS // max(1, len(spots.may))), len(ways))
    while homeless[kind] and len(tried) < most and time.monotonic() < until:
        near = spots.nearness(kind)
        near[tried] = -math.inf
        row = int(near.argmax())
        if ways[row].arrive(spots, until):
            homeless[kind] -= 1
        else:
            tried.append(row)


@dataclass(slots=True)
class _Way:
    """How a server of a class arrives: at a spot, or at several cells of a host.

    :param parts: what it takes of each spot
    """

    place: HostNumbers
    number: Number
    parts: dict[int, _Amounts]

    def arrive(self, spots: Spots, until: float) -> bool:
        """Let spots grow until a server arrives; return whether one does."""
        grown = list[int]()
        for spot, need in sorted(self.parts.items(), key=lambda part: _nearness(spots.free[part[0]], part[1])):
            if not _grow(spots, spot, need, until):
                break
            spots.free[spot] -= need
            grown.append(spot)
        for spot in grown:
            spots.free[spot] += self.parts[spot]
        if len(grown) < len(self.parts):
            return False
        spots.arrive(self)
        return True


def _nearness(free: _Amounts, need: _Amounts) -> float:
    wanted = need > 0
    return float(np.minimum(1.0, free[wanted] / need[wanted]).sum())


@dataclass(frozen=True, slots=True)
class _Leaving:
    """What may leave spots.

    :param pairs: classes of two servers
    :param costs: how many moves each costs
    """

    spots: _Integers
    pairs: _Integers
    costs: _Amounts

    def only(self, rows: npt.NDArray[np.bool_]) -> _Leaving:
        """Return some of them."""
        return _Leaving(self.spots[rows], self.pairs[rows], self.costs[rows])

    def drawn(self, most: int, dice: random.Random) -> _Leaving:
        """Return as many of them as may be looked at."""
        if len(self.pairs) <= most:
            return self
        rows = np.zeros(len(self.pairs), bool)
        rows[dice.sample(range(len(rows)), most)] = True
        return self.only(rows)


class Spots:
    """What spots have left, and how many servers that fit one by itself are there, in arrays by spot and class.

    Classes have one more row, of no server. What a host has left as a whole is in further columns, the same for all of
    its spots; and so are servers that float, which leave any spot of their host.

    :param kinds: number of classes
    :param names: of resources that a cell has (False), or a host as a whole (True)
    """

    def __init__(self, kinds: int, names: Iterable[tuple[bool, str]]) -> None:
        columns = sorted(set(names))
        self.none = kinds
        self._columns = {name: column for column, name in enumerate(columns)}
        self._cells = len([name for name in columns if not name[0]])
        self.free: _Amounts = np.zeros((0, len(columns)))
        self.needs: _Amounts = np.zeros((kinds + 1, len(columns)))
        #: How many have arrived, could leave, and have left.
        self.arrived, self.stay, self.gone = (np.zeros((0, kinds + 1), int) for _ in range(3))
        self.moves = 0
        self.may, self.floats = np.zeros((0, kinds + 1), bool), np.zeros(kinds + 1, bool)
        self.dice = random.Random(1)  # noqa: S311 - which spots are looked at
        self._hosts = np.zeros(0, int)
        self._numbers: dict[int, list[tuple[dict[int | None, int], HostNumbers, Number]]] = {}
        self._ways: dict[int, list[_Way]] = {}
        self._arrivals: dict[tuple[int, int], _Way] = {}
        self._departures: dict[tuple[int, int], list[_Way]] = {}
        #: At which spots arrivals, and departures, of a class at a spot count.
        self._coming: dict[tuple[int, int], list[int]] = {}
        self._going: dict[tuple[int, int], list[int]] = {}
        self._there = list[list[int]]()
        self._pairs = list[_Integers]()

    def add(self, *places: HostNumbers) -> None:
        """Add the spots of hosts."""
        spots, first = [list(dict.fromkeys(cell for cell, _name in place.free)) for place in places], len(self.may)
        self._extend(sum(map(len, spots)))
        for place, cells in zip(places, spots, strict=True):
            self._insert(place, {cell: first + row for row, cell in enumerate(cells)})
            first += len(cells)
        self._ways.clear()

    def _extend(self, more: int) -> None:
        """Make the arrays longer by so many spots."""
        self.free = np.vstack([self.free, np.full((more, len(self._columns)), np.inf)])
        self.arrived, self.stay, self.gone, self.may = (
            np.vstack([known, np.zeros((more, self.none + 1), known.dtype)])
            for known in (self.arrived, self.stay, self.gone, self.may)
        )
        self.may[:, self.none] = True

    def _insert(self, place: HostNumbers, rows: dict[int | None, int]) -> None:
        """Fill the spots of a host.

        :param rows: its spots by cell
        """
        there = list(rows.values())
        self._hosts = np.append(self._hosts, np.full(len(there), len(self._there)))
        self._there += [there] * len(there)
        for (cell, name), amount in place.free.items():
            self.free[there if cell is None else rows[cell], self._columns[cell is None, name]] = amount
        for number in place.numbers:
            if number.is_arrival:
                self.moves += number.value
                self._numbers.setdefault(number.kind, []).append((rows, place, number))
            # What left cells that there are no longer gives nothing, and does not take part.
            if number.takes and len({cell for cell, _name in number.takes} - {None}) < 2:
                self._add(_Way(place, number, self._parts(rows, number)))
        self._pairs += [self._paired(spot) for spot in there]

    def ways(self, kind: int) -> list[_Way]:
        """Return all ways in which a server of a class may arrive."""
        if kind not in self._ways:
            known = self._numbers.get(kind, ())
            self._ways[kind] = [_Way(place, number, self._parts(rows, number)) for rows, place, number in known]
        return self._ways[kind]

    def nearness(self, kind: int) -> _Amounts:
        """Return by way how near it is to having room: 1 at most for each slot."""
        ways = self.ways(kind)
        spots = np.array([spot for way in ways for spot in way.parts], int)
        needs = np.array([need for way in ways for need in way.parts.values()])
        owners = np.repeat(np.arange(len(ways)), [len(way.parts) for way in ways])
        parts = np.where(needs > 0, np.minimum(1.0, self.free[spots] / np.where(needs > 0, needs, 1)), 0).sum(axis=1)
        found: _Amounts = np.bincount(owners, parts, len(ways)).astype(float)
        return found

    def _parts(self, rows: dict[int | None, int], number: Number) -> dict[int, _Amounts]:
        found = dict[int, _Amounts]()
        first = min([cell for cell, _name in number.takes if cell is not None], default=None)
        for (cell, name), amount in number.takes.items():
            spot = rows[first if cell is None else cell]
            if spot not in found:
                found[spot] = np.zeros(len(self._columns))
            found[spot][self._columns[cell is None, name]] = amount
        return found

    def _add(self, way: _Way) -> None:
        number = way.number
        ((first, takes),) = way.parts.items()
        is_whole = not takes[: self._cells].any()
        self.floats[number.kind] |= is_whole
        spots = self._there[first] if is_whole else [first]
        for spot in spots:
            key = spot, number.kind
            if number.is_arrival:
                self._coming[key] = spots
                self._arrivals[key] = way
                self.may[key] = True
                self.arrived[key] = number.value
                self.needs[number.kind] = np.maximum(self.needs[number.kind], takes)
            else:
                self._going[key] = spots
                self._departures.setdefault(key, []).append(way)
                self.stay[key] += number.most - number.value
                self.gone[key] += number.value

    def arrive(self, way: _Way) -> None:
        """Let one more server arrive."""
        if len(way.parts) == 1:
            self._enter(next(iter(way.parts)), way.number.kind)
        else:
            self._change(way, 1)
        self._pair(*way.parts)

    def swap(self, hub: int, out: Iterable[int], other: int, back: Iterable[int]) -> None:
        """Let servers change places."""
        for kind in out:
            self._leave(hub, kind)
        for kind in back:
            self._leave(other, kind)
        for kind in out:
            self._enter(other, kind)
        for kind in back:
            self._enter(hub, kind)
        self._pair(hub, other)

    def _pair(self, *changed: int) -> None:
        """Say again what may leave spots that have changed."""
        for hub in changed:
            for spot in self._there[hub] if self.floats.any() else [hub]:
                self._pairs[spot] = self._paired(spot)

    def _enter(self, spot: int, kind: int) -> None:
        """Let one more arrive, or one less leave."""
        key = spot, kind
        if self.gone[key]:
            self._change(next(way for way in self._departures[key] if way.number.value), -1)
            self.gone[self._going[key], kind] -= 1
            self.stay[self._going[key], kind] += 1
        elif kind != self.none:
            self._change(self._arrivals[key], 1)
            self.arrived[self._coming[key], kind] += 1

    def _leave(self, spot: int, kind: int) -> None:
        """Let one less arrive, or one more leave."""
        key = spot, kind
        if self.arrived[key]:
            self._change(self._arrivals[key], -1)
            self.arrived[self._coming[key], kind] -= 1
        elif kind != self.none:
            self._change(next(way for way in self._departures[key] if way.number.value < way.number.most), 1)
            self.gone[self._going[key], kind] += 1
            self.stay[self._going[key], kind] -= 1

    def _change(self, way: _Way, more: int) -> None:
        way.place.change(way.number, more)
        self.moves += more * way.number.is_arrival
        for spot, amounts in way.parts.items():
            self.free[spot, : self._cells] -= more * amounts[: self._cells]
            self.free[self._there[spot], self._cells :] -= more * amounts[self._cells :]

    def _paired(self, spot: int) -> _Integers:
        """Return what may leave a spot: no server, each by itself, and each two."""
        total = self.arrived[spot] + self.stay[spot]
        there = np.append(np.flatnonzero(total[:-1]), self.none)
        one, two = np.triu_indices(len(there))
        pairs: _Integers = np.column_stack([there[one], there[two]])
        found: _Integers = pairs[(pairs[:, 0] != pairs[:, 1]) | (total[pairs[:, 0]] > 1) | (pairs[:, 0] == self.none)]
        return found

    def leaving(self, spot: int) -> _Leaving:
        """Return what may leave a spot."""
        pairs = self._pairs[spot]
        spots = np.full(len(pairs), spot)
        return _Leaving(spots, pairs, self._stays(spots, pairs))

    def others(self, hub: int) -> _Leaving:
        """Return what may leave all other spots for a hub."""
        chosen = self.dice.sample(range(len(self._pairs)), min(_MOST_SPOTS, len(self._pairs)))
        known = [(spot, self._pairs[spot]) for spot in chosen if spot != hub]
        spots = np.repeat([spot for spot, _pairs in known], [len(pairs) for _spot, pairs in known])
        pairs = np.concatenate([pairs for _spot, pairs in known])
        return _Leaving(spots, pairs, self._stays(spots, pairs) - self.returns(hub, pairs)).only(
            self.may[hub, pairs[:, 0]] & self.may[hub, pairs[:, 1]]
        )

    def are_together(self, hub: int, spots: _Integers) -> npt.NDArray[np.bool_]:
        """Return which spots are of the same host as a hub: between them servers that float do not move."""
        found: npt.NDArray[np.bool_] = self._hosts[spots] == self._hosts[hub]
        return found

    def _stays(self, spots: _Integers, pairs: _Integers) -> _Amounts:
        """Return how many of those that leave have not arrived."""
        one, two = pairs.T
        again = one == two
        first = (self.arrived[spots, one] < 1) & (one != self.none)
        second = (self.arrived[spots, two] < 1 + again) & (two != self.none)
        found: _Amounts = first.astype(float) + second
        return found

    def returns(self, spots: int | _Integers, pairs: _Integers) -> _Amounts:
        """Return how many of those that arrive return."""
        one, two = pairs[..., 0], pairs[..., 1]
        found: _Amounts = (self.gone[spots, one] > 0).astype(float) + (self.gone[spots, two] > (one == two))
        return found


def _grow(spots: Spots, hub: int, need: _Amounts, until: float) -> bool:
    """Swap servers until a spot has room; return whether it has."""
    while (spots.free[hub] < need).any():
        change = _best(spots, hub, need) if time.monotonic() < until else None
        if change is None:
            return False
        spots.swap(hub, *change)
    return True


def _best(spots: Spots, hub: int, need: _Amounts | None) -> _Change | None:
    """Return the swap after which a spot is nearest to having room; without a need, the one that saves most moves."""
    if len(spots.may) == 1:
        return None
    outs, backs = spots.leaving(hub), spots.others(hub)
    if need is None:
        backs = backs.only(spots.returns(hub, backs.pairs) > 0)
    found: tuple[float, _Change | None] = (-math.inf, None)
    are_single = outs.pairs[:, 1] == spots.none, backs.pairs[:, 1] == spots.none
    for some, few in ((outs, backs.only(are_single[1])), (outs.only(are_single[0]), backs.only(~are_single[1]))):
        some = some.drawn(_MOST_PAIRS, spots.dice)
        if len(some.pairs) and len(few.pairs):
            few = few.drawn(_MOST_SWAPS // len(some.pairs), spots.dice)
            values = _values(spots, hub, need, some, few)
            row, column = divmod(int(values.argmax()), values.shape[1])
            if values[row, column] > found[0]:
                change = tuple(some.pairs[row].tolist()), int(few.spots[column]), tuple(few.pairs[column].tolist())
                found = values[row, column], change
    return found[1]


def _values(spots: Spots, hub: int, need: _Amounts | None, some: _Leaving, few: _Leaving) -> _Amounts:
    """Return how good each swap is, of what leaves the hub and what leaves another spot for it."""
    shape = len(some.pairs), len(few.pairs)
    costs = some.costs[:, None] + few.costs - spots.returns(few.spots, some.pairs[:, None, :])
    good, near = np.ones(shape, bool), np.zeros(shape)
    for one in some.pairs.T:
        good &= spots.may[few.spots, one[:, None]]
    floats = np.any(spots.floats[some.pairs], axis=1, keepdims=True) | np.any(spots.floats[few.pairs], axis=1)
    good &= ~(floats & spots.are_together(hub, few.spots))
    for column in range(spots.needs.shape[1]):
        more = spots.needs[some.pairs, column].sum(axis=1)[:, None] - spots.needs[few.pairs, column].sum(axis=1)
        after = spots.free[hub, column] + more
        good &= (more <= spots.free[few.spots, column]) & (after >= 0)
        if need is not None and need[column] > 0:
            near += np.minimum(1.0, after / need[column])
    if need is None:
        return np.where(good & (costs < 0), -costs, -math.inf)
    gain = near - _nearness(spots.free[hub], need)
    return np.where(good & (gain > _ROUNDING), gain - _PRICE * costs, -math.inf)
