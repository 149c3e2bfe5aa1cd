# SPDX-License-Identifier: Apache-2.0
"""Memory of a guest from host cells without CPUs, such as HBM or CXL: guest cells without vCPUs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from numaplace import exception
from numaplace.fit.nearest import Candidate, Choice, nearest
from numaplace.memory_kinds import GENERAL
from numaplace.model import GuestCell, Host, HostCell, Limits, Wish
from numaplace.partition import amounts, shares
from numaplace.partition.amounts import Unit
from numaplace.partition.dividing import Partition

__all__ = ['NO_TIER', 'Tier', 'TierSearch', 'memory_cells']


def memory_cells(host: Host, wish: Wish) -> list[HostCell]:
    """Return the host cells without CPUs, by id; none for a wish without a tier.

    :raises: :class:`~numaplace.exception.InvalidPartition` if the wish needs some and there are none
    """
    if not wish.tier_mib:
        return []
    found = [cell for cell in host.cells if cell.shape.kind != GENERAL]
    if not found:
        raise exception.InvalidPartition(
            f'tier {wish.tier_mib} MiB: expected a host with cells without CPUs, such as HBM or CXL memory', 'tier_mib'
        )
    return sorted(found, key=lambda cell: cell.id)


class Tier(NamedTuple):
    """The host cells without CPUs that were chosen, by id, and the memory of the guest on each in MiB."""

    cells: tuple[HostCell, ...]
    memory_mib: tuple[int, ...]

    def add_to(self, partition: Partition, wish: Wish) -> Partition:
        """Return a partition with a guest cell in addition for each of these host cells."""
        cells = list(partition.guest.cells)
        for memory_mib in self.memory_mib:
            cells.append(GuestCell(len(cells), 0, 0, memory_mib, pagesize_kib=wish.pagesize_kib))
        host_cell_ids = (*partition.host_cell_ids, *(cell.id for cell in self.cells))
        return Partition(replace(partition.guest, cells=tuple(cells)), host_cell_ids)


#: The tier of a guest that wants none.
NO_TIER = Tier((), ())


class TierSearch:
    """The choice of host cells without CPUs: the fewest, then the nearest to those with the vCPUs, then by id.

    :param networks: mask of the networks that a host cell is near to, by its id
    :param distances: as :func:`numaplace.fit.nearest.distances` returns them
    """

    def __init__(
        self,
        cells: Sequence[HostCell],
        networks: Mapping[int, int],
        distances: Mapping[int, Mapping[int, int]],
        wish: Wish,
        limits: Limits | None,
    ) -> None:
        self._cells, self._networks, self._distances = cells, networks, distances
        self._total_mib = wish.tier_mib
        self._ways = [
            (unit, [self._most(cell, unit, limits) for cell in cells])
            for unit in amounts.units(cells, wish.pagesize_kib, wish.tier_mib)
        ]

    def _most(self, cell: HostCell, unit: Unit, limits: Limits | None) -> int:
        return amounts.most_memory(cell, unit, self._total_mib // unit.size_mib, limits, pinned=False)

    @property
    def may_fit(self) -> bool:
        """Whether the memory of all of them suffices."""
        return any(sum(most) >= self._total_mib // unit.size_mib for unit, most in self._ways)

    def nearest(
        self, chosen: Sequence[int], networks: int, accept: Callable[[Tier], bool], *, symmetric: bool
    ) -> Tier | None:
        """Return the best choice for some host cells with the vCPUs, or None if there is none.

        :param chosen: the ids of those host cells
        :param networks: mask of the networks that none of `chosen` is near to
        :param accept: returns whether a choice is accepted
        :param symmetric: as in :class:`~numaplace.fit.nearest.Choice`
        """
        costs = [sum(self._distances[cell.id][other] for other in chosen) for cell in self._cells]
        for number in range(1, len(self._cells) + 1):
            ways = [(unit, most) for unit, most in self._ways if unit.size_mib * number <= self._total_mib]
            choices = [self._choice(unit, most, costs, networks, accept) for unit, most in ways]
            found = nearest((replace(choice, symmetric=symmetric) for choice in choices), number)
            if found:
                return found
        return None

    def _choice(
        self, unit: Unit, most: Sequence[int], costs: Sequence[int], networks: int, accept: Callable[[Tier], bool]
    ) -> Choice[Tier]:
        places = [place for place, limit in enumerate(most) if limit]
        total = self._total_mib // unit.size_mib

        def answer(chosen: Sequence[int]) -> Tier | None:
            own = [places[place] for place in chosen]
            parts = shares.proportional(total, [1] * len(own), [most[place] for place in own])
            tier = Tier(tuple(self._cells[place] for place in own), tuple(part * unit.size_mib for part in parts))
            return tier if accept(tier) else None

        return Choice(
            [
                Candidate(
                    self._cells[place].id,
                    (most[place],),
                    (most[place],),
                    (),
                    self._networks[self._cells[place].id],
                    costs[place],
                )
                for place in places
            ],
            [[0] * len(places)] * len(places),
            (total,),
            networks,
            answer,
        )
