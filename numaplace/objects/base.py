# SPDX-License-Identifier: Apache-2.0
"""The base of the objects: built from the table, in a registry of its own, with JSON and conversion of versions."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Self, cast

with warnings.catch_warnings():
    # It imports oslo.messaging and with it eventlet, which both warn of their end; nothing here uses them.
    warnings.simplefilter('ignore')
    from oslo_versionedobjects import base
    from oslo_versionedobjects import exception as oslo_errors

from numaplace import exception, wire
from numaplace.objects import fields

__all__ = ['REGISTRY', 'TARGET', 'Object']

#: The classes by name.
REGISTRY: dict[str, type[Object]] = {}


def _make(name: str, data: dict[str, Any]) -> Object:
    return REGISTRY[name](**data)


#: Lets :mod:`numaplace.wire` write objects.
TARGET = wire.Target(_make, set)

_NAMESPACES = sorted({spec.namespace for spec in wire.SPECS.values()})
#: The keys of an object's name: it may hold objects of the other namespace.
_NAMES = [f'{namespace}_object.name' for namespace in _NAMESPACES]
#: The keys of its list of changed fields.
_CHANGES = {f'{namespace}_object.changes' for namespace in _NAMESPACES}


def _without_changes(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_changes(item) for key, item in value.items() if key not in _CHANGES}
    if isinstance(value, list | tuple):
        return [_without_changes(item) for item in value]
    return value


class Object(base.VersionedObject):
    """Base of all objects: a class takes its version and fields from the table, by its name."""

    def __init_subclass__(cls) -> None:
        spec = wire.SPECS[cls.__name__]
        cls.VERSION = spec.version
        cls.OBJ_PROJECT_NAMESPACE = spec.namespace
        cls.OBJ_SERIAL_NAMESPACE = f'{spec.namespace}_object'
        cls.fields = {name: fields.field(described) for name, described in spec.fields.items()}
        base.VersionedObjectRegistry.objectify(cls)
        REGISTRY[cls.__name__] = cls

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read an object of this version, or of an older one, which is upgraded.

        :raises: :class:`~numaplace.exception.IncompatibleObjectVersion` if it, or an object in it, is newer or too old,
            :class:`~numaplace.exception.InvalidObject` if it is not such an object
        """
        data = wire.data_of(wire.load_row(text), cls.__name__)
        try:
            return cls.obj_from_primitive(wire.primitive(cls.__name__, dict(data)))
        except (KeyError, TypeError, ValueError, AttributeError, oslo_errors.VersionedObjectsException) as error:
            raise exception.InvalidObject(f'{cls.__name__}: {type(error).__name__}: {error}') from error

    def to_json(self, versions: Mapping[str, str] | None = None) -> str:
        """Write the object without its list of changed fields, so that equal objects have equal JSON.

        :param versions: the versions that a peer knows, by the names of objects; newer objects are downgraded
        :raises: :class:`~numaplace.exception.IncompatibleObjectVersion` if a version cannot express it or is unknown
        """
        known = {name: _older(name, version) for name, version in (versions or {}).items() if name in wire.SPECS}
        manifest = {name: spec.version for name, spec in wire.SPECS.items()} | known
        return wire.dumps(_without_changes(self.obj_to_primitive(manifest[self.obj_name()], manifest)))

    def obj_make_compatible(self, primitive: dict[str, Any], target_version: str) -> None:
        """Downgrade the data to an older version.

        :raises: :class:`~numaplace.exception.IncompatibleObjectVersion` if that version cannot express it
        """
        super().obj_make_compatible(primitive, target_version)
        wire.take_back(self.obj_name(), primitive, target_version)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return bool(self.to_json() == other.to_json())

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def obj_class_from_name(cls, objname: str, objver: str) -> type[Object]:  # noqa: ARG003 - checked with the data
        """Return the class with that name.

        :raises: :class:`~numaplace.exception.InvalidObject` for an unknown name
        """
        if objname not in REGISTRY:
            raise exception.InvalidObject(f'there is no object {objname!r}')
        return REGISTRY[objname]

    @classmethod
    def obj_from_primitive(cls, primitive: dict[str, Any], context: Any = None) -> Self:
        """Read a primitive of this version, or of an older one, which is upgraded.

        :raises: as :meth:`from_json`
        """
        found = cls.obj_class_from_name(next((primitive[key] for key in _NAMES if key in primitive), ''), '')
        whole = primitive | wire.primitive(found.__name__, dict(wire.data_of(primitive, found.__name__)))
        # oslo.versionedobjects looks for the keys of the class that it is called on.
        return cast(Self, super(Object, found).obj_from_primitive(whole, context))


def _older(name: str, version: str) -> str:
    """Return a version, or the table's where the given one is newer.

    :raises: :class:`~numaplace.exception.IncompatibleObjectVersion` if it is not a version of the object
    """
    ours = wire.SPECS[name].version
    known, _, newest = ours.partition('.')
    major, _, minor = version.partition('.')
    if major != known or not minor.isdecimal():
        raise exception.IncompatibleObjectVersion(
            f'{name} cannot be written in version {version!r}: expected {known}.0 to {ours}'
        )
    return version if int(minor) < int(newest) else ours
