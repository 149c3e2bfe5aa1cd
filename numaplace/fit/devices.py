# SPDX-License-Identifier: Apache-2.0
"""What the fit asks of the devices of a host, whoever counts them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from numaplace import cpuset

__all__ = ['Devices', 'Supported']


class Devices(Protocol):
    """The devices that a guest wants, on one host."""

    @property
    def monotone(self) -> bool:
        """Whether a set that is supported stays so when host cells are added; only then it prunes the search."""

    def supports(self, host_cells: frozenset[int]) -> bool:
        """Return whether the guest gets its devices if its cells go to host cells of these ids."""

    def preference(self, host_cell: int) -> int:
        """Return the place of a host cell in the order: smaller goes first, whatever the strategy says."""


class Supported:
    """The answers of some devices about sets of host cells, each asked for once.

    :param cell_ids: ids of the host cells in the order of the search
    """

    def __init__(self, devices: Devices, cell_ids: Sequence[int]) -> None:
        self.monotone = devices.monotone
        self._devices = devices
        self._cell_ids = cell_ids
        self._answers: dict[int, bool] = {}

    def __call__(self, columns: int) -> bool:
        """Return whether the devices can be had on the host cells of a mask over the order."""
        if columns not in self._answers:
            chosen = frozenset(self._cell_ids[column] for column in cpuset.ids(columns))
            self._answers[columns] = self._devices.supports(chosen)
        return self._answers[columns]
