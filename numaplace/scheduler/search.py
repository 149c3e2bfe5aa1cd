# SPDX-License-Identifier: Apache-2.0
"""Find hosts for a guest by the index: the filters and the fit are asked only about the hosts that come first.

The hosts, their order and the refusals are those that filtering and weighing all hosts one by one gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from numaplace.model import Refusal
from numaplace.model.records import HostRecord
from numaplace.scheduler.filters import Filter, Request
from numaplace.scheduler.index import HostIndex, Measures
from numaplace.scheduler.weights import Weigher

__all__ = ['Search']

_Rows = npt.NDArray[np.intp]


class Search:
    """One request over the hosts of an index, which may not change meanwhile.

    The arrays cost a few passes over all hosts. Beyond that, each weigher costs the exact answers of the hosts at both
    ends of its measure, and each host that is yielded its own: few, as the arrays leave out nearly all that refuse.

    :param filters: names and filters, in their order
    :param weighers: weighers and their multipliers
    """

    def __init__(
        self,
        index: HostIndex,
        request: Request,
        filters: Sequence[tuple[str, Filter]],
        weighers: Sequence[tuple[Weigher, float]],
    ) -> None:
        self._index, self._request, self._filters, self._weighers = index, request, filters, weighers
        self._asked: dict[int, tuple[str, Refusal] | None] = {}
        #: How many hosts each filter leaves out by the arrays, by its name: a host counts for the first that does.
        self.left_out: dict[str, int] = {}
        #: Filters that may refuse hosts that their arrays do not leave out.
        self._unsure = [(name, check) for name, check in filters if not _is_exact(check)]
        mask = index.everything()
        for name, check in filters:
            passing = check.may_admit(index, request)
            if passing is not None:
                before = int(np.count_nonzero(mask))
                mask &= passing
                self.left_out[name] = before - int(np.count_nonzero(mask))
        self._is_left = mask
        self._rows: _Rows = np.flatnonzero(mask)

    def heaviest_first(self) -> Iterator[tuple[HostRecord, float]]:
        """Yield the hosts that take the guest with their weights, as :func:`numaplace.scheduler.weights.weigh` does."""
        totals = self._weighed()
        for position in self._takers(totals):
            yield self._index.records[self._rows[position]], float(totals[position])

    def refusals(self) -> Iterator[tuple[str, str, Refusal]]:
        """Yield each host that refuses the guest, by name, with the filter and the reasons: every host is asked."""
        for row, record in enumerate(self._index.records):
            refused = self._refused(row)
            if refused is not None:
                yield (record.name, *refused)

    def _refused(self, row: int) -> tuple[str, Refusal] | None:
        """Return the first filter that refuses a host, and its refusal; None if it takes the guest."""
        if row not in self._asked:
            filters = self._unsure if self._is_left[row] else self._filters
            self._asked[row] = self._ask(self._index.records[row], filters)
        return self._asked[row]

    def _ask(self, record: HostRecord, filters: Sequence[tuple[str, Filter]]) -> tuple[str, Refusal] | None:
        for name, check in filters:
            answer = check.admit(record, self._request)
            if isinstance(answer, Refusal):
                return name, answer
        return None

    def _weighed(self) -> Measures:
        """Return the weights of the rows that are left.

        What a measure is scaled by is that of all hosts that take the guest, so those at both ends are asked.
        """
        totals = np.zeros(len(self._rows))
        for weigher, multiplier in self._weighers:
            multipliers = weigher.multipliers(self._index, multiplier)[self._rows]
            if not multipliers.any():
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
        measures = weigher.weigh_all(self._index, self._request)
        if measures is not None:
            return measures[self._rows]
        return np.array([weigher.weigh(self._index.records[row], self._request) for row in self._rows], float)

    def _highest(self, measures: Measures) -> float:
        """Return the highest measure of a host that takes the guest."""
        return next((float(measures[position]) for position in self._takers(measures)), 0.0)

    def _takers(self, values: Measures) -> Iterator[int]:
        """Yield which of the rows take the guest, those with the highest values first, and equal ones by name."""
        left = values.copy()
        while len(left) and left[best := int(np.argmax(left))] > -np.inf:
            left[best] = -np.inf
            if self._refused(int(self._rows[best])) is None:
                yield best


def _is_exact(check: Filter) -> bool:
    """Return whether a filter's array says what the filter says: it was asked about hosts that are alike."""
    return check.reads is not None and type(check).may_admit is Filter.may_admit
