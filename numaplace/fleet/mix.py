# SPDX-License-Identifier: Apache-2.0
"""How many rounds of a mix of flavors fit on a fleet together: exactly where that can be told, otherwise two bounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations

from numaplace import fit, partition
from numaplace.fleet.capacity import Capacity, Question, capacity, in_all
from numaplace.fleet.counting import MOST
from numaplace.fleet.room import left, never
from numaplace.model import Guest, Placement, Reason, Refusal
from numaplace.model.fleet import Fleet
from numaplace.model.records import HostRecord

__all__ = ['Mix', 'mix']

#: Most states of hosts, and most sums of numbers over hosts, that a search looks at.
_MOST_STATES = 20_000

#: How many guests of each flavor.
_Numbers = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Mix:
    """What is asked about a fleet.

    :param questions: one for each flavor
    :param numbers: how many guests of each flavor a round has
    :param offers: whether placement offers a host for so many new guests of each flavor
    """

    questions: tuple[Question, ...]
    numbers: _Numbers
    offers: Callable[[HostRecord, _Numbers], bool] = lambda _record, _numbers: True

    @property
    def name(self) -> str:
        """The flavors with their numbers, as they are asked for."""
        return ','.join([f'{one.flavor}:{number}' for one, number in zip(self.questions, self.numbers, strict=True)])


def mix(fleet: Fleet, asked: Mix, *, stop: Callable[[], bool] = never) -> Capacity:
    """Return how many rounds of a mix fit.

    The lower bound is what one round after the other reaches, the largest guests first. The upper bound is that of
    each flavor by itself, and of all CPUs and all memory. Where they differ, the numbers of guests that each host can
    have together are searched for, over all choices of host cells: in a limited number of steps.

    :param fleet: hosts with their aggregates and servers; see :func:`numaplace.model.fleet.candidates`
    :param stop: once it is true, bounds are not improved further
    :returns: rounds as a capacity of the whole fleet; CPUs are those free, and those of the rounds at the lower bound
    """
    alone = [in_all(one.flavor, capacity(fleet, one, stop=stop)) for one in asked.questions]
    rounds = [each.at_most // number for each, number in zip(alone, asked.numbers, strict=True)]
    most = min(*rounds, _in_sum(fleet, asked))
    least, binding = _one_by_one(fleet, asked, most, stop)
    if least < most and (found := _Search(asked, most, stop).rounds(fleet.hosts)) is not None:
        least = most = max(least, found)
    dedicated = sum(
        [number * _dedicated(one.guest) for one, number in zip(asked.questions, asked.numbers, strict=True)]
    )
    free = sum([record.host.free_cpus.bit_count() for record in fleet.hosts])
    return Capacity(asked.name, None, least, most, binding, free, min(free, dedicated * least))


def _dedicated(guest: Guest) -> int:
    return sum([cell.dedicated_vcpus.bit_count() for cell in guest.cells])


def _in_sum(fleet: Fleet, asked: Mix) -> int:
    """Return how many rounds the CPUs and the memory of all hosts have at most; guests without cells count nothing."""
    in_cells = [
        (one.guest, number)
        for one, number in zip(asked.questions, asked.numbers, strict=True)
        if one.guest.cells or one.guest.wish
    ]
    vcpus = sum([guest.vcpus * number for guest, number in in_cells])
    memory_mib = sum([guest.memory_mib * number for guest, number in in_cells])
    sums = [left(record.host, asked.questions[0].limits(record)) for record in fleet.hosts]
    cpus, memory = (sum(amounts) for amounts in zip(*sums, strict=True)) if sums else (0, 0)
    return int(min(cpus // vcpus if vcpus else MOST, memory // memory_mib if memory_mib else MOST, MOST))


def _admit(asked: Mix, place: int, record: HostRecord, new: _Numbers) -> Refusal | None:
    """Ask a host, on which new guests are counted, for one more guest of a flavor."""
    after = tuple([number + (which == place) for which, number in enumerate(new)])
    refusal = asked.questions[place].admit(record, 0)
    if refusal is None and not asked.offers(record, after):
        return Refusal.of(Reason('placement.free'))
    return refusal


def _with(record: HostRecord, placed: Placement) -> HostRecord:
    added = f'new guest {len(record.servers)}'
    return replace(record, host=record.host.consume(placed), servers=record.servers | {added})


def _one_by_one(fleet: Fleet, asked: Mix, most: int, stop: Callable[[], bool]) -> tuple[int, str]:
    """Return how many rounds one guest after the other reaches, and what most hosts lack for the next one."""
    hosts, new = list(fleet.hosts), [(0,) * len(asked.numbers)] * len(fleet.hosts)
    order = sorted(range(len(asked.numbers)), key=lambda place: _size(asked.questions[place].guest), reverse=True)
    first = [0] * len(asked.numbers)

    def add(place: int) -> bool:
        """Place one more guest on the first host that takes it: those before have refused one like it."""
        while first[place] < len(hosts):
            number = first[place]
            answer = _place(asked, place, hosts[number], new[number])
            if isinstance(answer, Placement):
                hosts[number] = _with(hosts[number], answer)
                new[number] = tuple([many + (which == place) for which, many in enumerate(new[number])])
                return True
            first[place] += 1
        return False

    for reached in range(most):
        for place in order:
            if stop() or not all(add(place) for _ in range(asked.numbers[place])):
                return reached, _binding(asked, place, hosts, new)
    return most, _binding(asked, order[0], hosts, new)


def _size(guest: Guest) -> tuple[int, int, int]:
    return len(guest.cells), guest.vcpus, guest.memory_mib


def _binding(asked: Mix, place: int, hosts: Sequence[HostRecord], new: Sequence[_Numbers]) -> str:
    """Return the code of the refusal that most hosts have for the next guest of a flavor."""
    codes = Counter[str]()
    for record, numbers in zip(hosts, new, strict=True):
        answer = _place(asked, place, record, numbers)
        if isinstance(answer, Refusal):
            codes[max(answer.reasons, key=lambda reason: reason.position).code] += 1
    return codes.most_common(1)[0][0] if codes else ''


def _place(asked: Mix, place: int, record: HostRecord, new: _Numbers) -> Placement | Refusal:
    question = asked.questions[place]
    if (refusal := _admit(asked, place, record, new)) is not None:
        return refusal
    limits = question.limits(record)
    return partition.place(record.host, question.guest, limits=limits, networks=question.networks, strategy=fit.PACK)


class _Search:
    """All numbers of guests that hosts can have together, up to those of some rounds."""

    def __init__(self, asked: Mix, most: int, stop: Callable[[], bool]) -> None:
        self._asked, self._stop, self._states = asked, stop, 0
        self._ends = tuple([most * number for number in asked.numbers])
        self._most = most

    def rounds(self, records: Iterable[HostRecord]) -> int | None:
        """Return how many rounds fit; None where that takes too long, or not all choices are known."""
        if any(one.guest.wish or one.guest.pci_requests for one in self._asked.questions):
            return None
        sums: set[_Numbers] = {(0,) * len(self._ends)}
        for record in records:
            found = self._host(record)
            if found is None or len(sums) * len(found) > _MOST_STATES or self._stop():
                return None
            sums = _largest({self._cut(map(sum, zip(one, other, strict=True))) for one in sums for other in found})
        numbers = self._asked.numbers
        return max(min(many // each for many, each in zip(one, numbers, strict=True)) for one in sums)

    def _cut(self, numbers: Iterable[int]) -> _Numbers:
        return tuple([min(number, end) for number, end in zip(numbers, self._ends, strict=True)])

    def _host(self, record: HostRecord) -> set[_Numbers] | None:
        """Return the largest numbers of guests that a host can have together; None where that takes too long."""
        start = (0,) * len(self._ends)
        known, waiting, found = {(start, record.host)}, [(start, record)], {start}
        while waiting:
            numbers, now = waiting.pop()
            for place, after in self._after(now, numbers):
                self._states += 1
                if self._states > _MOST_STATES or self._stop():
                    return None
                more = tuple([number + (which == place) for which, number in enumerate(numbers)])
                if (more, after.host) not in known:
                    known.add((more, after.host))
                    found.add(more)
                    waiting.append((more, after))
        return _largest(found)

    def _after(self, record: HostRecord, numbers: _Numbers) -> Iterator[tuple[int, HostRecord]]:
        """Yield each flavor with a host after one more guest of it, for each choice of host cells."""
        for place, question in enumerate(self._asked.questions):
            if numbers[place] >= self._ends[place] or isinstance(_place(self._asked, place, record, numbers), Refusal):
                continue
            limits, guest = question.limits(record), question.guest
            ids = [cell.id for cell in record.host.cells]
            for chosen in permutations(ids, len(guest.cells)) if guest.cells else [None]:
                placed = fit.place(record.host, guest, limits=limits, networks=question.networks, host_cell_ids=chosen)
                if isinstance(placed, Placement):
                    yield place, _with(record, placed)


def _largest(found: set[_Numbers]) -> set[_Numbers]:
    """Return the numbers that no others of a set cover."""
    kept: list[_Numbers] = []
    for one in sorted(found, reverse=True):
        if not any(all(mine <= other for mine, other in zip(one, large, strict=True)) for large in kept):
            kept.append(one)
    return set(kept)
