# SPDX-License-Identifier: Apache-2.0
"""Auto mode: the fewest host cells in which a guest fits, and of those the nearest to each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from typing import NamedTuple

from numaplace import cpuset, fit
from numaplace.fit.nearest import Candidate, Choice, distances, nearest
from numaplace.fit.networks import affinities
from numaplace.model import Guest, Host, Limits, Networks, Placement, Refusal, Wish
from numaplace.partition import dividing, shares
from numaplace.partition.available import available
from numaplace.partition.division import Divider, Division, Part
from numaplace.partition.tier import NO_TIER, Tier, TierSearch, memory_cells

__all__ = ['place_auto']


def place_auto(
    host: Host,
    guest: Guest,
    wish: Wish,
    *,
    limits: Limits | None = None,
    devices: fit.Devices | None = None,
    networks: Networks | None = None,
) -> Placement | Refusal:
    """Place a guest in the fewest host cells in which it fits; of those in the nearest, and ties go by id.

    It fits if any division does (``numaplace.partition.division``). The memory of its tier comes from the fewest and
    nearest host cells without CPUs. Networks and devices are judged by all host cells together. The cost is that of
    :func:`numaplace.fit.nearest.nearest` for each number of host cells, and with a tier the same again for each
    choice that would be the best.

    :returns: the placement, or the refusal of the host cells that come nearest to fitting
    :raises: :class:`~numaplace.exception.InvalidPartition` if it cannot be divided over any host of this shape
    """
    wish.check(guest.memory_mib)
    search = _Search(host, guest, wish, limits=limits, devices=devices, networks=networks)
    found = search.best()
    if found is None:
        return search.explain()
    answer = search.attempt(found)
    if not answer and any(cell.shape.is_general for cell in found.tier.cells):
        # Guests without cells may use up memory that counts as general, so another tier may fit.
        search.attempts = True
        found = search.best()
    return answer if found is None else search.attempt(found)


class _Found(NamedTuple):
    """Host cells for a guest.

    :param parts: those with its vCPUs, by id
    """

    division: Division
    parts: tuple[Part, ...]
    tier: Tier

    @property
    def ids(self) -> frozenset[int]:
        return frozenset(cell.id for cell in (*(part.cell for part in self.parts), *self.tier.cells))


class _Search:
    """The host cells for one guest on one host.

    :param attempts: accept host cells only if the whole guest fits them, with all rules for the host
    """

    def __init__(
        self,
        host: Host,
        guest: Guest,
        wish: Wish,
        *,
        limits: Limits | None,
        devices: fit.Devices | None = None,
        networks: Networks | None = None,
    ) -> None:
        self._host, self._guest, self._wish, self._limits = host, guest, wish, limits
        self._devices, self._networks = devices, networks
        self._cells, self._memory = dividing.usable(host, wish), memory_cells(host, wish)
        self._divider = Divider(self._cells, guest, wish, limits)
        self._near = {cell.id: 0 for cell in host.cells}
        for number, affinity in enumerate(affinities(host.cells, networks)):
            for column, cell in enumerate(host.cells):
                self._near[cell.id] |= (affinity.columns >> column & 1) << number
        self._wanted = cpuset.union(self._near.values())
        self._distances = distances(host.cells)
        self._tiers = TierSearch(self._memory, self._near, self._distances, wish, limits) if self._memory else None
        self._supports = cache(devices.supports) if devices is not None else None
        self.attempts = False

    def best(self) -> _Found | None:
        """Return the best host cells, or None if the guest fits none."""
        if self._tiers is not None and not self._tiers.may_fit:
            return None
        for number in range(1, len(self._cells) + 1):
            found = nearest(map(self._choice, self._divider.divisions(number)), number)
            if found:
                return self._with_tier(found) if self._tiers is not None and not found.tier.cells else found
        return None

    def _choice(self, division: Division) -> Choice[_Found]:
        parts = [part for part in division.parts if all(division.shares(part))]
        blocks, units = division.blocks.total, division.units.total

        def weighed(share: tuple[int, int]) -> tuple[int, int, int]:
            """Add the sum of both amounts, each as a part of its total: host cells may lack one where the other is."""
            return *share, share[0] * units + share[1] * blocks

        def accept(places: Sequence[int]) -> _Found | None:
            return self._accept(division, tuple(parts[place] for place in places))

        def possible(places: Sequence[int]) -> bool:
            ids = frozenset(cell.id for cell in (*(parts[place].cell for place in places), *self._memory))
            return self._devices is None or not self._devices.excludes(ids, len(ids))

        return Choice(
            [
                Candidate(
                    part.cell.id,
                    weighed(division.shares(part)),
                    weighed(division.as_first(part)),
                    part.labels,
                    self._near[part.cell.id],
                )
                for part in parts
            ],
            [[self._distances[one.cell.id][other.cell.id] for other in parts] for one in parts],
            (blocks, units, 2 * blocks * units),
            self._wanted & ~cpuset.union(self._near[cell.id] for cell in self._memory),
            accept,
            possible if self._devices is not None else None,
            symmetric=self._is_symmetric,
        )

    def _accept(self, division: Division, parts: tuple[Part, ...]) -> _Found | None:
        """Return host cells if they can be the answer; without a tier where that of the best is all that matters."""
        found = _Found(division, parts, NO_TIER)
        if self._tiers is None:
            return found if self._admits(found) else None
        return found if self._is_symmetric and not self._lacking(found) else self._with_tier(found)

    def _with_tier(self, found: _Found) -> _Found | None:
        """Return host cells with the best tier for them, or None if there is none."""
        assert self._tiers is not None  # noqa: S101 - only called for a wish with a tier
        tier = self._tiers.nearest(
            [part.cell.id for part in found.parts],
            self._lacking(found),
            lambda tier: self._admits(found._replace(tier=tier)),
            symmetric=self._is_symmetric,
        )
        return None if tier is None else found._replace(tier=tier)

    def _lacking(self, found: _Found) -> int:
        """Return the mask of the networks that none of these host cells is near to."""
        return self._wanted & ~cpuset.union(self._near[cell_id] for cell_id in found.ids)

    def _admits(self, found: _Found) -> bool:
        """Return whether the devices, and where that matters the host, admit these host cells."""
        if self._supports is not None and not self._supports(found.ids):
            return False
        return not self.attempts or bool(self.attempt(found))

    @property
    def _is_symmetric(self) -> bool:
        """Whether host cells that are alike are admitted alike."""
        return self._devices is None and not self.attempts

    def attempt(self, found: _Found) -> Placement | Refusal:
        """Place the guest in host cells."""
        partition = found.tier.add_to(found.division.bind(found.parts, self._guest, self._wish), self._wish)
        return fit.place(
            available(self._host, self._wish, found.division.threads),
            partition.guest,
            limits=self._limits,
            devices=self._devices,
            networks=self._networks,
            host_cell_ids=partition.host_cell_ids,
        )

    def explain(self) -> Placement | Refusal:
        """Return the refusal of the host cells that come nearest to fitting: first those that lack no CPUs or memory.

        :raises: :class:`~numaplace.exception.InvalidPartition` if the guest cannot be divided at all
        """
        less = partial(_Search, self._host, self._guest, self._wish, limits=self._limits)
        found = less(networks=self._networks).best() if self._devices is not None else None
        if found is None and self._wanted:
            found = less().best()
        return self.attempt(found or self._nearest_to_fitting())

    def _nearest_to_fitting(self) -> _Found:
        """Return the host cells that lack the least share of what the guest needs."""
        wide = min(len(self._memory), self._wish.tier_mib)
        tier = Tier(tuple(self._memory[:wide]), tuple(shares.even(self._wish.tier_mib, wide)) if wide else ())
        ways = [
            (division.lacking(parts), -number, division, parts)
            for number in range(1, len(self._cells) + 1)
            for division in self._divider.divisions(number)
            if (parts := division.largest(number))
        ]
        if not ways:
            main = replace(self._guest, memory_mib=self._guest.memory_mib - self._wish.tier_mib)
            dividing.divide_over(self._cells[:1], main, self._wish)
        _, _, division, parts = min(ways, key=lambda way: way[:2])
        return _Found(division, division.unlimited(parts), tier)
