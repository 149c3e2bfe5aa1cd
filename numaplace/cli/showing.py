# SPDX-License-Identifier: Apache-2.0
"""A server as it is shown."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from numaplace import cpuset, explain, units
from numaplace.cli import base, names
from numaplace.cli.asking import IMAGE_NAME
from numaplace.cli.flavor import properties

if TYPE_CHECKING:
    from numaplace.db.records import InstanceRecord, Move
    from numaplace.model import CellPlacement, MemoryModule

__all__ = ['details']


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
        'host': None if server.host is None else base.Text(server.host),
        'flavor': base.Text(server.flavor.name),
        'image': None if image is None else base.Text(image),
        'image_properties': properties(image_properties),
        'vcpus': guest.vcpus,
        'offline_vcpus': base.Written(list(cpuset.ids(guest.offline_vcpus)), cpuset.text(guest.offline_vcpus)),
        'memory_mib': guest.memory_mib,
        'memory_modules': _modules(guest.modules),
        'cpu_topology': topology and f'{topology.sockets}:{topology.cores}:{topology.threads}',
        'cells': _cells(server),
        'devices': _devices(server),
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
                'mac_address': devices.mac_address(server.uuid, number),
            }
            for number, nic in enumerate(found.nics)
        ],
        'disks': [
            {'path': disk.path_of(server.uuid), 'format': disk.format, 'node': disk.node} for disk in found.disks
        ],
    }
    words = [f'NIC {number}: {explain.escape(str(nic))}' for number, nic in enumerate(found.nics)]
    words += [f'disk {number}: {explain.escape(str(disk))}' for number, disk in enumerate(found.disks)]
    return base.Written(plain, '\n'.join(words) or 'none')


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
    """Return a move in progress, of which both sides are held."""
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
