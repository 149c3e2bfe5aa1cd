# SPDX-License-Identifier: Apache-2.0
"""What many hosts have left, in arrays: which of them may take a server costs the same however full they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from numaplace.model.records import HostRecord
from numaplace.planning import demand

__all__ = ['Rooms', 'Scores']

#: A number by host; infinite for one that does not count.
Scores: TypeAlias = npt.NDArray[np.float64]
_CellNumbers: TypeAlias = npt.NDArray[np.float64]
_Mask: TypeAlias = npt.NDArray[np.bool_]


class Rooms:
    """Hosts by row; what their cells have left is by cell and host, and infinite where there is no limit.

    The amounts are those of :mod:`numaplace.planning.demand`: necessary for the fit, not sufficient.
    """

    def __init__(self, records: Iterable[HostRecord]) -> None:
        known = list(records)
        self.names = [record.name for record in known]
        self.rows = {name: row for row, name in enumerate(self.names)}
        size = max([len(record.host.cells) for record in known], default=0), len(known)
        self._is_cell: _Mask = np.zeros(size, bool)
        self._by_cell: dict[str, _CellNumbers] = {}
        self._by_host: dict[str, Scores] = {}
        self._known: dict[str, HostRecord] = {}
        for record in known:
            self.update(record)
        #: How much a cell has left on average, by which amounts of several resources are compared.
        self._usual = {
            name: max(1.0, float(np.mean(_finite(left)[self._is_cell]))) for name, left in self._by_cell.items()
        }

    def update(self, record: HostRecord) -> None:
        """Write what a host has left now."""
        row, places = self.rows[record.name], {cell.id: place for place, cell in enumerate(record.host.cells)}
        before = self._known.get(record.name)
        self._known[record.name] = record
        self._is_cell[: len(places), row] = True
        left = demand.room(record) if before is None else demand.changed_room(record, before)
        for (cell, name), amount in left.items():
            if cell is None:
                self._whole(name)[row] = amount
            else:
                self._in_cells(name)[places[cell], row] = amount

    def _whole(self, name: str) -> Scores:
        if name not in self._by_host:
            self._by_host[name] = np.full(len(self.names), np.inf)
        return self._by_host[name]

    def _in_cells(self, name: str) -> _CellNumbers:
        if name not in self._by_cell:
            self._by_cell[name] = np.full(self._is_cell.shape, np.inf)
        return self._by_cell[name]

    def may(self, needs: tuple[dict[str, int], ...]) -> _Mask:
        """Return which hosts have enough cells with room for each guest cell, or as a whole for a guest without."""
        *cells, whole = needs
        found: _Mask = np.ones(len(self.names), bool)
        if not cells:
            for name, amount in whole.items():
                found &= self._whole(name) >= amount
        for need, number in Counter(tuple(each.items()) for each in cells).items():
            found &= self._have(dict(need)).sum(axis=0) >= number
        return found

    def rest(self, needs: tuple[dict[str, int], ...]) -> Scores:
        """Return how much each host would have left of what is needed, in its widest cell: that is what it loses."""
        *cells, whole = needs
        found: Scores = np.zeros(len(self.names))
        if not cells:
            return sum([_finite((self._whole(name) - amount) / amount) for name, amount in whole.items()], found)
        for need in cells:
            left: _CellNumbers = np.zeros(self._is_cell.shape)
            for name, amount in need.items():
                left += _finite((self._in_cells(name) - amount) / self._usual.get(name, 1.0))
            widest = np.where(self._have(need), left, -np.inf).max(axis=0, initial=-np.inf)
            found += np.where(np.isfinite(widest), widest, np.inf)
        return found

    def _have(self, need: dict[str, int]) -> _Mask:
        found = self._is_cell.copy()
        for name, amount in need.items():
            found &= self._in_cells(name) >= amount
        return found


def _finite(amounts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return amounts in which what has no limit counts as nothing."""
    return np.where(np.isfinite(amounts), amounts, 0.0)
