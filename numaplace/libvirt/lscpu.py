# SPDX-License-Identifier: Apache-2.0
"""What ``lscpu`` prints, in each of its forms: the summary, ``-p`` and ``-e``, as text or JSON, one or both."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from numaplace import cpuset, exception
from numaplace.libvirt.document import show
from numaplace.libvirt.topology import VENDORS, HostFacts

__all__ = ['SOURCE', 'Cpus', 'read']

SOURCE = 'the output of `lscpu`, `lscpu -p` or `lscpu -e`, in English (LC_ALL=C)'

#: What a core is numbered within, outermost first; a machine has some of them.
_WITHIN = ('drawer', 'book', 'socket', 'core')

_NAME = re.compile(r'[A-Z][A-Z0-9]*|L1[di]\S*')
#: util-linux writes a bare dash for what an offline CPU has not.
_DASH = re.compile(r'(":\s*)-(?=\s*[,}])')
_WHOLE = re.compile('[0-9]{1,9}')
_NO = frozenset({'no', 'n', 'false', '0'})


@dataclass(frozen=True, slots=True)
class Cpus:
    """The CPUs of a machine; CPU sets are masks.

    :param online: CPUs that are online, or 0 where that is not told
    :param cores: the core of each CPU by its number; empty where only the number of threads is told
    :param sockets: the physical package of each CPU, as far as told
    :param threads_per_core: number of threads, or None where the cores are told
    """

    online: int
    cores: Mapping[int, int]
    sockets: Mapping[int, int]
    threads_per_core: int | None
    facts: HostFacts


@dataclass(slots=True)
class _Found:
    """What the text holds: values of the summary by key, and rows of the table, each with where it stands."""

    place: str
    values: dict[str, tuple[str, str]] = field(default_factory=dict)
    rows: list[tuple[str, dict[str, str]]] = field(default_factory=list)


def read(content: bytes, place: str) -> Cpus:
    """Read any of the forms.

    :param place: where it came from, for the errors
    :raises: :class:`~numaplace.exception.InvalidCapabilities` if it is none of them
    """
    text = content.decode('utf-8', 'replace')
    found = _parse_json(text, place) if text.lstrip().startswith('{') else _parse_text(text, place)
    if found.rows:
        return _from_table(found)
    if 'Thread(s) per core' not in found.values:
        raise exception.InvalidCapabilities(
            f"{place}: there is neither a table of CPUs nor 'Thread(s) per core': expected {SOURCE}"
        )
    return _from_summary(found)


def _number(text: str, where: str, what: str, maximum: int) -> int:
    number = int(text) if _WHOLE.fullmatch(text) else None
    if number is None or number > maximum:
        raise exception.InvalidCapabilities(
            f'{where}: {show(text)} is no {what}: expected a whole number up to {maximum}'
        )
    return number


# --- the forms -------------------------------------------------------------------------


def _parse_text(text: str, place: str) -> _Found:
    found = _Found(place)
    names: list[str] = []
    separator: str | None = None
    for number, line in enumerate(text.splitlines(), 1):
        where = f'{place}: line {number}'
        if named := _names(line):
            names, separator = named, ',' if line.startswith('#') else None
        elif names and re.match(r'\s*[\d,-]', line):
            found.rows.append((where, _row(where, names, line.split(separator))))
        elif re.match(r'\d+,', line):
            raise exception.InvalidCapabilities(
                f"{where}: a row of a table without the line '# CPU,Core,...' that names its columns: expected {SOURCE}"
            )
        elif ':' in line:
            key, _, value = line.partition(':')
            found.values.setdefault(key.strip(), (where, value.strip()))
    return found


def _names(line: str) -> list[str]:
    """Return the names of the columns if the line names them: in ``-p`` a comment, in ``-e`` capitals."""
    if line.startswith('#'):
        words = line[1:].strip().lower().split(',')
    else:
        words = [word.lower() for word in line.split() if _NAME.fullmatch(word)]
    return words if 'cpu' in words and len(words) == len(line.split(',' if line.startswith('#') else None)) else []


def _row(where: str, names: list[str], cells: list[str]) -> dict[str, str]:
    if len(cells) != len(names):
        raise exception.InvalidCapabilities(
            f'{where}: {len(cells)} columns: expected {len(names)}, {show(",".join(names))}'
        )
    return {name: '' if cell.strip() == '-' else cell.strip() for name, cell in zip(names, cells, strict=True)}


def _parse_json(text: str, place: str) -> _Found:
    found = _Found(place)
    try:
        document = json.loads(_DASH.sub(r'\1null', text))
        for number, row in enumerate(document.get('cpus', ())):
            cells = {str(key): '' if value is None else str(value).lower() for key, value in row.items()}
            found.rows.append((f'{place}: cpus[{number}]', cells))
        _flatten(document.get('lscpu', ()), place, found.values)
    except (ValueError, RecursionError, AttributeError, TypeError, KeyError) as error:
        reason = str(error) if isinstance(error, ValueError) else 'not of the form that lscpu writes'
        raise exception.InvalidCapabilities(f'{place}: no JSON of lscpu: {reason}; expected {SOURCE}') from error
    return found


def _flatten(fields: Iterable[Any], place: str, values: dict[str, tuple[str, str]]) -> None:
    for entry in fields:
        key = entry['field'].rstrip(':')
        values.setdefault(key, (f'{place}: {show(key)}', str(entry.get('data') or '')))
        _flatten(entry.get('children') or (), place, values)


# --- what they say ---------------------------------------------------------------------


def _from_table(found: _Found) -> Cpus:
    keys: dict[int, tuple[str, ...]] = {}
    sockets: dict[int, int] = {}
    for where, row in found.rows:
        if missing := [name for name in ('cpu', 'core') if name not in row]:
            raise exception.InvalidCapabilities(
                f'{where}: there is no column {missing[0].upper()}: expected {SOURCE} with the columns CPU and CORE'
            )
        cpu = _number(row['cpu'], where, 'CPU number', cpuset.MAX_CPU)
        if cpu in keys:
            raise exception.InvalidCapabilities(f'{where}: there are two rows of CPU {cpu}: expected one for each')
        # A CPU that is offline has no core, unless lscpu numbers those it once had.
        if row['core'] and row.get('online', 'yes').lower() not in _NO:
            _number(row['core'], where, 'core number', cpuset.MAX_CPU)
            keys[cpu] = tuple(row.get(name, '') for name in _WITHIN)
            if row.get('socket'):
                sockets[cpu] = _number(row['socket'], where, 'socket number', cpuset.MAX_CPU)
    cores: dict[tuple[str, ...], int] = {}
    for cpu, key in keys.items():
        cores[key] = cores.get(key, 0) | 1 << cpu
    return Cpus(cpuset.mask(keys), {cpu: cores[key] for cpu, key in keys.items()}, sockets, None, _facts(found))


def _from_summary(found: _Found) -> Cpus:
    where, text = found.values['Thread(s) per core']
    threads = _number(text, where, 'number of threads', 1024)
    if not threads:
        raise exception.InvalidCapabilities(f'{where}: no threads per core: expected 1 or more')
    online = 0
    if 'On-line CPU(s) list' in found.values:
        where, text = found.values['On-line CPU(s) list']
        try:
            online = cpuset.parse(text)
        except exception.Invalid as error:
            raise exception.InvalidCapabilities(f'{where}: {error}') from error
    # Of several packages it is not told which CPUs are in which.
    single = found.values.get('Socket(s)', ('', ''))[1] == '1'
    sockets = dict.fromkeys(cpuset.ids(online), 0) if single else {}
    return Cpus(online, {}, sockets, threads, _facts(found))


def _facts(found: _Found) -> HostFacts:
    values = {key: text for key, (_, text) in found.values.items()}
    vendor = values.get('Vendor ID') or None
    return HostFacts(
        arch=values.get('Architecture', ''),
        cpu_model=values.get('Model name') or None,
        vendor=VENDORS.get(vendor, vendor) if vendor else None,
    )
