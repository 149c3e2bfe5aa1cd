# SPDX-License-Identifier: Apache-2.0
"""Nova's stored objects to the model and back, by one table of their fields.

A source is a primitive (the dict that the JSON of a column holds) or any object with the fields as attributes;
a target makes dicts or objects of classes that are passed in. Field names, versions and JSON are Nova 34's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from numaplace import cpuset, exception
from numaplace.model import (
    ISOLATE,
    CellPlacement,
    CellShape,
    CpuTopology,
    Guest,
    GuestCell,
    Host,
    HostCell,
    Limits,
    Networks,
    Pages,
    Placement,
    intern_shape,
)

__all__ = [
    'JSON',
    'SPECS',
    'Field',
    'Spec',
    'Target',
    'dumps',
    'loads',
    'primitive',
    'read_guest',
    'read_host',
    'read_limits',
    'read_placement',
    'write_guest',
    'write_host',
    'write_limits',
    'write_placement',
]

_MISSING = object()


# --- how the values of fields are read ------------------------------------------


def _integer(value: Any) -> int:
    if type(value) is int:
        return value
    if isinstance(value, float) and value.is_integer():  # page sizes that passed through a division
        return int(value)
    raise ValueError('an integer')


def _number(value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise ValueError('a number')


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError('true or false')


def _string(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise ValueError('a string')


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, list | set | frozenset | tuple):
        return value
    raise ValueError('a list')


@lru_cache(maxsize=65536)  # the same lists come again and again: of a host's cores, and of equal hosts
def _mask(cpus: tuple[int, ...]) -> int:
    result = 0
    for cpu in cpus:
        if cpu > cpuset.MAX_CPU:
            raise ValueError
        result |= 1 << cpu
    return result


def _cpus(value: Any) -> int:
    try:
        if value.__class__ is dict:
            raise TypeError
        return _mask(tuple(value))
    except (TypeError, ValueError):
        raise ValueError(f'a list of CPU numbers up to {cpuset.MAX_CPU}') from None


def _cores(value: Any) -> tuple[int, ...]:
    return tuple(map(_cpus, _items(value)))


def _names(value: Any) -> frozenset[str]:
    return frozenset(map(_string, _items(value)))


def _pins(value: Any) -> tuple[tuple[int, int], ...]:
    if not isinstance(value, Mapping):
        raise ValueError('an object of vCPU to CPU')
    try:
        return tuple(sorted((int(vcpu), _integer(cpu)) for vcpu, cpu in value.items()))
    except ValueError:
        raise ValueError('an object of vCPU to CPU') from None


def _one_of(*known: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value in known:
            return str(value)
        raise ValueError(' or '.join(known))

    return read


def _object(name: str) -> Callable[[Any], dict[str, Any]]:
    return lambda value: _open(value, name)


def _objects(name: str) -> Callable[[Any], list[dict[str, Any]]]:
    return lambda value: [_open(item, name) for item in _items(value)]


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a stored object: how it is read, and what stands for it when it is absent.

    :param default: value of an absent field; without one the field must be there
    :param nullable: the field may be null, which reads as None
    """

    read: Callable[[Any], Any]
    default: Any = _MISSING
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Spec:
    """A stored object: the version that is written, the oldest minor that is read, and the fields."""

    version: str
    oldest: int
    fields: Mapping[str, Field]


def _optional(read: Callable[[Any], Any]) -> Field:
    return Field(read, default=None, nullable=True)


SPECS: Mapping[str, Spec] = {
    'NUMAPagesTopology': Spec(
        '1.1',
        0,
        {
            'size_kb': Field(_integer),
            'total': Field(_integer),
            'used': Field(_integer, default=0),
            'reserved': Field(_integer, default=0),
        },
    ),
    'NetworkMetadata': Spec(
        '1.0', 0, {'physnets': Field(_names, default=frozenset()), 'tunneled': Field(_boolean, default=False)}
    ),
    'NUMACell': Spec(
        '1.5',
        4,
        {
            'id': Field(_integer),
            'cpuset': Field(_cpus),
            'pcpuset': Field(_cpus),
            'memory': Field(_integer),
            'cpu_usage': Field(_integer, default=0),
            'memory_usage': Field(_integer, default=0),
            'pinned_cpus': Field(_cpus, default=0),
            'siblings': Field(_cores, default=()),
            'mempages': Field(_objects('NUMAPagesTopology'), default=()),
            'network_metadata': _optional(_object('NetworkMetadata')),
            'socket': _optional(_integer),
        },
    ),
    'NUMATopology': Spec('1.2', 0, {'cells': Field(_objects('NUMACell'))}),
    'NUMATopologyLimits': Spec(
        '1.1',
        0,
        {
            'cpu_allocation_ratio': Field(_number),
            'ram_allocation_ratio': Field(_number),
            'network_metadata': _optional(_object('NetworkMetadata')),
        },
    ),
    'VirtCPUTopology': Spec(
        '1.0',
        0,
        {
            'sockets': Field(_integer, default=1, nullable=True),
            'cores': Field(_integer, default=1, nullable=True),
            'threads': Field(_integer, default=1, nullable=True),
        },
    ),
    'InstanceNUMACell': Spec(
        '1.6',
        4,
        {
            'id': Field(_integer),
            'cpuset': Field(_cpus),
            'pcpuset': Field(_cpus, default=None),
            'cpuset_reserved': _optional(_cpus),
            'memory': Field(_integer),
            'pagesize': _optional(_integer),
            'cpu_topology': _optional(_object('VirtCPUTopology')),
            'cpu_pinning_raw': _optional(_pins),
            'cpu_policy': _optional(_one_of('shared', 'dedicated', 'mixed')),
            'cpu_thread_policy': _optional(_one_of('prefer', 'isolate', 'require')),
        },
    ),
    'InstanceNUMATopology': Spec(
        '1.3',
        0,
        {
            'instance_uuid': _optional(_string),
            'cells': Field(_objects('InstanceNUMACell')),
            'emulator_threads_policy': _optional(_one_of('share', 'isolate')),
        },
    ),
}

