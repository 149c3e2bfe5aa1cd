# SPDX-License-Identifier: Apache-2.0
"""The two texts of a host, its topology and its details: parsed once, and written cell by cell.

A claim changes one cell of a host, and the next claim reads what it wrote. Parsing and writing the whole host each time
would take longer than everything else in a claim.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from numaplace import cpuset, wire
from numaplace.db.consistency import check_host_cells
from numaplace.model import CellShape, Host, HostCell, Pages
from numaplace.wire import details

__all__ = ['known_cells', 'old_format', 'read_cells', 'write_host']


class _Known(NamedTuple):
    """What two texts hold.

    :param old_format: as :func:`numaplace.wire.old_format` returns it
    """

    cells: tuple[HostCell, ...]
    old_format: str = ''


@lru_cache(maxsize=1024)
def known_cells(topology: str | None, host_details: str | None) -> list[_Known]:  # noqa: ARG001 - the keys
    """Return the list that remembers the cells of a host by its full texts; empty if they are not known.

    It cannot be stale, whatever writes to the database: a different text is another key. A host of 8 cells of 16 CPUs
    takes some 24 KiB.
    """
    return []


def read_cells(topology: str | None, host_details: str | None) -> tuple[HostCell, ...]:
    """Read the cells of a host.

    :param topology: NUMATopology, or None for a host without cells
    :param host_details: HostDetails, or None if the row is older than the column
    :raises: :class:`~numaplace.exception.InvalidObject`, :class:`~numaplace.exception.IncompatibleObjectVersion`
    """
    return _read(topology, host_details).cells


def old_format(topology: str | None, host_details: str | None) -> str:
    """Return what is old in the topology of a host that can be read; nothing if it is as it is written."""
    return _read(topology, host_details).old_format


def _read(topology: str | None, host_details: str | None) -> _Known:
    known = known_cells(topology, host_details)
    if not known:
        data = wire.write_host(Host()) if topology is None else wire.load_row(topology)
        host = details.read_host(None if host_details is None else wire.loads(host_details), wire.read_host(data))
        check_host_cells(host.cells)
        known.append(_Known(host.cells, wire.old_format(data, 'NUMATopology')))
    return known[0]


def write_host(host: Host) -> tuple[str, str]:
    """Write the topology and the details of a host.

    A row with details of an older release is parsed at each claim until its host is stored again.
    """
    cells = [_write(cell) for cell in host.cells]
    topology = ', '.join([text for text, _beside in cells]).join(_TOPOLOGY)
    host_details = ', '.join([text for _topology, text in cells]).join(_DETAILS)
    known_cells(topology, host_details)[:] = [_Known(host.cells)]
    return topology, host_details


def _write(cell: HostCell) -> tuple[str, str]:
    """Return a cell in both texts; cells that a claim does not touch stay the same values."""
    found: tuple[str, str] | None = cell.memo.get(_write)
    if found is None:
        shape = _shape(cell.shape)
        pages = ', '.join([_pages(each) for each in cell.pages])
        pinned = list(cpuset.ids(cell.pinned_cpus))
        topology = shape.topology % (cell.cpu_usage, cell.memory_usage_mib, pinned, pages)
        found = cell.memo[_write] = topology, shape.details
    return found


class _Shape(NamedTuple):
    """The cells of a shape in both texts.

    :param topology: with placeholders for the usage: vCPUs, memory, pinned CPUs and pages
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
    """Return the JSON of an object as a template for its fields with a placeholder."""
    fields = [
        f'{wire.dumps(name)}: {places.get(name) or wire.dumps(value).replace("%", "%%")}'
        for name, value in written['nova_object.data'].items()
    ]
    before, _, after = wire.dumps(written | {'nova_object.data': {}}).partition('{}')
    return before + '{' + ', '.join(fields) + '}' + after


def _around(empty: str) -> tuple[str, str]:
    """Return the text before and after the cells, from the text of a host without cells."""
    before, _, after = empty.partition('[]')
    return f'{before}[', f']{after}'


_TOPOLOGY = _around(wire.dumps(wire.write_host(Host())))
_DETAILS = _around(wire.dumps(details.write_host(Host())))
