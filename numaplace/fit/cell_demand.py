# SPDX-License-Identifier: Apache-2.0
"""The demand of one guest cell on any host cell, as counts: the same for all guest cells of one shape."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from numaplace.model import ISOLATE, MIXED, Guest, GuestCell, HostCell, Limits, Reason, is_permanent

__all__ = ['Demand', 'Lack', 'demand_of', 'demands', 'distinct']


class Demand(NamedTuple):
    """What a guest cell needs from a host cell.

    :param dedicated: number of pinned vCPUs
    :param emulator: number of CPUs kept for the emulator (0 or 1)
    :param shared: number of shared vCPUs
    :param is_pinned: CPU policy dedicated or mixed: nothing may be overcommitted
    :param is_shared: CPU policy shared, mixed or none: the limits hold
    :param cpu_ratio: overcommit limit of shared CPUs, or None
    :param ram_ratio: overcommit limit of memory, or None
    """

    dedicated: int
    emulator: int
    shared: int
    memory_mib: int
    pagesize_kib: int | None
    is_pinned: bool
    is_shared: bool
    thread_policy: str | None
    cpu_ratio: float | None
    ram_ratio: float | None


class Lack(NamedTuple):
    """What a host cell lacks for a demand: the cheap form of a Reason, without the cells it is about."""

    code: str
    needed: float
    available: float
    unit: str
    subject: str = ''

    def about(self, guest_cells: tuple[int, ...], host_cell: HostCell) -> Reason:
        """Return it as a reason for guest cells on a host cell."""
        held = 0 if is_permanent(self.code) else self._held(host_cell)
        return Reason(
            self.code, self.needed, self.available, self.unit, guest_cells, (host_cell.id,), self.subject, held
        )

    def _held(self, host_cell: HostCell) -> int:
        """Return how much of it domains hold that numaplace does not manage; a core counts whole."""
        if self.unit == 'CPUs':
            return host_cell.held_cpus.bit_count()
        if self.unit == 'cores':
            return sum([1 for core in host_cell.shape.cores if core & host_cell.held_cpus])
        if self.unit == 'MiB':
            return host_cell.held_mib
        return sum([pages.held for pages in host_cell.pages if self.code == f'pages.{pages.size_kib}'])


#: Lacks that another lack of the same resource covers, if they are not larger.
_FOLLOWING = frozenset(
    {
        'cpus.shared.limit',
        'memory.limit',
        'threads.isolate',
        'threads.isolate.emulator',
        'threads.isolate.total',
        'threads.require',
        'threads.require.total',
    }
)


_CPU_UNITS = frozenset({'CPUs', 'cores', 'vCPUs'})


def distinct(lacks: Iterable[Lack | None]) -> list[Lack]:
    """Return lacks of one kind of resource without those that an earlier one covers."""
    found: list[Lack] = []
    for lack in lacks:
        if lack is not None and not (lack.code in _FOLLOWING and any(_covers(other, lack) for other in found)):
            found.append(lack)
    return found


def _covers(lack: Lack, other: Lack) -> bool:
    """Return whether one lack covers another: the other counts the same resource and is not larger.

    A lack that ends when guests leave covers none that stays.
    """
    same = lack.unit == other.unit == 'MiB' or {lack.unit, other.unit} <= _CPU_UNITS
    return same and _short(other) <= _short(lack) and is_permanent(lack.code) >= is_permanent(other.code)


def _short(lack: Lack) -> float:
    """Return what is missing; a core under thread policy require is as many CPUs as its threads that are needed."""
    threads = int(lack.subject) if lack.code.startswith('threads.require') and lack.subject else 1
    return (lack.needed - lack.available) * threads


def demand_of(cell: GuestCell, limits: Limits | None, emulator: int) -> Demand:
    """Return what a guest cell requests.

    :param emulator: number of CPUs to keep for the emulator with it
    """
    return Demand(
        cell.dedicated_vcpus.bit_count(),
        emulator,
        cell.shared_vcpus.bit_count(),
        cell.memory_mib,
        cell.pagesize_kib,
        cell.is_pinned,
        not cell.is_pinned or cell.cpu_policy == MIXED,
        cell.thread_policy,
        limits.cpu_allocation_ratio if limits else None,
        limits.ram_allocation_ratio if limits else None,
    )


def demands(guest: Guest, limits: Limits | None) -> list[Demand]:
    """Return what each guest cell requests; an isolated emulator's CPU goes with the first."""
    found: list[Demand] | None = guest.memo.get(limits)
    if found is None:
        isolated = guest.emulator_policy == ISOLATE
        found = [demand_of(cell, limits, int(isolated and index == 0)) for index, cell in enumerate(guest.cells)]
        guest.memo[limits] = found
    return found
