# SPDX-License-Identifier: Apache-2.0
"""Objects for data that Nova's objects have no field for, to the model and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from numaplace import cpuset, exception
from numaplace.model import (
    Cache,
    CellPlacement,
    CellShape,
    CpuTopology,
    GrantedDevice,
    Guest,
    Host,
    HostCell,
    HostResources,
    MemoryAccess,
    MemoryModule,
    Offline,
    PciDevice,
    Placement,
    intern_shape,
)
from numaplace.model.host_resources import Encryption, Namespace
from numaplace.wire.primitives import open_object
from numaplace.wire.writing import JSON, Target

__all__ = [
    'device_of',
    'join',
    'read_guest',
    'read_host',
    'read_move',
    'read_placed',
    'read_resources',
    'read_side',
    'resources_of',
    'with_details',
    'write_device',
    'write_guest',
    'write_host',
    'write_move',
    'write_resources',
    'write_side',
]

_THREADS = ('sockets', 'cores', 'threads')
_DEVICE = ('address', 'vendor_id', 'product_id', 'dev_type', 'numa_node', 'parent')


def write_host(host: Host, target: Target = JSON) -> Any:
    """Write what a NUMATopology has no field for as HostDetails."""
    return target.make('HostDetails', {'cells': [_write_cell(cell.shape, target) for cell in host.cells]})


def _write_cell(shape: CellShape, target: Target) -> Any:
    make, cpus = target.make, target.collect
    data = {
        'id': shape.id,
        'distances': {str(cell_id): distance for cell_id, distance in shape.distances},
        'online_cpus': cpus(cpuset.ids(shape.online_cpus)),
        'dies': [cpus(cpuset.ids(die)) for die in shape.dies],
        'clusters': [cpus(cpuset.ids(cluster)) for cluster in shape.clusters],
        'caches': [
            make('CacheDetails', {'level': bank.level, 'size_kib': bank.size_kib, 'cpus': cpus(cpuset.ids(bank.cpus))})
            for bank in shape.caches
        ],
        'accesses': [make('AccessDetails', asdict(access)) for access in shape.accesses],
        'memory_kind': shape.memory_kind,
        'counts_as_general': shape.counts_as_general,
    }
    return make('CellDetails', data)


def read_host(source: Any, host: Host) -> Host:
    """Return a host with the details of its cells.

    :param source: HostDetails, or None where the row is older than its column
    :raises: :class:`~numaplace.exception.InvalidObject`, :class:`~numaplace.exception.IncompatibleObjectVersion`
    """
    return host if source is None else with_details(host, open_object(source, 'HostDetails'))


def with_details(host: Host, data: dict[str, Any]) -> Host:
    """Return a host with the details of its cells.

    :param data: of HostDetails that are opened already
    :raises: :class:`~numaplace.exception.InvalidObject` unless they are those of its cells
    """
    known = {cell['id']: _told(cell) for cell in data['cells']}
    if set(known) != {cell.id for cell in host.cells}:
        raise exception.InvalidObject(f'HostDetails: its cells are {sorted(known)!r:.60}; expected those of the host')
    return replace(host, cells=tuple([_with_details(cell, known[cell.id]) for cell in host.cells]))


def _told(data: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a shape that have a value, by name."""
    given = {name: value for name, value in data.items() if value and name != 'id'}
    if 'caches' in given:
        given['caches'] = tuple([Cache(**bank) for bank in given['caches']])
    if 'accesses' in given:
        given['accesses'] = tuple([MemoryAccess(**access) for access in given['accesses']])
    return given


def _with_details(cell: HostCell, details: Mapping[str, Any]) -> HostCell:
    if not details:
        return cell
    return replace(cell, shape=intern_shape(replace(cell.shape, **details)))


def write_device(device: PciDevice, request: str = '', target: Target = JSON) -> Any:
    """Write a PCI device as DeviceDetails.

    :param request: for which it was taken
    """
    data = {name: getattr(device, name) for name in _DEVICE}
    # A tag without a value is the same to a request as no tag.
    data['tags'] = {name: value for name, value in device.tags.items() if value is not None}
    return target.make('DeviceDetails', data | {'request': request})


def device_of(data: Mapping[str, Any]) -> GrantedDevice:
    """Return a PCI device of DeviceDetails that are opened already, with the request for which it was taken."""
    given = dict(data)
    return GrantedDevice(request=given.pop('request'), device=PciDevice(**given))


def write_resources(resources: HostResources) -> dict[str, Any] | None:
    """Write what a host has by number or name as HostResources, as JSON values; None for nothing."""
    if not resources:
        return None
    data = {
        'encryption': [JSON.make('EncryptionDetails', asdict(one)) for one in resources.encryption],
        'namespaces': [JSON.make('NamespaceDetails', asdict(one)) for one in resources.namespaces],
        'used': list(resources.used),
    }
    written: dict[str, Any] = JSON.make('HostResources', data)
    return written


def read_resources(source: Any) -> HostResources:
    """Read HostResources.

    :raises: as :func:`read_host`
    """
    return resources_of(open_object(source, 'HostResources'))


