# SPDX-License-Identifier: Apache-2.0
"""Types of fields: those of oslo.versionedobjects, sets in order, and Nova's enumerations.

The names of the types are part of the fingerprint of an object.
"""

from __future__ import annotations

from typing import Any

from numaplace.model import DEDICATED, ISOLATE, MIXED, PREFER, REQUIRE, SHARE, SHARED
from numaplace.objects.base import fields

__all__ = [
    'BooleanField',
    'CPUAllocationPolicyField',
    'CPUEmulatorThreadsPolicyField',
    'CPUThreadAllocationPolicyField',
    'DateTimeField',
    'DictOfIntegersField',
    'FloatField',
    'IntegerField',
    'ListOfObjectsField',
    'ListOfSetsOfIntegersField',
    'ObjectField',
    'SetOfIntegersField',
    'SetOfStringsField',
    'StringField',
    'UUIDField',
]

BooleanField = fields.BooleanField
DateTimeField = fields.DateTimeField
DictOfIntegersField = fields.DictOfIntegersField
FloatField = fields.FloatField
IntegerField = fields.IntegerField
ListOfObjectsField = fields.ListOfObjectsField
ObjectField = fields.ObjectField
StringField = fields.StringField
UUIDField = fields.UUIDField


class Set(fields.Set):  # type: ignore[type-arg]
    """A set that is written in ascending order."""

    def to_primitive(self, obj: Any, attr: str, value: set[Any]) -> tuple[object, ...]:
        """Return the items in ascending order."""
        return super().to_primitive(obj, attr, dict.fromkeys(sorted(value)))  # type: ignore[arg-type]


class SetOfIntegersField(fields.AutoTypedField):  # type: ignore[type-arg]
    """CPU numbers."""

    AUTO_TYPE = Set(fields.Integer())


class SetOfStringsField(fields.AutoTypedField):  # type: ignore[type-arg]
    """Names."""

    AUTO_TYPE = Set(fields.String())


class ListOfSetsOfIntegersField(fields.AutoTypedField):  # type: ignore[type-arg]
    """CPU numbers by core."""

    AUTO_TYPE = fields.List(Set(fields.Integer()))


class CPUAllocationPolicy(fields.Enum):
    """CPU policies."""

    def __init__(self) -> None:
        super().__init__((DEDICATED, SHARED, MIXED))


class CPUThreadAllocationPolicy(fields.Enum):
    """CPU thread policies."""

    def __init__(self) -> None:
        super().__init__((PREFER, ISOLATE, REQUIRE))


class CPUEmulatorThreadsPolicy(fields.Enum):
    """Emulator threads policies."""

    def __init__(self) -> None:
        super().__init__((SHARE, ISOLATE))


class CPUAllocationPolicyField(fields.BaseEnumField):
    """A CPU policy."""

    AUTO_TYPE = CPUAllocationPolicy()


class CPUThreadAllocationPolicyField(fields.BaseEnumField):
    """A CPU thread policy."""

    AUTO_TYPE = CPUThreadAllocationPolicy()


class CPUEmulatorThreadsPolicyField(fields.BaseEnumField):
    """An emulator threads policy."""

    AUTO_TYPE = CPUEmulatorThreadsPolicy()
