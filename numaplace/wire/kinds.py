# SPDX-License-Identifier: Apache-2.0
"""The kinds of values that fields hold: how each is read, and its field in a versioned object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numaplace.memory_kinds import GENERAL, SPECIAL
from numaplace.wire import values

__all__ = [
    'BOOLEAN',
    'CORES',
    'CPUS',
    'DATETIME',
    'INTEGER',
    'INTEGERS_BY_NAME',
    'INTEGERS_BY_NUMBER',
    'MEMORY_KIND',
    'NAMES',
    'NUMBER',
    'PINS',
    'SETS',
    'STRING',
    'STRINGS',
    'STRINGS_BY_NAME',
    'UUID',
    'Kind',
    'list_of',
    'object_of',
    'words',
]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value.

    :param field: name of its field in a versioned object, without ``Field``; the fingerprint of the object covers it
    :param read: reads the JSON value; None where that is an object, or is not read
    :param of: name of the object, or of the objects in the list
    :param choices: the accepted words, in the order of Nova's enumeration, which the fingerprint covers as well
    """

    field: str
    read: Callable[[Any], Any] | None = None
    of: str | None = None
    choices: tuple[str, ...] = ()


BOOLEAN = Kind('Boolean', values.boolean)
INTEGER = Kind('Integer', values.integer)
NUMBER = Kind('Float', values.number)
STRING = Kind('String', values.string)
STRINGS = Kind('ListOfStrings', values.strings)
STRINGS_BY_NAME = Kind('DictOfStrings', values.strings_by_name)
UUID = Kind('UUID', values.string)
DATETIME = Kind('DateTime')
NAMES = Kind('SetOfStrings', values.names)
CPUS = Kind('SetOfIntegers', values.cpus)
CORES = Kind('ListOfSetsOfIntegers', values.cores)
PINS = Kind('DictOfIntegers', values.pins)
INTEGERS_BY_NAME = Kind('DictOfIntegers', values.integers_by_name)
INTEGERS_BY_NUMBER = Kind('DictOfIntegers', values.integers_by_number)
SETS = Kind('DictOfSetOfIntegers')
MEMORY_KIND = Kind('String', values.one_of(GENERAL, *SPECIAL))


def words(field: str, *choices: str) -> Kind:
    """Return the kind that accepts one of these words."""
    return Kind(field, values.one_of(*choices), choices=choices)


def object_of(name: str) -> Kind:
    """Return the kind of an object with that name."""
    return Kind('Object', of=name)


def list_of(name: str) -> Kind:
    """Return the kind of a list of objects with that name."""
    return Kind('ListOfObjects', of=name)
