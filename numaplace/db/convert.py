# SPDX-License-Identifier: Apache-2.0
"""Rows to records and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from numaplace import wire
from numaplace.db import details, models
from numaplace.db.records import FlavorRecord, HostRecord, InstanceRecord, InstanceRequest
from numaplace.model import CellPlacement, Guest, Host, Placement

__all__ = [
    'flavor_record',
    'flavor_values',
    'host_record',
    'host_values',
    'instance_extra_values',
    'instance_record',
    'instance_values',
    'usage_values',
]


def _utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC)


# --- flavors: a row, and the copy of it that a server keeps


def flavor_values(flavor: FlavorRecord) -> dict[str, Any]:
    """Return the columns of a flavor."""
    return {
        'flavorid': flavor.id,
        'name': flavor.name,
        'memory_mb': flavor.memory_mib,
        'vcpus': flavor.vcpus,
        'root_gb': flavor.disk_gib,
        'swap': flavor.swap_mib,
        'ephemeral_gb': flavor.ephemeral_gib,
        'is_public': flavor.is_public,
        'extra_specs': dict(flavor.extra_specs),
    }


def flavor_record(values: Mapping[Any, Any]) -> FlavorRecord:
    """Read the columns of a flavor."""
    return FlavorRecord(
        name=values['name'],
        vcpus=values['vcpus'],
        memory_mib=values['memory_mb'],
        disk_gib=values['root_gb'],
        extra_specs=values['extra_specs'],
        id=values['flavorid'],
        swap_mib=values['swap'],
        ephemeral_gib=values['ephemeral_gb'],
        is_public=values['is_public'],
    )


# --- hosts


def usage_values(host: Host) -> dict[str, Any]:
    """Return the columns of a host that its servers change."""
    return {
        'numa_topology': wire.write_host(host),
        'vcpus_used': host.vcpus_used,
        'floating_vcpus': host.floating_vcpus,
        'memory_mb_used': host.memory_used_mib,
    }


def host_values(record: HostRecord) -> dict[str, Any]:
    """Return the columns of a host that may change; its name and uuid never do."""
    host = record.host
    return usage_values(host) | {
        'hypervisor_hostname': record.name,
        'vcpus': (host.shared_cpus | host.dedicated_cpus).bit_count(),
        'memory_mb': host.memory_mib,
        'cpu_allocation_ratio': record.cpu_allocation_ratio,
        'ram_allocation_ratio': record.ram_allocation_ratio,
        'host_details': details.write_host(host),
        'facts': dict(record.facts),
        'availability_zone': record.availability_zone,
        'status': record.status,
        'state': record.state,
    }


def _host(row: models.ComputeNode) -> Host:
    host = wire.read_host(row.numa_topology) if row.numa_topology else Host()
    host = details.read_host(row.host_details, host)
    return replace(
        host, vcpus_used=row.vcpus_used, memory_used_mib=row.memory_mb_used, floating_vcpus=row.floating_vcpus
    )


def host_record(row: models.ComputeNode) -> HostRecord:
    """Read the row of a host."""
    return HostRecord(
        name=row.host,
        host=_host(row),
        uuid=row.uuid,
        availability_zone=row.availability_zone,
        facts=row.facts,
        cpu_allocation_ratio=row.cpu_allocation_ratio,
        ram_allocation_ratio=row.ram_allocation_ratio,
        status=row.status,
        state=row.state,
        generation=row.generation,
        created_at=_utc(row.created_at),
        updated_at=_utc(row.updated_at) if row.updated_at else None,
    )


# --- instances


def instance_values(request: InstanceRequest, host_name: str) -> dict[str, Any]:
    """Return the columns of a new server."""
    return {
        'uuid': request.uuid,
        'display_name': request.name,
        'host': host_name,
        'vm_state': 'active',
        'vcpus': request.guest.vcpus,
        'memory_mb': request.guest.memory_mib,
        'root_gb': request.flavor.disk_gib,
        'flavor': flavor_values(request.flavor),
        'image_properties': dict(request.image_properties),
        'availability_zone': request.availability_zone,
    }


def instance_extra_values(instance_uuid: str, placement: Placement) -> dict[str, Any]:
    """Return the columns beside a new server: no topology for a guest that floats."""
    return {
        'instance_uuid': instance_uuid,
        'numa_topology': wire.write_placement(placement) if placement.cells else None,
        'guest_details': details.write_guest(placement.guest),
    }


def instance_record(row: models.Instance, extra: models.InstanceExtra, host: Host) -> InstanceRecord:
    """Read the rows of a server.

    :param host: the host that it is claimed on, which knows the siblings of its CPUs
    """
    return InstanceRecord(
        uuid=row.uuid,
        name=row.display_name,
        number=row.id,
        host=row.host,
        flavor=flavor_record(row.flavor),
        image_properties=row.image_properties,
        placement=_placement(row, extra, host),
        availability_zone=row.availability_zone,
        status=row.vm_state,
        created_at=_utc(row.created_at),
    )


def _placement(row: models.Instance, extra: models.InstanceExtra, host: Host) -> Placement:
    if extra.numa_topology is None:
        guest = Guest(row.vcpus, row.memory_mb)
        return Placement(details.read_guest(extra.guest_details, guest))
    placement = wire.read_placement(extra.numa_topology, host)
    # The row holds the ids of the host cells; the guest's own are the order of its cells.
    cells = tuple(_numbered(placed, number) for number, placed in enumerate(placement.cells))
    guest = replace(placement.guest, cells=tuple(placed.guest_cell for placed in cells))
    return Placement(details.read_guest(extra.guest_details, guest), cells)


def _numbered(placed: CellPlacement, number: int) -> CellPlacement:
    return replace(placed, guest_cell=replace(placed.guest_cell, id=number))
