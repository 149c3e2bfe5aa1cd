# SPDX-License-Identifier: Apache-2.0
"""What one guest cell asks of any host cell, as counts: the same for all guest cells of one shape."""

from __future__ import annotations

from typing import NamedTuple

from numaplace.model import ISOLATE, MIXED, Guest, GuestCell, Limits

__all__ = ['Demand', 'Lack', 'demand_of', 'demands']


class Demand(NamedTuple):
    """What a guest cell asks of a host cell.

    :param dedicated: number of pinned vCPUs
    :param emulator: number of CPUs kept for the emulator (0 or 1)
    :param shared: number of shared vCPUs
    :param is_pinned: CPU policy dedicated or mixed: nothing may be overcommitted
    :param is_shared: CPU policy shared, mixed or none: the limits hold
    :param cpu_ratio: limit of the overcommit of shared CPUs, None without one
    :param ram_ratio: limit of the overcommit of memory, None without one
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


def demand_of(cell: GuestCell, limits: Limits | None, emulator: int) -> Demand:
    """Return what a guest cell asks for.

    :param emulator: number of CPUs to keep for the emulator beside it
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
    """Return what each guest cell asks for; an isolated emulator's CPU goes with the first."""
    found: list[Demand] | None = guest.memo.get(limits)
    if found is None:
        isolated = guest.emulator_policy == ISOLATE
        found = [demand_of(cell, limits, int(isolated and index == 0)) for index, cell in enumerate(guest.cells)]
        guest.memo[limits] = found
    return found
