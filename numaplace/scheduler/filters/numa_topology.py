# SPDX-License-Identifier: Apache-2.0
"""Refuse a host whose cells do not fit all of the guest's cells together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from numaplace import partition
from numaplace.model import Refusal
from numaplace.model.records import HostRecord
from numaplace.scheduler import rooms
from numaplace.scheduler.filters.base import Answer, Filter, Request
from numaplace.scheduler.filters.image_properties import beyond_machine
from numaplace.scheduler.limits import limits

if TYPE_CHECKING:
    from numaplace.scheduler.index import HostIndex, Mask

__all__ = ['NUMATopologyFilter']


class NUMATopologyFilter(Filter):
    """The exact fit, within the host's allocation ratios; how a guest is divided must suit its machine type too."""

    def admit(self, host: HostRecord, request: Request) -> Answer:
        """Return the placement, or the refusal of the fit; ``machine.LIMIT`` for cells that the machine type lacks."""
        answer = partition.place(
            host.host,
            request.instance.guest,
            limits=limits(host),
            networks=request.networks,
            strategy=request.strategy,
            host_cell_ids=request.host_cell_ids,
        )
        if request.instance.guest.wish is not None and not isinstance(answer, Refusal):
            beyond = tuple(beyond_machine(host, request, answer.guest))
            return Refusal.of(*beyond) if beyond else answer
        return answer

    def needs(self, request: Request) -> Mapping[str, float | str]:
        """Ask for what the cells of the guest need."""
        return rooms.needed(request.instance.guest, is_bound=request.host_cell_ids is not None)

    def may_admit(self, index: HostIndex, request: Request) -> Mask:
        """Compare what all cells have left with what the cells of the guest need."""
        from numaplace.scheduler import masks  # noqa: PLC0415 - only a process with an index loads NumPy

        return masks.takes(index, request.instance.guest, request.networks, request.host_cell_ids)

    def lacking(self, index: HostIndex, request: Request) -> Mapping[str, Mask]:
        """Compare one resource after the other."""
        from numaplace.scheduler import masks  # noqa: PLC0415

        return masks.lacking(index, request.instance.guest, request.host_cell_ids)
