# SPDX-License-Identifier: Apache-2.0
"""Count the servers of hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from numaplace.model.records import HostRecord
from numaplace.scheduler.filters import Request
from numaplace.scheduler.weights.base import Weigher

if TYPE_CHECKING:
    from numaplace.scheduler.index import HostIndex, Measures

__all__ = ['NumInstancesWeigher']


class NumInstancesWeigher(Weigher):
    """Servers on the host; with a negative multiplier hosts with few of them come first."""

    multiplier_option = 'num_instances_weight_multiplier'

    def weigh(self, host: HostRecord, request: Request) -> float:  # noqa: ARG002
        """Return the number of servers."""
        return len(host.servers)

    def weigh_all(self, index: HostIndex, request: Request) -> Measures:  # noqa: ARG002
        """Return the numbers of servers of all hosts."""
        return index.by_host['servers'].astype(float)
