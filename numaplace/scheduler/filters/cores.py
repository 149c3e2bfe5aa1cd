# SPDX-License-Identifier: Apache-2.0
"""Refuse a host whose CPUs, overcommitted as its ratio allows, are too few for the whole guest."""

from numaplace.model import Reason, Refusal
from numaplace.model.records import HostRecord
from numaplace.scheduler.filters import metadata
from numaplace.scheduler.filters.base import Answer, Filter, Request
from numaplace.scheduler.limits import limits

__all__ = ['AggregateCoreFilter', 'CoreFilter']


class CoreFilter(Filter):
    """CPUs x ratio - vCPUs of all guests must be at least the guest's, which may not exceed the CPUs themselves."""

    def ratio(self, host: HostRecord) -> float:
        """Return how far the CPUs of a host may be overcommitted."""
        return limits(host).cpu_allocation_ratio

    def admit(self, host: HostRecord, request: Request) -> Answer:
        """Refuse with ``cpus.host``."""
        needed, total = request.instance.guest.vcpus, host.host.cpu_count
        room = min(total, max(total * self.ratio(host) - host.host.vcpus_used, 0))
        return True if room >= needed else Refusal.of(Reason('cpus.host', needed, room, 'vCPUs'))


class AggregateCoreFilter(CoreFilter):
    """With the smallest ``cpu_allocation_ratio`` of the host's aggregates, or that of the host without one."""

    def ratio(self, host: HostRecord) -> float:
        """Return how far the CPUs of a host may be overcommitted."""
        return metadata.least(host, 'cpu_allocation_ratio', float, super().ratio(host))
