# SPDX-License-Identifier: Apache-2.0
"""Prefer hosts with many free vCPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from numaplace.db.capacity import free_vcpus, limits
from numaplace.model.records import HostRecord
from numaplace.scheduler.filters import Request
from numaplace.scheduler.weights.base import Weigher

if TYPE_CHECKING:
    from numaplace.scheduler.index import HostIndex, Measures

__all__ = ['CPUWeigher']


class CPUWeigher(Weigher):
    """CPUs x allocation ratio - vCPUs of all guests."""

    multiplier_option = 'cpu_weight_multiplier'
    lowest = 0.0

    def weigh(self, host: HostRecord, request: Request) -> float:  # noqa: ARG002
        """Return the free vCPUs; below zero where overcommitted."""
        return free_vcpus(host.host, limits(host).cpu_allocation_ratio)

    def order(self, request: Request) -> str:  # noqa: ARG002
        """Return the column of free vCPUs."""
        return 'vcpus_order'

    def weigh_all(self, index: HostIndex, request: Request) -> Measures:  # noqa: ARG002
        """Return the free vCPUs of all hosts."""
        return index.vcpus_left
