# SPDX-License-Identifier: Apache-2.0
"""The order in which host cells are tried: one object for each order that Nova has had.

The order decides which of several placements is taken, never whether there is one.
"""

from __future__ import annotations

from typing import Protocol

from numaplace.model import Guest, Host, HostCell

__all__ = ['LINEAR', 'PACK', 'SPREAD', 'Strategy']


class Strategy(Protocol):
    """An order of host cells; plug-ins of the entry point group ``numaplace.strategies`` are such objects."""

    @property
    def name(self) -> str:
        """The name in the configuration."""

    def order(self, host: Host, guest: Guest) -> tuple[HostCell, ...]:
        """Return the host's cells in the order to try them; the answer may depend only on host and guest."""


class _Linear:
    """By id, as Nova did before Xena."""

    name = 'linear'

    def order(self, host: Host, guest: Guest) -> tuple[HostCell, ...]:  # noqa: ARG002 - an order may depend on the guest
        """Return the cells by id."""
        return tuple(sorted(host.cells, key=lambda cell: cell.id))


class _ByUse:
    """By free CPUs, then by free memory, then by id; linear where the guest needs every host cell."""

    def __init__(self, name: str, sign: int) -> None:
        self.name = name
        self._sign = sign

    def order(self, host: Host, guest: Guest) -> tuple[HostCell, ...]:
        """Return the cells by use: most free first for spread, least free first for pack."""
        if len(host.cells) <= len(guest.cells):
            return LINEAR.order(host, guest)
        pinned = bool(guest.cells) and guest.cells[0].is_pinned

        def rank(cell: HostCell) -> tuple[int, int, int]:
            free_cpus = cell.free_cpus.bit_count() if pinned else -cell.cpu_usage
            return self._sign * free_cpus, self._sign * cell.free_memory_mib, cell.id

        return tuple(sorted(host.cells, key=rank))


LINEAR = _Linear()
SPREAD = _ByUse('spread', -1)
PACK = _ByUse('pack', 1)