def resources_of(data: Mapping[str, Any]) -> HostResources:
    """Return the value of HostResources that are opened already."""
    return HostResources(
        tuple([Encryption(**one) for one in data['encryption']]),
        tuple([Namespace(**one) for one in data['namespaces']]),
        tuple(sorted(data['used'])),
    )


def write_guest(
    guest: Guest, target: Target = JSON, devices: Sequence[GrantedDevice] = (), resources: Sequence[str] = ()
) -> Any:
    """Write what an InstanceNUMATopology has no field for as GuestDetails.

    :param devices: PCI devices that the guest holds
    :param resources: names of what else it holds
    """
    topology = guest.cpu_topology
    data = {
        'cpu_topology': topology and {name: getattr(topology, name) for name in _THREADS},
        'realtime_vcpus': target.collect(cpuset.ids(guest.realtime_vcpus)),
        'locked_memory': guest.locked_memory,
        'offline': [_write_offline(off, target) for off in guest.offline],
        'modules': [target.make('ModuleDetails', asdict(module)) for module in guest.modules],
        'devices': [write_device(granted.device, granted.request, target) for granted in devices],
        'resources': list(resources),
    }
    return target.make('GuestDetails', data)


def _write_offline(off: Offline, target: Target) -> Any:
    masks = off._asdict()
    return target.make('OfflineDetails', {name: target.collect(cpuset.ids(vcpus)) for name, vcpus in masks.items()})


def read_guest(source: Any, guest: Guest) -> Guest:
    """Return a guest with its details.

    :param source: GuestDetails, or None where the row is older than its column
    :raises: as :func:`read_host`
    """
    return read_placed(source, guest).guest


def read_placed(source: Any, guest: Guest) -> Placement:
    """Return a guest with its details and the PCI devices that it holds, without its cells.

    :param source: as for :func:`read_guest`
    :raises: as :func:`read_host`
    """
    return Placement(guest) if source is None else _placed(guest, open_object(source, 'GuestDetails'))


def _placed(guest: Guest, data: dict[str, Any]) -> Placement:
    devices, resources = tuple(map(device_of, data['devices'])), tuple(data['resources'])
    return Placement(_with(guest, data), devices=devices, resources=resources)


def _with(guest: Guest, data: dict[str, Any]) -> Guest:
    return replace(
        guest,
        cpu_topology=_read_topology(data['cpu_topology']),
        realtime_vcpus=data['realtime_vcpus'],
        locked_memory=data['locked_memory'],
        offline=tuple([Offline(**off) for off in data['offline']]),
        modules=tuple([MemoryModule(**module) for module in data['modules']]),
    )


def _read_topology(data: dict[str, int] | None) -> CpuTopology | None:
    if not data:
        return None
    if set(data) != set(_THREADS) or min(data.values()) < 1:
        raise exception.InvalidObject(
            f"GuestDetails: the field 'cpu_topology' is {data!r:.60}; expected {', '.join(_THREADS)} from 1 on"
        )
    return CpuTopology(**data)


def join(placed: Placement, stored: Placement | None) -> Placement:
    """Return the placement of a guest, with what its topology cannot hold.

    :param placed: its details, without its cells
    :param stored: None for a guest that floats
    """
    if stored is None:
        return placed
    guest = placed.guest
    # The JSON holds the ids of the host cells; the guest's own are the order of its cells.
    cells = tuple(_numbered(cell, number) for number, cell in enumerate(stored.cells))
    whole = replace(
        stored.guest,
        cells=tuple(cell.guest_cell for cell in cells),
        cpu_topology=guest.cpu_topology or stored.guest.cpu_topology,
        realtime_vcpus=guest.realtime_vcpus,
        locked_memory=guest.locked_memory,
        offline=guest.offline,
        modules=guest.modules,
    )
    return replace(placed, guest=whole, cells=cells)


def _numbered(placed: CellPlacement, number: int) -> CellPlacement:
    return replace(placed, guest_cell=replace(placed.guest_cell, id=number))


def write_move(old: Placement, new: Placement, target: Target = JSON) -> Any:
    """Write what a MigrationContext has no field for as MoveDetails."""
    return target.make('MoveDetails', {'old': write_side(old, target), 'new': write_side(new, target)})


def write_side(placed: Placement, target: Target = JSON) -> Any:
    """Write the size of a guest, and what an InstanceNUMATopology has no field for, as SideDetails."""
    guest, written = placed.guest, write_guest(placed.guest, target, placed.devices, placed.resources)
    data = {'vcpus': guest.vcpus, 'memory_mib': guest.memory_mib, 'guest': written}
    return target.make('SideDetails', data)


def read_move(source: Any) -> tuple[Placement, Placement]:
    """Return the guest with its PCI devices on both sides of a move, the old one first, without its cells.

    :param source: MoveDetails
    :raises: as :func:`read_host`
    """
    data = open_object(source, 'MoveDetails')
    return read_side(data['old']), read_side(data['new'])


def read_side(data: dict[str, Any]) -> Placement:
    """Return a guest with its PCI devices, without its cells.

    :param data: of SideDetails that are opened already
    """
    return _placed(Guest(data['vcpus'], data['memory_mib']), data['guest'])
