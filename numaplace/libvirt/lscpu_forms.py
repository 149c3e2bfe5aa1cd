# SPDX-License-Identifier: Apache-2.0
"""Parse all forms of ``lscpu`` output into values of the summary and rows of the tables."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from numaplace import exception
from numaplace.libvirt.document import show

__all__ = ['ELSEWHERE', 'NOT_FOUND', 'OTHER', 'SOURCE', 'Output', 'Row', 'is_output', 'number', 'parse']

SOURCE = 'the output of `lscpu`, `lscpu -p` or `lscpu -e`, in English (LC_ALL=C)'

#: What reports the cores where lscpu does not.
ELSEWHERE = '`virsh capabilities` (--capabilities) or `lstopo --of xml` (--lstopo), which list the cores'

#: Why lscpu does not report the cores, and what does.
NOT_FOUND = f'lscpu found none in /sys there; expected one for each CPU, or {ELSEWHERE}'

#: Prefix of a column name for the value of the same CPU in another table.
OTHER = 'other '

#: The location of a row, and its cells by column name; an empty cell is an empty string.
Row = tuple[str, dict[str, str]]

#: The uppercase column names of ``-e``; all caches are in one column.
_NAME = re.compile(r'[A-Z][A-Z0-9]*%?|L\d\S*')
#: The columns of caches: one each in ``-p``, otherwise a single one: ``L1d:L1i:L2``.
_CACHE = re.compile(r'l\d[a-z]?(:l\d[a-z]?)*')
#: util-linux writes a bare dash for a value that an offline CPU lacks.
_DASH = re.compile(r'(":\s*)-(?=\s*[,}])')
_WHOLE = re.compile('[0-9]{1,9}')
#: Fields that identify a summary.
_TELLING = frozenset({'CPU(s)', 'On-line CPU(s) list', 'On-line CPU(s) mask', 'Thread(s) per core'})
#: The fields that the summary repeats for each kind of CPU.
_OF_A_KIND = frozenset({'Thread(s) per core', 'Core(s) per socket', 'Core(s) per cluster', 'Socket(s)', 'Cluster(s)'})


@dataclass(slots=True)
class Output:
    """The content of the text.

    :param values: the first value of each field of the summary, with its location
    :param kinds: the fields that count the cores, for each kind of CPU
    :param rows: the rows of all tables, one for each CPU
    :param physical: whether a table is from ``-y``, where a missing number is a dash and numbers may repeat
    :param conflict: error text if tables number cores or sockets differently, as with and without ``-y``, or empty
    """

    place: str
    values: dict[str, tuple[str, str]] = field(default_factory=dict)
    kinds: list[dict[str, tuple[str, str]]] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    physical: bool = False
    conflict: str = ''

    def take_value(self, key: str, where: str, text: str) -> None:
        """Add a field of the summary."""
        if key == 'CPU(s)' and key in self.values:
            raise exception.InvalidCapabilities(
                f'{where}: the summary of one machine ends and another begins: expected one'
            )
        if key == 'Thread(s) per core':
            self.kinds.append({})
        if self.kinds and key in _OF_A_KIND:
            self.kinds[-1].setdefault(key, (where, text))
        self.values.setdefault(key, (where, text))

    def take_table(self, rows: Iterable[Row]) -> None:
        """Add a table; a second one adds columns to the rows of the same CPUs."""
        known = {row['cpu']: row for _, row in self.rows if 'cpu' in row}
        for where, row in rows:
            first = known.get(row.get('cpu', ''))
            if first is None:
                self.rows.append((where, row))
                continue
            for name, cell in row.items():
                if not first.get(name):
                    first[name] = cell
                elif cell and cell != first[name] and name in ('core', 'socket', 'node'):
                    self._take_other(where, first, name, cell)

    def _take_other(self, where: str, first: dict[str, str], name: str, cell: str) -> None:
        """Add the value of a CPU in another table; numbers may differ, as with and without ``-y``."""
        fault = (
            f'{where}: {name} {show(cell)} of CPU {show(first["cpu"])}, which another table says is '
            f'{show(first[name])}: expected tables of one machine, and the summary before them if one is that of -y'
        )
        if name == 'node' or first.setdefault(OTHER + name, cell) != cell:
            raise exception.InvalidCapabilities(fault)
        self.conflict = self.conflict or fault


def parse(text: str, place: str) -> Output:
    """Parse a text.

    :param place: where it came from, for the errors
    :raises: :class:`~numaplace.exception.InvalidCapabilities` naming the malformed line
    """
    output = Output(place)
    if text.lstrip().startswith('{'):
        _parse_json(text, output)
    else:
        _parse_text(text, output)
    return output


def is_output(text: str) -> bool:
    """Return whether a text has lscpu JSON, a field of the summary, or the header of a table."""
    if text.lstrip().startswith('{'):
        return '"lscpu"' in text or '"cpus"' in text
    return any(line.partition(':')[0].strip() in _TELLING or _names(line) for line in text.splitlines())


def number(text: str, where: str, what: str, maximum: int) -> int:
    """Return a whole number.

    :param what: what it should be, for the error
    :raises: :class:`~numaplace.exception.InvalidCapabilities` if it is not one, or above the maximum
    """
    result = int(text) if _WHOLE.fullmatch(text) else None
    if result is None or result > maximum:
        raise exception.InvalidCapabilities(
            f'{where}: {show(text)} is not a {what}: expected a whole number up to {maximum}'
        )
    return result


# --- text ------------------------------------------------------------------------------


def _parse_text(text: str, output: Output) -> None:
    names: list[str] = []
    separator: str | None = None
    table: list[Row] = []
    for line_number, line in enumerate(text.splitlines(), 1):
        where = f'{output.place}: line {line_number}'
        if named := _names(line):
            output.take_table(table)
            names, separator, table = named, ',' if line.startswith('#') else None, []
        elif names and _is_row(line, names, separator):
            cells = line.split(separator)
            output.physical |= separator == ',' and '-' in cells
            table.append((where, _row(where, names, cells)))
        elif re.match(r'\d+,', line):
            raise exception.InvalidCapabilities(
                f"{where}: a row of a table without the line '# CPU,Core,...' that names its columns: expected {SOURCE}"
            )
        elif ':' in line:
            key, _, value = line.partition(':')
            output.take_value(key.strip(), where, value.strip())
    output.take_table(table)


def _names(line: str) -> list[str]:
    """Return the column names if the line is a header: a comment in ``-p``, uppercase in ``-e``."""
    if line.startswith('#'):
        words = line[1:].strip().lower().split(',')
    else:
        words = [word.lower() for word in line.split() if _NAME.fullmatch(word)]
    return words if 'cpu' in words and len(words) == len(line.split(',' if line.startswith('#') else None)) else []


def _is_row(line: str, names: list[str], separator: str | None) -> bool:
    """Return whether a line below a header is a row; a column of words may precede the CPU column."""
    if re.match(r'\s*[\d,-]', line):
        return True
    cells = _fitted(names, line.split(separator))
    return len(cells) == len(names) and bool(_WHOLE.fullmatch(cells[names.index('cpu')].strip()))


def _row(where: str, names: list[str], cells: list[str]) -> dict[str, str]:
    fitted = _fitted(names, cells)
    if len(fitted) != len(names):
        raise exception.InvalidCapabilities(
            f'{where}: {len(cells)} columns: expected {len(names)}, {show(",".join(names))}'
        )
    row: dict[str, str] = {}
    for name, cell in zip(names, fitted, strict=True):
        row |= _cell(name, cell)
    return row


def _cell(name: str, cell: str) -> dict[str, str]:
    """Return the value of a cell, with caches one by one; none are known for a CPU that lacks some.

    lscpu omits the caches that a CPU lacks, so the others appear in the wrong positions.
    """
    text = '' if cell.strip() == '-' else cell.strip()
    if not _CACHE.fullmatch(name):
        return {name: text}
    caches, ids = name.split(':'), text.split(':')
    return dict(zip(caches, ids if len(ids) == len(caches) else [''] * len(caches), strict=True))


def _fitted(names: list[str], cells: list[str]) -> list[str]:
    """Return as many cells as there are names, if it is certain which cell is which."""
    extra = len(cells) - len(names)
    if extra > 0 and 'modelname' in names:  # it has spaces and commas, and no quotes
        at = names.index('modelname')
        return [*cells[:at], ' '.join(cells[at : at + extra + 1]), *cells[at + extra + 1 :]]
    shown = next((at for at, name in enumerate(names) if _CACHE.fullmatch(name)), len(names))
    if shown <= len(cells) < len(names) and all(_CACHE.fullmatch(name) for name in names[shown:]):
        return [*cells[:shown], *[''] * (len(names) - shown)]
    return cells


# --- JSON ------------------------------------------------------------------------------


def _parse_json(text: str, output: Output) -> None:
    decoder = json.JSONDecoder()
    rest = _DASH.sub(r'\1null', text).strip()
    try:
        while rest:
            document, end = decoder.raw_decode(rest)
            rest = rest[end:].lstrip()
            output.take_table(
                (f'{output.place}: cpus[{at}]', _json_row(row)) for at, row in enumerate(document.get('cpus', ()))
            )
            _flatten(document.get('lscpu', ()), output)
    except (ValueError, RecursionError, AttributeError, TypeError, KeyError) as error:
        reason = str(error) if isinstance(error, ValueError) else 'not of the form that lscpu writes'
        raise exception.InvalidCapabilities(f'{output.place}: no JSON of lscpu: {reason}; expected {SOURCE}') from error


def _json_row(row: dict[str, Any]) -> dict[str, str]:
    cells: dict[str, str] = {}
    for key, value in row.items():
        cells |= _cell(str(key).lower(), '' if value is None else str(value).lower())
    return cells


def _flatten(fields: Iterable[Any], output: Output) -> None:
    for entry in fields:
        key = entry['field'].rstrip(':')
        output.take_value(key, f'{output.place}: {show(key)}', str(entry.get('data') or ''))
        _flatten(entry.get('children') or (), output)
