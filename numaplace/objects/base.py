# SPDX-License-Identifier: Apache-2.0
"""The bases of the objects: a registry of our own, JSON, and what happens to other versions."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar, Self, TypeVar

with warnings.catch_warnings():
    # It imports oslo.messaging and with that eventlet, and each announces its end; nothing here uses them.
    warnings.simplefilter('ignore')
    from oslo_versionedobjects import base, fields
    from oslo_versionedobjects import exception as oslo_errors

from numaplace import exception, wire

__all__ = ['REGISTRY', 'NovaObject', 'NumaplaceObject', 'Object', 'fields', 'register', 'version_tuple']

#: Our classes by namespace and name.
REGISTRY: dict[tuple[str, str], type[Object]] = {}

ObjectType = TypeVar('ObjectType', bound='type[Object]')


def register(cls: ObjectType) -> ObjectType:
    """Make the fields of a class its properties, and let JSON of its name become it."""
    base.VersionedObjectRegistry.objectify(cls)
    REGISTRY[cls.OBJ_PROJECT_NAMESPACE, cls.__name__] = cls
    return cls


def version_tuple(version: str) -> tuple[int, int]:
    """Return major and minor of a version.

    :raises: ValueError if it is not of the form ``1.2``
    """
    major, minor = version.split('.')
    return int(major), int(minor)


class Object(base.VersionedObject):
    """Base of all objects.

    :cvar OLDEST: oldest minor version that is read; older ones have another form
    """

    OLDEST: ClassVar[int] = 0

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read an object, of this version or an older one, which is brought up to it.

        :raises: :class:`~numaplace.exception.IncompatibleObjectVersion` if it, or an object in it, is newer or too old,
            :class:`~numaplace.exception.InvalidObject` if it is no such object
        """
        data = wire.loads(text)
        found = data.get(f'{cls.OBJ_SERIAL_NAMESPACE}.name')
        if found != cls.__name__:
            raise exception.InvalidObject(
                f"expected a {cls.__name__} as '{cls.OBJ_SERIAL_NAMESPACE}.name', found {found!r}"
            )
        try:
            return cls.obj_from_primitive(data)
        except (KeyError, TypeError, ValueError, AttributeError, oslo_errors.VersionedObjectsException) as error:
            raise exception.InvalidObject(f'{cls.__name__}: {type(error).__name__}: {error}') from error

    def to_json(self) -> str:
        """Write the object. What was changed since it was read is left out: equal objects have equal JSON."""
        return wire.dumps(self._without_changes(self.obj_to_primitive()))

    def _without_changes(self, value: Any) -> Any:
        if isinstance(value, dict):
            changes = f'{self.OBJ_SERIAL_NAMESPACE}.changes'
            return {key: self._without_changes(item) for key, item in value.items() if key != changes}
        if isinstance(value, list | tuple):
            return [self._without_changes(item) for item in value]
        return value

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return bool(self.to_json() == other.to_json())

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def obj_class_from_name(cls, objname: str, objver: str) -> type[Object]:
        """Return our class of that name, if it reads that version.

        :raises: :class:`~numaplace.exception.InvalidObject` for an unknown name,
            :class:`~numaplace.exception.IncompatibleObjectVersion` for a version that the class does not read
        """
        known = REGISTRY.get((cls.OBJ_PROJECT_NAMESPACE, objname))
        if known is None:
            raise exception.InvalidObject(f'there is no object {objname!r}')
        try:
            major, minor = version_tuple(objver)
        except (AttributeError, ValueError):
            raise exception.IncompatibleObjectVersion(f'{objname} version {objver!r} is no version') from None
        newest = version_tuple(known.VERSION)
        if major != newest[0] or not known.OLDEST <= minor <= newest[1]:
            raise exception.IncompatibleObjectVersion(
                f'{objname} version {objver} cannot be read: expected {major}.{known.OLDEST} to {known.VERSION}'
            )
        return known

    @classmethod
    def _obj_from_primitive(cls, context: Any, objver: str, primitive: dict[str, Any]) -> Self:
        self: Self = super()._obj_from_primitive(context, objver, primitive)
        del self.VERSION  # the base keeps the stored version on the object; it is ours from here on
        if objver != cls.VERSION:
            self._bring_up(version_tuple(objver))
        return self

    def _bring_up(self, version: tuple[int, int]) -> None:
        """Give fields that came after a version the value that stands for their absence."""


class NovaObject(Object):
    """Base of the objects that are Nova's."""

    OBJ_SERIAL_NAMESPACE = 'nova_object'
    OBJ_PROJECT_NAMESPACE = 'nova'


class NumaplaceObject(Object):
    """Base of the objects that are our own."""

    OBJ_SERIAL_NAMESPACE = 'numaplace_object'
    OBJ_PROJECT_NAMESPACE = 'numaplace'
