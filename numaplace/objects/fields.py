# SPDX-License-Identifier: Apache-2.0
"""The fields of versioned objects, made from those of the table.

The names of their types are part of the fingerprint of an object.
"""

from __future__ import annotations

from typing import Any

from oslo_versionedobjects import fields

from numaplace import wire

__all__ = ['field']


class Set(fields.Set):  # type: ignore[type-arg]
    """A set that is written in ascending order."""

    def to_primitive(self, obj: Any, attr: str, value: set[Any]) -> tuple[object, ...]:
        """Return the items in ascending order."""
        return super().to_primitive(obj, attr, dict.fromkeys(sorted(value)))  # type: ignore[arg-type]


#: Types of fields that hold sets, which oslo.versionedobjects writes in the order of their hashes.
_SETS: dict[str, Any] = {
    'SetOfIntegers': Set(fields.Integer()),
    'SetOfStrings': Set(fields.String()),
    'ListOfSetsOfIntegers': fields.List(Set(fields.Integer())),
    'DictOfSetOfIntegers': fields.Dict(Set(fields.Integer())),
}


def field(described: wire.Field) -> fields.Field[Any]:
    """Return a field as the table describes it."""
    kind, options = described.kind, {'nullable': described.nullable, 'read_only': described.read_only}
    if described.default is not wire.MISSING:
        options['default'] = described.default
    base: type[fields.Field[Any]]
    if kind.choices:
        base, held = fields.BaseEnumField, type(kind.field, (fields.Enum,), {})(kind.choices)
    elif kind.field in _SETS:
        base, held = fields.AutoTypedField, _SETS[kind.field]
    else:
        named: fields.Field[Any] = getattr(fields, f'{kind.field}Field')(*filter(None, [kind.of]), **options)
        return named
    made: fields.Field[Any] = type(f'{kind.field}Field', (base,), {'AUTO_TYPE': held})(**options)
    return made
