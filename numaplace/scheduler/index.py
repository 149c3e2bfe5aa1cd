# SPDX-License-Identifier: Apache-2.0
"""All hosts in arrays, so that most hosts that cannot take a guest are left out without being looked at one by one.

A host is one place in each array, in the order of names; arrays by cell have a row for each cell of the largest host.
So what is counted by cell is added up row by row, many hosts in one step of the processor. Numbers are what the rules
compare: free CPUs, pages, what is left under the limits. They are 32 bits wide; what is larger counts as the largest
number on both sides of a comparison, so that a host is never wrongly left out.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from numaplace.model import HostCell, limit
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

    It is the one mutable cache of the house: not for several threads at once. A bulk load takes time linear in the
    hosts; an update of a known host is independent of their number, that of a new one is linear.

    :param hosts: in any order
    """

    def __init__(self, hosts: Iterable[HostRecord] = ()) -> None:
        #: Names of hosts that have changed since, as far as its user knows.
        self.outdated: set[str] = set()
        self._load(hosts)

    def _load(self, hosts: Iterable[HostRecord]) -> None:
        self.records = sorted(hosts, key=lambda record: record.name)
        self._names = [record.name for record in self.records]
        size = len(self.records)
        self._cells = max((len(record.host.cells) for record in self.records), default=1) or 1
        self.by_cell: dict[str, Numbers] = {
            name: np.full((self._cells, size), absent, np.int32) for name, absent in _BY_CELL.items()
        }
        self.by_host: dict[str, Numbers] = {name: np.zeros(size, np.int32) for name in _BY_HOST}
        self.vcpus_left: Measures = np.zeros(size)
        #: Free pages by size in KiB; -1 where a cell has none of the size.
        self.free_pages: dict[int, Numbers] = {}
        #: Each size in KiB that is the smallest of some cell.
        self.smallest_sizes: set[int] = set()
        self._networks: dict[str | None, CellMask] = {}
        self._alike: dict[tuple[str, ...], _Alike] = {}
        for row, record in enumerate(self.records):
            self._fill(row, record)

    def __len__(self) -> int:
        return len(self.records)

    def row(self, name: str) -> int | None:
        """Return the row of a host, or None if there is none of that name."""
        row = bisect_left(self._names, name)
        return row if row < len(self._names) and self._names[row] == name else None

    def update(self, record: HostRecord) -> None:
        """Take a host in, or what has changed of one."""
        row = self.row(record.name)
        if row is None or len(record.host.cells) > self._cells:
            self._load([*(known for known in self.records if known.name != record.name), record])
        else:
            for alike in self._alike.values():
                alike.change(row, self.records[row], record)
            self.records[row] = record
            self._fill(row, record)

    def remove(self, name: str) -> None:
        """Forget a host, if it is known."""
        if self.row(name) is not None:
            self._load([record for record in self.records if record.name != name])

    # --- what filters ask -----------------------------------------------------------------

    def everything(self) -> Mask:
        """Return a mask of all hosts."""
        return np.ones(len(self), bool)

    def host_has(self, name: str, amount: float) -> Mask:
        """Return the hosts that have as much of what :data:`_BY_HOST` names."""
        return self.by_host[name] >= clip(amount)

    def cells_have(self, name: str, amount: float) -> CellMask:
        """Return, by cell and host, which have as much of what :data:`_BY_CELL` names."""
        return self.by_cell[name] >= clip(amount)

    def by(self, fields: tuple[str, ...], holds: Callable[[HostRecord], bool]) -> Mask:
        """Return the hosts for which something holds that these fields of a host decide; asked once for all alike."""
        return self._rows_alike(fields).each(holds, bool)

    def numbers_by(self, fields: tuple[str, ...], number: Callable[[HostRecord], float]) -> Measures:
        """Return a number of each host that these fields decide; asked once for all alike."""
        return self._rows_alike(fields).each(number, float)

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

    def _fill(self, row: int, record: HostRecord) -> None:
        ratios, host = limits(record), record.host
        shared = host.shared_cpus
        general_mib, used_mib = host.memory_mib, host.general_memory_used_mib
        by_host = {
            'cells': len(host.cells),
            'ram_left_mib': limit(general_mib, ratios.ram_allocation_ratio) - used_mib,
            'memory_left_mib': host.free_memory_mib,
            'floating': host.floating_vcpus,
            'shared': shared.bit_count(),
            'shared_left': limit(shared.bit_count(), ratios.cpu_allocation_ratio) - host.shared_vcpus_used,
            'overlaps': bool(shared & host.dedicated_cpus),
            'servers': len(record.servers),
        }
        for name, value in by_host.items():
            self.by_host[name][row] = clip(value)
        self.vcpus_left[row] = host.cpu_count * ratios.cpu_allocation_ratio - host.vcpus_used
        absent = [tuple(_BY_CELL.values())] * (self._cells - len(host.cells))
        numbers = [_numbers(cell, ratios.cpu_allocation_ratio, ratios.ram_allocation_ratio) for cell in host.cells]
        for name, values in zip(_BY_CELL, zip(*numbers, *absent, strict=True), strict=True):
            self.by_cell[name][:, row] = values
        self.smallest_sizes.update(int(size) for size in self.by_cell['smallest_kib'][:, row])
        self._fill_pages(row, host.cells)
        self._fill_networks(row, host.cells)

    def _fill_pages(self, row: int, cells: tuple[HostCell, ...]) -> None:
        for free in self.free_pages.values():
            free[:, row] = -1
        for number, cell in enumerate(cells):
            for pages in cell.pages:
                if pages.size_kib not in self.free_pages:
                    self.free_pages[pages.size_kib] = np.full((self._cells, len(self)), -1, np.int32)
                known = self.free_pages[pages.size_kib]
                known[number, row] = max(int(known[number, row]), clip(pages.free))

    def _fill_networks(self, row: int, cells: tuple[HostCell, ...]) -> None:
        for near in self._networks.values():
            near[:, row] = False
        for number, cell in enumerate(cells):
            names: Iterator[str | None] = iter([*cell.shape.physnets, *([None] if cell.shape.tunneled else [])])
            for name in names:
                if name not in self._networks:
                    self._networks[name] = np.zeros((self._cells, len(self)), bool)
                self._networks[name][number, row] = True


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

    def change(self, row: int, before: HostRecord, record: HostRecord) -> None:
        if any(getattr(before, name) != getattr(record, name) for name in self._fields):
            self.put(row, record)

    def each(self, of: Callable[[HostRecord], _Value], kind: type[_Value]) -> npt.NDArray[Any]:
        """Return what a function gives for each host."""
        values = [of(record) for record in self._examples]
        return np.full(len(self._rows), values[0], kind) if len(values) == 1 else np.array(values, kind)[self._rows]


def _hashable(value: Any) -> Hashable:
    """Return plain JSON, or what has it in its fields, as something that is equal where they are."""
    if is_dataclass(value):
        value = {name.name: getattr(value, name.name) for name in fields(value)}
    if isinstance(value, Mapping):
        return tuple(sorted((key, _hashable(item)) for key, item in value.items()))
    if isinstance(value, list | tuple):
        return tuple(map(_hashable, value))
    return type(value).__name__, value
