# SPDX-License-Identifier: Apache-2.0
"""A fleet as one object, for files that are read anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from numaplace import exception
from numaplace.model import Devices, Disk, Flavor, Host, HostDevices, Nic, Placement
from numaplace.model.fleet import Aggregate, Fleet, Inventory, Provider, Remark, Unread
from numaplace.model.held import hold
from numaplace.model.host_resources import NO_RESOURCES
from numaplace.model.records import HostRecord, InstanceRecord, Move, RequestSpec, Side
from numaplace.wire import details
from numaplace.wire.holdings import holding_of, write_holding
from numaplace.wire.primitives import dumps, loads, open_object
from numaplace.wire.reading import host_of, placement_of
from numaplace.wire.writing import JSON, write_host, write_placement

__all__ = ['read_fleet', 'write_fleet']


def write_fleet(fleet: Fleet) -> dict[str, Any]:
    """Write a Fleet 1.1, as JSON values."""
    data = {
        'hosts': list(map(_write_host, fleet.hosts)),
        'servers': list(map(_write_server, fleet.servers)),
        'flavors': list(map(_write_flavor, fleet.flavors)),
        'aggregates': [JSON.make('FleetAggregate', asdict(aggregate)) for aggregate in fleet.aggregates],
        'providers': list(map(_write_provider, fleet.providers)),
        'unread': [JSON.make('FleetUnread', asdict(row)) for row in fleet.unread],
        'remarks': [JSON.make('FleetRemark', asdict(remark)) for remark in fleet.remarks],
    }
    written: dict[str, Any] = JSON.make('Fleet', data)
    return written


def read_fleet(source: dict[str, Any]) -> Fleet:
    """Read a Fleet.

    :raises: :class:`~numaplace.exception.InvalidObject`, :class:`~numaplace.exception.IncompatibleObjectVersion`
    """
    data = open_object(source, 'Fleet')
    hosts = tuple(map(_read_host, data['hosts']))
    by_name = {record.name: record.host for record in hosts}
    return Fleet(
        hosts,
        tuple([_read_server(server, by_name) for server in data['servers']]),
        tuple([Flavor(**flavor) for flavor in data['flavors']]),
        tuple([Aggregate(**aggregate) for aggregate in data['aggregates']]),
        tuple(map(_read_provider, data['providers'])),
        tuple([Unread(**row) for row in data['unread']]),
        tuple([Remark(**remark) for remark in data['remarks']]),
    )


# --- hosts

_HOST_FIELDS = (
    'name',
    'uuid',
    'availability_zone',
    'cpu_allocation_ratio',
    'ram_allocation_ratio',
    'status',
    'state',
    'old_format',
)
_TOTALS = ('vcpus_used', 'memory_used_mib', 'floating_vcpus')


def _write_host(record: HostRecord) -> Any:
    data = {name: getattr(record, name) for name in _HOST_FIELDS} | {
        name: getattr(record.host, name) for name in _TOTALS
    }
    data['facts'] = dumps(record.facts)
    data['numa_topology'] = write_host(record.host)
    data['details'] = details.write_host(record.host)
    data['unmanaged'] = list(map(write_holding, record.unmanaged))
    data['devices'] = list(map(details.write_device, record.host.devices.known))
    data['devices_taken'] = sorted(record.host.devices.taken)
    data['resources'] = details.write_resources(record.host.resources)
    return JSON.make('FleetHost', data)


def _read_host(data: dict[str, Any]) -> HostRecord:
    host = details.with_details(host_of(data['numa_topology']), data['details'])
    unmanaged = tuple(map(holding_of, data['unmanaged']))
    known = tuple([details.device_of(each).device for each in data['devices']])
    devices = HostDevices(known, frozenset(data['devices_taken']))
    resources = NO_RESOURCES if data['resources'] is None else details.resources_of(data['resources'])
    host = replace(host, **{name: data[name] for name in _TOTALS}, devices=devices, resources=resources)
    host = hold(host, unmanaged)
    fields = {name: data[name] for name in _HOST_FIELDS}
    return HostRecord(**fields, host=host, facts=loads(data['facts']), unmanaged=unmanaged)


# --- servers


def _write_flavor(flavor: Flavor) -> Any:
    return JSON.make('FleetFlavor', asdict(flavor))


def _write_place(placement: Placement) -> Any:
    topology = write_placement(placement) if placement.cells else None
    data = {'size': details.write_side(placement), 'numa_topology': topology}
    return JSON.make('FleetPlacement', data)


def _write_side(side: Side) -> Any:
    data = {'host': side.host, 'flavor': _write_flavor(side.flavor), 'placement': _write_place(side.placement)}
    return JSON.make('FleetSide', data)


def _write_move(move: Move) -> Any:
    data = {name: getattr(move, name) for name in ('uuid', 'kind', 'status', 'number')}
    data |= {'old': _write_side(move.old), 'new': _write_side(move.new)}
    data['updated_at'] = move.updated_at and move.updated_at.isoformat()
    return JSON.make('FleetMove', data)


_SERVER_FIELDS = ('uuid', 'name', 'number', 'host', 'availability_zone', 'vm_state', 'old_format', 'adopted_name')


def _write_server(record: InstanceRecord) -> Any:
    data = {name: getattr(record, name) for name in _SERVER_FIELDS}
    data |= {
        'created_at': record.created_at.isoformat(),
        'flavor': _write_flavor(record.flavor),
        'image_properties': dict(record.image_properties),
        'metadata': dict(record.metadata),
        'placement': _write_place(record.placement),
        'move': record.move and _write_move(record.move),
        'nics': [_write_device('FleetNic', nic) for nic in record.devices.nics],
        'disks': [_write_device('FleetDisk', disk) for disk in record.devices.disks],
        'request_spec': record.request_spec and _write_request_spec(record.request_spec),
    }
    return JSON.make('FleetServer', data)


def _write_request_spec(spec: RequestSpec) -> Any:
    data = {name: getattr(spec, name) for name in ('availability_zone', 'boots_from_volume')}
    return JSON.make('FleetRequestSpec', data | {'flavor': _write_flavor(spec.flavor), 'hosts': list(spec.hosts)})


def _read_request_spec(data: dict[str, Any]) -> RequestSpec:
    return RequestSpec(**data | {'flavor': Flavor(**data['flavor']), 'hosts': tuple(data['hosts'])})


def _read_server(data: dict[str, Any], hosts: Mapping[str, Host]) -> InstanceRecord:
    """Return a server.

    :param hosts: by name; they supply the siblings of the CPUs
    """
    devices = Devices(
        tuple([Nic(**nic) for nic in data['nics']]),
        tuple([Disk(**disk) for disk in data['disks']]),
    )
    return InstanceRecord(
        **{name: data[name] for name in _SERVER_FIELDS},
        flavor=Flavor(**data['flavor']),
        image_properties=data['image_properties'],
        placement=_read_place(data['placement'], hosts.get(data['host'])),
        created_at=_moment(data['created_at']),
        move=data['move'] and _read_move(data['move'], hosts),
        devices=devices,
        metadata=data['metadata'],
        request_spec=data['request_spec'] and _read_request_spec(data['request_spec']),
    )


def _read_move(data: dict[str, Any], hosts: Mapping[str, Host]) -> Move:
    old, new = (_read_side(data[side], hosts) for side in ('old', 'new'))
    updated_at = data['updated_at'] and _moment(data['updated_at'])
    return Move(data['kind'], data['status'], old, new, data['uuid'], data['number'], updated_at)


def _read_side(data: dict[str, Any], hosts: Mapping[str, Host]) -> Side:
    place = _read_place(data['placement'], hosts.get(data['host']))
    return Side(data['host'], Flavor(**data['flavor']), place)


def _read_place(data: dict[str, Any], host: Host | None) -> Placement:
    topology = data['numa_topology']
    return details.join(details.read_side(data['size']), None if topology is None else placement_of(topology, host))


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise exception.InvalidObject(f'{text!r} is no time: expected one as in 2026-11-01T12:00:00+00:00') from None


def _write_device(name: str, device: Nic | Disk) -> Any:
    data = asdict(device)
    del data['place']
    return JSON.make(name, data)


def _read_provider(data: dict[str, Any]) -> Provider:
    inventories = {
        found['resource_class']: Inventory(**{key: found[key] for key in found if key != 'resource_class'})
        for found in data['inventories']
    }
    allocations = {allocation['consumer']: allocation['resources'] for allocation in data['allocations']}
    return Provider(data['host'], data['uuid'], inventories, allocations, data['traits'])


def _write_provider(provider: Provider) -> Any:
    data = {
        'host': provider.host,
        'uuid': provider.uuid,
        'inventories': [
            JSON.make('FleetInventory', {'resource_class': name, **asdict(inventory)})
            for name, inventory in provider.inventories.items()
        ],
        'allocations': [
            JSON.make('FleetAllocation', {'consumer': consumer, 'resources': dict(resources)})
            for consumer, resources in provider.allocations.items()
        ],
        'traits': sorted(provider.traits),
    }
    return JSON.make('FleetProvider', data)
