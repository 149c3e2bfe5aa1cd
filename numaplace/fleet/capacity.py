# SPDX-License-Identifier: Apache-2.0
"""How many more guests of a flavor fit on a fleet, by host and in all, and which resource ends it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeAlias

from numaplace import explain
from numaplace.fleet.counting import largest
from numaplace.fleet.room import Room, crowded, is_whole, never, room
from numaplace.model import Guest, Host, Limits, Networks, Refusal
from numaplace.model.fleet import Fleet
from numaplace.model.records import HostRecord

__all__ = ['Admit', 'Capacity', 'Question', 'capacity', 'in_all', 'kinds', 'lines', 'mix_lines']

#: Asks whether a host admits one more guest after some that are new there too: a refusal is falsy.
Admit: TypeAlias = Callable[[HostRecord, int], Refusal | None]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about every host.

    :param flavor: its name
    :param limits: the allocation ratios of a host
    :param admit: the filters, and placement where it is known; what refuses one guest refuses it after more of them too
    :param networks: those that each guest attaches to
    :param beside_fit: as `admit`, without the fit: enough where :func:`numaplace.fleet.room.is_whole` holds; None for
        `admit` everywhere
    :param takers: names of hosts, where it is known that all others refuse one guest; what they lack is not named then
    """

    flavor: str
    guest: Guest
    limits: Callable[[HostRecord], Limits]
    admit: Admit
    networks: Networks | None = None
    beside_fit: Admit | None = None
    takers: Collection[str] | None = None


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many more guests of a flavor fit.

    :param host: None for the whole fleet
    :param binding: code of the refusal that the next guest meets; of the fleet, the one of most hosts
    :param free_cpus: free dedicated CPUs
    :param used_cpus: those that the guests at the lower bound take
    """

    flavor: str
    host: str | None
    at_least: int
    at_most: int
    binding: str
    free_cpus: int = 0
    used_cpus: int = 0


def kinds(fleet: Fleet) -> list[int]:
    """Return a number for each host of a fleet, the same for hosts with equal cells and usage."""
    numbers: dict[Host, int] = {}
    return [numbers.setdefault(record.host, len(numbers)) for record in fleet.hosts]


def capacity(
    fleet: Fleet, question: Question, *, stop: Callable[[], bool] = never, alike: Sequence[int] | None = None
) -> list[Capacity]:
    """Return how many more guests each host takes, by name.

    Hosts with equal cells and usage are computed once; see :func:`numaplace.fleet.room.room` for the rest of the cost.

    :param fleet: hosts with their aggregates and servers; see :func:`numaplace.model.fleet.candidates`
    :param stop: once it is true, bounds are not improved further
    :param alike: what :func:`kinds` returns for the fleet, if it is asked more than one question
    """
    known: dict[Any, Room] = {}
    found = []
    dedicated = sum([cell.dedicated_vcpus.bit_count() for cell in question.guest.cells])

    def result(record: HostRecord, fits: Room) -> Capacity:
        free = record.host.free_cpus.bit_count()
        return Capacity(question.flavor, record.name, *fits, free, min(free, dedicated * fits.at_least))

    for record, kind in zip(fleet.hosts, kinds(fleet) if alike is None else alike, strict=True):
        if question.takers is not None and record.name not in question.takers:
            found.append(result(record, Room(0, 0, '')))
            continue
        limits = question.limits(record)
        key = kind, limits
        fits = known.get(key)
        if fits is None:
            fits = known[key] = room(record.host, question.guest, limits=limits, networks=question.networks, stop=stop)
        found.append(result(record, _admitted(record, question, fits)))
    return sorted(found, key=lambda each: each.host or '')


def _admitted(record: HostRecord, question: Question, fits: Room) -> Room:
    """Return a room as far as the filters admit that many."""
    if not fits.at_most:
        refusal = question.admit(record, 0)
        return fits if refusal is None else Room(0, 0, _code(refusal))
    guest, admit = question.guest, question.admit
    if question.beside_fit is not None and is_whole(record.host, guest, question.limits(record)):
        admit = question.beside_fit

    def refused(number: int, *, memory: bool) -> Refusal | None:
        before = number - 1
        host = crowded(record.host, guest, before, memory=memory)
        return admit(replace(record, host=host, servers=record.servers | _new_guests(before)), before)

    # Memory of other kinds than the general one is not counted for the whole host.
    surely = not guest.cells or all(cell.shape.is_general for cell in record.host.cells)
    most = largest(fits.at_most, lambda many: refused(many, memory=surely) is None)
    least = min(fits.at_least, most)
    if not surely:
        least = largest(least, lambda many: refused(many, memory=True) is None)
    if most == fits.at_most:
        return Room(least, most, fits.binding)
    refusal = refused(most + 1, memory=surely)
    return Room(least, most, fits.binding if refusal is None else _code(refusal))


@lru_cache(maxsize=1024)
def _new_guests(number: int) -> frozenset[str]:
    return frozenset([f'new guest {one}' for one in range(number)])


def _code(refusal: Refusal) -> str:
    return max(refusal.reasons, key=lambda reason: reason.position).code


def in_all(flavor: str, hosts: Sequence[Capacity]) -> Capacity:
    """Return the sum of all hosts."""
    codes = Counter([each.binding for each in hosts if each.binding])
    return Capacity(
        flavor,
        None,
        sum([each.at_least for each in hosts]),
        sum([each.at_most for each in hosts]),
        codes.most_common(1)[0][0] if codes else '',
        sum([each.free_cpus for each in hosts]),
        sum([each.used_cpus for each in hosts]),
    )


def lines(flavor: str, hosts: Sequence[Capacity], *, each: bool = False) -> Iterator[str]:
    """Yield the answer as text: the number in all, the CPUs, and what binds on how many hosts.

    :param each: name each host with its number
    """
    total = in_all(flavor, hosts)
    takers = sum([one.at_most > 0 for one in hosts])
    yield f'{explain.escape(flavor)}: {_bounds(total)} more on {takers} of {len(hosts)} hosts'
    if total.used_cpus or total.free_cpus:
        yield f'  dedicated CPUs free: {total.free_cpus:,}, usable for this flavor: {total.used_cpus:,}'
    groups: dict[str, list[Capacity]] = {}
    for one in hosts:
        groups.setdefault(one.binding, []).append(one)
    for code, members in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        left = sum([one.free_cpus - one.used_cpus for one in members])
        yield f'  {code or "no limit"} binds on {_count(len(members), "host")}, where {_count(left, "CPU")} stay free'
    if each:
        for one in hosts:
            yield f'  {explain.escape(one.host or "")}: {_bounds(one)}; {one.binding or "no limit"} binds'


def mix_lines(found: Capacity) -> Iterator[str]:
    """Yield the answer for rounds of a mix as text."""
    yield f'{explain.escape(found.flavor)}: {_bounds(found)} more round{"" if found.at_most == 1 else "s"}'
    if found.used_cpus or found.free_cpus:
        yield f'  dedicated CPUs free: {found.free_cpus:,}, used by these rounds: {found.used_cpus:,}'
    yield f'  {found.binding or "no limit"} binds'


def _bounds(found: Capacity) -> str:
    if found.at_least == found.at_most:
        return f'{found.at_least:,}'
    return f'at least {found.at_least:,}, at most {found.at_most:,}'


def _count(number: int, noun: str) -> str:
    return f'{number:,} {noun}{"" if number == 1 else "s"}'
