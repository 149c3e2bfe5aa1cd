# SPDX-License-Identifier: Apache-2.0
"""Find hosts for a guest without reading all of them: a database compares and sorts, the best are asked one by one.

The hosts and their order are those that filtering and weighing all hosts one by one gives. Each weigher's measure is
one list of the database, best first. A host that no page has shown yet is in none of the lists before their last rows,
so it cannot weigh more than these rows do together (Fagin's threshold algorithm). Pages are taken until that is less
than the best host that was seen: a few where the measures agree, all of them where one is the opposite of the other.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, Protocol

from numaplace.db.capacity import ORDERS
from numaplace.model import Refusal
from numaplace.model.records import HostRecord
from numaplace.scheduler.filters import Filter, Request
from numaplace.scheduler.weights import Weigher
from numaplace.scheduler.weights.base import ALIKE, scaled

if TYPE_CHECKING:
    from numaplace.db.api import Database
    from numaplace.db.candidates import Candidate, Candidates

__all__ = ['heaviest']

LOG = logging.getLogger(__name__)

#: With more hosts than this that the columns admit and the filters refuse, reading all of them is not much slower.
_MOST_REFUSED = 200
#: Hosts of the first page, and of the largest: each has twice as many as the one before.
_FIRST_PAGE, _LARGEST_PAGE = 64, 4096
#: Hosts that are read at once.
_BATCH = 4


class _Fallback(Exception):
    """All hosts have to be read."""


class _Policy(Protocol):
    @property
    def filters(self) -> Sequence[tuple[str, Filter]]: ...
    @property
    def weighers(self) -> Sequence[tuple[Weigher, float]]: ...


def heaviest(database: Database, request: Request, policy: _Policy, number: int) -> list[tuple[HostRecord, float]]:
    """Return the first hosts that filtering and weighing all of them gives, with their weights.

    None at all where all hosts have to be read: no host takes the guest, or the database cannot sort by a measure. The
    log says why.

    :param number: how many at most
    """
    needs: dict[str, float | str] = {}
    for _name, check in policy.filters:
        for column, amount in check.needs(request).items():
            known = needs.get(column, amount)
            needs[column] = amount if isinstance(amount, str) or isinstance(known, str) else max(amount, known)

    def find(candidates: Candidates) -> list[tuple[HostRecord, float]]:
        return list(islice(_Search(candidates, request, policy).heaviest_first(), number))

    try:
        return database.find_candidates(needs, find)
    except _Fallback as reason:
        LOG.debug('all hosts are read: %s', reason)
        return []


class _Scale(NamedTuple):
    """A measure that counts.

    :param order: its column
    :param high: the largest measure of all hosts that take the guest
    """

    order: str
    multiplier: float
    high: float

    def weight(self, orders: Sequence[float]) -> float:
        """Return what the measure adds to the weight of a host."""
        return self.multiplier * scaled(0.0 - orders[ORDERS.index(self.order)], 0.0, self.high)


class _List:
    """The hosts in the order of one measure, or by name: what was read of them."""

    def __init__(self, candidates: Candidates, order: str | None, *, is_reversed: bool = False) -> None:
        self._candidates, self._order, self._is_reversed = candidates, order, is_reversed
        self._size = _FIRST_PAGE
        #: The last host that was read.
        self.last: Candidate | None = None
        self.is_over = False

    def next_page(self) -> list[Candidate]:
        """Return the next hosts."""
        found = self._candidates.page(self._order, self.last, self._size, is_reversed=self._is_reversed)
        self.is_over = len(found) < self._size
        self._size = min(2 * self._size, _LARGEST_PAGE)
        if found:
            self.last = found[-1]
        if not all(isinstance(order, float) for each in found for order in each.orders):
            raise _Fallback('a row does not say what its host is chosen by; `numaplace fleet audit` names it')
        return found


class _Search:
    def __init__(self, candidates: Candidates, request: Request, policy: _Policy) -> None:
        self._candidates, self._request, self._filters = candidates, request, policy.filters
        self._asked: dict[str, HostRecord | None] = {}
        self._refused = 0
        self._measures = list(self._active(policy.weighers))

    def _active(self, weighers: Sequence[tuple[Weigher, float]]) -> Iterator[tuple[str, float]]:
        """Yield the columns of the measures that count, with their multipliers."""
        keys = {key for aggregate in self._candidates.aggregates for key in aggregate.metadata}
        for weigher, multiplier in weighers:
            name = type(weigher).__name__
            if weigher.multiplier_option in keys or type(weigher).multiplier is not Weigher.multiplier:
                raise _Fallback(f'{name} counts more on some hosts than on others')
            order = weigher.order(self._request) if multiplier else ALIKE
            if order is None:
                raise _Fallback(f'the database cannot sort by {name}')
            if order != ALIKE:
                yield order, multiplier

    def heaviest_first(self) -> Iterator[tuple[HostRecord, float]]:
        """Yield the hosts that take the guest with their weights, as :func:`numaplace.scheduler.weights.weigh` does."""
        scales = list(self._scales())
        lists = [_List(self._candidates, scale.order, is_reversed=scale.multiplier < 0) for scale in scales]
        lists = lists or [_List(self._candidates, None)]
        seen: set[str] = set()
        heap: list[tuple[float, str]] = []
        is_any = False
        while True:
            for each in lists:
                for found in each.next_page():
                    if found.name not in seen:
                        seen.add(found.name)
                        heapq.heappush(heap, (0.0 - _total(scales, found), found.name))
            is_over = any(each.is_over for each in lists)
            while heap and (is_over or _is_next(heap[0], scales, lists)):
                weight, name = heapq.heappop(heap)
                record = self._ask(name, [name for _weight, name in heap])
                if record is not None:
                    is_any = True
                    yield record, 0.0 - weight
            if is_over:
                break
        if not is_any:
            raise _Fallback('no host was found')

    def _scales(self) -> Iterator[_Scale]:
        """Yield the measures by which hosts that take the guest differ."""
        for order, multiplier in self._measures:
            high = self._highest(order)
            if high is None:
                raise _Fallback('no host was found')
            if high > 0.0:
                yield _Scale(order, multiplier, high)

    def _highest(self, order: str) -> float | None:
        """Return the highest measure of the hosts that take the guest; None if none does."""
        hosts = _List(self._candidates, order)
        while not hosts.is_over:
            page = hosts.next_page()
            for number, found in enumerate(page):
                if self._ask(found.name, [later.name for later in page[number + 1 :]]) is not None:
                    return 0.0 - found.orders[ORDERS.index(order)]
        return None

    def _ask(self, name: str, later: Sequence[str]) -> HostRecord | None:
        """Return a host that takes the guest; None if it does not.

        :param later: hosts that may be asked next
        """
        if name not in self._asked:
            names = [name, *[other for other in later[: _BATCH - 1] if other not in self._asked]]
            known = self._candidates.read(names)
            for each in names:
                record = known.get(each)
                takes = record is not None and self._takes(record)
                self._asked[each] = record if takes else None
                self._refused += not takes
            if self._refused > _MOST_REFUSED:
                raise _Fallback(f'{self._refused} hosts refuse the guest that the database does not leave out')
        return self._asked[name]

    def _takes(self, record: HostRecord) -> bool:
        return not any(isinstance(check.admit(record, self._request), Refusal) for _name, check in self._filters)


def _total(scales: Sequence[_Scale], found: Candidate) -> float:
    return sum([scale.weight(found.orders) for scale in scales], 0.0)


def _is_next(best: tuple[float, str], scales: Sequence[_Scale], lists: Sequence[_List]) -> bool:
    """Return whether no host that was not seen comes before the best one that was.

    A host that was not seen and weighs as much is level with the last row of some list, and behind it by name.
    """
    last = [each.last for each in lists if each.last is not None]
    bound = sum([scale.weight(each.orders) for scale, each in zip(scales, last, strict=False)], 0.0)
    weight, name = 0.0 - best[0], best[1]
    return weight > bound or (weight == bound and all(name <= each.name for each in last))