#: The fields of each object as plain tuples: opening an object is where bulk reads spend their time.
_ROWS = {
    name: tuple((key, field.read, field.default, field.nullable) for key, field in spec.fields.items())
    for name, spec in SPECS.items()
}


# --- reading ------------------------------------------------------------------------


def loads(text: str) -> dict[str, Any]:
    """Parse the JSON of a column.

    :raises: :class:`~numaplace.exception.InvalidObject` if it is no JSON object
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise exception.InvalidObject(f'not JSON: {error}') from None
    if not isinstance(data, dict):
        raise exception.InvalidObject(f'expected a JSON object, found {type(data).__name__}')
    return data


def _check_version(name: str, version: Any) -> None:
    known = SPECS[name].version
    major, _, minor = str(version).partition('.')
    if major != known.partition('.')[0] or not minor.isdigit():
        raise exception.IncompatibleObjectVersion(
            f'{name} version {version!r} cannot be read; known is {known} and some older'
        )
    if int(minor) > int(known.partition('.')[2]):
        raise exception.IncompatibleObjectVersion(
            f'{name} version {version} was written by a newer release; the newest known is {known}'
        )
    if int(minor) < SPECS[name].oldest:
        raise exception.IncompatibleObjectVersion(
            f'{name} version {version} is too old to be read; the oldest known is {major}.{SPECS[name].oldest}'
        )


def _data_of(source: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = source.get('nova_object.name')
    if found is None:
        raise exception.InvalidObject(
            f"expected a {name} with 'nova_object.name', found keys {sorted(map(str, source))[:5]}; the formats before "
            'versioned objects cannot be read'
        )
    if found != name:
        raise exception.InvalidObject(f'expected a {name}, found a {found}')
    if source.get('nova_object.namespace') != 'nova':
        raise exception.InvalidObject(
            f"{name}: expected 'nova_object.namespace' 'nova', found {source.get('nova_object.namespace')!r}"
        )
    version = source.get('nova_object.version')
    if version != SPECS[name].version:
        _check_version(name, version)
    data = source.get('nova_object.data')
    if not isinstance(data, dict):
        raise exception.InvalidObject(f"{name}: 'nova_object.data' is no object")
    return data


def _attributes_of(source: Any, name: str) -> Mapping[str, Any]:
    is_set = getattr(source, 'obj_attr_is_set', lambda field: hasattr(source, field))
    version = getattr(source, 'VERSION', SPECS[name].version)
    if version != SPECS[name].version:
        _check_version(name, version)
    return {field: getattr(source, field) for field in SPECS[name].fields if is_set(field)}


def _open(source: Any, name: str) -> dict[str, Any]:
    """Return the fields of an object by name, read and with defaults filled in."""
    data = _data_of(source, name) if isinstance(source, dict) else _attributes_of(source, name)
    values, key, value = {}, '', None
    try:
        for key, read, default, nullable in _ROWS[name]:
            value = data.get(key, _MISSING)
            if value is _MISSING:
                if default is _MISSING:
                    raise exception.InvalidObject(f'{name}: the field {key!r} is missing')
                values[key] = default
            elif value is None and nullable:
                values[key] = None
            else:
                values[key] = read(value)
    except ValueError as error:
        raise exception.InvalidObject(f'{name}: the field {key!r} is {value!r:.60}; expected {error}') from None
    return values


def read_host(source: Any) -> Host:
    """Read a NUMATopology into a host; the counters of the whole host are what its cells tell.

    :raises: :class:`~numaplace.exception.InvalidObject`, :class:`~numaplace.exception.IncompatibleObjectVersion`
    """
    cells = tuple([_host_cell(data) for data in _open(source, 'NUMATopology')['cells']])
    vcpus_used = sum([cell.cpu_usage + cell.pinned_cpus.bit_count() for cell in cells])
    return Host(cells, vcpus_used, sum([cell.memory_usage_mib for cell in cells]))


def _host_cell(data: dict[str, Any]) -> HostCell:
    networks = data['network_metadata'] or _NO_NETWORKS
    shape = _shape(
        data['id'],
        data['cpuset'],
        data['pcpuset'],
        data['memory'],
        data['siblings'],
        data['socket'],
        networks['physnets'],
        networks['tunneled'],
    )
    pages = tuple([_pages(p['size_kb'], p['total'], p['used'], p['reserved']) for p in data['mempages']])
    return HostCell(shape, data['pinned_cpus'], data['cpu_usage'], data['memory_usage'], pages)


_NO_NETWORKS = {'physnets': frozenset[str](), 'tunneled': False}

# Hosts are read again and again, and little of them changes: equal parts are made once.
_pages = lru_cache(maxsize=65536)(Pages)


@lru_cache(maxsize=65536)
def _shape(*fields: Any) -> CellShape:
    return intern_shape(CellShape(*fields))


def read_guest(source: Any) -> Guest:
    """Read an InstanceNUMATopology that is a request: its cells count from 0 and hold no pins.

    :raises: as :func:`read_host`
    """
    return _guest(_open(source, 'InstanceNUMATopology'))


def _guest(data: dict[str, Any]) -> Guest:
    cells = tuple([_guest_cell(cell) for cell in data['cells']])
    vcpus = sum(cell.vcpus.bit_count() for cell in cells)
    topology = next((cell['cpu_topology'] for cell in data['cells'] if cell['cpu_topology']), None)
    return Guest(
        vcpus=vcpus,
        memory_mib=sum(cell.memory_mib for cell in cells),
        cells=cells,
        emulator_policy=data['emulator_threads_policy'],
        cpu_topology=CpuTopology(*(topology[key] or 1 for key in ('sockets', 'cores', 'threads')))
        if topology
        else None,
        instance_uuid=data['instance_uuid'],
    )


def _guest_cell(data: dict[str, Any]) -> GuestCell:
    shared, dedicated = data['cpuset'], data['pcpuset']
    if dedicated is None:  # before version 1.5, cpuset held the pinned vCPUs too
        dedicated = 0
    if data['cpu_policy'] == 'dedicated' and not dedicated:
        shared, dedicated = 0, shared
    return GuestCell(
        id=data['id'],
        shared_vcpus=shared,
        dedicated_vcpus=dedicated,
        memory_mib=data['memory'],
        pagesize_kib=data['pagesize'] or None,
        cpu_policy=data['cpu_policy'],
        thread_policy=data['cpu_thread_policy'],
    )


def read_placement(source: Any, host: Host | None = None) -> Placement:
    """Read an InstanceNUMATopology that was claimed: its cells carry the ids of host cells, and pins.

    :param host: the host that it was claimed on; without it, thread policy isolate takes no sibling CPUs
    :raises: as :func:`read_host`
    """
    data = _open(source, 'InstanceNUMATopology')
    guest = _guest(data)
    shapes = {cell.id: cell.shape for cell in host.cells} if host else {}
    cells = [
        _placed(cell, fields, shapes.get(cell.id)) for cell, fields in zip(guest.cells, data['cells'], strict=True)
    ]
    return Placement(guest, tuple(cells))


def _placed(cell: GuestCell, data: dict[str, Any], shape: CellShape | None) -> CellPlacement:
    pins = data['cpu_pinning_raw'] or ()
    emulator_cpus = taken = data['cpuset_reserved'] or 0
    for _vcpu, cpu in pins:
        taken |= 1 << cpu
    if not cell.is_pinned:
        taken = 0
    elif cell.thread_policy == ISOLATE and shape is not None:
        taken = shape.with_siblings(taken)
    return CellPlacement(cell, cell.id, cell.pagesize_kib, pins, emulator_cpus, taken)


def read_limits(source: Any) -> tuple[Limits, Networks | None]:
    """Read a NUMATopologyLimits: the ratios, and the networks of the guest or None.

    :raises: as :func:`read_host`
    """
    data = _open(source, 'NUMATopologyLimits')
    networks = data['network_metadata']
    return (
        Limits(data['cpu_allocation_ratio'], data['ram_allocation_ratio']),
        Networks(networks['physnets'], networks['tunneled']) if networks else None,
    )


# --- writing ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Target:
    """What is written: how an object is made of its name and fields, and what holds a set.

    :param make: takes the name of an object and its fields
    :param collect: takes the items of a set in ascending order
    """

    make: Callable[[str, dict[str, Any]], Any]
    collect: Callable[[Iterable[Any]], Any]


def primitive(name: str, data: dict[str, Any]) -> dict[str, Any]:
    """Return the dict that stands for an object in JSON."""
    return {
        'nova_object.name': name,
        'nova_object.namespace': 'nova',
        'nova_object.version': SPECS[name].version,
        'nova_object.data': data,
    }


#: Writes dicts that :func:`dumps` takes.
JSON = Target(primitive, list)


def dumps(data: Mapping[str, Any]) -> str:
    """Write a primitive as JSON."""
    return json.dumps(data)


def write_host(host: Host, target: Target = JSON) -> Any:
    """Write a host as a NUMATopology 1.2 with cells 1.5."""
    return target.make('NUMATopology', {'cells': [_write_host_cell(cell, target) for cell in host.cells]})


def _write_host_cell(cell: HostCell, target: Target) -> Any:
    shape, cpus = cell.shape, target.collect
    return target.make(
        'NUMACell',
        {
            'id': shape.id,
            'cpuset': cpus(cpuset.ids(shape.shared_cpus)),
            'pcpuset': cpus(cpuset.ids(shape.dedicated_cpus)),
            'memory': shape.memory_mib,
            'cpu_usage': cell.cpu_usage,
            'memory_usage': cell.memory_usage_mib,
            'pinned_cpus': cpus(cpuset.ids(cell.pinned_cpus)),
            'siblings': [cpus(cpuset.ids(core)) for core in shape.siblings],
            'mempages': [_write_pages(pages, target) for pages in cell.pages],
            'network_metadata': _write_networks(Networks(shape.physnets, shape.tunneled), target),
            'socket': shape.socket,
        },
    )


def _write_pages(pages: Pages, target: Target) -> Any:
    data = {'size_kb': pages.size_kib, 'total': pages.total, 'used': pages.used, 'reserved': pages.reserved}
    return target.make('NUMAPagesTopology', data)


def _write_networks(networks: Networks, target: Target) -> Any:
    data = {'physnets': target.collect(sorted(networks.physnets)), 'tunneled': networks.tunneled}
    return target.make('NetworkMetadata', data)


def write_guest(guest: Guest, target: Target = JSON) -> Any:
    """Write a request as an InstanceNUMATopology 1.3 with cells 1.6."""
    return _write_topology(guest, [_write_guest_cell(cell, cell.id, target) for cell in guest.cells], target)


def write_placement(placement: Placement, target: Target = JSON) -> Any:
    """Write a placed guest as an InstanceNUMATopology 1.3: ids of host cells, page sizes and pins."""
    cells = [
        _write_guest_cell(
            placed.guest_cell,
            placed.host_cell,
            target,
            pagesize=placed.pagesize_kib,
            cpu_pinning_raw=_write_pins(placed),
            cpuset_reserved=target.collect(cpuset.ids(placed.emulator_cpus)) if placed.emulator_cpus else None,
        )
        for placed in placement.cells
    ]
    return _write_topology(placement.guest, cells, target)


def _write_pins(placed: CellPlacement) -> dict[str, int] | None:
    return {str(vcpu): cpu for vcpu, cpu in placed.pins} or None


def _write_guest_cell(cell: GuestCell, cell_id: int, target: Target, **placed: Any) -> Any:
    data = {
        'id': cell_id,
        'cpuset': target.collect(cpuset.ids(cell.shared_vcpus)),
        'pcpuset': target.collect(cpuset.ids(cell.dedicated_vcpus)),
        'cpuset_reserved': None,
        'memory': cell.memory_mib,
        'pagesize': cell.pagesize_kib,
        'cpu_pinning_raw': None,
        'cpu_policy': cell.cpu_policy,
        'cpu_thread_policy': cell.thread_policy,
    }
    return target.make('InstanceNUMACell', data | placed)


def _write_topology(guest: Guest, cells: list[Any], target: Target) -> Any:
    data: dict[str, Any] = {'cells': cells, 'emulator_threads_policy': guest.emulator_policy}
    if guest.instance_uuid is not None:
        data['instance_uuid'] = guest.instance_uuid
    return target.make('InstanceNUMATopology', data)


def write_limits(limits: Limits, networks: Networks | None = None, target: Target = JSON) -> Any:
    """Write limits as a NUMATopologyLimits 1.1."""
    data: dict[str, Any] = {
        'cpu_allocation_ratio': limits.cpu_allocation_ratio,
        'ram_allocation_ratio': limits.ram_allocation_ratio,
    }
    if networks is not None:
        data['network_metadata'] = _write_networks(networks, target)
    return target.make('NUMATopologyLimits', data)
