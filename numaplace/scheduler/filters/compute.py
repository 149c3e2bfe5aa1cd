# SPDX-License-Identifier: Apache-2.0
"""Refuse a host that is disabled or does not answer."""

from numaplace.db.records import DISABLED, DOWN, HostRecord
from numaplace.model import Reason, Refusal
from numaplace.scheduler.filters.base import Answer, Filter, Request

__all__ = ['ComputeFilter']


class ComputeFilter(Filter):
    """Status is the operator's switch, state is whether the host answers."""

    def admit(self, host: HostRecord, request: Request) -> Answer:
        """Refuse with ``host.disabled`` or ``host.down``."""
        if host.status == DISABLED:
            return Refusal.of(Reason('host.disabled'))
        if host.state == DOWN:
            return Refusal.of(Reason('host.down'))
        return True
