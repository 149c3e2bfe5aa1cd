# SPDX-License-Identifier: Apache-2.0
"""Columns: how a kind of value is stored, which values are accepted, and the field of a record that a column holds."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa

from numaplace import cpuset, exception, wire

__all__ = [
    'COUNT',
    'FLAG',
    'LONG_TEXT',
    'MANY_CPUS',
    'MEASURE',
    'NAME',
    'NAME_LENGTH',
    'RATIO',
    'ROOM',
    'SIZE',
    'TEXTS',
    'TIME',
    'TOPOLOGY',
    'UUID',
    'Fields',
    'Kind',
    'column',
    'integer',
    'json_object',
    'now',
    'text',
    'word',
]

T = TypeVar('T')

#: Longest name; MariaDB can index that many characters of four bytes.
NAME_LENGTH = 255
#: The largest number of a column.
_LARGEST = 2**31 - 1
#: NUL, and how Python represents bytes that are not UTF-8: no database or not every database can hold them.
_NOT_TEXT = re.compile('[\0\ud800-\udfff]')


class _LongText(sa.TypeDecorator[Any]):
    """Text of up to 16 MiB: MariaDB's TEXT ends at 64 KiB, which a host of many cells with many siblings passes."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """Return the type of a database."""
        if dialect.name != 'mysql':
            return dialect.type_descriptor(sa.Text())
        from sqlalchemy.dialects import mysql  # noqa: PLC0415 - a file must not pay for it

        return dialect.type_descriptor(mysql.MEDIUMTEXT())


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of column.

    :param type: its SQL type
    :param read: returns the value of what is stored; raises ValueError with what it expected, or
        :class:`~numaplace.exception.InvalidObject`
    :param write: returns what is stored for a value, with the same errors; by default the value, as `read` takes it
    :param select: what a query asks for, where the driver fails on what is stored, or hides it
    :param parse: returns what `read` takes from the JSON that is stored; None if it is not JSON
    """

    type: sa.types.TypeEngine[Any]
    read: Callable[[Any], Any]
    write: Callable[[Any], Any] | None = None
    select: Callable[[sa.Column[Any]], sa.ColumnElement[Any]] | None = None
    parse: Callable[[str], Any] | None = None


def integer(low: int, high: int = _LARGEST) -> Kind:
    """Return the kind of whole numbers in a range."""

    def read(value: Any) -> int:
        if type(value) is int and low <= value <= high:
            return value
        raise ValueError(f'a whole number from {low} to {high}')

    return Kind(sa.Integer(), read)


def text(length: int) -> Kind:
    """Return the kind of texts with up to that many characters, at least one."""

    def read(value: Any) -> str:
        if type(value) is str and 0 < len(value) <= length and not _NOT_TEXT.search(value):
            return value
        raise ValueError(f'1 to {length} characters, without NUL and without bytes that are not UTF-8')

    return Kind(sa.String(length), read)


def word(length: int, *known: str) -> Kind:
    """Return the kind of certain words, in a column of that many characters."""

    def read(value: Any) -> str:
        if value in known:
            return str(value)
        raise ValueError(' or '.join(known))

    return Kind(sa.String(length), read)


def json_object(
    read: Callable[[dict[str, Any]], Any] = dict,
    write: Callable[[Any], dict[str, Any] | None] = dict,
    parse: Callable[[str], dict[str, Any]] = wire.loads,
) -> Kind:
    """Return the kind of JSON objects.

    :param read: takes the object
    :param write: returns the object, or None to store nothing
    """

    def checked(value: Any) -> Any:
        if isinstance(value, dict):
            return read(value)
        raise ValueError('a JSON object')

    return Kind(_LongText(), checked, write, parse=parse)


def _text(value: Any) -> str:
    if type(value) is str:
        return value
    raise ValueError('a text')


def _ratio(value: Any) -> float:
    if type(value) in (int, float) and math.isfinite(value) and value >= 0:
        return float(value)
    raise ValueError('a number from 0')


def _flag(value: Any) -> bool:
    if type(value) in (bool, int) and value in (0, 1):
        return bool(value)
    raise ValueError('true or false')


def _texts(source: dict[str, Any]) -> dict[str, str]:
    for name, value in source.items():
        if not isinstance(value, str):
            raise exception.InvalidObject(f'{name!r} is {value!r:.60}: expected a text')
    return source


def now() -> datetime:
    """Return the time in UTC, in whole seconds as every database can hold it, without its zone."""
    return datetime.now(UTC).replace(microsecond=0, tzinfo=None)


def _time(value: Any) -> datetime:
    try:
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    except (TypeError, ValueError):
        raise ValueError('a time, as YYYY-MM-DD HH:MM:SS') from None


COUNT, SIZE = integer(0), integer(1)
MANY_CPUS = integer(1, cpuset.MAX_CPU + 1)
#: What is left of something; below zero where it is overcommitted.
ROOM = integer(-_LARGEST)
NAME, UUID = text(NAME_LENGTH), text(36)
#: Text that other modules read.
LONG_TEXT = Kind(_LongText(), _text)
#: How far a resource may be overcommitted; 0 is not configured.
RATIO = Kind(sa.Double(), _ratio)
#: What hosts are sorted by.
MEASURE = Kind(sa.Double(), float)
#: SQLAlchemy would take any value of a file as true or false.
FLAG = Kind(sa.Boolean(), _flag, select=lambda column: sa.type_coerce(column, sa.Integer))
#: UTC. Asked for as text: a driver that cannot convert one time ends the whole query.
TIME = Kind(
    sa.DateTime(),
    _time,
    lambda value: value.replace(tzinfo=None),
    select=lambda column: sa.cast(column, sa.String(32)),
)
#: Topologies, which may be in an old format.
TOPOLOGY = json_object(lambda source: source, parse=wire.load_row)
#: Texts by name.
TEXTS = json_object(_texts)


def column(
    name: str,
    kind: Kind,
    *items: sa.schema.SchemaItem,
    field: str = '',
    is_written: bool = True,
    is_derived: bool = False,
    nullable: bool = False,
    **options: Any,
) -> sa.Column[Any]:
    """Return a column.

    :param field: path of attributes from a record to the value; the name of the column by default
    :param is_written: it is written with a record; others are written by the statements that guard or create a row
    :param is_derived: it repeats what other columns say; so does every path of more than one attribute
    """
    info = {'kind': kind, 'field': field or name, 'is_written': is_written, 'is_derived': is_derived or '.' in field}
    return sa.Column(name, kind.type, *items, nullable=nullable, info=info, **options)


class _Field(NamedTuple):
    """A column, prepared.

    :param place: its name for users
    :param key: of its value among those that were read
    :param value_of: returns the value of a record
    """

    column: str
    place: str
    key: str
    read: Callable[[Any], Any]
    is_nullable: bool
    value_of: Callable[[Any], Any]
    write: Callable[[Any], Any]
    is_written: bool
    is_derived: bool


class Fields:
    """Columns that are read and written together, each with the field of a record.

    :param in_json: they are the keys of a JSON object, not the columns of a row
    """

    def __init__(self, columns: Iterable[sa.Column[Any]], *, in_json: bool = False) -> None:
        self.columns = tuple(columns)
        self._fields = [_prepared(each, in_json=in_json) for each in self.columns]
        self._written = [each for each in self._fields if each.is_written]
        self._derived = [each for each in self._written if each.is_derived]
        self._plain = [each.key for each in self._fields if not each.is_derived]

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def selected(self) -> list[sa.ColumnElement[Any]]:
        """What a query asks for."""
        return [each.info['kind'].select(each) if each.info['kind'].select else each for each in self.columns]

    def read(self, row: Iterable[Any]) -> dict[str, Any]:
        """Return the values of a row: by field, and what is derived by column.

        :param row: what was stored, in the order of the columns
        :raises: :class:`~numaplace.exception.InvalidObject` for a value that its column may not hold
        """
        values = {}
        for field, value in zip(self._fields, row, strict=True):
            try:
                values[field.key] = None if value is None and field.is_nullable else field.read(value)
            except exception.InvalidObject as error:
                raise type(error)(f'{field.column}: {error}') from None
            except ValueError as error:
                raise exception.InvalidObject(f'{field.column!r} is {value!r:.60}: expected {error}') from None
        return values

    def read_object(self, source: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of a JSON object, as :meth:`read`."""
        return self.read([source.get(each.column) for each in self._fields])

    def build(self, record: Callable[..., T], values: Mapping[str, Any], **others: Any) -> T:
        """Return the record of values that were read, whatever its derived columns say, as :meth:`make`."""
        return record(**{key: values[key] for key in self._plain}, **others)

    def make(self, record: Callable[..., T], values: Mapping[str, Any], **others: Any) -> T:
        """Return the record of values that were read.

        :param others: the fields that are not of a single column
        :raises: :class:`~numaplace.exception.InvalidObject` if a derived column contradicts the record
        """
        made = self.build(record, values, **others)
        for each in self._derived:
            if values[each.key] != each.value_of(made):
                raise exception.InvalidObject(
                    f'{each.column!r} is {values[each.key]!r}: the other columns of the row say {each.value_of(made)!r}'
                )
        return made

    def write(self, record: Any) -> dict[str, Any]:
        """Return what is stored for a record, by column.

        :raises: :class:`~numaplace.exception.Invalid` for a value that its column may not hold
        """
        stored = {}
        for field in self._written:
            value = field.value_of(record)
            try:
                stored[field.column] = None if value is None and field.is_nullable else field.write(value)
            except ValueError as error:
                raise exception.Invalid(f'{field.place} is {value!r:.60}: expected {error}') from None
        return stored


def _prepared(of: sa.Column[Any], *, in_json: bool) -> _Field:
    kind, info = of.info['kind'], of.info
    read, write = kind.read, kind.write or kind.read
    if kind.parse and not in_json:
        read, write = _from_json(read, kind.parse), _to_json(write)
    return _Field(
        of.name,
        f'{of.table.info["noun"]} {info["field"].replace("_", " ")}',
        of.name if info['is_derived'] else info['field'],
        read,
        bool(of.nullable),
        attrgetter(info['field']),
        write,
        info['is_written'],
        info['is_derived'],
    )


def _from_json(read: Callable[[Any], Any], parse: Callable[[str], Any]) -> Callable[[Any], Any]:
    return lambda stored: read(parse(_text(stored)))


def _to_json(write: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if (written := write(value)) is None else wire.dumps(written)
