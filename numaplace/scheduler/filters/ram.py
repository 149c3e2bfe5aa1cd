# SPDX-License-Identifier: Apache-2.0
"""Refuse a host whose memory, overcommitted as its ratio allows, does not suffice for the whole guest."""

from numaplace.db.records import HostRecord
from numaplace.model import Reason, Refusal
from numaplace.scheduler.filters.base import Answer, Filter, Request
from numaplace.scheduler.limits import limits

__all__ = ['RamFilter']


class RamFilter(Filter):
    """Memory of the host x ratio - memory of all its guests must be at least the guest's."""

    def admit(self, host: HostRecord, request: Request) -> Answer:
        """Refuse with ``memory.host``, in MiB."""
        free_mib = host.host.memory_mib * limits(host).ram_allocation_ratio - host.host.memory_used_mib
        if request.instance.guest.memory_mib <= free_mib:
            return True
        return Refusal.of(Reason('memory.host', request.instance.guest.memory_mib, free_mib, 'MiB'))
