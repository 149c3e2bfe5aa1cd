# SPDX-License-Identifier: Apache-2.0
"""The one table of the fields of Nova's objects, and how an object is opened by it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from numaplace import exception
from numaplace.wire import values

__all__ = ['SPECS', 'Field', 'Spec', 'dumps', 'loads', 'open_object', 'primitive']

_MISSING = object()


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


def _object(name: str) -> Callable[[Any], dict[str, Any]]:
    return lambda value: open_object(value, name)


def _objects(name: str) -> Callable[[Any], list[dict[str, Any]]]:
    return lambda value: [open_object(item, name) for item in values.items(value)]


def _optional(read: Callable[[Any], Any]) -> Field:
    return Field(read, default=None, nullable=True)


SPECS: Mapping[str, Spec] = {
    'NUMAPagesTopology': Spec(
        '1.1',
        0,
        {
            'size_kb': Field(values.integer),
            'total': Field(values.integer),
            'used': Field(values.integer, default=0),
            'reserved': Field(values.integer, default=0),
        },
    ),
    'NetworkMetadata': Spec(
        '1.0',
        0,
        {'physnets': Field(values.names, default=frozenset()), 'tunneled': Field(values.boolean, default=False)},
    ),
    'NUMACell': Spec(
        '1.5',
        4,
        {
            'id': Field(values.integer),
            'cpuset': Field(values.cpus),
            'pcpuset': Field(values.cpus),
            'memory': Field(values.integer),
            'cpu_usage': Field(values.integer, default=0),
            'memory_usage': Field(values.integer, default=0),
            'pinned_cpus': Field(values.cpus, default=0),
            'siblings': Field(values.cores, default=()),
            'mempages': Field(_objects('NUMAPagesTopology'), default=()),
            'network_metadata': _optional(_object('NetworkMetadata')),
            'socket': _optional(values.integer),
        },
    ),
    'NUMATopology': Spec('1.2', 0, {'cells': Field(_objects('NUMACell'))}),
    'NUMATopologyLimits': Spec(
        '1.1',
        0,
        {
            'cpu_allocation_ratio': Field(values.number),
            'ram_allocation_ratio': Field(values.number),
            'network_metadata': _optional(_object('NetworkMetadata')),
        },
    ),
    'VirtCPUTopology': Spec(
        '1.0',
        0,
        {
            'sockets': Field(values.integer, default=1, nullable=True),
            'cores': Field(values.integer, default=1, nullable=True),
            'threads': Field(values.integer, default=1, nullable=True),
        },
    ),
    'InstanceNUMACell': Spec(
        '1.6',
        4,
        {
            'id': Field(values.integer),
            'cpuset': Field(values.cpus),
            'pcpuset': Field(values.cpus, default=None),
            'cpuset_reserved': _optional(values.cpus),
            'memory': Field(values.integer),
            'pagesize': _optional(values.integer),
            'cpu_topology': _optional(_object('VirtCPUTopology')),
            'cpu_pinning_raw': _optional(values.pins),
            'cpu_policy': _optional(values.one_of('shared', 'dedicated', 'mixed')),
            'cpu_thread_policy': _optional(values.one_of('prefer', 'isolate', 'require')),
        },
    ),
    'InstanceNUMATopology': Spec(
        '1.3',
        0,
        {
            'instance_uuid': _optional(values.string),
            'cells': Field(_objects('InstanceNUMACell')),
            'emulator_threads_policy': _optional(values.one_of('share', 'isolate')),
        },
    ),
    # Of PCI devices and resources there are no objects here: those fields are written as null and not read.
    'MigrationContext': Spec(
        '1.2',
        0,
        {
            'instance_uuid': Field(values.string),
            'migration_id': Field(values.integer),
            'new_numa_topology': _optional(_object('InstanceNUMATopology')),
            'old_numa_topology': _optional(_object('InstanceNUMATopology')),
        },
    ),
    'LibvirtLiveMigrateNUMAInfo': Spec(
        '1.0',
        0,
        {
            'cpu_pins': Field(values.sets, default=None),
            'cell_pins': Field(values.sets, default=()),
            'emulator_pins': Field(values.cpus, default=0),
            'sched_vcpus': Field(values.cpus, default=0),
            'sched_priority': Field(values.integer, default=None),
        },
    ),
}

_AS_THEY_ARE: Mapping[Callable[[Any], Any], type] = {
    values.boolean: bool,
    values.integer: int,
    values.string: str,
}

#: The fields of each object as plain tuples: opening an object is where bulk reads spend their time.
#: Last in each: the type whose values their reader would return as they are, if there is one.
_ROWS = {
    name: tuple(
        (key, field.read, field.default, field.nullable, _AS_THEY_ARE.get(field.read))
        for key, field in spec.fields.items()
    )
    for name, spec in SPECS.items()
}


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


def dumps(data: Any) -> str:
    """Write a primitive, or a part of one, as JSON."""
    return _encode(data)


# As json.dumps does, but primitives hold no circles to look out for.
_encode = json.JSONEncoder(check_circular=False).encode


def primitive(name: str, data: dict[str, Any]) -> dict[str, Any]:
    """Return the dict that stands for an object in JSON."""
    return {
        'nova_object.name': name,
        'nova_object.namespace': 'nova',
        'nova_object.version': SPECS[name].version,
        'nova_object.data': data,
    }


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


def open_object(source: Any, name: str) -> dict[str, Any]:
    """Return the fields of an object by name, read and with defaults filled in."""
    data = _data_of(source, name) if isinstance(source, dict) else _attributes_of(source, name)
    opened, key, value = {}, '', None
    try:
        for key, read, default, nullable, as_it_is in _ROWS[name]:
            value = data.get(key, _MISSING)
            if type(value) is as_it_is:
                opened[key] = value
            elif value is _MISSING:
                if default is _MISSING:
                    raise exception.InvalidObject(f'{name}: the field {key!r} is missing')
                opened[key] = default
            elif value is None and nullable:
                opened[key] = None
            else:
                opened[key] = read(value)
    except ValueError as error:
        raise exception.InvalidObject(f'{name}: the field {key!r} is {value!r:.60}; expected {error}') from None
    return opened
