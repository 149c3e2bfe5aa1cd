# SPDX-License-Identifier: Apache-2.0
"""Prefer hosts that stay useful for further guests."""

from __future__ import annotations

from numaplace.fit.usefulness import price
from numaplace.model.records import HostRecord
from numaplace.scheduler.filters import Request
from numaplace.scheduler.weights.base import Weigher

__all__ = ['NUMAPreserveWeigher']


class NUMAPreserveWeigher(Weigher):
    """What the guest costs on the host, by the measure of the strategy ``preserve``.

    It has no form for all hosts at once: what a cell loses by a guest is remembered with the cell, which costs less
    than another measure for arrays.
    """

    multiplier_option = 'numa_preserve_weight_multiplier'

    def weigh(self, host: HostRecord, request: Request) -> float:
        """Return the price, negative: hosts that lose least come first."""
        return -price(host.host, request.instance.guest)
