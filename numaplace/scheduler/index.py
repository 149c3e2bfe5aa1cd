# SPDX-License-Identifier: Apache-2.0
"""All hosts in arrays, so that most hosts that cannot take a guest are left out without being looked at one by one.

A host is one place in each array, in the order of names; arrays by cell have a row for each cell of the largest host.
So what is counted by cell is added up row by row, many hosts in one step of the processor. Numbers are what the rules
compare: free CPUs, pages, what is left under the limits. They are 32 bits wide; what is larger counts as the largest
number on both sides of a comparison, so that a host is never wrongly left out.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from numaplace.model import HostCell, Limits, limit
from numaplace.model.records import HostRecord
from numaplace.scheduler.limits import limits
from numaplace.units import KIB_PER_MIB

__all__ = ['CellMask', 'HostIndex', 'Mask', 'Measures', 'Numbers', 'clip']

#: Whether something holds, by host.
Mask: TypeAlias = npt.NDArray[np.bool_]
#: Whether something holds, by cell and host.
CellMask: TypeAlias = npt.NDArray[np.bool_]
#: Numbers by host, or by cell and host.
Numbers: TypeAlias = npt.NDArray[np.int32]
#: What a weigher measures, by host.
Measures: TypeAlias = npt.NDArray[np.float64]

_Value = TypeVar('_Value', bool, float)

_MOST: Final = 2**31 - 1
#: Kinds of guests of which numbers are kept, those that were asked for last.
_MOST_KEPT: Final = 64

#: What is compared by cell, and its value where a host has no such cell.
_BY_CELL = {
    'ids': -1,
    'free_cpus': -1,
    'require_room': -1,
    'isolate_room': -1,
    'whole_cores': -1,
    'shared_cpus': -1,
    'shared_left': -1,
    'memory_left_mib': -1,
    'memory_total_mib': -1,
    'memory_free_mib': -1,
    'smallest_kib': 0,
    'large_from_kib': _MOST,
}
#: What is compared by host.
_BY_HOST = (
    'cells',
    'memory_left_mib',
    'ram_left_mib',
    'floating',
    'shared',
    'shared_left',
    'overlaps',
    'servers',
)


def clip(amount: float) -> int:
    """Return an amount as the arrays hold it."""
    if amount >= _MOST:
        return _MOST
    return int(amount) if amount > -_MOST else -_MOST  # NaN too


class HostIndex:
    """Hosts by name, with the arrays of what their cells and they themselves have left.

    It is the one mutable cache of the house: not for several threads at once. What changes of known hosts costs the
    same however many others there are, and of each host only the cells that differ; hosts that come or go cost a copy
    of the arrays, all of one call together.

    :param hosts: in any order
    """

    def __init__(self, hosts: Iterable[HostRecord] = ()) -> None:
        self.records: list[HostRecord] = []
        self._names: list[str] = []
        self._shape(1, 0)
        #: Free pages by size in KiB; -1 where a cell has none of the size.
        self.free_pages: dict[int, Numbers] = {}
        #: Each size in KiB that is the smallest of some cell.
        self.smallest_sizes: set[int] = set()
        self._networks: dict[str | None, CellMask] = {}
        self._alike: dict[tuple[str, ...], _Alike] = {}
        self._kept: dict[Hashable, _Kept] = {}
        self.update(hosts)

    def _shape(self, cells: int, size: int) -> None:
        """Make the arrays, of hosts without cells."""
        absent = np.array(list(_BY_CELL.values()), np.int32)[:, None, None]
        self._in_cells = np.broadcast_to(absent, (len(_BY_CELL), cells, size)).copy()
        self._in_hosts = np.zeros((len(_BY_HOST), size), np.int32)
        self.vcpus_left: Measures = np.zeros(size)
        self._name_arrays()

    def _name_arrays(self) -> None:
        self.by_cell: dict[str, Numbers] = dict(zip(_BY_CELL, self._in_cells, strict=True))
        self.by_host: dict[str, Numbers] = dict(zip(_BY_HOST, self._in_hosts, strict=True))
        self._everything = np.ones(self._in_hosts.shape[1], bool)
        self._everything.setflags(write=False)
        self._cells = self._in_cells.shape[1]

    def __len__(self) -> int:
        return len(self.records)

    def row(self, name: str) -> int | None:
        """Return the row of a host, or None if there is none of that name."""
        row = bisect_left(self._names, name)
        return row if row < len(self._names) and self._names[row] == name else None

    def update(self, changed: Iterable[HostRecord], gone: Iterable[str] = ()) -> None:
        """Add hosts, replace those that are known, and forget others.

        :param gone: names; unknown ones are skipped
        """
        records = {record.name: record for record in changed}
        rows = {name: self.row(name) for name in records}
        new = sorted(name for name, row in rows.items() if row is None)
        old = sorted({row for name in gone if name not in records and (row := self.row(name)) is not None})
        cells = max((len(record.host.cells) for record in records.values()), default=0)
        if new or old or cells > self._cells:
            self._make_room(records, new, old, max(cells, self._cells))
            rows = {name: self.row(name) for name in records}
        added = set(new)
        for name, row in rows.items():
            if row is not None:
                self._replace(row, records[name], None if name in added else self.records[row])

    def _make_room(self, records: Mapping[str, HostRecord], new: list[str], old: list[int], cells: int) -> None:
        """Move the rows of hosts that stay to where they are with the new ones and without the old ones."""
        kept = np.delete(np.arange(len(self)), old)
        names = [self._names[row] for row in kept]
        rows = np.insert(kept, [bisect_left(names, name) for name in new], -1)
        added = rows < 0
        self._names = [*heapq.merge(names, new)]
        known = self.records
        places = zip(self._names, rows.tolist(), strict=True)
        self.records = [records[name] if row < 0 else known[row] for name, row in places]
        before = self._in_cells, self._in_hosts, self.vcpus_left
        self._shape(cells, len(rows))
        _move(self._in_cells, before[0], rows, added)
        _move(self._in_hosts, before[1], rows, added)
        _move(self.vcpus_left, before[2], rows, added)
        for size, free in self.free_pages.items():
            self.free_pages[size] = np.full((cells, len(rows)), -1, np.int32)
            _move(self.free_pages[size], free, rows, added)
        for physnet, near in self._networks.items():
            self._networks[physnet] = np.zeros((cells, len(rows)), bool)
            _move(self._networks[physnet], near, rows, added)
        for alike in self._alike.values():
            alike.move(rows, self.records)
        for numbers in self._kept.values():
            numbers.move(rows)

    # --- what filters ask -----------------------------------------------------------------

    def everything(self) -> Mask:
        """Return the one mask of all hosts, which cannot be written."""
        return self._everything

    def host_has(self, name: str, amount: float) -> Mask:
        """Return the hosts that have as much of what :data:`_BY_HOST` names."""
        return self.by_host[name] >= clip(amount)

    def cells_have(self, name: str, amount: float) -> CellMask:
        """Return, by cell and host, which have as much of what :data:`_BY_CELL` names."""
        return self.by_cell[name] >= clip(amount)

    def by(self, fields: tuple[str, ...], holds: Callable[[HostRecord], bool]) -> Mask:
        """Return the hosts for which something holds that these fields of a host decide; asked once for all alike."""
        found = self._rows_alike(fields).each(holds)
        if isinstance(found, np.ndarray):
            return found.astype(bool, copy=False)
        return self._everything if found else np.zeros(len(self), bool)

    def numbers_by(self, fields: tuple[str, ...], number: Callable[[HostRecord], float]) -> Measures | float:
        """Return a number of each host that these fields decide, or the one of all; asked once for all alike."""
        return self._rows_alike(fields).each(number)

    def kept(self, key: Hashable, number: Callable[[HostRecord], float]) -> Measures:
        """Return a number of each host, which is asked only about hosts that have changed since the last call.

        :param key: for what decides the number, apart from the host
        """
        kept = self._kept.pop(key, None)
        if kept is None:
            kept = _Kept(len(self))
            if len(self._kept) >= _MOST_KEPT:
                del self._kept[next(iter(self._kept))]
        self._kept[key] = kept  # the last that is asked for comes last
        return kept.numbers(self.records, number)

    def on(self, names: Iterable[str], of: Callable[[HostRecord], _Value], *, elsewhere: _Value) -> npt.NDArray[Any]:
        """Return what a function gives for the named hosts, and for all others a value."""
        values = np.full(len(self), elsewhere)
        for name in names:
            row = self.row(name)
            if row is not None:
                values[row] = of(self.records[row])
        return values

    def _rows_alike(self, fields: tuple[str, ...]) -> _Alike:
        if fields not in self._alike:
            self._alike[fields] = _Alike(fields, self.records)
        return self._alike[fields]

    def near(self, physnet: str | None) -> CellMask | None:
        """Return the cells with affinity to a physical network, or to tunnelled networks (None); None if none has."""
        return self._networks.get(physnet)

    # --- filling --------------------------------------------------------------------------

    def _replace(self, row: int, record: HostRecord, before: HostRecord | None) -> None:
        """Write the row of a host.

        :param before: what the row holds; None if it is empty
        """
        ratios, host = limits(record), record.host
        self._fill_host(row, record, ratios)
        for kept in self._kept.values():
            kept.stale.add(row)
        if before is None:
            differing: Iterable[int] = range(len(host.cells))
        else:
            for alike in self._alike.values():
                alike.change(row, before, record)
            are_alike = ratios == limits(before) and len(host.cells) == len(before.host.cells)
            pairs = zip(before.host.cells, host.cells, strict=True) if are_alike else ()
            differing = [number for number, (was, now) in enumerate(pairs) if was != now]
            if not are_alike:
                self._clear(row)
                differing = range(len(host.cells))
        self.records[row] = record
        for number in differing:
            cell = host.cells[number]
            self._in_cells[:, number, row] = _numbers(cell, ratios.cpu_allocation_ratio, ratios.ram_allocation_ratio)
            self.smallest_sizes.add(int(self.by_cell['smallest_kib'][number, row]))
            self._fill_pages(row, number, cell)
            self._fill_networks(row, number, cell)

    def _clear(self, row: int) -> None:
        """Write the row of a host without cells."""
        self._in_cells[:, :, row] = np.array(list(_BY_CELL.values()), np.int32)[:, None]
        for free in self.free_pages.values():
            free[:, row] = -1
        for near in self._networks.values():
            near[:, row] = False

    def _fill_host(self, row: int, record: HostRecord, ratios: Limits) -> None:
        host = record.host
        shared = host.shared_cpus
        general_mib, used_mib = host.memory_mib, host.general_memory_used_mib
        self._in_hosts[:, row] = (
            len(host.cells),
            clip(host.free_memory_mib),
            clip(limit(general_mib, ratios.ram_allocation_ratio) - used_mib),
            clip(host.floating_vcpus),
            shared.bit_count(),
            clip(limit(shared.bit_count(), ratios.cpu_allocation_ratio) - host.shared_vcpus_used),
            bool(shared & host.dedicated_cpus),
            len(record.servers),
        )
        self.vcpus_left[row] = host.cpu_count * ratios.cpu_allocation_ratio - host.vcpus_used

    def _fill_pages(self, row: int, number: int, cell: HostCell) -> None:
        for free in self.free_pages.values():
            free[number, row] = -1
        for pages in cell.pages:
            if pages.size_kib not in self.free_pages:
                self.free_pages[pages.size_kib] = np.full((self._cells, len(self)), -1, np.int32)
            known = self.free_pages[pages.size_kib]
            known[number, row] = max(int(known[number, row]), clip(pages.free))

    def _fill_networks(self, row: int, number: int, cell: HostCell) -> None:
        for near in self._networks.values():
            near[number, row] = False
        names: Iterator[str | None] = iter([*cell.shape.physnets, *([None] if cell.shape.tunneled else [])])
        for name in names:
            if name not in self._networks:
                self._networks[name] = np.zeros((self._cells, len(self)), bool)
            self._networks[name][number, row] = True


def _move(now: npt.NDArray[Any], before: npt.NDArray[Any], rows: npt.NDArray[np.intp], added: Mask) -> None:
    """Copy rows of an array, whose last axis they are, into one that may have more cells.

    :param rows: where each row was; negative for new ones
    """
    if before.ndim == 1:
        now[~added] = before[rows[~added]]
    else:
        now[..., : before.shape[-2], ~added] = before[..., rows[~added]]


def _numbers(cell: HostCell, cpu_ratio: float, ram_ratio: float) -> tuple[int, ...]:
    """Return what :data:`_BY_CELL` names of a cell; the rules are those of :mod:`numaplace.fit.cells`."""
    shape = cell.shape
    shared, free = shape.shared_cpus.bit_count(), cell.free_cpus.bit_count()
    width = shape.threads_per_core
    at_least = cell.free_cores.at_least if free else (0,) * (width + 1)
    sizes = sorted(pages.size_kib for pages in cell.pages)
    smallest = cell.smallest_pages
    if smallest is None:
        total_mib, free_mib = shape.memory_mib, cell.free_memory_mib
    else:
        total_mib = smallest.total * smallest.size_kib // KIB_PER_MIB
        free_mib = smallest.free * smallest.size_kib // KIB_PER_MIB
    return (
        clip(shape.id),
        free,
        max([threads * at_least[threads] for threads in range(2, width + 1)], default=-1),
        at_least[-1] if width == 1 or shape.dedicated_cpus == shape.shared_cpus else -1,
        len(cell.whole_cores) if free else 0,
        shared,
        clip(limit(shared, cpu_ratio) - cell.cpu_usage),
        clip(limit(shape.memory_mib, ram_ratio) - cell.memory_usage_mib),
        clip(total_mib),
        clip(free_mib),
        clip(sizes[0]) if sizes else 0,
        clip(sizes[1]) if len(sizes) > 1 else _MOST,
    )


class _Alike:
    """Which hosts have the same values of some fields: a number for each set of values, and a host that has them."""

    def __init__(self, fields: tuple[str, ...], records: Sequence[HostRecord]) -> None:
        self._fields = fields
        self._numbers: dict[Hashable, int] = {}
        self._examples: list[HostRecord] = []
        self._rows = np.zeros(len(records), np.int32)
        for row, record in enumerate(records):
            self.put(row, record)

    def put(self, row: int, record: HostRecord) -> None:
        values = tuple(_hashable(getattr(record, name)) for name in self._fields)
        number = self._numbers.setdefault(values, len(self._numbers))
        if number == len(self._examples):
            self._examples.append(record)
        self._rows[row] = number

    def move(self, rows: npt.NDArray[np.intp], records: Sequence[HostRecord]) -> None:
        """Take the rows of other hosts.

        :param rows: where each row was; negative for new ones
        """
        before, self._rows = self._rows, np.zeros(len(rows), np.int32)
        if len(before):
            self._rows = before[rows]
        for row in np.flatnonzero(rows < 0).tolist():
            self.put(row, records[row])

    def change(self, row: int, before: HostRecord, record: HostRecord) -> None:
        if any(getattr(before, name) != getattr(record, name) for name in self._fields):
            self.put(row, record)

    def each(self, of: Callable[[HostRecord], _Value]) -> npt.NDArray[Any] | _Value:
        """Return what a function gives for each host, or the one value of all."""
        values = [of(record) for record in self._examples]
        return values[0] if len(set(values)) == 1 else np.array(values)[self._rows]


class _Kept:
    """A number of each host, and the rows whose hosts have changed since it was asked."""

    def __init__(self, size: int) -> None:
        self._numbers: Measures = np.zeros(size)
        self.stale = set(range(size))

    def move(self, rows: npt.NDArray[np.intp]) -> None:
        """Take the rows of other hosts.

        :param rows: where each row was; negative for new ones
        """
        before, self._numbers = self._numbers, np.zeros(len(rows))
        self._numbers[rows >= 0] = before[rows[rows >= 0]]
        self.stale = {row for row, old in enumerate(rows.tolist()) if old < 0 or old in self.stale}

    def numbers(self, records: Sequence[HostRecord], number: Callable[[HostRecord], float]) -> Measures:
        """Return them, each asked if it is stale; the caller may change what it gets."""
        for row in self.stale:
            self._numbers[row] = number(records[row])
        self.stale.clear()
        return self._numbers.copy()


def _hashable(value: Any) -> Hashable:
    """Return plain JSON, or what has it in its fields, as something that is equal where they are."""
    if is_dataclass(value):
        value = {name.name: getattr(value, name.name) for name in fields(value)}
    if isinstance(value, Mapping):
        return tuple(sorted((key, _hashable(item)) for key, item in value.items()))
    if isinstance(value, list | tuple):
        return tuple(map(_hashable, value))
    return type(value).__name__, value
