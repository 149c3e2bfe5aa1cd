# SPDX-License-Identifier: Apache-2.0
"""Refuse a host whose free PCI devices do not suffice, wherever the cells of the guest go."""

from __future__ import annotations

from numaplace import fit
from numaplace.model import Reason, Refusal
from numaplace.model.records import HostRecord
from numaplace.request.pci import ALIAS_KEY
from numaplace.scheduler.filters.base import Answer, Filter, Request

__all__ = ['PciPassthroughFilter']


class PciPassthroughFilter(Filter):
    """The free devices suffice for all requests together, near or not; which are near enough is left to the fit.

    Of a Nova it is known only how many are free: that many have to be requested at most, of whatever kind.
    """

    def admit(self, host: HostRecord, request: Request) -> Answer:
        """Refuse with the ``pci`` codes of the fit."""
        wanted = request.instance.guest.pci_requests
        if wanted:
            sockets = {cell.id: cell.shape.socket for cell in host.host.cells}
            devices = fit.PciAssignment(sockets, host.host.devices.pools, wanted)
            anywhere: frozenset[int] = frozenset()
            return True if devices.supports(anywhere) else Refusal.of(*devices.reasons(anywhere))
        aliases = request.instance.flavor.extra_specs.get(ALIAS_KEY, '').strip()
        if not aliases:
            return True
        needed, free = _number(aliases), host.facts.get('pci_devices', 0)
        return True if needed <= free else Refusal.of(Reason('pci.total', needed, free, 'devices', subject=aliases))


def _number(aliases: str) -> int:
    """Return how many devices are requested; an alias without a number stands for one."""
    counts = [alias.rpartition(':')[2].strip() for alias in aliases.split(',')]
    return sum([int(count) if count.isdecimal() else 1 for count in counts])
