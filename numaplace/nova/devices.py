# SPDX-License-Identifier: Apache-2.0
"""The devices of a host as Nova counts them, behind what the fit asks of devices."""

from __future__ import annotations

from collections import Counter
from typing import Any

from nova import objects

__all__ = ['PciDevices']


class PciDevices:
    """What a guest wants of the PCI devices of one host; Nova's own greedy choice answers.

    :param stats: the host's ``nova.pci.stats.PciDeviceStats``
    :param requests: the guest's ``nova.objects.InstancePCIRequest``, or none
    :param provider_mapping: resource providers by request group, or None where the requests name them
    :param guest_cells: the guest's ``nova.objects.InstanceNUMACell``
    """

    def __init__(self, stats: Any, requests: Any, provider_mapping: Any, guest_cells: Any) -> None:
        self._stats = stats
        self._requests = requests
        self._provider_mapping = provider_mapping
        self._guest_cells = guest_cells
        self._free: Counter[int | None] = Counter()
        for pool in stats.pools:
            self._free[pool.get('numa_node')] += pool['count']

    @property
    def monotone(self) -> bool:
        """Whether more host cells never take a device away: not so for a greedy choice of devices."""
        return not self._requests

    def supports(self, host_cells: frozenset[int]) -> bool:
        """Return whether Nova finds the devices for a guest on host cells of these ids."""
        if not self._requests:
            return True
        # Nova looks at the ids only, so it does not matter which guest cell bears which.
        placed = [_moved(cell, cell_id) for cell, cell_id in zip(self._guest_cells, sorted(host_cells), strict=True)]
        return bool(self._stats.support_requests(self._requests, self._provider_mapping, placed))

    def preference(self, host_cell: int) -> int:
        """Put host cells with devices first for a guest that wants some, and last for any other."""
        return -self._free[host_cell] if self._requests else self._free[host_cell]


def _moved(guest_cell: Any, host_cell: int) -> Any:
    """Return a copy of a guest cell that bears the id of a host cell."""
    known = {name: getattr(guest_cell, name) for name in guest_cell.fields if guest_cell.obj_attr_is_set(name)}
    return objects.InstanceNUMACell(**known | {'id': host_cell})
