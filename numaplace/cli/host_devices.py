# SPDX-License-Identifier: Apache-2.0
"""The PCI devices of a host, by host cell, and who has them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from numaplace import explain
from numaplace.cli import base
from numaplace.model import Host, PciDevice
from numaplace.model.pci_changes import pci_changes
from numaplace.model.records import InstanceRecord

__all__ = ['changes', 'column', 'counts', 'lines']

#: Most addresses that a line names.
_SHOWN = 3


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


def changes(before: Host, now: Host) -> str:
    """Return a line about the devices that were added, removed or changed; nothing without any."""
    found = pci_changes(before.devices.known, now.devices.known)
    parts = {'added': found.added, 'removed': found.removed, 'changed': [new for _, new in found.changed]}
    told = [f'{len(devices)} {word} ({_addresses(devices)})' for word, devices in parts.items() if devices]
    return f'PCI devices: {", ".join(told)}' if told else ''


def _addresses(devices: Sequence[PciDevice]) -> str:
    return ', '.join([device.address for device in devices[:_SHOWN]]) + (', ...' if devices[_SHOWN:] else '')


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
