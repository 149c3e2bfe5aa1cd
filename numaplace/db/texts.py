# SPDX-License-Identifier: Apache-2.0
"""The two texts of a host, its topology and its details: parsed once, and written cell by cell.

A claim changes one cell of a host, and the next claim reads what it wrote. Parsing and writing the whole host each time
would take longer than all else that a claim does.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from functools import lru_cache
from threading import Lock
from typing import Any, NamedTuple

from numaplace import cpuset, wire
from numaplace.db import details
from numaplace.model import CellShape, Host, HostCell, Pages

__all__ = ['KNOWN', 'Known', 'read_cells', 'write_host']

#: Topology and details, as they are in a row.
Texts = tuple[str | None, str | None]


class Known:
    """The cells of the hosts that were read or written last, by the whole of their texts.

    So it cannot be stale, whoever writes to the database: a text that differs is another key.

    :param size: number of hosts; one of 8 cells of 16 CPUs takes some 24 KiB
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._cells: OrderedDict[Texts, tuple[HostCell, ...]] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._cells)

    def find(self, texts: Texts) -> tuple[HostCell, ...] | None:
        """Return the cells of these texts if they are known."""
        with self._lock:
            cells = self._cells.get(texts)
            if cells is not None:
                self._cells.move_to_end(texts)
            return cells

    def add(self, texts: Texts, cells: tuple[HostCell, ...]) -> None:
        """Remember what texts say, and forget what was asked for longest ago."""
        with self._lock:
            self._cells[texts] = cells
            self._cells.move_to_end(texts)
            if len(self._cells) > self._size:
                self._cells.popitem(last=False)


#: Of this process.
KNOWN = Known(1024)


def read_cells(topology: str | None, beside: str | None) -> tuple[HostCell, ...]:
    """Read the cells of a host.

    :param topology: NUMATopology, or None for a host without cells
    :param beside: HostDetails, or None where the row is older than the column
    :raises: :class:`~numaplace.exception.InvalidObject`, :class:`~numaplace.exception.IncompatibleObjectVersion`
    """
    cells = KNOWN.find((topology, beside))
    if cells is None:
        plain = Host() if topology is None else wire.read_host(wire.loads(topology))
        cells = details.read_host(None if beside is None else wire.loads(beside), plain).cells
        KNOWN.add((topology, beside), cells)
    return cells


def write_host(host: Host) -> tuple[str, str]:
    """Write the topology and the details of a host.

    A row that has other details, those of an older release, is parsed at each claim until its host is stored anew.
    """
    cells = [_write(cell) for cell in host.cells]
    topology = ', '.join([text for text, _beside in cells]).join(_TOPOLOGY)
    beside = ', '.join([text for _topology, text in cells]).join(_DETAILS)
    KNOWN.add((topology, beside), host.cells)
    return topology, beside


def _write(cell: HostCell) -> tuple[str, str]:
    """Return what a cell is in both texts; the cells that a claim does not touch stay the same values."""
    found: tuple[str, str] | None = cell.memo.get(_write)
    if found is None:
        shape = _shape(cell.shape)
        pages = ', '.join([_pages(each) for each in cell.pages])
        pinned = list(cpuset.ids(cell.pinned_cpus))
        topology = shape.topology % (cell.cpu_usage, cell.memory_usage_mib, pinned, pages)
        found = cell.memo[_write] = topology, shape.details
    return found


class _Shape(NamedTuple):
    """What the cells of a shape are in both texts.

    :param topology: with places for the usage: vCPUs, memory, pinned CPUs and pages
    """

    topology: str
    details: str


@lru_cache(maxsize=65536)
def _shape(shape: CellShape) -> _Shape:
    alone = Host((HostCell(shape),))
    (cell,) = wire.write_host(alone)['nova_object.data']['cells']
    places = {'cpu_usage': '%d', 'memory_usage': '%d', 'pinned_cpus': '%s', 'mempages': '[%s]'}
    before, after = _DETAILS
    return _Shape(_with_places(cell, places), wire.dumps(details.write_host(alone))[len(before) : -len(after)])


@lru_cache(maxsize=65536)
def _pages(pages: Pages) -> str:
    return wire.dumps(wire.write_pages(pages))


def _with_places(written: dict[str, Any], places: Mapping[str, str]) -> str:
    """Return the JSON of an object as a pattern for its fields that have a place."""
    fields = [
        f'{wire.dumps(name)}: {places.get(name) or wire.dumps(value).replace("%", "%%")}'
        for name, value in written['nova_object.data'].items()
    ]
    before, _, after = wire.dumps(written | {'nova_object.data': {}}).partition('{}')
    return before + '{' + ', '.join(fields) + '}' + after


def _around(empty: str) -> tuple[str, str]:
    """Return what stands before and after the cells, by the text of a host without cells."""
    before, _, after = empty.partition('[]')
    return f'{before}[', f']{after}'


_TOPOLOGY = _around(wire.dumps(wire.write_host(Host())))
_DETAILS = _around(wire.dumps(details.write_host(Host())))
