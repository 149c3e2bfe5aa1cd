# SPDX-License-Identifier: Apache-2.0
"""Find hosts for a guest by the index: the filters and the fit are asked only about the hosts that come first.

The hosts, their order and the refusals are those that filtering and weighing all hosts one by one gives.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import reduce

import numpy as np
import numpy.typing as npt

from numaplace.model import Refusal
from numaplace.model.records import HostRecord
from numaplace.scheduler.filters import Filter, Request
from numaplace.scheduler.index import HostIndex, Measures
from numaplace.scheduler.weights import Weigher
from numaplace.scheduler.weights.base import ALIKE

__all__ = ['Search', 'is_exact']

_Rows = npt.NDArray[np.intp]


class Search:
    """One request over the hosts of an index, which may not change meanwhile, but for what says otherwise.

    The arrays cost a few passes over all hosts. Beyond that, each weigher costs the exact answers of the hosts at both
    ends of its measure, and each host that is yielded its own: few, as the arrays leave out nearly all that refuse.

    :param filters: names and filters, in their order
    :param weighers: weighers and their multipliers
    :param shuffles: whether hosts of the same weight come in a random order, and not by name
    """

    def __init__(
        self,
        index: HostIndex,
        request: Request,
        filters: Sequence[tuple[str, Filter]],
        weighers: Sequence[tuple[Weigher, float]],
        *,
        shuffles: bool = False,
    ) -> None:
        self.index, self.request, self.filters, self._weighers = index, request, filters, weighers
        self._records = index.records
        self._asked: dict[int, tuple[str, Refusal] | None] = {}
        #: Filters that may refuse hosts that their arrays do not leave out.
        self._unsure = [(name, check) for name, check in filters if not is_exact(check)]
        #: Which hosts each filter passes by its arrays, if it has any.
        self._passing = [check.may_admit(index, request) for _name, check in filters]
        everything = index.everything()
        self._is_left = reduce(
            np.bitwise_and, [each for each in self._passing if each is not None and each is not everything], everything
        )
        self._rows: _Rows = np.flatnonzero(self._is_left)
        if shuffles:
            np.random.default_rng().shuffle(self._rows)

    def names(self) -> list[str]:
        """Return the hosts that the arrays do not leave out; some of them may refuse the guest all the same."""
        return [self._records[row].name for row in self._rows]

    def heaviest_first(self) -> Iterator[tuple[HostRecord, float]]:
        """Yield the hosts that take the guest with their weights, as :func:`numaplace.scheduler.weights.weigh` does.

        The index may change from the call on: which hosts may take it is what the arrays said before.
        """
        totals = self._weighed()
        return ((self._records[self._rows[position]], float(totals[position])) for position in self._takers(totals))

    def counts(self) -> dict[tuple[str, str], int]:
        """Return how many hosts refuse the guest, by filter and kind of reason: ``('NUMATopologyFilter', 'memory')``.

        A host counts for the first filter that leaves it out, and there for each kind. The kind is empty where the
        arrays do not tell. Hosts that they do not leave out are asked, unless they were in the search.
        """
        found: Counter[tuple[str, str]] = Counter()
        left = self.index.everything()
        for (name, check), passing in zip(self.filters, self._passing, strict=True):
            if passing is None or passing.all():
                continue
            out = left & ~passing
            left = left & passing
            untold = out.copy()
            for kind, lacks in check.lacking(self.index, self.request).items():
                found[name, kind] += int(np.count_nonzero(out & lacks))
                untold &= ~lacks
            found[name, ''] += int(np.count_nonzero(untold))
        for row in self._rows:
            if (refused := self._refused(int(row))) is not None:
                found.update((refused[0], kind) for kind in refused[1].kinds)
        return dict(+found)

    def refusals(self) -> Iterator[tuple[str, str, Refusal]]:
        """Yield each host that refuses the guest, by name, with the filter and the reasons: every host is asked."""
        for row, record in enumerate(self._records):
            refused = self._refused(row)
            if refused is not None:
                yield (record.name, *refused)

    def detach(self) -> None:
        """Keep the hosts for :meth:`refusals` as they are now, so that the index may change."""
        self._records = list(self._records)

    def _refused(self, row: int) -> tuple[str, Refusal] | None:
        """Return the first filter that refuses a host, and its refusal; None if it takes the guest."""
        if row not in self._asked:
            filters = self._unsure if self._is_left[row] else self.filters
            self._asked[row] = self._ask(self._records[row], filters)
        return self._asked[row]

    def _ask(self, record: HostRecord, filters: Sequence[tuple[str, Filter]]) -> tuple[str, Refusal] | None:
        for name, check in filters:
            answer = check.admit(record, self.request)
            if isinstance(answer, Refusal):
                return name, answer
        return None

    def _weighed(self) -> Measures:
        """Return the weights of the rows that are left.

        What a measure is scaled by is that of all hosts that take the guest, so those at both ends are asked.
        """
        totals = np.zeros(len(self._rows))
        for weigher, multiplier in self._weighers:
            if weigher.order(self.request) == ALIKE:
                continue
            multipliers = weigher.multipliers(self.index, multiplier)
            if isinstance(multipliers, np.ndarray):
                multipliers = multipliers[self._rows]
            if not np.any(multipliers):
                continue
            measures = self._measures(weigher)
            if weigher.lowest is None and (not len(measures) or measures.min() == measures.max()):
                continue
            high = self._highest(measures)
            low = -self._highest(-measures) if weigher.lowest is None else weigher.lowest
            if high > low:
                totals += multipliers * ((np.maximum(measures, low) - low) / (high - low))
        return totals

    def _measures(self, weigher: Weigher) -> Measures:
        measures = weigher.weigh_all(self.index, self.request)
        if measures is not None:
            return measures[self._rows]
        return np.array([weigher.weigh(self.index.records[row], self.request) for row in self._rows], float)

    def _highest(self, measures: Measures) -> float:
        """Return the highest measure of a host that takes the guest."""
        return next((float(measures[position]) for position in self._takers(measures)), 0.0)

    def _takers(self, values: Measures) -> Iterator[int]:
        """Yield which of the rows take the guest, the highest values first, and equal ones in their order."""
        left = values.copy()
        while len(left) and left[best := int(np.argmax(left))] > -np.inf:
            left[best] = -np.inf
            if self._refused(int(self._rows[best])) is None:
                yield best


def is_exact(check: Filter) -> bool:
    """Return whether a filter's array says what the filter says: it was asked about hosts that are alike."""
    return check.reads is not None and type(check).may_admit is Filter.may_admit
