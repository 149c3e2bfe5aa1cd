# SPDX-License-Identifier: Apache-2.0
"""Make, open, upgrade and downgrade primitives, the dicts that represent objects in JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from numaplace import exception
from numaplace.wire import legacy, values
from numaplace.wire.kinds import Kind
from numaplace.wire.table import MISSING, SPECS, Field

__all__ = [
    'data_of',
    'dumps',
    'load_row',
    'loads',
    'old_format',
    'older_primitive',
    'open_object',
    'primitive',
    'take_back',
]


def loads(text: str) -> dict[str, Any]:
    """Parse the JSON of a column.

    :raises: :class:`~numaplace.exception.InvalidObject` if it is not a JSON object
    """
    return _object(text, json.loads)


def load_row(text: str) -> dict[str, Any]:
    """Parse the JSON of a column that may hold an old format, as :func:`loads`."""
    return _object(text, legacy.loads)


def _object(text: str, parse: Callable[[str], Any]) -> dict[str, Any]:
    try:
        data = parse(text)
    except (ValueError, RecursionError) as error:
        raise exception.InvalidObject(f'not JSON: {error}') from None
    if not isinstance(data, dict):
        raise exception.InvalidObject(f'expected a JSON object, found {type(data).__name__}')
    return data


def dumps(data: Any) -> str:
    """Write a primitive, or a part of one, as JSON."""
    return _encode(data)


# Like json.dumps, but without its check for circular references, which primitives do not have.
_encode = json.JSONEncoder(check_circular=False).encode


def _envelope(name: str) -> tuple[str, str, str, str, str, str]:
    namespace = SPECS[name].namespace
    name_key, namespace_key, version_key, data_key = (
        f'{namespace}_object.{key}' for key in ('name', 'namespace', 'version', 'data')
    )
    return name_key, namespace_key, version_key, data_key, namespace, SPECS[name].version


#: The keys of a primitive, its namespace and its version, by the name of the object.
_ENVELOPES = {name: _envelope(name) for name in SPECS}


def primitive(name: str, data: dict[str, Any]) -> dict[str, Any]:
    """Return the dict that represents an object in JSON."""
    name_key, namespace_key, version_key, data_key, namespace, version = _ENVELOPES[name]
    return {name_key: name, namespace_key: namespace, version_key: version, data_key: data}


def older_primitive(name: str, data: Mapping[str, Any], version: str) -> dict[str, Any]:
    """Return the dict that represents an object in JSON in a version of the table, or an older one.

    :raises: as :func:`take_back`
    """
    _, _, version_key, _, _, newest = _ENVELOPES[name]
    taken = dict(data)
    if version != newest:
        take_back(name, taken, version)
    return primitive(name, taken) | {version_key: version}


# --- versions


def _minor(name: str, version: Any) -> int:
    """Return the minor version of an object, if it can be read."""
    spec = SPECS[name]
    known, _, newest = spec.version.partition('.')
    major, _, minor = version.partition('.') if isinstance(version, str) else ('', '', '')
    expected = f'{known}.{spec.oldest} to {spec.version}' if spec.oldest < spec.newest else spec.version
    # int() does not accept every digit: not ², for example.
    if major != known or not minor.isdecimal():
        raise exception.IncompatibleObjectVersion(f'{name} version {version!r} cannot be read: expected {expected}')
    if int(minor) > int(newest):
        raise exception.IncompatibleObjectVersion(
            f'{name} version {version} was written by a newer release: expected {expected}'
        )
    if int(minor) < spec.oldest:
        raise exception.IncompatibleObjectVersion(
            f'{name} version {version} is too old to be read: it {spec.lacks}; expected {expected}'
        )
    return int(minor)


def _bring_up(name: str, source: Mapping[str, Any], version: Any) -> Mapping[str, Any]:
    """Return the data of another version, upgraded to the version that is written."""
    minor, data = _minor(name, version), dict(source)
    for change in SPECS[name].changes:
        if change.up is not None and minor < change.minor:
            change.up(data)
    for key, field in SPECS[name].fields.items():
        if minor < field.since and field.stand_in is not MISSING:
            data.setdefault(key, field.stand_in)
    return data


def take_back(name: str, data: dict[str, Any], version: str) -> None:
    """Downgrade data to an older version of an object; the objects inside are left as they are.

    :raises: :class:`~numaplace.exception.IncompatibleObjectVersion` if that version cannot express it
    """
    spec, minor = SPECS[name], int(version.partition('.')[2])
    for change in spec.changes:
        if change.down is not None and minor < change.minor:
            change.down(data, f'{name} {version}')
    for key, field in spec.fields.items():
        if minor < field.since:
            data.pop(key, None)


# --- opening


#: A field, prepared for opening: its name, its reader, its value when it is absent (or MISSING), whether null is read
#: as None, and the type whose values the reader would return unchanged, if there is one. Bulk reads spend most of their
#: time in opening, and a plain tuple unpacks fastest.
_Row = tuple[str, Callable[[Any], Any], Any, bool, type | None]


def _reader(kind: Kind) -> Callable[[Any], Any] | None:
    """Return the reader of a kind, or None if it is not read here."""
    name = kind.of
    if name is None:
        return kind.read
    if name not in SPECS:
        return None
    if kind.field == 'Object':
        return lambda value: open_object(value, name)
    return lambda value: [open_object(item, name) for item in values.items(value)]


def _row(key: str, field: Field) -> _Row | None:
    read = _reader(field.kind)
    if read is None:
        return None
    absent = field.stand_in
    if absent is not MISSING and absent is not None:
        absent = read(absent)
    return key, read, absent, field.nullable or field.absent is None, _AS_THEY_ARE.get(field.kind.read)


_AS_THEY_ARE: Mapping[Callable[[Any], Any] | None, type] = {
    values.boolean: bool,
    values.integer: int,
    values.string: str,
}

_ROWS = {
    name: tuple([row for key, field in spec.fields.items() if (row := _row(key, field)) is not None])
    for name, spec in SPECS.items()
}


def _other(source: Mapping[str, Any], name: str, key: str) -> exception.InvalidObject:
    """Return the error for data that is not an object with this name."""
    if key in source:
        return exception.InvalidObject(f'expected a {name}, found {source[key]!r}')
    return exception.InvalidObject(f"expected a {name} with '{key}', found keys {sorted(map(str, source))[:5]}")


def data_of(source: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the data of a primitive of any format, upgraded to the version that is written.

    :raises: :class:`~numaplace.exception.InvalidObject` if it is not an object with that name,
        :class:`~numaplace.exception.IncompatibleObjectVersion` if it is newer, or too old
    """
    name_key, namespace_key, version_key, data_key, namespace, newest = _ENVELOPES[name]
    if source.get(name_key) != name:
        data = None if name_key in source else legacy.from_dict(name, source)
        if data is None:
            raise _other(source, name, name_key)
        return _bring_up(name, data, legacy.version_of(name, data))
    data = source.get(data_key)
    if not isinstance(data, dict):
        raise exception.InvalidObject(f"{name}: '{data_key}' is no object")
    if source.get(namespace_key) != namespace:
        if namespace_key not in source and version_key not in source:
            return _bring_up(name, data, legacy.version_of(name, data))
        raise exception.InvalidObject(
            f"{name}: expected '{namespace_key}' '{namespace}', found {source.get(namespace_key)!r}"
        )
    version = source.get(version_key)
    return data if version == newest else _bring_up(name, data, version)


