# SPDX-License-Identifier: Apache-2.0
"""The rows of the PCI devices of hosts within a transaction; whoever changes them locks the row of the host first."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from numaplace.db.columns import Fields
from numaplace.db.tables import PCI_DEVICES
from numaplace.model import HostDevices, PciDevice
from numaplace.model.host_devices import ALLOCATED, CLAIMED, NO_DEVICES

__all__ = ['find', 'insert', 'read', 'replace', 'settle']

_HOST = PCI_DEVICES.c.compute_node_id
_DEVICE = Fields(
    PCI_DEVICES.c[name]
    for name in ('address', 'vendor_id', 'product_id', 'dev_type', 'parent_addr', 'numa_node', 'extra_info')
)
_WITH_HOST = Fields((_HOST, PCI_DEVICES.c.status, *_DEVICE.columns))
_SELECT = sa.select(*_WITH_HOST.selected).order_by(_HOST, PCI_DEVICES.c.address)

#: Most hosts that a query names; for more of them, the devices of all are read.
_MAX_HOSTS = 500


def find(connection: Connection, host_numbers: Sequence[int]) -> dict[int, list[Sequence[Any]]]:
    """Return the rows of the devices of hosts, for :func:`read`, by the number of the host.

    :param host_numbers: of hosts that have devices; without any, nothing is asked
    """
    found: dict[int, list[Sequence[Any]]] = {}
    if host_numbers:
        query = _SELECT if len(host_numbers) > _MAX_HOSTS else _SELECT.where(_HOST.in_(host_numbers))
        for row in connection.execute(query):
            found.setdefault(row[0], []).append(row)
    return found


def read(found: Iterable[Sequence[Any]]) -> HostDevices:
    """Read the devices of a host, those that servers hold as taken.

    :raises: :class:`~numaplace.exception.InvalidObject`
    """
    known, taken = [], []
    for row in found:
        values = _WITH_HOST.read(row)
        device = _DEVICE.build(PciDevice, values | {'tags': values['tags'] or {}})
        known.append(device)
        if values['status'] in (ALLOCATED, CLAIMED):
            taken.append(device.address)
    return HostDevices(tuple(known), frozenset(taken)) if known else NO_DEVICES


def replace(
    connection: Connection,
    host_number: int,
    before: HostDevices,
    after: HostDevices,
    owners: Mapping[str, str],
) -> None:
    """Write what has changed of the devices of a host that is locked.

    :param before: as they are stored
    :param owners: UUIDs of the servers that hold something there now and did not before, by address
    """
    if before == after:
        return
    stored = {device.address: device for device in before.known}
    statuses, old_statuses = after.statuses, before.statuses
    wanted = {device.address: device for device in after.known}
    changed = [address for address, device in stored.items() if wanted.get(address) != device]
    if not stored:  # rows that could not be read, or that the host does not count
        connection.execute(sa.delete(PCI_DEVICES).where(_HOST.in_([host_number])))
    if changed:
        connection.execute(sa.delete(PCI_DEVICES).where(_HOST.in_([host_number]), PCI_DEVICES.c.address.in_(changed)))
    new = []
    for address, device in wanted.items():
        status = statuses[address]
        state = {'status': status, 'instance_uuid': owners.get(address) if status == ALLOCATED else None}
        if stored.get(address) != device:
            new.append({**_DEVICE.write(device), **state, 'uuid': str(uuid.uuid4()), 'compute_node_id': host_number})
        elif status != old_statuses[address]:
            is_it = _HOST.in_([host_number]), PCI_DEVICES.c.address == address
            connection.execute(sa.update(PCI_DEVICES).where(*is_it).values(state))
    if new:
        connection.execute(sa.insert(PCI_DEVICES), new)


def settle(connection: Connection, host_number: int, owners: Mapping[str, str]) -> None:
    """Write who holds the devices of a host that is locked, where it is stored otherwise.

    :param owners: UUIDs of all servers that hold something there, by address
    """
    is_taken = _HOST.in_([host_number]), PCI_DEVICES.c.status.in_([ALLOCATED, CLAIMED])
    owner = PCI_DEVICES.c.instance_uuid
    for address, known in connection.execute(sa.select(PCI_DEVICES.c.address, owner).where(*is_taken)).all():
        if known != owners.get(address):
            is_it = PCI_DEVICES.c.address == address
            connection.execute(sa.update(PCI_DEVICES).where(*is_taken, is_it).values({owner: owners.get(address)}))


def insert(connection: Connection, host_number: int, devices: HostDevices) -> None:
    """Store the devices of a new host."""
    replace(connection, host_number, NO_DEVICES, devices, {})
