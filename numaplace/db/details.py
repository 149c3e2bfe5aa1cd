# SPDX-License-Identifier: Apache-2.0
"""The columns beside Nova's JSON, straight between JSON and model; the format is that of our objects.

See :class:`numaplace.objects.HostDetails` and :class:`numaplace.objects.GuestDetails`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from numaplace import cpuset, exception
from numaplace.model import CpuTopology, Guest, Host, HostCell, intern_shape

__all__ = ['read_guest', 'read_host', 'read_move', 'write_guest', 'write_host', 'write_move']

_VERSION = '1.0'


def _primitive(name: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        'numaplace_object.name': name,
        'numaplace_object.namespace': 'numaplace',
        'numaplace_object.version': _VERSION,
        'numaplace_object.data': data,
    }


def _data(source: Mapping[str, Any], name: str) -> Any:
    found, version = source['numaplace_object.name'], source['numaplace_object.version']
    if found != name:
        raise exception.InvalidObject(f'expected a {name}, found {found!r}')
    if version != _VERSION:
        raise exception.IncompatibleObjectVersion(f'{name} version {version!r} cannot be read; known is {_VERSION}')
    return source['numaplace_object.data']


def write_host(host: Host) -> dict[str, Any]:
    """Write what a NUMATopology has no place for."""
    cells = [
        {
            'id': cell.id,
            'distances': {str(cell_id): distance for cell_id, distance in cell.shape.distances},
            'online_cpus': list(cpuset.ids(cell.shape.online_cpus)),
        }
        for cell in host.cells
    ]
    return _primitive('HostDetails', {'cells': [_primitive('CellDetails', cell) for cell in cells]})


def read_host(source: Mapping[str, Any] | None, host: Host) -> Host:
    """Return a host with the details of its cells.

    :raises: :class:`~numaplace.exception.InvalidObject`, :class:`~numaplace.exception.IncompatibleObjectVersion`
    """
    if source is None:
        return host
    try:
        cells = [_data(cell, 'CellDetails') for cell in _data(source, 'HostDetails')['cells']]
        known = {
            cell['id']: (
                tuple((int(cell_id), int(distance)) for cell_id, distance in cell['distances'].items()),
                cpuset.mask(cell['online_cpus']),
            )
            for cell in cells
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise exception.InvalidObject(f'HostDetails: {type(error).__name__} at {error}') from None
    return replace(host, cells=tuple(_with_details(cell, *known.get(cell.id, ((), 0))) for cell in host.cells))


def _with_details(cell: HostCell, distances: tuple[tuple[int, int], ...], online_cpus: int) -> HostCell:
    if not distances and not online_cpus:
        return cell
    shape = replace(cell.shape, distances=distances, online_cpus=online_cpus)
    return replace(cell, shape=intern_shape(shape))


def write_guest(guest: Guest) -> dict[str, Any]:
    """Write what an InstanceNUMATopology has no place for."""
    topology = guest.cpu_topology
    data = {
        'cpu_topology': topology
        and {'sockets': topology.sockets, 'cores': topology.cores, 'threads': topology.threads},
        'realtime_vcpus': list(cpuset.ids(guest.realtime_vcpus)),
        'locked_memory': guest.locked_memory,
    }
    return _primitive('GuestDetails', data)


def read_guest(source: Mapping[str, Any] | None, guest: Guest) -> Guest:
    """Return a guest with its details.

    :raises: as :func:`read_host`
    """
    if source is None:
        return guest
    try:
        data = _data(source, 'GuestDetails')
        topology = data['cpu_topology']
        return replace(
            guest,
            cpu_topology=topology and CpuTopology(*(int(topology[key]) for key in ('sockets', 'cores', 'threads'))),
            realtime_vcpus=cpuset.mask(data['realtime_vcpus']),
            locked_memory=bool(data['locked_memory']),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise exception.InvalidObject(f'GuestDetails: {type(error).__name__} at {error}') from None


def write_move(old: Guest, new: Guest) -> dict[str, Any]:
    """Write what a MigrationContext has no place for."""
    return _primitive('MoveDetails', {'old': _write_side(old), 'new': _write_side(new)})


def _write_side(guest: Guest) -> dict[str, Any]:
    data = {'vcpus': guest.vcpus, 'memory_mib': guest.memory_mib, 'guest': write_guest(guest)}
    return _primitive('SideDetails', data)


def read_move(source: Mapping[str, Any]) -> tuple[Guest, Guest]:
    """Return the guest on both sides of a move, the old one first, without its cells.

    :raises: as :func:`read_host`
    """
    try:
        data = _data(source, 'MoveDetails')
        return _read_side(data['old']), _read_side(data['new'])
    except (KeyError, TypeError, ValueError) as error:
        raise exception.InvalidObject(f'MoveDetails: {type(error).__name__} at {error}') from None


def _read_side(source: Mapping[str, Any]) -> Guest:
    data = _data(source, 'SideDetails')
    return read_guest(data['guest'], Guest(int(data['vcpus']), int(data['memory_mib'])))