#: The fields with objects in them, each with the name of the objects and whether it is a list, by name of the object.
_INNER = {
    name: tuple(
        [
            (key, of, field.kind.field != 'Object')
            for key, field in spec.fields.items()
            if (of := field.kind.of or '') in SPECS
        ]
    )
    for name, spec in SPECS.items()
}


def old_format(source: Mapping[str, Any], name: str) -> str:
    """Return what is old in a primitive that can be read, such as ``NUMACell 1.4``; nothing if it is as it is written.

    Linear in the number of objects in it.
    """
    _, _, version_key, data_key, _, newest = _ENVELOPES[name]
    version = source.get(version_key)
    if version != newest:
        return f'{name} {version or "without a version"}'
    if type(source) is legacy.Repaired:
        return f'{name} with commas after the last items'
    data = source[data_key]
    for key, of, is_list in _INNER[name]:
        found = data.get(key)
        for inner in (found if is_list else (found,)) if found else ():
            if old := old_format(inner, of):
                return old
    return ''


def _attributes_of(source: Any, name: str) -> Mapping[str, Any]:
    if source is None or isinstance(source, str | int | float | list):  # what JSON has besides objects
        raise exception.InvalidObject(f'expected a {name}, found {source!r:.60}')
    is_set = getattr(source, 'obj_attr_is_set', lambda field: hasattr(source, field))
    data = {key: getattr(source, key) for key, *_row in _ROWS[name] if is_set(key)}
    version = getattr(source, 'VERSION', SPECS[name].version)
    return data if version == SPECS[name].version else _bring_up(name, data, version)


def open_object(source: Any, name: str) -> dict[str, Any]:
    """Return the fields of an object by name, read, with stand-ins for those that are absent.

    :param source: a primitive, or an object with the fields as attributes
    :raises: as :func:`data_of`; :class:`~numaplace.exception.InvalidObject` for a field that is missing or wrong
    """
    data = data_of(source, name) if isinstance(source, dict) else _attributes_of(source, name)
    opened, key, value = {}, '', None
    try:
        for key, read, absent, is_null_read, as_it_is in _ROWS[name]:
            value = data.get(key, MISSING)
            if type(value) is as_it_is:
                opened[key] = value
            elif value is MISSING:
                if absent is MISSING:
                    raise exception.InvalidObject(f'{name}: the field {key!r} is missing')
                opened[key] = absent
            elif value is None and is_null_read:
                opened[key] = None
            else:
                opened[key] = read(value)
    except ValueError as error:
        raise exception.InvalidObject(f'{name}: the field {key!r} is {value!r:.60}; expected {error}') from None
    return opened
