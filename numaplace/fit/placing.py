# SPDX-License-Identifier: Apache-2.0
"""Place a guest on a host: the rule for one cell for every pair, then the joint choice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from operator import or_

from numaplace import cpuset
from numaplace.fit import amounts, cells, host_wide
from numaplace.fit.assignment import first_assignment, hall_violator, nearest_assignment
from numaplace.fit.binding import pair_reasons, place_bound
from numaplace.fit.cell_demand import Demand, demands
from numaplace.fit.devices import Devices, Supported
from numaplace.fit.networks import Affinity, affinities
from numaplace.fit.strategies import SPREAD, Measured, Strategy
from numaplace.model import Guest, Host, HostCell, Limits, Networks, Placement, Reason, Refusal

__all__ = ['place', 'refusal']


def place(
    host: Host,
    guest: Guest,
    *,
    limits: Limits | None = None,
    devices: Devices | None = None,
    networks: Networks | None = None,
    strategy: Strategy = SPREAD,
    host_cell_ids: Sequence[int] | None = None,
) -> Placement | Refusal:
    """Find where a guest goes on a host, if it fits there.

    The answer is the first assignment of guest cells to host cells in the strategy's order for which every pair fits,
    the networks have their affinity, and the devices are available; a strategy that measures costs first takes the set
    of host cells with the least sum. The rule for one cell costs at most host cells x distinct guest cells x cores;
    the cost of the joint choice is stated at :func:`numaplace.fit.assignment.first_assignment` and
    :func:`numaplace.fit.nearest.nearest`.

    :param limits: overcommit of shared CPUs and memory; None sets no limit
    :param devices: the devices that the guest wants, if any
    :param networks: the networks that it attaches to, if any
    :param strategy: which of several placements is taken
    :param host_cell_ids: for each guest cell the id of its host cell, which several may share; then nothing is searched
    :returns: a placement, or a refusal that computes its reasons when they are read
    :raises: :class:`~numaplace.exception.Invalid` if there is not one binding for each guest cell
    """
    if impossible := amounts.reasons(guest, more=host_cell_ids is not None):
        return Refusal.of(*impossible)
    if guest.cells and host_cell_ids is not None:
        return place_bound(host, guest, host_cell_ids, limits=limits, devices=devices, networks=networks)
    lacks = host_wide.reasons(host, guest, limits)
    if not guest.cells:
        return Refusal.of(*lacks) if lacks else Placement(guest)
    order = strategy.order(host, guest)
    problem = _Problem(order, guest, limits=limits, devices=devices, networks=networks)
    columns = problem.solve(strategy)
    if columns is None or lacks:
        return _refusal(problem, columns, lacks)
    chosen = zip(guest.cells, columns, problem.demands, strict=True)
    return Placement(guest, tuple(cells.place(problem.order[column], cell, demand) for cell, column, demand in chosen))


def refusal(
    host: Host,
    guest: Guest,
    *,
    limits: Limits | None = None,
    devices: Devices | None = None,
    networks: Networks | None = None,
) -> Refusal | None:
    """Return why a guest does not go on a host, or None where :func:`place` finds a place for it.

    It chooses no CPUs and needs no strategy, so checking many hosts is faster; the search is that of :func:`place`.

    :param limits: overcommit of shared CPUs and memory; None sets no limit
    :param devices: the devices that the guest wants, if any
    :param networks: the networks that it attaches to, if any
    """
    if impossible := amounts.reasons(guest):
        return Refusal.of(*impossible)
    lacks = host_wide.reasons(host, guest, limits)
    if not guest.cells:
        return Refusal.of(*lacks) if lacks else None
    problem = _Problem(host.cells, guest, limits=limits, devices=devices, networks=networks)
    columns = problem.solve()
    return _refusal(problem, columns, lacks) if columns is None or lacks else None


def _refusal(problem: _Problem, columns: tuple[int, ...] | None, lacks: tuple[Reason, ...]) -> Refusal:
    """Refuse for what the whole host lacks, and where no cells were found, for what the cells lack."""
    return Refusal(lambda: (*(problem.reasons() if columns is None else ()), *lacks))


class _Problem:
    """One guest on one host: which guest cell fits which host cell.

    :param order: the host cells in the order in which they are tried
    """

    def __init__(
        self,
        order: tuple[HostCell, ...],
        guest: Guest,
        *,
        limits: Limits | None,
        devices: Devices | None,
        networks: Networks | None,
    ) -> None:
        self.order = order
        if devices is not None and len(self.order) > len(guest.cells):
            self.order = tuple(sorted(self.order, key=lambda cell: devices.preference(cell.id)))
        self._guest = guest
        self.demands = demands(guest, limits)
        self._affinities = affinities(self.order, networks)
        self._devices = devices

    def solve(self, strategy: Strategy | None = None) -> tuple[int, ...] | None:
        """Return for each guest cell its place in the order, or None; stops at the first cell that fits nowhere.

        :param strategy: None where any placement will do
        """
        if len(self.order) < len(self.demands):
            return None
        found: dict[Demand, int] = {}
        for demand in self.demands:
            if demand not in found:
                found[demand] = self._fitting(demand)
                if not found[demand]:
                    return None
        rows = [found[demand] for demand in self.demands]
        if 1 < len(rows) < len(self.order) and isinstance(strategy, Measured):
            ranks = [0 if self._devices is None else self._devices.preference(cell.id) for cell in self.order]
            return self._nearest(rows, strategy.costs(self.order, self._guest, ranks))
        return self._first(rows, self._affinities, self._devices)

    def _nearest(self, rows: list[int], costs: list[list[int]]) -> tuple[int, ...] | None:
        """Return the assignment to the host cells with the least sum of costs; the first of equal ones."""
        sets = [affinity.columns for affinity in self._affinities]
        accepts = None if self._devices is None else Supported(self._devices, [cell.id for cell in self.order])
        return nearest_assignment(rows, sets, accepts, costs)

    def _fitting(self, demand: Demand) -> int:
        """Return the mask of the places in the order that a demand fits."""
        mask = 0
        for column, host_cell in enumerate(self.order):
            if cells.shortfall(host_cell, demand) is None:
                mask |= 1 << column
        return mask

    def _first(self, rows: list[int], wanted: list[Affinity], devices: Devices | None = None) -> tuple[int, ...] | None:
        accepts = None if devices is None else Supported(devices, [cell.id for cell in self.order])
        return first_assignment(rows, [affinity.columns for affinity in wanted], accepts)

    def reasons(self) -> tuple[Reason, ...]:
        """Return everything that each failing pair of cells lacks, and each cause of the whole host."""
        rows = [0] * len(self.demands)
        found: list[Reason] = []
        for number, demand in enumerate(self.demands):
            for column, host_cell in sorted(enumerate(self.order), key=lambda item: item[1].id):
                if cells.shortfall(host_cell, demand) is None:
                    rows[number] |= 1 << column
                else:
                    found.extend(pair_reasons(host_cell, demand, number))
        if len(self.order) < len(rows):
            found.append(Reason('cells.count', len(rows), len(self.order), 'cells'))
        elif all(rows):
            found.extend(self._joint_reasons(rows))
        return tuple(found)

    def _joint_reasons(self, rows: list[int]) -> Iterator[Reason]:
        """Yield why no assignment exists although every guest cell fits some host cell."""
        violator = hall_violator(rows)
        if violator is not None:
            competing, columns = violator
            yield Reason(
                'cells.assignment',
                competing.bit_count(),
                columns.bit_count(),
                'cells',
                tuple(cpuset.ids(competing)),
                self._ids(columns),
            )
            return
        missed = [affinity for affinity in self._affinities if self._first(rows, [affinity]) is None]
        for affinity in missed:
            yield Reason(affinity.code, 1, 0, 'cells', (), self._ids(affinity.columns), affinity.name)
        if missed:
            return
        if self._first(rows, self._affinities) is None:
            names = ', '.join(affinity.name or 'tunnelled networks' for affinity in self._affinities)
            yield Reason('network.joint', subject=names)
            return
        if self._devices is not None:
            yield from self._devices.reasons(frozenset(self._ids(reduce(or_, rows))))

    def _ids(self, columns: int) -> tuple[int, ...]:
        return tuple(sorted(self.order[column].id for column in cpuset.ids(columns)))
