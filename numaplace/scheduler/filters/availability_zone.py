# SPDX-License-Identifier: Apache-2.0
"""Refuse a host outside the requested availability zone."""

from __future__ import annotations

from numaplace.model import Reason, Refusal
from numaplace.model.records import HostRecord
from numaplace.scheduler.filters.base import Answer, Filter, Request

__all__ = ['AvailabilityZoneFilter']


class AvailabilityZoneFilter(Filter):
    """If no zone is requested, every zone passes."""

    reads = ('availability_zone',)

    def admit(self, host: HostRecord, request: Request) -> Answer:
        """Refuse with ``zone``; the subject is the host's zone."""
        if request.instance.availability_zone in (None, host.availability_zone):
            return True
        return Refusal.of(Reason('zone', subject=f'{host.availability_zone}, not {request.instance.availability_zone}'))
