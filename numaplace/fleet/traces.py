# SPDX-License-Identifier: Apache-2.0
"""Arrivals and departures of guests: two published forms of traces, and made ones with published shares."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import log

from numaplace import exception

__all__ = ['Event', 'Kind', 'generate', 'mix', 'read']

#: Header of a trace with a line for each guest, and of one with a line for each event.
_GUESTS = ('time_s', 'batch', 'vcpus', 'memory_gib', 'lifetime_s_low', 'censored')
_EVENTS = ('vmid', 'cpu', 'memory', 'time', 'type')
#: A guest of a made trace: vCPUs, GiB, cells, and its share of all; two thirds have one vCPU and at most 2 GiB, as in
#: the published trace of a public cloud.
_SHARES = (
    (1, 1, 1, 0.35),
    (1, 2, 1, 0.32),
    (2, 4, 1, 0.12),
    (4, 8, 1, 0.10),
    (8, 16, 1, 0.06),
    (16, 32, 2, 0.05),
)
_MEAN_LIFE_S = 4 * 3600.0
_MIB = 1024


@dataclass(frozen=True, slots=True)
class Kind:
    """What a guest requests in all, divided evenly over its cells."""

    vcpus: int
    memory_mib: int
    cells: int = 1

    def __str__(self) -> str:
        return f'{self.vcpus} vCPUs, {self.memory_mib} MiB, {self.cells} cell{"s" if self.cells > 1 else ""}'


@dataclass(frozen=True, slots=True)
class Event:
    """A guest arrives, or the one of that name departs.

    :param kind: None where it departs
    :param batch: of the guests that one user creates at this time; empty if the trace does not tell
    """

    time_s: float
    guest: str
    kind: Kind | None = None
    batch: str = ''


def read(
    lines: Iterable[str], chance: Callable[[], float], doubled: Mapping[int, float], place: str
) -> tuple[Event, ...]:
    """Read a trace in one of the two forms, which its header tells.

    :param chance: returns numbers from 0 to 1
    :param doubled: share of the guests of so many vCPUs that are replaced by twice as many in two cells
    :param place: what is read, for errors
    :returns: in the order of time; at the same time in the order of the file, or where it has a line for each guest,
        arrivals first: lifetimes are rounded down, and a guest departs after it arrived
    :raises: :class:`~numaplace.exception.Invalid` naming the line, and what was expected
    """
    rows = csv.reader(lines)
    header = tuple(next(rows, ()))
    forms = {_GUESTS: _guest, _EVENTS: _event}
    if header not in forms:
        raise exception.Invalid(f'{place}: line 1: expected {" or ".join(map(",".join, forms))}')
    found: list[Event] = []
    for number, row in enumerate(rows, 2):
        try:
            if len(row) != len(header):
                raise ValueError
            found += forms[header](row, str(number))
        except (ValueError, OverflowError):
            raise exception.Invalid(
                f'{place}: line {number}: {",".join(row)[:80]!r}: expected numbers, {",".join(header)}'
            ) from None
    events = [_double(event, chance, doubled) for event in found]
    if header == _GUESTS:  # it ends with its last arrival: who is there then departs unseen, or is censored
        end = max((event.time_s for event in events if event.kind is not None), default=0.0)
        events = [event for event in events if event.time_s <= end]
    return tuple(sorted(events, key=lambda event: (event.time_s, header == _GUESTS and event.kind is None)))


def _kind(vcpus: str, memory_gib: str) -> Kind:
    kind = Kind(int(vcpus), round(float(memory_gib) * _MIB))
    if min(kind.vcpus, kind.memory_mib) < 1:
        raise ValueError
    return kind


def _guest(row: list[str], name: str) -> Iterator[Event]:
    time_s, batch, vcpus, memory_gib, life_s, censored = row
    yield Event(float(time_s), name, _kind(vcpus, memory_gib), f'{time_s}:{batch}')
    if censored == '0':
        yield Event(float(time_s) + float(life_s), name)


def _event(row: list[str], _name: str) -> Iterator[Event]:
    name, vcpus, memory_gib, time_s, way = row
    if way not in {'0', '1'}:
        raise ValueError
    yield Event(float(time_s), name, _kind(vcpus, memory_gib) if way == '0' else None)


def _double(event: Event, chance: Callable[[], float], doubled: Mapping[int, float]) -> Event:
    kind = event.kind
    if kind is None or kind.vcpus not in doubled or chance() >= doubled[kind.vcpus]:
        return event
    return replace(event, kind=Kind(2 * kind.vcpus, 2 * kind.memory_mib, 2))


def generate(number: int, cpus: int, load: float, chance: Callable[[], float]) -> tuple[Event, ...]:
    """Make a trace: arrivals at a steady rate, lifetimes exponential with a mean of four hours.

    :param number: of arrivals
    :param cpus: of the fleet
    :param load: share of its CPUs that would be in use on the average if all guests were accepted
    :param chance: returns numbers from 0 to 1
    :returns: in the order of time
    """
    mean = sum(vcpus * share for vcpus, _memory, _cells, share in _SHARES)
    between_s = _MEAN_LIFE_S * mean / (load * cpus)
    found, now = [], 0.0
    for count in range(number):
        now += -log(1 - chance()) * between_s
        rest = chance()
        for vcpus, memory_gib, cells, share in _SHARES:  # noqa: B007 - the last one takes what rounding leaves
            rest -= share
            if rest < 0:
                break
        found.append(Event(now, str(count), Kind(vcpus, memory_gib * _MIB, cells)))
        found.append(Event(now - log(1 - chance()) * _MEAN_LIFE_S, str(count)))
    kept = [event for event in found if event.time_s <= now]
    return tuple(sorted(kept, key=lambda event: event.time_s))


def mix(events: Iterable[Event]) -> tuple[tuple[int, int, int, int], ...]:
    """Return the kinds of guests that arrive: cells, vCPUs and MiB of each cell, and their number."""
    found = Counter(event.kind for event in events if event.kind is not None)
    return tuple(
        (kind.cells, -(-kind.vcpus // kind.cells), max(kind.memory_mib // kind.cells, 1), number)
        for kind, number in sorted(found.items(), key=lambda each: (each[0].cells, each[0].vcpus, each[0].memory_mib))
    )
