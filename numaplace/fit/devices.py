# SPDX-License-Identifier: Apache-2.0
"""What the fit needs to know about the devices of a host, whatever counts them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Protocol

from numaplace import cpuset
from numaplace.model import Reason

__all__ = ['Devices', 'Supported']


class Devices(Protocol):
    """The devices that a guest wants, on one host."""

    def supports(self, host_cells: frozenset[int]) -> bool:
        """Return whether the guest gets its devices if its cells go to host cells of these ids."""

    def preference(self, host_cell: int) -> int:  # noqa: ARG002 - others depend on it
        """Return the rank of a host cell in the order: smaller goes first, whatever the strategy."""
        return 0

    def excludes(self, host_cells: frozenset[int], most: int) -> bool:  # noqa: ARG002
        """Return whether it is known that no set of some of these host cells is supported: then none is tried.

        :param most: how many of them are chosen at most
        """
        return False

    def kind(self, host_cell: int) -> Hashable:
        """Return a value that is equal for host cells of which it does not matter which one is chosen.

        Of sets that differ only so, one is tried.
        """
        return host_cell

    def reasons(self, host_cells: frozenset[int]) -> tuple[Reason, ...]:  # noqa: ARG002
        """Return why no set of some of these host cells that was tried is supported."""
        return (Reason('pci.required'),)


class Supported:
    """The answers of some devices about sets of host cells, each computed once; sets are masks over an order.

    :param cell_ids: ids of the host cells in the order of the search
    """

    def __init__(self, devices: Devices, cell_ids: Sequence[int]) -> None:
        self._devices = devices
        self._cell_ids = cell_ids
        self._answers: dict[int, bool] = {}

    def __call__(self, columns: int) -> bool:
        """Return whether the devices are available on the host cells of a mask."""
        if columns not in self._answers:
            self._answers[columns] = self._devices.supports(self._ids(columns))
        return self._answers[columns]

    def excludes(self, columns: int, most: int) -> bool:
        """Return whether no part of a mask with so many host cells at most can be supported."""
        return self._devices.excludes(self._ids(columns), most)

    def kinds(self) -> list[Hashable]:
        """Return the kind of each host cell in the order."""
        return [self._devices.kind(cell_id) for cell_id in self._cell_ids]

    def _ids(self, columns: int) -> frozenset[int]:
        return frozenset(map(self._cell_ids.__getitem__, cpuset.ids(columns)))
