# SPDX-License-Identifier: Apache-2.0
"""PCI devices that servers hold: those that two hold, and those that the host does not have."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from numaplace.fleet.findings import Finding
from numaplace.fleet.servers import Held
from numaplace.model import Host, PciDevice
from numaplace.model.holding import Holding

__all__ = ['check']


def check(name: str, host: Host, held: Sequence[Held], unmanaged: Iterable[Holding] = ()) -> Iterator[Finding]:
    """Find devices that two hold, and devices that vanished or changed while a server holds them.

    Linear in the number of devices and of those held.

    :param unmanaged: domains that are no servers
    """
    known = {device.address: _identity(device) for device in host.devices.known}
    holders: dict[str, list[str]] = defaultdict(list)
    for one in held:
        granted = [granted.device for granted in one.placement.devices]
        if missing := sorted({each.address for each in granted if known.get(each.address) != _identity(each)}):
            yield Finding('devices.missing', name, one.uuid, found=', '.join(missing))
        for device in granted:
            holders[device.address].append(one.uuid)
    if not holders:
        return
    for holding in unmanaged:
        for address in holding.devices:
            holders[address].append(holding.uuid)
    yield from _twice(name, holders, {one.uuid for one in held})


def _identity(device: PciDevice) -> tuple[str, str, str]:
    return device.vendor_id, device.product_id, device.dev_type


def _twice(name: str, holders: dict[str, list[str]], servers: set[str]) -> Iterator[Finding]:
    clashes: dict[tuple[str, str], list[str]] = defaultdict(list)
    for address, uuids in sorted(holders.items()):
        if len(uuids) > 1:
            for uuid in sorted(set(uuids) & servers):
                others = set(uuids) - {uuid} or {uuid}
                clashes[uuid, ', '.join(sorted(others))].append(address)
    for (uuid, rivals), addresses in clashes.items():
        yield Finding('devices.twice', name, uuid, found=', '.join(addresses), subject=rivals)
