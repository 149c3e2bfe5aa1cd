# SPDX-License-Identifier: Apache-2.0
"""The PCI devices of a host, by host cell, and who has them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from numaplace import explain
from numaplace.cli import base
from numaplace.model import Host, PciDevice
from numaplace.model.records import InstanceRecord

__all__ = ['column', 'counts', 'lines']


def _sorted(host: Host) -> list[PciDevice]:
    """Return the devices by host cell, those without a known one last."""
    return sorted(host.devices.known, key=lambda one: (one.numa_node is None, one.numa_node or 0, one.address))


def _owners(servers: Sequence[InstanceRecord]) -> dict[str, InstanceRecord]:
    return {granted.device.address: server for server in servers for granted in server.placement.devices}


def _plain(device: PciDevice) -> dict[str, Any]:
    return {
        'address': device.address,
        'vendor_id': device.vendor_id,
        'product_id': device.product_id,
        'dev_type': device.dev_type,
        'parent': device.parent,
        'numa_node': device.numa_node,
        'tags': dict(device.tags),
    }


def counts(host: Host) -> base.Written:
    """Return the devices as a column, for people their number by type."""
    types = Counter(device.dev_type for device in host.devices.known)
    words = ', '.join(f'{number} {kind}' for kind, number in sorted(types.items()))
    return base.Written(list(map(_plain, _sorted(host))), words or 'none')


def column(host: Host, servers: Sequence[InstanceRecord]) -> base.Written:
    """Return the devices as a column.

    :param servers: of this host, each with the placement that it has there
    """
    owners, statuses = _owners(servers), host.devices.statuses
    found = []
    for device in _sorted(host):
        server = owners.get(device.address)
        found.append(
            _plain(device)
            | {
                'status': statuses[device.address],
                'server': server and server.name,
                'uuid': server and server.uuid,
            }
        )
    return base.Written(found, '\n'.join(lines(host, servers)) or 'none')


def lines(host: Host, servers: Sequence[InstanceRecord]) -> list[str]:
    """Return a line for each device, for people; parameters as for :func:`column`."""
    owners, statuses = _owners(servers), host.devices.statuses
    found = []
    for device in _sorted(host):
        server = owners.get(device.address)
        node = 'no known cell' if device.numa_node is None else f'cell {device.numa_node}'
        owner = f', {explain.escape(server.name)}' if server else ''
        kind = f'{device.vendor_id}:{device.product_id} {device.dev_type}'
        found.append(f'{node}: {device.address} {kind}, {statuses[device.address]}{owner}')
    return found
