# SPDX-License-Identifier: Apache-2.0
"""Refuse what a host cannot give: numaplace has no devices for passthrough, a Nova says how many are free."""

from __future__ import annotations

from numaplace.model import Reason, Refusal
from numaplace.model.records import HostRecord
from numaplace.request.pci import ALIAS_KEY
from numaplace.scheduler.filters.base import Answer, Filter, Request

__all__ = ['PciPassthroughFilter']


class PciPassthroughFilter(Filter):
    """A guest that requests devices needs a host with that many free ones, of whatever kind; all others pass."""

    reads = ()

    def admit(self, host: HostRecord, request: Request) -> Answer:
        """Refuse with ``pci.unsupported``; the subject is what was requested."""
        aliases = request.instance.flavor.extra_specs.get(ALIAS_KEY, '').strip()
        if not aliases or _number(aliases) <= host.facts.get('pci_devices', 0):
            return True
        return Refusal.of(Reason('pci.unsupported', subject=aliases))


def _number(aliases: str) -> int:
    """Return how many devices are requested; an alias without a number stands for one."""
    counts = [alias.rpartition(':')[2].strip() for alias in aliases.split(',')]
    return sum([int(count) if count.isdecimal() else 1 for count in counts])
