# SPDX-License-Identifier: Apache-2.0
"""Replay arrivals and departures over imagined hosts: the fit, the strategies and the weighers are the real ones.

Answers of hosts are kept by kind of guest, and only hosts that changed are asked again. All CPUs of a cell are alike,
so hosts with as many free CPUs and as much free memory in each cell give one answer: it is asked for once.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from math import inf
from typing import Any, Final, TypeAlias

import numpy as np

from numaplace import fit
from numaplace.db.records import InstanceRequest
from numaplace.fit.usefulness import ANY, Mix
from numaplace.fleet.traces import Event, Kind
from numaplace.model import CellShape, Flavor, Guest, GuestCell, Host, HostCell, Placement
from numaplace.model.records import HostRecord
from numaplace.scheduler.filters import Request
from numaplace.scheduler.lasting import Ages
from numaplace.scheduler.weights import Weigher
from numaplace.scheduler.weights.base import scaled
from numaplace.scheduler.weights.cpu import CPUWeigher
from numaplace.scheduler.weights.numa_preserve import NUMAPreserveWeigher
from numaplace.scheduler.weights.ram import RAMWeigher

__all__ = ['POLICIES', 'Outcome', 'Sample', 'Way', 'hosts', 'lasting', 'preserve', 'replay']

#: Free CPUs and MiB of each cell.
_State: TypeAlias = tuple[tuple[int, int], ...]

_HOUR_S = 3600
_SAMPLES = 100


@dataclass(frozen=True, slots=True)
class Way:
    """How hosts and host cells are chosen.

    :param weighers: with their multipliers
    :param ahead_s: if not None, hosts come first that will be in use then anyway, and the weighers decide between equal
        ones
    """

    strategy: fit.Strategy
    weighers: tuple[tuple[Weigher, float], ...]
    ahead_s: float | None = None


def preserve(mix: Mix) -> Way:
    """Return the strategy and the weigher that keep hosts useful for the guests of a mix."""
    return Way(fit.preserve(mix), ((NUMAPreserveWeigher(mix), 1.0),))


def lasting(ahead_s: float) -> Way:
    """Return best fit among the hosts that will be in use anyway after so many seconds."""
    return Way(fit.PACK, ((CPUWeigher(), -1.0),), ahead_s)


POLICIES: Final[Mapping[str, Way]] = {
    'nova': Way(fit.SPREAD, ((RAMWeigher(), 1.0), (CPUWeigher(), 1.0))),
    'closest': Way(fit.CLOSEST, ((RAMWeigher(), 1.0), (CPUWeigher(), 1.0))),
    'pack': Way(fit.PACK, ((RAMWeigher(), -1.0), (CPUWeigher(), -1.0))),
    'best-fit': Way(fit.PACK, ((CPUWeigher(), -1.0),)),
    'lasting': lasting(12 * _HOUR_S),
    'preserve': preserve(ANY),
}


@dataclass(frozen=True, slots=True)
class Sample:
    """The fleet at a moment; stranded is what is free on hosts that do not take the widest guest of the trace."""

    time_s: float
    active_hosts: int
    free_cpus: int
    stranded_cpus: int
    stranded_mib: int


@dataclass(slots=True)
class Outcome:
    """What became of a trace.

    :param refused_with_room: guests that were refused although the fleet had as many CPUs and as much memory free
    :param host_hours: of hosts with guests
    :param bound_hours: the volume: all that is in use on full hosts
    :param floor_hours: the least that packing all guests anew at each moment would need: as `bound_hours`, but where no
        other guest of the trace fits beside one, the cell is full
    :param moves: that the defragmentations made
    :param moves_at_end: that would empty, at the end, as many hosts as one after the other can be emptied
    :param hosts_at_end: how many hosts these moves empty
    """

    accepted: int = 0
    refused: int = 0
    refused_wide: int = 0
    accepted_wide: int = 0
    refused_with_room: int = 0
    host_hours: float = 0.0
    bound_hours: float = 0.0
    floor_hours: float = 0.0
    moves: int = 0
    moves_at_end: int = 0
    hosts_at_end: int = 0
    samples: list[Sample] = field(default_factory=list)

    @property
    def over_bound(self) -> float:
        """Share of the host-hours that are above the bound."""
        return self._over(self.host_hours)

    @property
    def floor_over_bound(self) -> float:
        """What is at least above the bound, by each placement of the same guests."""
        return self._over(self.floor_hours)

    def _over(self, hours: float) -> float:
        return hours / self.bound_hours - 1 if self.bound_hours else 0.0

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        shares = {'over_bound': self.over_bound, 'floor_over_bound': self.floor_over_bound}
        return asdict(self) | {name: round(share, 4) for name, share in shares.items()}


def hosts(number: int, cells: int, cpus: int, memory_mib: int) -> list[HostRecord]:
    """Return empty hosts that are alike.

    :param cpus: dedicated CPUs of each cell
    :param memory_mib: of each cell
    """
    shapes = [
        CellShape(
            cell,
            0,
            (1 << cpus) - 1 << cell * cpus,
            memory_mib,
            siblings=(),
            socket=None,
            physnets=frozenset(),
            tunneled=False,
        )
        for cell in range(cells)
    ]
    host = Host(tuple(map(HostCell, shapes)))
    width = len(str(number))
    names = [f'host{each:0{width}}' for each in range(1, number + 1)]
    return [HostRecord(name, host, cpu_allocation_ratio=1.0, ram_allocation_ratio=1.0) for name in names]


def _state(host: Host) -> _State:
    return tuple([(cell.free_cpus.bit_count(), cell.free_memory_mib) for cell in host.cells])


@dataclass(frozen=True, slots=True)
class _Guest:
    """A guest, and the group of those that were created together with it."""

    name: str
    kind: Kind
    group: str
    since_s: float


class _Answers:
    """What each host answers for one kind of guest; hosts in `stale` have changed since."""

    def __init__(self, kind: Kind, way: Way, number: int) -> None:
        share, more = divmod(kind.vcpus, kind.cells)
        widths = [share + (cell < more) for cell in range(kind.cells)]
        cells = tuple(
            GuestCell(cell, 0, (1 << width) - 1 << sum(widths[:cell]), memory_mib, cpu_policy='dedicated')
            for cell, (width, memory_mib) in enumerate(
                zip(widths, [kind.memory_mib // kind.cells] * kind.cells, strict=True)
            )
        )
        self.guest = Guest(kind.vcpus, kind.memory_mib, cells)
        self._request = Request(InstanceRequest('simulated', Flavor('', 1, 1, 0, {}, ''), self.guest))
        self._way = way
        self.fits = np.zeros(number, bool)
        self._measures = np.zeros((len(way.weighers), number))
        self._known: dict[_State, list[float] | None] = {}
        self.stale = set(range(number))

    def refresh(self, records: Sequence[HostRecord], states: Sequence[_State]) -> None:
        """Ask the hosts again that have changed."""
        for row in self.stale:
            state = states[row]
            if state not in self._known:
                self._known[state] = self._ask(records[row])
            measures = self._known[state]
            self.fits[row] = measures is not None
            if measures is not None:
                self._measures[:, row] = measures
        self.stale.clear()

    def _ask(self, record: HostRecord) -> list[float] | None:
        """Return the measures of a host; None if it does not take the guest."""
        if fit.refusal(record.host, self.guest) is not None:
            return None
        return [weigher.weigh(record, self._request) for weigher, _multiplier in self._way.weighers]

    def best(self, rows: np.ndarray[Any, Any]) -> int:
        """Return the row with the highest weight, the first of equal ones."""
        totals = np.zeros(len(rows))
        for (weigher, multiplier), measures in zip(self._way.weighers, self._measures[:, rows], strict=True):
            low = float(measures.min()) if weigher.lowest is None else weigher.lowest
            high = float(measures.max())
            if high > low:
                totals += multiplier * scaled(measures, low, high)
        return int(rows[int(np.argmax(totals))])


def _alone(host: Host, kinds: set[Kind]) -> set[Kind]:
    """Return the kinds of guests of which one cell leaves no room in a host cell for one of any kind."""
    shape = host.cells[0].shape
    cpus, memory_mib = shape.dedicated_cpus.bit_count(), shape.memory_mib
    needs = {kind: (kind.vcpus // kind.cells, kind.memory_mib // kind.cells) for kind in kinds}
    return {
        kind
        for kind, (vcpus, mib) in needs.items()
        if not any(vcpus + more <= cpus and mib + more_mib <= memory_mib for more, more_mib in needs.values())
    }


class _Fleet:
    """The hosts, who is where, and the answers of hosts by kind of guest."""

    def __init__(self, records: Sequence[HostRecord], way: Way, events: Iterable[Event]) -> None:
        self.records, self._way = list(records), way
        self._alone = _alone(records[0].host, _kinds(events))
        self._ages = None if way.ahead_s is None else Ages(len(records), way.ahead_s)
        self._free = np.array([record.host.free_cpus.bit_count() for record in records])
        self._cpus = self._free.copy()
        self._expected = Counter[str]()  # vCPUs of the guests of each batch that are still to be created
        for event in events:
            if event.kind is not None and event.batch:
                self._expected[event.batch] += event.kind.vcpus
        self._states = [_state(record.host) for record in records]
        self.where: dict[str, tuple[int, Placement, _Guest]] = {}
        self.guests: list[set[str]] = [set() for _ in records]
        self._answers: dict[Kind, _Answers] = {}
        self.used = np.zeros(2)  # CPUs and MiB
        self.beside = np.zeros(2)  # of guests beside which others fit
        self.full = 0  # cells of the others
        self.active = 0

    def answers(self, kind: Kind) -> _Answers:
        if kind not in self._answers:
            self._answers[kind] = _Answers(kind, self._way, len(self.records))
        found = self._answers[kind]
        found.refresh(self.records, self._states)
        return found

    def arrive(self, event: Event, kind: Kind) -> bool:
        """Place a guest on the best host; return whether there is one."""
        guest = _Guest(event.guest, kind, event.batch or event.guest, event.time_s)
        answers = self.answers(kind)
        rows = np.flatnonzero(answers.fits)
        if self._ages is not None and len(rows):
            room = np.minimum(self._free, self._expected[event.batch] if event.batch else kind.vcpus)
            costs = self._ages.costs(guest.group, guest.since_s, np.maximum(room, 1))[rows]
            rows = rows[costs == costs.min()]
        if event.batch:
            self._expected[event.batch] -= kind.vcpus
        return bool(len(rows)) and self._place(guest, answers.best(rows))

    def _place(self, guest: _Guest, row: int) -> bool:
        answers = self.answers(guest.kind)
        placement = fit.place(self.records[row].host, answers.guest, strategy=self._way.strategy)
        if not isinstance(placement, Placement):
            return False
        self._take(guest, row, placement)
        return True

    def _take(self, guest: _Guest, row: int, placement: Placement) -> None:
        self.where[guest.name] = row, placement, guest
        self.active += not self.guests[row]
        self.guests[row].add(guest.name)
        self._count(guest.kind, 1)
        if self._ages is not None:
            self._ages.add(row, guest.group, guest.since_s)
        self._change(row, self.records[row].host.consume(placement))

    def depart(self, name: str) -> None:
        """Remove a guest; one that was refused is not there."""
        if name in self.where:
            row, placement, guest = self.where.pop(name)
            self.guests[row].discard(name)
            self.active -= not self.guests[row]
            self._count(guest.kind, -1)
            if self._ages is not None:
                self._ages.remove(row, guest.group)
            self._change(row, self.records[row].host.release(placement))

    def _count(self, kind: Kind, sign: int) -> None:
        amounts = sign * np.array((kind.vcpus, kind.memory_mib))
        self.used += amounts
        if kind in self._alone:
            self.full += sign * kind.cells
        else:
            self.beside += amounts

    def _change(self, row: int, host: Host) -> None:
        self.records[row], self._states[row] = replace(self.records[row], host=host), _state(host)
        self._free[row] = host.free_cpus.bit_count()
        for answers in self._answers.values():
            answers.stale.add(row)

    def defragment(self, most: int) -> tuple[int, int]:
        """Empty hosts one after the other, those with the fewest CPUs in use first, on others that are not empty.

        What is in use has to find room elsewhere, so these hosts leave most room for those that come after them.

        :param most: how many guests may move
        :returns: how many moved, and how many hosts are empty now
        """
        moved = emptied = 0
        filled = set[int]()
        rows = [row for row, held in enumerate(self.guests) if held]
        for row in sorted(rows, key=lambda row: -int(self._free[row])):
            if row in filled or len(self.guests[row]) > most - moved:
                continue  # no guest moves twice
            names = sorted(self.guests[row], key=lambda name: (-self.where[name][2].kind.vcpus, name))
            if not all(len(self._takers(kind, row)) for kind in {self.where[name][2].kind for name in names}):
                continue
            before = {name: self.where[name] for name in names}
            if all(self._move(name, row) for name in names):
                moved, emptied = moved + len(names), emptied + 1
                filled.update(self.where[name][0] for name in names)
                continue
            for name in names:
                self.depart(name)
            for former, placement, guest in before.values():
                self._take(guest, former, placement)
        return moved, emptied

    def _takers(self, kind: Kind, row: int) -> np.ndarray[Any, Any]:
        """Return the rows of the other hosts that take a guest and are not empty."""
        is_taker = self.answers(kind).fits & (self._free < self._cpus)
        is_taker[row] = False
        return np.flatnonzero(is_taker)

    def _move(self, name: str, row: int) -> bool:
        """Move a guest to the fullest host that takes it; it departs even if there is none."""
        guest = self.where[name][2]
        self.depart(name)
        rows = self._takers(guest.kind, row)
        return bool(len(rows)) and self._place(guest, int(rows[np.argmin(self._free[rows])]))

    def sample(self, time_s: float, widest: Kind) -> Sample:
        """Return how the fleet is now."""
        refusing = ~self.answers(widest).fits
        free = [tuple(map(sum, zip(*state, strict=True))) for state in self._states]
        stranded = [each for each, refuses in zip(free, refusing.tolist(), strict=True) if refuses]
        cpus, stranded_cpus = sum([cpus for cpus, _ in free]), sum([cpus for cpus, _ in stranded])
        return Sample(time_s, self.active, cpus, stranded_cpus, sum([mib for _, mib in stranded]))


class _Allowance:
    """How many guests may move: a share of them accrues evenly over each hour, and no hour has more moves than that.

    :ivar next_s: when the next defragmentation is due
    """

    def __init__(self, share: float, every_s: float, start_s: float) -> None:
        self._share, self._every_s = share, every_s
        self.next_s = start_s + every_s if share else inf
        self._accrued = 0.0
        self._past: deque[tuple[float, int]] = deque()
        self._idle = 0

    def most(self, guests: int) -> int:
        """Return how many of the guests may move in the one that is due."""
        while self._past and self._past[0][0] <= self.next_s - _HOUR_S:
            self._past.popleft()
        hour = self._share * guests
        self._accrued = min(self._accrued + hour * self._every_s / _HOUR_S, hour)
        return max(int(min(self._accrued, hour - sum([moves for _time_s, moves in self._past]))), 0)

    def spend(self, moves: int, until_s: float) -> None:
        """Note the moves of the one that was due; after an hour without any, the next one is due with the next event.

        :param until_s: time of that event
        """
        self._accrued -= moves
        self._past.append((self.next_s, moves))
        self._idle = 0 if moves else self._idle + 1
        self.next_s += self._every_s
        if self._idle * self._every_s > _HOUR_S:
            self.next_s = max(self.next_s, until_s)


def replay(
    records: Sequence[HostRecord],
    events: Sequence[Event],
    way: Way,
    *,
    hourly: float = 0.0,
    every_s: float = _HOUR_S,
    advance: Callable[[], object] = lambda: None,
) -> Outcome:
    """Replay a trace; a defragmentation comes after the events of its time.

    :param records: empty hosts, as :func:`hosts` makes them
    :param events: in the order of time
    :param hourly: share of the guests that defragmentations move each hour at most
    :param every_s: seconds from one of them to the next, at most an hour
    :param advance: called after each event
    """
    kinds = _kinds(events)
    fleet, found = _Fleet(records, way, events), Outcome()
    whole = sum(record.host.cpu_count for record in records), sum(record.host.memory_mib for record in records)
    host, cells = np.array(whole) / len(records), len(records[0].host.cells)
    widest = max(kinds, key=lambda kind: (kind.cells, kind.vcpus, kind.memory_mib), default=Kind(1, 1))
    now = events[0].time_s if events else 0.0
    allowance, every = _Allowance(hourly, every_s, now), max(len(events) // _SAMPLES, 1)

    def wait(until_s: float) -> None:
        nonlocal now
        hours = (until_s - now) / _HOUR_S
        if hours:
            found.host_hours += hours * fleet.active
            found.bound_hours += hours * float((fleet.used / host).max())
            found.floor_hours += hours * (fleet.full / cells + float((fleet.beside / host).max()))
        now = until_s

    for number, event in enumerate(events):
        while allowance.next_s < event.time_s:
            wait(allowance.next_s)
            most = allowance.most(len(fleet.where))
            moved = fleet.defragment(most)[0] if most else 0
            allowance.spend(moved, event.time_s)
            found.moves += moved
        wait(event.time_s)
        if event.kind is None:
            fleet.depart(event.guest)
        else:
            _arrive(fleet, event, event.kind, found, whole)
        if number % every == 0:
            found.samples.append(fleet.sample(now, widest))
        advance()
    found.moves_at_end, found.hosts_at_end = fleet.defragment(len(fleet.where))
    return found


def _kinds(events: Iterable[Event]) -> set[Kind]:
    return {event.kind for event in events if event.kind is not None}


def _arrive(fleet: _Fleet, event: Event, kind: Kind, found: Outcome, whole: tuple[int, int]) -> None:
    is_wide = kind.cells > 1
    if fleet.arrive(event, kind):
        found.accepted += 1
        found.accepted_wide += is_wide
        return
    found.refused += 1
    found.refused_wide += is_wide
    free = np.array(whole) - fleet.used
    found.refused_with_room += bool((free >= (kind.vcpus, kind.memory_mib)).all())
