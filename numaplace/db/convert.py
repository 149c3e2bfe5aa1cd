# SPDX-License-Identifier: Apache-2.0
"""Rows to records and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from numaplace import exception, wire
from numaplace.db import details, models, texts
from numaplace.db.records import (
    ACTIVE,
    FlavorRecord,
    HostRecord,
    InstanceRecord,
    InstanceRequest,
    MigrationRecord,
    Move,
    Side,
)
from numaplace.model import CellPlacement, Guest, Host, Placement
from numaplace.request import Devices, own_devices

__all__ = [
    'as_stored',
    'changed_instance_values',
    'flavor_record',
    'flavor_values',
    'host',
    'host_record',
    'host_values',
    'instance_extra_values',
    'instance_record',
    'instance_values',
    'migration_record',
    'migration_values',
    'new_instance_record',
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
        extra_specs=_texts(values['extra_specs'], 'extra_specs'),
        id=values['flavorid'],
        swap_mib=values['swap'],
        ephemeral_gib=values['ephemeral_gb'],
        is_public=values['is_public'],
    )


def _flavor_copy(source: Mapping[str, Any], column: str = 'flavor') -> FlavorRecord:
    """Read the copy of a flavor that a server keeps.

    :raises: :class:`~numaplace.exception.InvalidObject`
    """
    for name, kind in _FLAVOR_COPY.items():
        if type(source.get(name)) is not kind:
            raise exception.InvalidObject(
                f'{column}: {name!r} is {source.get(name)!r}: expected a value of the type {kind.__name__}'
            )
    return flavor_record(source)


_FLAVOR_COPY: dict[str, type] = {
    'flavorid': str,
    'name': str,
    'memory_mb': int,
    'vcpus': int,
    'root_gb': int,
    'swap': int,
    'ephemeral_gb': int,
    'is_public': bool,
    'extra_specs': dict,
}


def _texts(source: Mapping[str, Any], column: str) -> Mapping[str, str]:
    """Read texts by name.

    :raises: :class:`~numaplace.exception.InvalidObject`
    """
    for name, value in source.items():
        if not isinstance(value, str):
            raise exception.InvalidObject(f'{column}: {name!r} is {value!r}: expected a text')
    return source


# --- hosts


def usage_values(used: Host) -> dict[str, Any]:
    """Return the columns of a host that its servers change."""
    topology, _ = texts.write_host(used)
    return _usage_values(used, topology)


def _usage_values(used: Host, topology: str) -> dict[str, Any]:
    return {
        'numa_topology': topology,
        'vcpus_used': used.vcpus_used,
        'floating_vcpus': used.floating_vcpus,
        'memory_mb_used': used.memory_used_mib,
    }


def host_values(record: HostRecord) -> dict[str, Any]:
    """Return the columns of a host that may change; its name and uuid never do."""
    topology, beside = texts.write_host(record.host)
    return _usage_values(record.host, topology) | {
        'hypervisor_hostname': record.name,
        'vcpus': (record.host.shared_cpus | record.host.dedicated_cpus).bit_count(),
        'memory_mb': record.host.memory_mib,
        'cpu_allocation_ratio': record.cpu_allocation_ratio,
        'ram_allocation_ratio': record.ram_allocation_ratio,
        'host_details': beside,
        'facts': wire.dumps(dict(record.facts)),
        'availability_zone': record.availability_zone,
        'status': record.status,
        'state': record.state,
    }


def host(topology: str | None, beside: str | None, vcpus_used: int, memory_mb_used: int, floating_vcpus: int) -> Host:
    """Read the columns of a host that hold its cells, and those that its servers change.

    :param topology: `numa_topology`
    :param beside: `host_details`
    """
    return Host(texts.read_cells(topology, beside), vcpus_used, memory_mb_used, floating_vcpus)


def host_record(row: models.ComputeNode | sa.Row[Any]) -> HostRecord:
    """Read the row of a host."""
    return HostRecord(
        name=row.host,
        host=host(row.numa_topology, row.host_details, row.vcpus_used, row.memory_mb_used, row.floating_vcpus),
        uuid=row.uuid,
        availability_zone=row.availability_zone,
        facts=wire.loads(row.facts),
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
        'vm_state': ACTIVE,
        'availability_zone': request.availability_zone,
        **_size_values(request.flavor, request.guest),
        'image_properties': dict(request.image_properties),
        'devices': _write_devices(request.devices),
        'generation': 0,
        'created_at': models.now(),
    }


def new_instance_record(
    request: InstanceRequest, number: int, values: Mapping[str, Any], placement: Placement
) -> InstanceRecord:
    """Return a new server as it is read when it was stored.

    :param values: its columns
    :param placement: as it is stored
    """
    return InstanceRecord(
        uuid=request.uuid,
        name=request.name,
        number=number,
        host=values['host'],
        flavor=request.flavor,
        image_properties=values['image_properties'],
        placement=placement,
        availability_zone=request.availability_zone,
        vm_state=values['vm_state'],
        created_at=_utc(values['created_at']),
        devices=request.devices,
    )


def changed_instance_values(record: InstanceRecord) -> dict[str, Any]:
    """Return the columns of a server that may change; its name and uuid never do."""
    return {
        'host': record.host,
        'vm_state': record.vm_state,
        **_size_values(record.flavor, record.placement.guest),
        'image_properties': dict(record.image_properties),
    }


def _size_values(flavor: FlavorRecord, guest: Guest) -> dict[str, Any]:
    return {
        'vcpus': guest.vcpus,
        'memory_mb': guest.memory_mib,
        'root_gb': flavor.disk_gib,
        'flavor': flavor_values(flavor),
    }


def instance_extra_values(instance_uuid: str, placement: Placement, move: Move | None = None) -> dict[str, Any]:
    """Return the columns beside a server: no topology for a guest that floats, no context without a move."""
    values: dict[str, Any] = {
        'instance_uuid': instance_uuid,
        'numa_topology': wire.write_placement(placement) if placement.cells else None,
        'guest_details': details.write_guest(placement.guest),
        'migration_context': None,
        'move_details': None,
    }
    if move is not None and not move.is_over:
        old, new = move.old.placement, move.new.placement
        values['migration_context'] = _write_context(instance_uuid, move)
        values['move_details'] = details.write_move(old.guest, new.guest)
    return values


def _write_context(instance_uuid: str, move: Move) -> dict[str, Any]:
    old, new = move.old.placement, move.new.placement
    if move.number is None:
        raise ValueError('a move has its number before its context is written')
    context = wire.Context(instance_uuid, move.number, old if old.cells else None, new if new.cells else None)
    written: dict[str, Any] = wire.write_context(context)
    return written


def instance_record(
    row: models.Instance, extra: models.InstanceExtra, migration: models.Migration | None, hosts: Mapping[str, Host]
) -> InstanceRecord:
    """Read the rows of a server.

    :param migration: the move that it is in
    :param hosts: by name, those that it holds something on, which know the siblings of their CPUs
    """
    guest = details.read_guest(extra.guest_details, Guest(row.vcpus, row.memory_mb))
    placement = None
    if extra.numa_topology is not None:
        placement = wire.read_placement(extra.numa_topology, hosts[row.host] if row.host else None)
    return InstanceRecord(
        uuid=row.uuid,
        name=row.display_name,
        number=row.id,
        host=row.host,
        flavor=_flavor_copy(row.flavor),
        image_properties=_texts(row.image_properties, 'image_properties'),
        placement=_placement(guest, placement),
        availability_zone=row.availability_zone,
        vm_state=row.vm_state,
        created_at=_utc(row.created_at),
        generation=row.generation,
        move=_move(migration, extra, hosts) if migration else None,
        devices=_devices(row.devices),
    )


def _write_devices(found: Devices) -> dict[str, Any] | None:
    """Write the devices of a server, each as people write it."""
    if not (found.nics or found.disks):
        return None
    return {'nics': list(map(str, found.nics)), 'disks': list(map(str, found.disks))}


def _devices(source: Mapping[str, Any] | None) -> Devices:
    if source is None:
        return Devices()
    try:
        return own_devices(source['nics'], source['disks'])
    except (KeyError, TypeError, AttributeError) as error:
        raise exception.InvalidObject(f'devices: {type(error).__name__} at {error}') from None


def as_stored(placement: Placement) -> Placement:
    """Return a placement as it is read when it was stored: its guest wants the page sizes that it has."""
    cells = tuple([_stored_cell(placed, number) for number, placed in enumerate(placement.cells)])
    guest, guest_cells = placement.guest, tuple([placed.guest_cell for placed in cells])
    # The policy for the emulator is one of the topology.
    emulator_policy = guest.emulator_policy if cells else None
    if (guest_cells, emulator_policy, None) != (guest.cells, guest.emulator_policy, guest.wish):
        guest = replace(guest, cells=guest_cells, emulator_policy=emulator_policy, wish=None)
    return Placement(guest, cells)


def _stored_cell(placed: CellPlacement, number: int) -> CellPlacement:
    cell = placed.guest_cell
    if cell.id == number and cell.pagesize_kib == placed.pagesize_kib:
        return placed
    return replace(placed, guest_cell=replace(cell, id=number, pagesize_kib=placed.pagesize_kib))


def _placement(guest: Guest, stored: Placement | None) -> Placement:
    """Return where a guest is, with what its topology has no place for.

    :param guest: its details; its cells are those of the topology
    """
    if stored is None:
        return Placement(guest)
    # The row holds the ids of the host cells; the guest's own are the order of its cells.
    cells = tuple(_numbered(placed, number) for number, placed in enumerate(stored.cells))
    whole = replace(
        stored.guest,
        cells=tuple(placed.guest_cell for placed in cells),
        cpu_topology=guest.cpu_topology or stored.guest.cpu_topology,
        realtime_vcpus=guest.realtime_vcpus,
        locked_memory=guest.locked_memory,
        offline=guest.offline,
        modules=guest.modules,
    )
    return Placement(whole, cells)


def _numbered(placed: CellPlacement, number: int) -> CellPlacement:
    return replace(placed, guest_cell=replace(placed.guest_cell, id=number))


# --- moves


def migration_values(instance_uuid: str, move: Move) -> dict[str, Any]:
    """Return the columns of a new move."""
    return {
        'uuid': move.uuid,
        'instance_uuid': instance_uuid,
        'source_compute': move.old.host,
        'dest_compute': move.new.host,
        'status': move.status,
        'migration_type': move.kind,
        'old_flavor': flavor_values(move.old.flavor),
        'new_flavor': flavor_values(move.new.flavor),
    }


def _move(row: models.Migration, extra: models.InstanceExtra, hosts: Mapping[str, Host]) -> Move:
    if not (extra.migration_context and extra.move_details and row.old_flavor and row.new_flavor):
        raise exception.InvalidObject(
            f'migration {row.id} of server {row.instance_uuid} is {row.status}, but the server has no context of it'
        )
    context = wire.read_context(extra.migration_context, hosts[row.source_compute], hosts[row.dest_compute])
    if context.migration_id != row.id:
        raise exception.InvalidObject(
            f'server {row.instance_uuid} has the context of migration {context.migration_id}, but {row.id} is '
            f'{row.status}'
        )
    old, new = details.read_move(extra.move_details)
    return Move(
        kind=row.migration_type,
        status=row.status,
        old=Side(row.source_compute, _flavor_copy(row.old_flavor, 'old_flavor'), _placement(old, context.old)),
        new=Side(row.dest_compute, _flavor_copy(row.new_flavor, 'new_flavor'), _placement(new, context.new)),
        uuid=row.uuid,
        number=row.id,
    )


def migration_record(row: models.Migration) -> MigrationRecord:
    """Read the row of a move."""
    return MigrationRecord(
        number=row.id,
        uuid=row.uuid,
        instance_uuid=row.instance_uuid,
        kind=row.migration_type,
        status=row.status,
        source=row.source_compute,
        dest=row.dest_compute,
        old_flavor=_flavor_copy(row.old_flavor, 'old_flavor').name if row.old_flavor else None,
        new_flavor=_flavor_copy(row.new_flavor, 'new_flavor').name if row.new_flavor else None,
        created_at=_utc(row.created_at),
        updated_at=_utc(row.updated_at) if row.updated_at else None,
    )
