# SPDX-License-Identifier: Apache-2.0
"""What hosts have, and how their usage follows from their servers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from numaplace import exception, wire
from numaplace.db import api
from numaplace.db.retry import retry
from numaplace.fleet import usage
from numaplace.model import Host, HostDevices, Placement, allocations
from numaplace.model.held import hold
from numaplace.model.holding import Holding
from numaplace.model.pci_changes import attached_as_before
from numaplace.model.records import HostRecord, InstanceRecord

__all__ = ['empty', 'refresh', 'register', 'switch']


def empty(host: Host) -> Host:
    """Return a host without usage."""
    cells = tuple(
        replace(
            cell,
            pinned_cpus=0,
            cpu_usage=0,
            memory_usage_mib=0,
            pages=tuple(replace(pages, used=0) for pages in cell.pages),
        )
        for cell in host.cells
    )
    return Host(cells, devices=replace(host.devices, taken=frozenset()), resources=replace(host.resources, used=()))


def register(database: api.Database, record: HostRecord) -> HostRecord:
    """Store a new host, without usage.

    :raises: :class:`~numaplace.exception.AlreadyExists`, :class:`~numaplace.exception.Invalid`
    """
    return database.create_host(replace(record, host=empty(record.host)))


def refresh(
    database: api.Database,
    name: str,
    host: Host,
    like: HostRecord | None = None,
    *,
    unmanaged: Callable[[Collection[str]], tuple[Holding, ...]] | None = None,
    zone: str | None = None,
    keeps_devices: bool = False,
    keeps_resources: bool = False,
    force: bool = False,
    only_if_changed: bool = False,
) -> HostRecord:
    """Store what a host has now, with the usage of all that counts on it: its servers, and those in a move.

    Its stored cells and usage need not be readable. The architecture stays, if the present facts do not have it, and so
    does the URI of its libvirt.

    :param like: a record with the present facts, ratios and URI; None leaves them unchanged
    :param unmanaged: returns the domains that numaplace does not manage, from the UUIDs of its servers; None leaves
        those that are stored
    :param zone: name of the availability zone; None leaves it as it is
    :param keeps_devices: whether its PCI devices stay as they are stored: those of `host` are not known then
    :param keeps_resources: as `keeps_devices`, for its memory encryption and persistent memory
    :param force: store it even if servers hold what the host no longer has; what it still has of that counts as used
    :param only_if_changed: write nothing if all of it is stored already
    :raises: :class:`~numaplace.exception.NotFound`, :class:`~numaplace.exception.ConcurrentUpdate`, and unless forced,
        with the server named, :class:`~numaplace.exception.UsageInvalid`,
        :class:`~numaplace.exception.CPUPinningUnknown`, :class:`~numaplace.exception.CPUPinningInvalid` or
        :class:`~numaplace.exception.PciDeviceInvalid` if it holds what the host no longer has
    """
    unread: dict[str, exception.NumaplaceException] = {}

    def change(record: HostRecord, instances: Sequence[InstanceRecord]) -> HostRecord:
        for fault in unread.values():
            raise fault
        now = like or record
        known = record.host.devices.known
        devices = HostDevices(known if keeps_devices else attached_as_before(known, host.devices.known))
        found = replace(host, devices=devices)
        found = replace(found, resources=record.host.resources) if keeps_resources else found
        return replace(
            record,
            host=_counted(name, found, instances, force=force),
            facts={key: value for key, value in record.facts.items() if key == 'architecture'} | dict(now.facts),
            cpu_allocation_ratio=now.cpu_allocation_ratio,
            ram_allocation_ratio=now.ram_allocation_ratio,
            availability_zone=zone or record.availability_zone,
            libvirt_uri=now.libvirt_uri or record.libvirt_uri,
            unmanaged=unmanaged({one.uuid for one in instances}) if unmanaged else record.unmanaged,
        )

    if only_if_changed and _is_stored(database, name, change):
        return database.host(name)
    return retry(lambda: database.change_host(name, change, unread, instead=host))


def _is_stored(
    database: api.Database, name: str, change: Callable[[HostRecord, Sequence[InstanceRecord]], HostRecord]
) -> bool:
    """Return whether a change of a host would write what is stored."""
    try:
        record, instances = database.holders(name)
        changed = change(record, instances)
    except exception.InvalidObject:
        return False
    return not record.old_format and replace(changed, host=hold(changed.host, changed.unmanaged)) == record


def _counted(name: str, host: Host, instances: Sequence[InstanceRecord], *, force: bool) -> Host:
    """Return a host, which may have changed, with the usage of all servers that hold something on it."""
    counted = empty(host)
    for instance in instances:
        try:
            for placement in allocations.held_on(name, [instance]):
                counted = counted.consume(_read_anew(placement, host))
        except exception.NumaplaceException as error:
            if force:
                held = [_read_anew(placement, host) for placement in allocations.held_on(name, instances)]
                return _still_held(usage.count(empty(host), held))
            raise type(error)(f'server {instance.name!r} ({instance.uuid}) on host {name!r}: {error}') from error
    return counted


def _still_held(host: Host) -> Host:
    """Return a host on which servers hold dedicated CPUs alone."""
    cells = [replace(cell, pinned_cpus=cell.pinned_cpus & cell.shape.dedicated_cpus) for cell in host.cells]
    return replace(host, cells=tuple(cells))


def _read_anew(placement: Placement, host: Host) -> Placement:
    # What thread policy isolate holds depends on the siblings of the CPUs, which may have changed.
    if not placement.cells:
        return placement
    read = wire.read_placement(wire.write_placement(placement), host)
    return replace(read, devices=placement.devices, resources=placement.resources)


def switch(
    database: api.Database,
    name: str,
    *,
    status: str | None = None,
    state: str | None = None,
    zone: str | None = None,
) -> HostRecord:
    """Enable or disable a host for new guests, mark it as up or down, and move it to another availability zone.

    :param status: ENABLED or DISABLED; None leaves it as it is
    :param state: UP or DOWN; None leaves it as it is
    :param zone: name of the availability zone; None leaves it as it is
    :raises: :class:`~numaplace.exception.NotFound`, :class:`~numaplace.exception.ConcurrentUpdate`
    """
    return database.switch_host(name, status=status, state=state, zone=zone)
