# SPDX-License-Identifier: Apache-2.0
"""The columns of a server."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from numaplace import cpuset, explain, units
from numaplace.cli import base, names
from numaplace.cli.flavor import properties
from numaplace.cli.server_request import IMAGE_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numaplace.model import CellPlacement, MemoryModule
    from numaplace.model.records import InstanceRecord, Move

__all__ = ['COLUMNS', 'LONG_COLUMNS', 'details', 'long_row', 'row']

COLUMNS = ('ID', 'Name', 'Instance Name', 'Status', 'Host', 'Flavor')
LONG_COLUMNS = ('Flavor ID', 'Image Name', 'Availability Zone', 'vCPUs', 'MiB', 'Cells', 'Pins')


def row(server: InstanceRecord) -> tuple[Any, ...]:
    """Return the values of COLUMNS."""
    return (
        server.uuid,
        base.Text(server.name),
        server.domain_name,
        server.status,
        _text(server.host),
        base.Text(server.flavor.name),
    )


def long_row(server: InstanceRecord, zones: Mapping[str, str]) -> tuple[Any, ...]:
    """Return the values of LONG_COLUMNS.

    :param zones: availability zones by name of the host
    """
    guest = server.placement.guest
    return (
        base.Text(server.flavor.id),
        _text(server.image_properties.get(IMAGE_NAME)),
        _text(zones.get(server.host or '')),
        guest.vcpus,
        guest.memory_mib,
        _cells(server),
        _pins(server),
    )


def _text(value: str | None) -> base.Text | None:
    return None if value is None else base.Text(value)


def details(server: InstanceRecord) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """Return the columns of a server and their values."""
    guest = server.placement.guest
    topology = guest.cpu_topology
    image_properties = dict(server.image_properties)
    image = image_properties.pop(IMAGE_NAME, None)
    values = {
        'id': server.uuid,
        'name': base.Text(server.name),
        'instance_name': server.domain_name,
        'status': server.status,
        'host': _text(server.host),
        'flavor': base.Text(server.flavor.name),
        'image': _text(image),
        'image_properties': properties(image_properties),
        'vcpus': guest.vcpus,
        'offline_vcpus': base.Written(list(cpuset.ids(guest.offline_vcpus)), cpuset.text(guest.offline_vcpus)),
        'memory_mib': guest.memory_mib,
        'memory_modules': _modules(guest.modules),
        'cpu_topology': topology and f'{topology.sockets}:{topology.cores}:{topology.threads}',
        'cells': _cells(server),
        'devices': _devices(server),
        'project': _text(server.project),
        'server_group': server.group,
        'hints': _hints(server),
        'migration': server.move and _move(server.move),
    }
    return tuple(values), tuple(values.values())


def _cells(server: InstanceRecord) -> base.Written:
    cells = server.placement.cells
    nowhere = 'none: on no host' if server.host is None else 'none: floats over the whole host'
    words = [
        f'{index}: vCPUs {cpuset.text(placed.guest_cell.vcpus)} on host cell {placed.host_cell}'
        + (f', pinned to {cpuset.text(cpuset.mask(cpu for _, cpu in placed.pins))}' if placed.pins else '')
        + (f', {units.size(placed.pagesize_kib)} pages' if placed.pagesize_kib else '')
        for index, placed in enumerate(cells)
    ]
    return base.Written(_plain(cells), '\n'.join(words) or nowhere)


def _pins(server: InstanceRecord) -> base.Written:
    pins = {vcpu: cpu for placed in server.placement.cells for vcpu, cpu in placed.pins}
    return base.Written(
        {str(vcpu): cpu for vcpu, cpu in sorted(pins.items())}, cpuset.text(cpuset.mask(pins.values())) or 'none'
    )


def _devices(server: InstanceRecord) -> base.Written:
    """Return the devices in the order of the guest: its own come before those of its flavor."""
    from numaplace import request
    from numaplace.libvirt import devices

    found = server.devices + request.devices(server.flavor)
    plain = {
        'nics': [
            {
                'network': nic.network,
                'bridge': nic.bridge,
                'model': nic.model,
                'node': nic.node,
                **{key: getattr(nic, key) for key in ('physnet', 'vnic', 'policy', 'vlan')},
                'mac_address': devices.mac_of(nic, server.uuid, number),
            }
            for number, nic in enumerate(found.nics)
        ],
        'disks': [
            {'path': disk.path_of(server.uuid), 'format': disk.format, 'node': disk.node} for disk in found.disks
        ],
        'pci': [
            {
                'address': granted.device.address,
                'vendor_id': granted.device.vendor_id,
                'product_id': granted.device.product_id,
                'numa_node': granted.device.numa_node,
                'alias': granted.request,
            }
            for granted in server.placement.devices
        ],
        'memory': list(server.placement.resources),
    }
    words = [f'NIC {number}: {explain.escape(str(nic))}' for number, nic in enumerate(found.nics)]
    words += [f'disk {number}: {explain.escape(str(disk))}' for number, disk in enumerate(found.disks)]
    words += [
        f'PCI {granted.device.address}: {explain.escape(granted.request)}' for granted in server.placement.devices
    ]
    words += [f'memory: {explain.escape(name)}' for name in server.placement.resources]
    return base.Written(plain, '\n'.join(words) or 'none')


def _hints(server: InstanceRecord) -> base.Written:
    words = [f'{key}={explain.escape(value)}' for key, values in server.hints.items() for value in values]
    return base.Written({key: list(values) for key, values in server.hints.items()}, '\n'.join(words) or 'none')


def _modules(modules: tuple[MemoryModule, ...]) -> base.Written:
    words = [
        f'{module.model} of {module.size_mib} MiB in cell {module.cell}'
        + (f' from {explain.escape(module.path)}' if module.path else '')
        for module in modules
    ]
    return base.Written([{'model': module.model, **asdict(module)} for module in modules], '\n'.join(words))


def _plain(cells: tuple[CellPlacement, ...]) -> list[dict[str, Any]]:
    return [
        {
            'id': index,
            'host_cell': placed.host_cell,
            'vcpus': list(cpuset.ids(placed.guest_cell.vcpus)),
            'memory_mib': placed.guest_cell.memory_mib,
            'pagesize_kib': placed.pagesize_kib,
            'pins': {str(vcpu): cpu for vcpu, cpu in placed.pins},
            'emulator_cpus': list(cpuset.ids(placed.emulator_cpus)),
        }
        for index, placed in enumerate(cells)
    ]


def _move(move: Move) -> base.Written:
    """Return a move in progress, whose two sides are held."""
    plain = {
        'id': move.number,
        'type': move.kind,
        'status': move.status,
        **{
            side: {'host': place.host, 'flavor': place.flavor.name, 'cells': _plain(place.placement.cells)}
            for side, place in (('old', move.old), ('new', move.new))
        },
    }
    words = (
        f'{move.number}: {move.kind} from {names.shorten(move.old.host)} to {names.shorten(move.new.host)}, '
        f'{move.status}; both places are held'
    )
    return base.Written(plain, words)
