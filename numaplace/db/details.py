# SPDX-License-Identifier: Apache-2.0
"""The columns beside Nova's JSON, straight between JSON and model; the format is that of our objects.

See :class:`numaplace.objects.HostDetails` and :class:`numaplace.objects.GuestDetails`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

from numaplace import cpuset, exception
from numaplace.model import (
    Cache,
    CellShape,
    CpuTopology,
    Guest,
    Host,
    HostCell,
    MemoryAccess,
    MemoryModule,
    Offline,
    intern_shape,
)

__all__ = ['read_guest', 'read_host', 'read_move', 'write_guest', 'write_host', 'write_move']

#: The versions that are read of each object; the last one is written.
_VERSIONS = {'CellDetails': ('1.0', '1.1'), 'GuestDetails': ('1.0', '1.1')}
_FIRST = ('1.0',)


def _primitive(name: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        'numaplace_object.name': name,
        'numaplace_object.namespace': 'numaplace',
        'numaplace_object.version': _VERSIONS.get(name, _FIRST)[-1],
        'numaplace_object.data': data,
    }


def _data(source: Mapping[str, Any], name: str) -> Any:
    found, version = source['numaplace_object.name'], source['numaplace_object.version']
    if found != name:
        raise exception.InvalidObject(f'expected a {name}, found {found!r}')
    known = _VERSIONS.get(name, _FIRST)
    if version not in known:
        raise exception.IncompatibleObjectVersion(
            f'{name} version {version!r} cannot be read; known is {", ".join(known)}'
        )
    return source['numaplace_object.data']


def write_host(host: Host) -> dict[str, Any]:
    """Write what a NUMATopology has no place for."""
    return _primitive('HostDetails', {'cells': [_write_cell(cell.shape) for cell in host.cells]})


def _write_cell(shape: CellShape) -> dict[str, Any]:
    caches = [
        {'level': bank.level, 'size_kib': bank.size_kib, 'cpus': list(cpuset.ids(bank.cpus))} for bank in shape.caches
    ]
    data = {
        'id': shape.id,
        'distances': {str(cell_id): distance for cell_id, distance in shape.distances},
        'online_cpus': list(cpuset.ids(shape.online_cpus)),
        'dies': [list(cpuset.ids(die)) for die in shape.dies],
        'clusters': [list(cpuset.ids(cluster)) for cluster in shape.clusters],
        'caches': [_primitive('CacheDetails', bank) for bank in caches],
        'accesses': [_primitive('AccessDetails', asdict(access)) for access in shape.accesses],
    }
    return _primitive('CellDetails', data)


def read_host(source: Mapping[str, Any] | None, host: Host) -> Host:
    """Return a host with the details of its cells.

    :raises: :class:`~numaplace.exception.InvalidObject`, :class:`~numaplace.exception.IncompatibleObjectVersion`
    """
    if source is None:
        return host
    try:
        cells = [_data(cell, 'CellDetails') for cell in _data(source, 'HostDetails')['cells']]
        known = {cell['id']: _read_cell(cell) for cell in cells}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise exception.InvalidObject(f'HostDetails: {type(error).__name__} at {error}') from None
    return replace(host, cells=tuple(_with_details(cell, known.get(cell.id, {})) for cell in host.cells))


def _read_cell(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a shape that say something, by name; version 1.0 has the first two alone."""
    found: dict[str, Any] = {}
    if data['distances']:
        found['distances'] = tuple((int(cell_id), int(distance)) for cell_id, distance in data['distances'].items())
    if data['online_cpus']:
        found['online_cpus'] = cpuset.mask(data['online_cpus'])
    for name, read in _LATER.items():
        if value := data.get(name):
            found[name] = read(value)
    return found


def _masks(groups: Iterable[Iterable[int]]) -> tuple[int, ...]:
    return tuple(map(cpuset.mask, groups))


def _read_caches(source: Iterable[Mapping[str, Any]]) -> tuple[Cache, ...]:
    banks = [_data(bank, 'CacheDetails') for bank in source]
    return tuple(Cache(bank['level'], bank['size_kib'], cpuset.mask(bank['cpus'])) for bank in banks)


def _read_accesses(source: Iterable[Mapping[str, Any]]) -> tuple[MemoryAccess, ...]:
    return tuple(MemoryAccess(**_data(access, 'AccessDetails')) for access in source)


#: What came with version 1.1, and how it is read.
_LATER: dict[str, Callable[[Any], tuple[Any, ...]]] = {
    'dies': _masks,
    'clusters': _masks,
    'caches': _read_caches,
    'accesses': _read_accesses,
}


def _with_details(cell: HostCell, details: Mapping[str, Any]) -> HostCell:
    if not details:
        return cell
    return replace(cell, shape=intern_shape(replace(cell.shape, **details)))


def write_guest(guest: Guest) -> dict[str, Any]:
    """Write what an InstanceNUMATopology has no place for."""
    topology = guest.cpu_topology
    data = {
        'cpu_topology': topology
        and {'sockets': topology.sockets, 'cores': topology.cores, 'threads': topology.threads},
        'realtime_vcpus': list(cpuset.ids(guest.realtime_vcpus)),
        'locked_memory': guest.locked_memory,
        'offline': [_write_offline(off) for off in guest.offline],
        'modules': [_primitive('ModuleDetails', asdict(module)) for module in guest.modules],
    }
    return _primitive('GuestDetails', data)


def _write_offline(off: Offline) -> dict[str, Any]:
    masks = off._asdict()
    return _primitive('OfflineDetails', {name: list(cpuset.ids(vcpus)) for name, vcpus in masks.items()})


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
            offline=tuple(map(_read_offline, data.get('offline', ()))),
            modules=tuple(MemoryModule(**_data(module, 'ModuleDetails')) for module in data.get('modules', ())),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise exception.InvalidObject(f'GuestDetails: {type(error).__name__} at {error}') from None


def _read_offline(source: Mapping[str, Any]) -> Offline:
    data = _data(source, 'OfflineDetails')
    return Offline(cpuset.mask(data['shared']), cpuset.mask(data['dedicated']))


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
