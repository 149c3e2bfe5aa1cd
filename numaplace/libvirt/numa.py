# SPDX-License-Identifier: Apache-2.0
"""The NUMA topology that a guest sees, as elements of a domain."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from lxml import etree

from numaplace import cpuset
from numaplace.libvirt.xmltext import element
from numaplace.model import CpuTopology, Guest, Host, Placement
from numaplace.units import KIB_PER_MIB

__all__ = ['cells', 'distances', 'memnodes', 'topology']

#: Distance of a cell to itself. Linux drops the whole table if any other distance is as small.
_LOCAL = 10


def topology(found: CpuTopology) -> etree._Element:
    """Return ``<topology>``."""
    numbers = {'sockets': found.sockets, 'cores': found.cores, 'threads': found.threads}
    return element('topology', {name: str(number) for name, number in numbers.items()})


def memnodes(placement: Placement) -> Iterator[etree._Element]:
    """Yield ``<memnode>`` for each guest cell: its memory comes from its host cell alone."""
    for index, placed in enumerate(placement.cells):
        yield element('memnode', {'cellid': str(index), 'mode': 'strict', 'nodeset': str(placed.host_cell)})


def cells(
    placement: Placement, host: Host, *, shared: Collection[int] = (), with_distances: bool = True
) -> etree._Element:
    """Return ``<numa>``: the guest cells and their distances.

    :param shared: numbers of the cells whose memory others may map
    """
    table = distances(placement, host) if with_distances else []
    return element(
        'numa',
        None,
        *(_cell(index, placement.guest, table, index in shared) for index in range(len(placement.cells))),
    )


def _cell(index: int, guest: Guest, table: list[list[int]], shared: bool) -> etree._Element:
    """Return a cell with all its vCPUs, those that are off too, and the memory that it starts with."""
    attributes = {'id': str(index)}
    if vcpus := guest.cell_vcpus[index]:
        attributes['cpus'] = cpuset.text(vcpus)
    plugged_mib = sum(module.claimed_mib for module in guest.modules if module.cell == index)
    memory_mib = guest.cells[index].memory_mib - plugged_mib
    attributes |= {'memory': str(memory_mib * KIB_PER_MIB), 'unit': 'KiB'}
    if shared:
        attributes['memAccess'] = 'shared'
    if not table:
        return element('cell', attributes)
    siblings = (element('sibling', {'id': str(other), 'value': str(value)}) for other, value in enumerate(table[index]))
    return element('cell', attributes, element('distances', None, *siblings))


def distances(placement: Placement, host: Host) -> list[list[int]]:
    """Return the distances between guest cells: those of the host cells that they are on.

    :returns: a row for each guest cell, with its distance to each; none where the host does not say all of them
    """
    shapes = [host.cell(placed.host_cell).shape for placed in placement.cells]
    table = []
    for row, shape in enumerate(shapes):
        known = dict(shape.distances)
        if any(other.id not in known for other in shapes):
            return []
        table.append(
            [_LOCAL if row == column else max(known[other.id], _LOCAL + 1) for column, other in enumerate(shapes)]
        )
    return table
