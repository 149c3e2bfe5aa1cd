# SPDX-License-Identifier: Apache-2.0
"""Prefer hosts with much free memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from numaplace.model.records import HostRecord
from numaplace.scheduler.filters import Request
from numaplace.scheduler.weights.base import Weigher

if TYPE_CHECKING:
    from numaplace.scheduler.index import HostIndex, Measures

__all__ = ['RAMWeigher']


class RAMWeigher(Weigher):
    """General memory that is not counted for any guest, in MiB."""

    multiplier_option = 'ram_weight_multiplier'
    lowest = 0.0

    def weigh(self, host: HostRecord, request: Request) -> float:  # noqa: ARG002
        """Return the free memory; below zero where overcommitted."""
        return host.host.free_memory_mib

    def order(self, request: Request) -> str:  # noqa: ARG002
        """Return the column of free memory."""
        return 'memory_order'

    def weigh_all(self, index: HostIndex, request: Request) -> Measures:  # noqa: ARG002
        """Return the free memory of all hosts."""
        return index.by_host['memory_left_mib'].astype(float)
