# SPDX-License-Identifier: Apache-2.0
"""Refuse what no host can give: devices for passthrough are not managed yet."""

from numaplace.db.records import HostRecord
from numaplace.model import Reason, Refusal
from numaplace.scheduler.filters.base import Answer, Filter, Request

__all__ = ['PciPassthroughFilter']

#: The flavor's key for devices: ``alias:count`` pairs, separated by commas.
ALIAS_KEY = 'pci_passthrough:alias'


class PciPassthroughFilter(Filter):
    """A guest that asks for devices fits nowhere; all others pass."""

    def admit(self, host: HostRecord, request: Request) -> Answer:
        """Refuse with ``pci.unsupported``; the subject is what was asked for."""
        aliases = request.instance.flavor.extra_specs.get(ALIAS_KEY, '').strip()
        if not aliases:
            return True
        return Refusal.of(Reason('pci.unsupported', subject=aliases))
