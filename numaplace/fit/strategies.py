# SPDX-License-Identifier: Apache-2.0
"""Which placement is taken: by Nova's orders of host cells, the nearest ones, or those that are missed least.

A strategy never decides whether there is a placement.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol, runtime_checkable

from numaplace.fit.nearest import distances
from numaplace.fit.usefulness import ANY, Mix, losses
from numaplace.model import Guest, Host, HostCell

__all__ = ['CLOSEST', 'LINEAR', 'PACK', 'PRESERVE', 'SPREAD', 'Measured', 'Strategy', 'preserve']


class Strategy(Protocol):
    """An order of host cells; plug-ins of the entry point group ``numaplace.strategies`` are such objects."""

    @property
    def name(self) -> str:
        """The name in the configuration."""

    def order(self, host: Host, guest: Guest) -> tuple[HostCell, ...]:
        """Return the host's cells in the order to try them; the answer may depend only on host and guest."""


@runtime_checkable
class Measured(Protocol):
    """A strategy that prefers the host cells with the least sum of costs; its order decides between equal sums."""

    def costs(self, cells: Sequence[HostCell], guest: Guest, ranks: Sequence[int]) -> list[list[int]]:
        """Return the cost of each pair of host cells, symmetric and at least 0; on the diagonal that of each alone.

        :param ranks: of the cells for the devices of the guest, or for its lack of any: smaller is better
        """


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

        def rank(cell: HostCell) -> tuple[int, int, int]:
            return self._sign * _free_cpus(cell, guest), self._sign * cell.free_memory_mib, cell.id

        return tuple(sorted(host.cells, key=rank))


def _free_cpus(cell: HostCell, guest: Guest) -> int:
    """Return the free dedicated CPUs for a guest that is pinned, otherwise less where more vCPUs share the CPUs."""
    return cell.free_cpus.bit_count() if guest.cells and guest.cells[0].is_pinned else -cell.cpu_usage


class _Closest(_ByUse):
    """The host cells that lie nearest to each other, of equal ones the best for devices, then those most free."""

    def costs(self, cells: Sequence[HostCell], guest: Guest, ranks: Sequence[int]) -> list[list[int]]:
        """Return the distance of each pair in both directions, weighed so that all else decides between equal sums."""
        each_alone = self._each_alone(cells, guest)
        steps = zip(ranks, each_alone, strict=True)
        own = [(1 + sum(each_alone)) * (rank - min(ranks)) + each for rank, each in steps]
        table, weight = distances(cells), 1 + sum(own)
        return [
            [own[place] if one is other else weight * table[one.id][other.id] for other in cells]
            for place, one in enumerate(cells)
        ]

    def _each_alone(self, cells: Sequence[HostCell], guest: Guest) -> list[int]:
        """Return what each cell costs beside distances and devices, at least 0: how many CPUs fewer it has free."""
        free = [_free_cpus(cell, guest) for cell in cells]
        return [max(free) - each for each in free]


class _Preserve(_Closest):
    """The host cells after whose use the host stays most useful, of equal ones the fullest; wide guests stay near."""

    def __init__(self, mix: Mix) -> None:
        super().__init__('preserve', 1)
        self._mix = mix

    def order(self, host: Host, guest: Guest) -> tuple[HostCell, ...]:
        """Return the cells by what the host loses; linear where the guest needs every host cell."""
        if len(host.cells) <= len(guest.cells):
            return LINEAR.order(host, guest)
        ids = [cell.id for cell in host.cells]
        lost = dict(zip(ids, self._each_alone(host.cells, guest), strict=True))
        return tuple(sorted(super().order(host, guest), key=lambda cell: lost[cell.id]))

    def _each_alone(self, cells: Sequence[HostCell], guest: Guest) -> list[int]:
        return losses(cells, guest, self._mix)


LINEAR = _Linear()
CLOSEST = _Closest('closest', -1)
SPREAD = _ByUse('spread', -1)
PACK = _ByUse('pack', 1)
PRESERVE = _Preserve(ANY)


@lru_cache(maxsize=16)
def preserve(mix: Mix) -> Strategy:
    """Return the strategy PRESERVE for the guests that are expected."""
    return PRESERVE if mix is ANY else _Preserve(mix)
