# SPDX-License-Identifier: Apache-2.0
"""Convert rows to records and back: what :mod:`numaplace.db.tables` cannot say of a single column."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from numaplace import exception, wire
from numaplace.db import topology_json
from numaplace.db.capacity import ORDERS, ROOMS, capacity
from numaplace.db.columns import Fields, now
from numaplace.db.consistency import check_placement, expect
from numaplace.db.records import HostUsage, InstanceRequest, MigrationRecord, UnmanagedDomain
from numaplace.db.tables import HOSTS, INSTANCE_EXTRAS, INSTANCES, MIGRATIONS, UNMANAGED_DOMAINS
from numaplace.model import CellPlacement, Devices, Guest, Host, HostDevices, HostResources, Placement
from numaplace.model.held import hold
from numaplace.model.holding import Holding
from numaplace.model.host_devices import NO_DEVICES
from numaplace.model.host_resources import NO_RESOURCES
from numaplace.model.records import ACTIVE, DOWN, SHELVED_OFFLOADED, UP, HostRecord, InstanceRecord, Move, Side
from numaplace.wire import details

__all__ = [
    'DOMAIN',
    'HOST',
    'INSTANCE',
    'MIGRATION',
    'SERVER',
    'USAGE',
    'as_stored',
    'domain_columns',
    'domain_values',
    'extra_values',
    'host_record',
    'host_usage',
    'host_values',
    'instance_record',
    'migration_record',
    'migration_values',
    'new_instance',
    'usage_values',
]

_USAGE = ('vcpus_used', 'memory_mb_used', 'floating_vcpus')
_USED = ('vcpus_used', 'memory_used_mib', 'floating_vcpus')

#: Without what is only compared in the database.
HOST = Fields(each for each in HOSTS.c if each.name not in ('unmanaged_count', *ORDERS, *ROOMS))
#: What a claim needs to know of a host.
_ROW = (
    *('id', 'generation', 'cpu_allocation_ratio', 'ram_allocation_ratio'),
    *('pci_device_count', 'unmanaged_count', 'host_resources'),
)
USAGE = Fields(HOSTS.c[name] for name in (*_ROW, 'numa_topology', 'host_details', *_USAGE))
_COUNTERS = Fields(HOSTS.c[name] for name in _USAGE)
INSTANCE = Fields(each for each in INSTANCES.c if each.name != 'updated_at')
_EXTRA = Fields(each for each in INSTANCE_EXTRAS.c if each.name != 'id')
MIGRATION = Fields(MIGRATIONS.c)
DOMAIN = Fields(UNMANAGED_DOMAINS.c[name] for name in ('host', 'uuid', 'name', 'holding'))
#: The rows of a server: its own, that of `instance_extra`, and that of its move.
SERVER = (INSTANCE, _EXTRA, MIGRATION)


# --- hosts


def usage_values(record: HostRecord | HostUsage) -> dict[str, Any]:
    """Return the columns of a host that its servers change."""
    topology, _ = topology_json.write_host(record.host)
    return {**_COUNTERS.write(record), 'numa_topology': topology, **_resources(record), **capacity(record)}


def host_values(record: HostRecord) -> dict[str, Any]:
    """Return the columns of a host, without its generation and its times."""
    topology, host_details = topology_json.write_host(record.host)
    texts = {'numa_topology': topology, 'host_details': host_details}
    return {**HOST.write(record), **texts, **_resources(record), **domain_columns(record)}


def domain_columns(record: HostRecord) -> dict[str, Any]:
    """Return the columns of a host that its domains change, if numaplace does not manage them."""
    return {'unmanaged_count': len(record.unmanaged), **capacity(record)}


def _resources(record: HostRecord | HostUsage) -> dict[str, str | None]:
    written = details.write_resources(record.host.resources)
    return {'host_resources': None if written is None else wire.dumps(written)}


def host_usage(
    name: str, row: Sequence[Any], domains: Iterable[Sequence[Any]], devices: HostDevices = NO_DEVICES
) -> HostUsage:
    """Read what a claim needs to know of a host.

    :param domains: its rows of DOMAIN
    :param devices: its PCI devices
    """
    values, unmanaged = USAGE.read(row), _holdings(domains)
    return USAGE.make(HostUsage, values, name=name, host=_host(values, unmanaged, devices), unmanaged=unmanaged)


def host_record(
    row: Sequence[Any],
    domains: Iterable[Sequence[Any]],
    instead: Host | None = None,
    devices: HostDevices = NO_DEVICES,
) -> HostRecord:
    """Read the row of a host.

    :param domains: its rows of DOMAIN
    :param devices: its PCI devices
    :param instead: what is returned in place of its cells and usage, which are not read then
    """
    values, unmanaged = HOST.read(row), _holdings(domains)
    if values['state'] == UP and _is_silent(values['up_until']):
        values['state'] = DOWN
    if instead is not None:
        try:
            resources = _read_resources(values)
        except (exception.InvalidObject, ValueError):
            resources = NO_RESOURCES
        host = hold(replace(instead, devices=devices, resources=resources), unmanaged)
        return HOST.build(HostRecord, values, host=host, unmanaged=unmanaged)
    old_format = topology_json.old_format(values['numa_topology'], values['host_details'])
    host = _host(values, unmanaged, devices)
    return HOST.make(HostRecord, values, host=host, unmanaged=unmanaged, old_format=old_format)


def _is_silent(up_until: datetime | None) -> bool:
    """Return whether an agent has not said for too long that its host is up."""
    return up_until is not None and up_until < datetime.now(UTC)


def _host(values: Mapping[str, Any], unmanaged: Sequence[Holding], devices: HostDevices) -> Host:
    cells = topology_json.read_cells(values['numa_topology'], values['host_details'])
    used = {field: values[name] for name, field in zip(_USAGE, _USED, strict=True)}
    return hold(Host(cells, **used, devices=devices, resources=_read_resources(values)), unmanaged)


def _read_resources(values: Mapping[str, Any]) -> HostResources:
    if values['host_resources'] is None:
        return NO_RESOURCES
    with _named('host_resources'):
        return details.read_resources(wire.loads(values['host_resources']))


def _holdings(domains: Iterable[Sequence[Any]]) -> tuple[Holding, ...]:
    return tuple([DOMAIN.make(UnmanagedDomain, DOMAIN.read(row)).holding for row in domains])


def domain_values(host_name: str, holding: Holding) -> dict[str, Any]:
    """Return the columns of a domain that numaplace does not manage."""
    return DOMAIN.write(UnmanagedDomain(host_name, holding))


# --- instances


def new_instance(request: InstanceRequest, host_name: str, placement: Placement) -> InstanceRecord:
    """Return a new server, as it is read back after it is stored; its number is not known yet."""
    return InstanceRecord(
        uuid=request.uuid,
        name=request.name,
        number=0,
        host=host_name,
        flavor=request.flavor,
        image_properties=dict(request.image_properties),
        placement=as_stored(placement),
        availability_zone=request.availability_zone,
        vm_state=ACTIVE,
        created_at=now().replace(tzinfo=UTC),
        devices=request.devices,
        project=request.project,
        hints=request.hints,
        group=request.group,
        adopted_name=request.adopted_name,
    )


def extra_values(record: InstanceRecord) -> dict[str, Any]:
    """Return the columns of `instance_extra`: no topology for a guest that floats, no context without a move."""
    placement, move = record.placement, record.move
    values: dict[str, Any] = {
        'numa_topology': wire.write_placement(placement) if placement.cells else None,
        'guest_details': details.write_guest(placement.guest, devices=placement.devices, resources=placement.resources),
        'migration_context': None,
        'move_details': None,
    }
    if move is not None and not move.has_ended:
        values['migration_context'] = _write_context(record.uuid, move)
        values['move_details'] = details.write_move(move.old.placement, move.new.placement)
    return {name: value and wire.dumps(value) for name, value in values.items()} | {'instance_uuid': record.uuid}


def _write_context(instance_uuid: str, move: Move) -> Any:
    old, new = move.old.placement, move.new.placement
    if move.number is None:
        raise ValueError('a move has its number before its context is written')
    context = wire.Context(instance_uuid, move.number, old if old.cells else None, new if new.cells else None)
    return wire.write_context(context)


def instance_record(row: Sequence[Any], hosts: Mapping[str, Host]) -> InstanceRecord:
    """Read the rows of a server.

    :param row: the columns of SERVER
    :param hosts: by name, those on which it holds something; they supply the siblings of the CPUs. Without one, thread
        policy isolate takes no siblings there
    """
    ends = len(INSTANCE), len(INSTANCE) + len(_EXTRA)
    values, extra = INSTANCE.read(row[: ends[0]]), _EXTRA.read(row[ends[0] : ends[1]])
    with _named('guest_details'):
        held = details.read_placed(extra['guest_details'], Guest(values['vcpus'], values['memory_mb']))
    placement, host = None, values['host']
    if extra['numa_topology'] is not None:
        with _named('numa_topology'):
            placement = wire.read_placement(extra['numa_topology'], hosts.get(host))
    move = row[ends[1] :]
    record = INSTANCE.make(
        InstanceRecord,
        values | {'devices': values['devices'] or Devices(), 'hints': values['hints'] or {}},
        placement=_placement(held, placement),
        move=_move(migration_record(move), extra, hosts) if any(move) else None,
        old_format=_old_format(extra, is_moving=any(move)),
    )
    _check(record, extra)
    return record


def _old_format(extra: Mapping[str, Any], *, is_moving: bool) -> str:
    """Return what is old in the topologies of a server, which can be read."""
    topology, context = extra['numa_topology'], extra['migration_context']
    old = '' if topology is None else wire.old_format(topology, 'InstanceNUMATopology')
    return old or (wire.old_format(context, 'MigrationContext') if is_moving else '')


def _check(record: InstanceRecord, extra: Mapping[str, Any]) -> None:
    """Make sure that the parts of a server agree."""
    is_off = record.vm_state == SHELVED_OFFLOADED
    expect('vm_state', is_off == (record.host is None), record.vm_state, 'a server with a host, or an offloaded one')
    expect('numa_topology', record.host is not None or not record.placement.cells, 'set', 'NULL without a host')
    guest, flavor = record.placement.guest, record.flavor
    sizes = guest.most_vcpus, guest.memory_mib - guest.plugged_mib
    expect('flavor', sizes == (flavor.vcpus, flavor.memory_mib), (flavor.vcpus, flavor.memory_mib), f'{sizes}, as held')
    if record.move is None:
        for name in ('migration_context', 'move_details'):
            expect(name, extra[name] is None, 'set', 'NULL without a move in progress')
    else:
        here = Side(str(record.host), record.flavor, record.placement)
        expect('host', here in (record.move.old, record.move.new), record.host, 'a side of the move')
    placed = record.placement.guest.instance_uuid
    expect('instance_uuid', placed in (None, record.uuid), placed, f'{record.uuid!r}')


@contextmanager
def _named(column: str) -> Iterator[None]:
    """Name the column of what cannot be read."""
    try:
        yield
    except exception.InvalidObject as error:
        raise type(error)(f'{column}: {error}') from None


def as_stored(placement: Placement) -> Placement:
    """Return a placement as it is read back after it is stored: its guest requests the page sizes that it has."""
    cells = tuple([_stored_cell(placed, number) for number, placed in enumerate(placement.cells)])
    guest, guest_cells = placement.guest, tuple([placed.guest_cell for placed in cells])
    # The emulator policy is part of the topology.
    emulator_policy = guest.emulator_policy if cells else None
    if (guest_cells, emulator_policy, None, (), ()) != (
        guest.cells,
        guest.emulator_policy,
        guest.wish,
        guest.pci_requests,
        guest.resource_requests,
    ):
        guest = replace(
            guest,
            cells=guest_cells,
            emulator_policy=emulator_policy,
            wish=None,
            pci_requests=(),
            resource_requests=(),
        )
    return replace(placement, guest=guest, cells=cells)


def _stored_cell(placed: CellPlacement, number: int) -> CellPlacement:
    cell = placed.guest_cell
    if cell.id == number and cell.pagesize_kib == placed.pagesize_kib:
        return placed
    return replace(placed, guest_cell=replace(cell, id=number, pagesize_kib=placed.pagesize_kib))


def _placement(placed: Placement, stored: Placement | None) -> Placement:
    """Return the placement of a guest, with what its topology cannot hold.

    :param placed: its details, without its cells
    """
    placement, guest = details.join(placed, stored), placed.guest
    sums = placement.guest.vcpus, placement.guest.memory_mib
    expect('numa_topology', sums == (guest.vcpus, guest.memory_mib), sums, 'the vCPUs and MiB of the server')
    check_placement(placement)
    return placement


# --- moves


def migration_values(instance_uuid: str, move: Move) -> dict[str, Any]:
    """Return the columns of a new move."""
    old, new, time = move.old, move.new, now()
    return MIGRATION.write(
        MigrationRecord(
            0, move.uuid, instance_uuid, move.kind, move.status, old.host, new.host, old.flavor, new.flavor, time, None
        )
    )


def _move(record: MigrationRecord, extra: Mapping[str, Any], hosts: Mapping[str, Host]) -> Move:
    what = f'migration {record.number} of server {record.instance_uuid}'
    if not (extra['migration_context'] and extra['move_details'] and record.old_flavor and record.new_flavor):
        raise exception.InvalidObject(f'{what} is {record.status}, but the server has no context of it')
    with _named('migration_context'):
        context = wire.read_context(extra['migration_context'], hosts.get(record.source), hosts.get(record.dest))
    if context.migration_id != record.number:
        raise exception.InvalidObject(
            f'{what} is {record.status}, but the server has the context of migration {context.migration_id}'
        )
    with _named('move_details'):
        old, new = details.read_move(extra['move_details'])
    return Move(
        kind=record.kind,
        status=record.status,
        old=Side(record.source, record.old_flavor, _placement(old, context.old)),
        new=Side(record.dest, record.new_flavor, _placement(new, context.new)),
        uuid=record.uuid,
        number=record.number,
    )


def migration_record(row: Sequence[Any]) -> MigrationRecord:
    """Read the row of a move."""
    return MIGRATION.make(MigrationRecord, MIGRATION.read(row))
