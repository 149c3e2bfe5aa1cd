# SPDX-License-Identifier: Apache-2.0
"""Refuse a host whose memory, overcommitted as its ratio allows, is too small for the whole guest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from numaplace import fit
from numaplace.model import Guest, Refusal
from numaplace.model.records import HostRecord
from numaplace.scheduler.filters import metadata
from numaplace.scheduler.filters.base import Answer, Filter, Request
from numaplace.scheduler.limits import limits

if TYPE_CHECKING:
    from numaplace.scheduler.index import HostIndex, Mask

__all__ = ['AggregateRamFilter', 'RamFilter']


class RamFilter(Filter):
    """General memory of the host x ratio - that of all its guests must be at least the guest's."""

    def ratio(self, host: HostRecord) -> float:
        """Return how far the memory of a host may be overcommitted."""
        return limits(host).ram_allocation_ratio

    def admit(self, host: HostRecord, request: Request) -> Answer:
        """Refuse with ``memory.host`` or ``memory.host.total``, in MiB."""
        reason = fit.memory_reason(host.host, _needed_mib(request.instance.guest), self.ratio(host))
        return Refusal.of(reason) if reason else True

    def needs(self, request: Request) -> Mapping[str, float | str]:
        """Ask for the memory within the ratio."""
        needed_mib = _needed_mib(request.instance.guest)
        return {'room_memory_mb': needed_mib} if needed_mib else {}

    def may_admit(self, index: HostIndex, request: Request) -> Mask | None:
        """Compare what all hosts have left."""
        needed_mib = _needed_mib(request.instance.guest)
        return index.host_has('ram_left_mib', needed_mib) if needed_mib else index.everything()

    def lacking(self, index: HostIndex, request: Request) -> Mapping[str, Mask]:
        """Return the hosts without the memory."""
        passing = self.may_admit(index, request)
        return {} if passing is None else {'memory': ~passing}


class AggregateRamFilter(RamFilter):
    """With the smallest ``ram_allocation_ratio`` of the host's aggregates, or that of the host without one."""

    def ratio(self, host: HostRecord) -> float:
        """Return how far the memory of a host may be overcommitted."""
        return metadata.least(host, 'ram_allocation_ratio', float, super().ratio(host))

    def needs(self, request: Request) -> Mapping[str, float | str]:
        """Return nothing: the ratio is that of each host's aggregates."""
        return {}

    def may_admit(self, index: HostIndex, request: Request) -> Mask | None:
        """Return None: the ratio is that of each host's aggregates."""
        return None


def _needed_mib(guest: Guest) -> int:
    """Return the memory that a guest needs in addition to what it may have of cells without CPUs."""
    if not guest.cells:
        return guest.memory_mib - (guest.wish.tier_mib if guest.wish else 0)
    return sum(cell.memory_mib for cell, vcpus in zip(guest.cells, guest.cell_vcpus, strict=True) if vcpus)
