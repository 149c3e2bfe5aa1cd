# SPDX-License-Identifier: Apache-2.0
"""Replay arrivals and departures over imagined hosts: the fit, the strategies and the weighers are the real ones.

Answers of hosts are kept by kind of guest, and only hosts that changed are asked again, so an event costs one fit and
one measure for each kind of guest rather than for each host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import numpy as np

from numaplace import fit
from numaplace.db.records import InstanceRequest
from numaplace.fleet.traces import Event, Kind
from numaplace.model import CellShape, Flavor, Guest, GuestCell, Host, HostCell, Placement
from numaplace.model.records import HostRecord
from numaplace.scheduler.filters import Request
from numaplace.scheduler.weights import Weigher
from numaplace.scheduler.weights.base import scaled
from numaplace.scheduler.weights.cpu import CPUWeigher
from numaplace.scheduler.weights.numa_preserve import NUMAPreserveWeigher
from numaplace.scheduler.weights.ram import RAMWeigher

__all__ = ['POLICIES', 'Outcome', 'Sample', 'Way', 'hosts', 'replay']

_HOUR_S = 3600
_SAMPLES = 100


@dataclass(frozen=True, slots=True)
class Way:
    """How hosts and host cells are chosen.

    :param weighers: with their multipliers
    """

    strategy: fit.Strategy
    weighers: tuple[tuple[Weigher, float], ...]


POLICIES: Final[Mapping[str, Way]] = {
    'nova': Way(fit.SPREAD, ((RAMWeigher(), 1.0), (CPUWeigher(), 1.0))),
    'closest': Way(fit.CLOSEST, ((RAMWeigher(), 1.0), (CPUWeigher(), 1.0))),
    'pack': Way(fit.PACK, ((RAMWeigher(), -1.0), (CPUWeigher(), -1.0))),
    'best-fit': Way(fit.PACK, ((CPUWeigher(), -1.0),)),
    'preserve': Way(fit.PRESERVE, ((NUMAPreserveWeigher(), 1.0),)),
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
    :param bound_hours: the least possible: all that is in use on full hosts
    :param moves: that the defragmentation each hour made
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
    moves: int = 0
    moves_at_end: int = 0
    hosts_at_end: int = 0
    samples: list[Sample] = field(default_factory=list)

    @property
    def over_bound(self) -> float:
        """Share of the host-hours that are above the bound."""
        return self.host_hours / self.bound_hours - 1 if self.bound_hours else 0.0

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self) | {'over_bound': round(self.over_bound, 4)}


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
        self.stale = set(range(number))

    def refresh(self, records: Sequence[HostRecord]) -> None:
        """Ask the hosts again that have changed."""
        for row in self.stale:
            self.fits[row] = fit.refusal(records[row].host, self.guest) is None
            if self.fits[row]:
                for number, (weigher, _multiplier) in enumerate(self._way.weighers):
                    self._measures[number, row] = weigher.weigh(records[row], self._request)
        self.stale.clear()

    def best(self, rows: np.ndarray[Any, Any]) -> int:
        """Return the row with the highest weight, the first of equal ones."""
        totals = np.zeros(len(rows))
        for (weigher, multiplier), measures in zip(self._way.weighers, self._measures[:, rows], strict=True):
            low = float(measures.min()) if weigher.lowest is None else weigher.lowest
            high = float(measures.max())
            if high > low:
                totals += multiplier * scaled(measures, low, high)
        return int(rows[int(np.argmax(totals))])


class _Fleet:
    """The hosts, who is where, and the answers of hosts by kind of guest."""

    def __init__(self, records: Sequence[HostRecord], way: Way) -> None:
        self.records, self._way = list(records), way
        self.where: dict[str, tuple[int, Placement, Kind]] = {}
        self.guests: list[set[str]] = [set() for _ in records]
        self._answers: dict[Kind, _Answers] = {}
        self.used = np.zeros(2)  # CPUs and MiB
        self.active = 0

    def answers(self, kind: Kind) -> _Answers:
        if kind not in self._answers:
            self._answers[kind] = _Answers(kind, self._way, len(self.records))
        found = self._answers[kind]
        found.refresh(self.records)
        return found

    def arrive(self, name: str, kind: Kind) -> bool:
        """Place a guest on the best host; return whether there is one."""
        answers = self.answers(kind)
        rows = np.flatnonzero(answers.fits)
        return bool(len(rows)) and self._place(name, kind, answers.best(rows))

    def _place(self, name: str, kind: Kind, row: int) -> bool:
        answers = self.answers(kind)
        placement = fit.place(self.records[row].host, answers.guest, strategy=self._way.strategy)
        if not isinstance(placement, Placement):
            return False
        self._take(name, row, placement, kind)
        return True

    def _take(self, name: str, row: int, placement: Placement, kind: Kind) -> None:
        self.where[name] = row, placement, kind
        self.active += not self.guests[row]
        self.guests[row].add(name)
        self.used += kind.vcpus, kind.memory_mib
        self._change(row, self.records[row].host.consume(placement))

    def depart(self, name: str) -> None:
        """Remove a guest; one that was refused is not there."""
        if name in self.where:
            row, placement, kind = self.where.pop(name)
            self.guests[row].discard(name)
            self.active -= not self.guests[row]
            self.used -= kind.vcpus, kind.memory_mib
            self._change(row, self.records[row].host.release(placement))

    def _change(self, row: int, host: Host) -> None:
        self.records[row] = replace(self.records[row], host=host)
        for answers in self._answers.values():
            answers.stale.add(row)

    def defragment(self, most: int) -> tuple[int, int]:
        """Empty hosts one after the other, those with the fewest guests first, on others that are not empty.

        :param most: how many guests may move
        :returns: how many moved, and how many hosts are empty now
        """
        moved = emptied = 0
        filled = set[int]()
        for row in sorted((row for row, held in enumerate(self.guests) if held), key=lambda row: len(self.guests[row])):
            if row in filled:
                continue  # no guest moves twice
            names = sorted(self.guests[row], key=lambda name: (-self.where[name][2].vcpus, name))
            if len(names) > most - moved:
                break
            before = {name: self.where[name] for name in names}
            if all(self._move(name, row) for name in names):
                moved, emptied = moved + len(names), emptied + 1
                filled.update(self.where[name][0] for name in names)
                continue
            for name in names:
                self.depart(name)
            for name, place in before.items():  # back to where they were
                self._take(name, *place)
        return moved, emptied

    def _move(self, name: str, row: int) -> bool:
        """Move a guest to the fullest other host that takes it and is not empty; it departs even if there is none."""
        kind = self.where[name][2]
        self.depart(name)
        rows = [other for other in np.flatnonzero(self.answers(kind).fits).tolist() if other != row]
        rows = [other for other in rows if self.guests[other]]
        fullest = min(rows, key=lambda other: self.records[other].host.free_cpus.bit_count(), default=None)
        return fullest is not None and self._place(name, kind, fullest)

    def sample(self, time_s: float, widest: Kind) -> Sample:
        """Return how the fleet is now."""
        refusing = ~self.answers(widest).fits
        free = [(record.host.free_cpus.bit_count(), record.host.free_memory_mib) for record in self.records]
        stranded = [each for each, refuses in zip(free, refusing.tolist(), strict=True) if refuses]
        cpus, stranded_cpus = sum([cpus for cpus, _ in free]), sum([cpus for cpus, _ in stranded])
        return Sample(time_s, self.active, cpus, stranded_cpus, sum([mib for _, mib in stranded]))


def replay(
    records: Sequence[HostRecord],
    events: Sequence[Event],
    way: Way,
    *,
    hourly: float = 0.0,
    advance: Callable[[], object] = lambda: None,
) -> Outcome:
    """Replay a trace.

    :param records: empty hosts
    :param events: in the order of time
    :param hourly: share of the guests that a defragmentation moves each hour at most
    :param advance: called after each event
    """
    fleet, found = _Fleet(records, way), Outcome()
    whole = sum(record.host.cpu_count for record in records), sum(record.host.memory_mib for record in records)
    host = np.array(whole) / len(records)
    widest = max(_kinds(events), key=lambda kind: (kind.cells, kind.vcpus, kind.memory_mib), default=Kind(1, 1))
    now = events[0].time_s if events else 0.0
    next_hour, every = now + _HOUR_S, max(len(events) // _SAMPLES, 1)
    for number, event in enumerate(events):
        hours = (event.time_s - now) / _HOUR_S
        found.host_hours += hours * fleet.active if hours else 0.0
        found.bound_hours += hours * float((fleet.used / host).max())
        now = event.time_s
        if hourly and now >= next_hour:
            next_hour = now + _HOUR_S
            found.moves += fleet.defragment(int(hourly * len(fleet.where)))[0]
        if event.kind is None:
            fleet.depart(event.guest)
        else:
            _arrive(fleet, event.guest, event.kind, found, whole)
        if number % every == 0:
            found.samples.append(fleet.sample(now, widest))
        advance()
    found.moves_at_end, found.hosts_at_end = fleet.defragment(len(fleet.where))
    return found


def _kinds(events: Iterable[Event]) -> set[Kind]:
    return {event.kind for event in events if event.kind is not None}


def _arrive(fleet: _Fleet, name: str, kind: Kind, found: Outcome, whole: tuple[int, int]) -> None:
    is_wide = kind.cells > 1
    if fleet.arrive(name, kind):
        found.accepted += 1
        found.accepted_wide += is_wide
        return
    found.refused += 1
    found.refused_wide += is_wide
    free = np.array(whole) - fleet.used
    found.refused_with_room += bool((free >= (kind.vcpus, kind.memory_mib)).all())
