# SPDX-License-Identifier: Apache-2.0
"""Refuse a host that is disabled or does not answer."""

from __future__ import annotations

from collections.abc import Mapping

from numaplace.model import Reason, Refusal
from numaplace.model.records import DISABLED, ENABLED, UP, HostRecord
from numaplace.scheduler.filters.base import Answer, Filter, Request

__all__ = ['ComputeFilter']


class ComputeFilter(Filter):
    """Status is the operator's switch, state is whether the host answers."""

    reads = ('status', 'state')

    def needs(self, request: Request) -> Mapping[str, float | str]:
        """Ask for hosts that are enabled and up."""
        return {'status': ENABLED, 'state': UP}

    def admit(self, host: HostRecord, request: Request) -> Answer:
        """Refuse with ``host.disabled`` or ``host.down``."""
        if host.status == DISABLED:
            return Refusal.of(Reason('host.disabled'))
        if host.state != UP:
            return Refusal.of(Reason('host.down'))
        return True
