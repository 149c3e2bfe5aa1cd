# SPDX-License-Identifier: Apache-2.0
"""Prefer hosts with much free memory."""

from numaplace.db.records import HostRecord
from numaplace.scheduler.weights.base import Weigher

__all__ = ['RAMWeigher']


class RAMWeigher(Weigher):
    """Memory that no guest was counted against, in MiB."""

    multiplier_option = 'ram_weight_multiplier'

    def weigh(self, host: HostRecord) -> float:
        """Return the free memory; below zero where overcommitted."""
        return host.host.memory_mib - host.host.memory_used_mib
