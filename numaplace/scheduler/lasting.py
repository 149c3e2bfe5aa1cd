# SPDX-License-Identifier: Apache-2.0
"""Choose hosts that stay in use anyway, by the ages of their guests, so that the others empty by themselves.

What has lived for long lives on for long: a guest of age `a` is taken to be there after a time `t` with the chance
`a / (a + t)`. Guests that are created together leave together: they count once, and go to the same hosts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ['Ages']

#: What remains of the cost of a host that has guests created together with the one that arrives.
_TOGETHER = 0.1


class Ages:
    """Since when each host has guests of which group: guests that were created together, or one alone.

    A host has a slot for each of its groups: a column of `_since`, infinite where it is not in use.

    :param hosts: their number
    :param ahead_s: how far ahead it is asked whether a host is still in use
    """

    def __init__(self, hosts: int, ahead_s: float) -> None:
        self._ahead_s = ahead_s
        self._since = np.full((hosts, 1), np.inf)
        self._slots: list[dict[str, int]] = [{} for _ in range(hosts)]
        self._numbers: dict[tuple[str, int], int] = {}
        self._rows: dict[str, set[int]] = {}
        self._now_s = -np.inf
        self._alone = np.ones(hosts)

    def add(self, row: int, group: str, since_s: float) -> None:
        """Note a guest of a group on a host."""
        self._numbers[group, row] = self._numbers.get((group, row), 0) + 1
        slots = self._slots[row]
        if group not in slots:
            slots[group] = self._free_slot(row)
            self._rows.setdefault(group, set()).add(row)
        self._since[row, slots[group]] = min(since_s, self._since[row, slots[group]])
        self._ask(row)

    def remove(self, row: int, group: str) -> None:
        """Note that a guest of a group has left a host."""
        self._numbers[group, row] -= 1
        if self._numbers[group, row]:
            return
        del self._numbers[group, row]
        self._since[row, self._slots[row].pop(group)] = np.inf
        self._rows[group].discard(row)
        if not self._rows[group]:
            del self._rows[group]
        self._ask(row)

    def _free_slot(self, row: int) -> int:
        free = np.flatnonzero(np.isinf(self._since[row]))
        if len(free):
            return int(free[0])
        width = self._since.shape[1]
        self._since = np.concatenate([self._since, np.full_like(self._since, np.inf)], axis=1)
        return width

    def _ask(self, row: int) -> None:
        self._alone[row] = self._chances(self._since[row])

    def _chances(self, since: np.ndarray[Any, Any]) -> Any:
        """Return the chance that none of the groups in the last dimension is there after the time ahead."""
        return (self._ahead_s / (self._ahead_s + np.maximum(self._now_s - since, 0.0))).prod(axis=-1)

    def costs(self, group: str, now_s: float, room: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return what a guest of a group costs on each host: the chance that it alone will keep the host in use.

        Guests created together share it.

        :param room: how many CPUs of the guests that are created with it, and not placed yet, each host could have
        """
        if now_s != self._now_s:
            self._now_s = now_s
            self._alone = self._chances(self._since)
        found: np.ndarray[Any, Any] = self._alone / room
        found[list(self._rows.get(group, ()))] *= _TOGETHER
        return found
