# SPDX-License-Identifier: Apache-2.0
"""How many more guests the free PCI devices of a host suffice for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from numaplace import fit
from numaplace.fleet.counting import largest
from numaplace.model import Host, PciRequest
from numaplace.model.pci import LEGACY, REQUIRED

__all__ = ['are_by_cell', 'most']


def most(host: Host, requests: Sequence[PciRequest], host_cells: frozenset[int], at_most: int) -> int:
    """Return for how many guests the devices suffice, wherever on these host cells each of them is.

    Exact for guests on one host cell, and for guests without cells. Logarithmic in the number of devices, times the
    cost of :class:`numaplace.fit.PciAssignment`.

    :param host_cells: ids; empty for guests without cells
    :param at_most: no more are asked for
    """
    sockets = {cell.id: cell.shape.socket for cell in host.cells}
    pools = host.devices.pools

    def suffice(number: int) -> bool:
        wanted = [replace(request, count=request.count * number) for request in requests]
        return fit.PciAssignment(sockets, pools, wanted).supports(host_cells)

    each = sum(request.count for request in requests)
    return largest(min(at_most, len(pools) // each), suffice)


def are_by_cell(host: Host, requests: Sequence[PciRequest]) -> bool:
    """Return whether guests on different host cells never compete for a device, and a card is on one of them."""
    nodes = {device.address: device.numa_node for device in host.devices.known}
    parted = any(
        nodes.get(device.parent, device.numa_node) != device.numa_node
        for device in host.devices.known
        if device.parent is not None
    )
    policies = {request.policy for request in requests}
    is_known = all(pool.numa_node is not None for pool in host.devices.pools)
    return not parted and policies <= ({REQUIRED, LEGACY} if is_known else {REQUIRED})
