# SPDX-License-Identifier: Apache-2.0
"""Refuse a host on whose cells the guest's cells do not fit together."""

from numaplace import partition
from numaplace.db.records import HostRecord
from numaplace.scheduler.filters.base import Answer, Filter, Request
from numaplace.scheduler.limits import limits

__all__ = ['NUMATopologyFilter']


class NUMATopologyFilter(Filter):
    """The exact fit, within the host's allocation ratios."""

    def admit(self, host: HostRecord, request: Request) -> Answer:
        """Return the placement, or the refusal of the fit."""
        return partition.place(
            host.host,
            request.instance.guest,
            limits=limits(host),
            networks=request.networks,
            strategy=request.strategy,
            bindings=request.bindings,
        )
