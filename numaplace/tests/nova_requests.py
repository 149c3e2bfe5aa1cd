# SPDX-License-Identifier: Apache-2.0
"""What a Nova stores of a guest that is not placed, and sends along with it: numaplace only reads these objects."""

from typing import Any

from numaplace import wire
from numaplace.model import CellPlacement, Guest, Limits, Networks, Placement

__all__ = ['write_guest', 'write_limits']


def write_guest(guest: Guest) -> dict[str, Any]:
    """Return a request as an InstanceNUMATopology: its cells have their own numbers, and no pins."""
    cells = [CellPlacement(cell, cell.id, cell.pagesize_kib) for cell in guest.cells]
    written: dict[str, Any] = wire.write_placement(Placement(guest, tuple(cells)))
    return written


def write_limits(limits: Limits, networks: Networks | None = None) -> dict[str, Any]:
    """Return limits, and the networks of a guest, as a NUMATopologyLimits."""
    data: dict[str, Any] = {
        'cpu_allocation_ratio': limits.cpu_allocation_ratio,
        'ram_allocation_ratio': limits.ram_allocation_ratio,
    }
    if networks is not None:
        found = {'physnets': sorted(networks.physnets), 'tunneled': networks.tunneled}
        data['network_metadata'] = wire.primitive('NetworkMetadata', found)
    return wire.primitive('NUMATopologyLimits', data)
