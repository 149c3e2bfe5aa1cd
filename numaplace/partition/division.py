# SPDX-License-Identifier: Apache-2.0
"""The ways in which a guest may be divided over a number of host cells in auto mode.

Over host cells with the same number of CPUs, and of those that may be used, evenly; otherwise in proportion to the CPUs
that may be used, as far as each host cell has enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from numaplace.model import ISOLATE, Guest, HostCell, Limits, Wish
from numaplace.model.vnuma import INTERLEAVE, PIN_TO_CORE, SIBLINGS
from numaplace.partition import amounts, shares, sockets
from numaplace.partition.amounts import Unit
from numaplace.partition.available import available_cell, capacity
from numaplace.partition.dividing import Partition, Share, bind

__all__ = ['Divider', 'Division', 'Part']


class Amount(NamedTuple):
    """An amount that is divided, and its smallest and largest share."""

    total: int
    least: int
    most: int

    def share(self, available: int) -> int:
        """Return the largest share out of what is available, or 0 if that is less than the smallest."""
        return min(available, self.most) if available >= self.least else 0

    def lacking(self, available: Sequence[int]) -> float:
        """Return the part of the total that is not available."""
        missing = self.total - sum(min(each, self.most) for each in available)
        return max(missing, sum(max(self.least - each, 0) for each in available)) / self.total


class Part(NamedTuple):
    """A host cell that may take a share.

    :param blocks: how many blocks of vCPUs it takes
    :param as_first: the same with the CPU of the emulator, which goes with the first guest cell
    :param units: how many units of memory it takes
    :param weight: shares are in proportion to it
    :param labels: the host cells of a division must differ in each of these
    """

    cell: HostCell
    blocks: int
    as_first: int
    units: int
    weight: int
    labels: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Division:
    """One way to divide a guest over some of these host cells.

    :param threads: threads of a core of the guest
    :param block: vCPUs are divided in blocks of this number
    :param unit: memory is divided in these
    """

    threads: int
    block: int
    blocks: Amount
    unit: Unit
    units: Amount
    parts: tuple[Part, ...]

    def shares(self, part: Part) -> tuple[int, int]:
        """Return the largest shares that a host cell may take, in blocks and units; 0 if it has too few."""
        return self.blocks.share(part.blocks), self.units.share(part.units)

    def as_first(self, part: Part) -> tuple[int, int]:
        """Return the same for the first guest cell."""
        return self.blocks.share(part.as_first), self.units.share(part.units)

    def lacking(self, parts: Sequence[Part]) -> float:
        """Return how much host cells lack, as the sum of the missing shares of vCPUs and memory."""
        blocks = self.blocks.lacking([parts[0].as_first, *(part.blocks for part in parts[1:])])
        return blocks + self.units.lacking([part.units for part in parts])

    def largest(self, number: int) -> tuple[Part, ...]:
        """Return the host cells that take most, by id; none if there are too few, or they must differ and do not."""

        def size(part: Part) -> float:
            blocks, units = min(part.blocks, self.blocks.most), min(part.units, self.units.most)
            return blocks / self.blocks.total + units / self.units.total

        found = sorted(sorted(self.parts, key=size, reverse=True)[:number], key=lambda part: part.cell.id)
        differ = all(len(set(labels)) > 1 for labels in zip(*(part.labels for part in found), strict=True))
        return tuple(found) if differ and len(found) == number else ()

    def unlimited(self, parts: Sequence[Part]) -> tuple[Part, ...]:
        """Return host cells as if each had enough for any share."""
        blocks, units = self.blocks.total, self.units.total
        return tuple(part._replace(blocks=blocks, as_first=blocks, units=units) for part in parts)

    def bind(self, parts: Sequence[Part], guest: Guest, wish: Wish) -> Partition:
        """Return the guest, divided over host cells; each gets at most what it takes, if that suffices."""
        most = [self.as_first(parts[0]), *map(self.shares, parts[1:])]
        weights = [part.weight for part in parts]
        blocks = shares.proportional(self.blocks.total, weights, [limit for limit, _ in most])
        if len(set(weights)) > 1:
            weights = blocks
        units = shares.proportional(self.units.total, weights, [limit for _, limit in most])
        return bind(
            [
                Share(part.cell.id, number * self.block, size * self.unit.size_mib)
                for part, number, size in zip(parts, blocks, units, strict=True)
            ],
            self.threads,
            guest,
            wish,
        )


class _Group(NamedTuple):
    """Host cells over which a guest may be divided with one number of threads to a core.

    :param block: vCPUs are divided in blocks of this number
    :param cpus: by host cell its number of CPUs, and how many of them a guest may use if there are no others
    :param labels: number of threads by host cell, where they have to differ
    """

    threads: int
    block: int
    cpus: Mapping[int, tuple[int, int]]
    labels: tuple[Mapping[int, object], ...] = ()


class Divider:
    """A guest that is divided over some of these host cells.

    :param cells: by id
    """

    def __init__(self, cells: Sequence[HostCell], guest: Guest, wish: Wish, limits: Limits | None) -> None:
        self._cells = {cell.id: cell for cell in cells}
        self._guest, self._wish, self._limits = guest, wish, limits
        self._memory_mib = guest.memory_mib - wish.tier_mib
        self._units = amounts.units(cells, wish.pagesize_kib, self._memory_mib)
        self._groups = [group for group in self._find_groups() if self._is_possible(group)]
        self._most_blocks = cache(self._find_most_blocks)
        self._most_units = cache(self._find_most_units)

    def divisions(self, number: int) -> Iterator[Division]:
        """Yield the ways to divide the guest over a number of host cells."""
        for group in self._groups:
            blocks = self._guest.vcpus // group.block
            if blocks < number:
                continue
            sizes = sorted(set(group.cpus.values()))
            for size in sizes:
                alike = {cell_id: size for cell_id, cpus in group.cpus.items() if cpus == size}
                if len(alike) >= number:
                    yield from self._evenly(group._replace(cpus=alike), number)
            if len(sizes) > 1:
                yield from self._in_proportion(group._replace(labels=(*group.labels, group.cpus)), number)

    def _is_possible(self, group: _Group) -> bool:
        vcpus = self._guest.vcpus
        return vcpus % group.block == 0 and bool(sockets.allowed(vcpus // group.threads, self._wish.max_topology))

    def _find_groups(self) -> Iterator[_Group]:
        widths = {cell_id: cell.shape.threads_per_core for cell_id, cell in self._cells.items()}
        if self._wish.distribution == INTERLEAVE:
            yield self._group(1, 1, widths)
            return
        for width in sorted(set(widths.values())):
            uneven = self._wish.remainder_first and self._guest.vcpus % width
            threads = 1 if uneven or width > self._wish.max_topology.threads else width
            block = threads * threads if self._wish.distribution == SIBLINGS else threads
            yield self._group(threads, block, [cell_id for cell_id in widths if widths[cell_id] == width])
        if len(set(widths.values())) > 1:
            yield self._group(1, 1, widths)._replace(labels=(widths,))

    def _group(self, threads: int, block: int, ids: Iterable[int]) -> _Group:
        shapes = {cell_id: self._cells[cell_id].shape for cell_id in ids}
        pinned = self._wish.pinning == PIN_TO_CORE
        cpus = {cell_id: shape.dedicated_cpus if pinned else shape.shared_cpus for cell_id, shape in shapes.items()}
        usable = {cell_id: capacity(shape, self._wish, threads) for cell_id, shape in shapes.items()}
        return _Group(threads, block, {cell_id: (cpus[cell_id].bit_count(), usable[cell_id]) for cell_id in shapes})

    def _evenly(self, group: _Group, number: int) -> Iterator[Division]:
        blocks = self._even(self._guest.vcpus // group.block, number)
        ways = [(unit, self._memory_mib // unit.size_mib) for unit in self._units if self._wish.remainder_first]
        share_mib, rest_mib = divmod(self._memory_mib, number)
        if share_mib and not rest_mib:
            ways.append((Unit(share_mib, self._wish.pagesize_kib), number))
        for unit, total in ways:
            units = self._even(total, number)
            if blocks and units:
                yield self._division(group, blocks, unit, units)

    def _even(self, total: int, number: int) -> Amount | None:
        share, rest = divmod(total, number)
        if not share or (rest and not self._wish.remainder_first):
            return None
        return Amount(total, share, share + bool(rest))

    def _in_proportion(self, group: _Group, number: int) -> Iterator[Division]:
        blocks = self._guest.vcpus // group.block
        for unit in self._units:
            units = self._memory_mib // unit.size_mib
            if units >= number:
                yield self._division(group, Amount(blocks, 1, blocks), unit, Amount(units, 1, units))

    def _division(self, group: _Group, blocks: Amount, unit: Unit, units: Amount) -> Division:
        parts = tuple(
            Part(
                self._cells[cell_id],
                *self._most_blocks(cell_id, group.threads, group.block),
                self._most_units(cell_id, unit, units.most),
                max(usable, 1),
                tuple(labels[cell_id] for labels in group.labels),
            )
            for cell_id, (_, usable) in group.cpus.items()
        )
        return Division(group.threads, group.block, blocks, unit, units, parts)

    def _find_most_blocks(self, cell_id: int, threads: int, block: int) -> tuple[int, int]:
        """Return how many blocks of vCPUs a host cell takes, alone and with the CPU of the emulator."""
        cell = available_cell(self._cells[cell_id], self._wish, threads)
        total = self._guest.vcpus // block
        alone = amounts.most_vcpus(cell, self._wish, block, total, self._limits)
        if self._guest.emulator_policy != ISOLATE:
            return alone, alone
        return alone, amounts.most_vcpus(cell, self._wish, block, total, self._limits, emulator=1)

    def _find_most_units(self, cell_id: int, unit: Unit, most: int) -> int:
        pinned = self._wish.pinning == PIN_TO_CORE
        return amounts.most_memory(self._cells[cell_id], unit, most, self._limits, pinned=pinned)
