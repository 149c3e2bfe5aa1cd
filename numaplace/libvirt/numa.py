# SPDX-License-Identifier: Apache-2.0
"""The NUMA topology that a guest sees, as elements of a domain."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from numaplace import cpuset
from numaplace.libvirt.xmltext import Element, element
from numaplace.model import Guest, Host, Placement
from numaplace.units import KIB_PER_MIB

__all__ = ['cells', 'distances', 'numatune', 'topology']

#: Distance of a cell to itself. Linux drops the whole table if any other distance is as small.
_LOCAL = 10


def topology(guest: Guest, *, with_dies: bool = True) -> Element:
    """Return ``<topology>``.

    :param with_dies: whether sockets that lie in several cells have a die for each of them
    """
    found = guest.topology
    dies = guest.dies if with_dies else 1
    numbers = {'sockets': found.sockets, 'dies': dies, 'cores': found.cores // dies, 'threads': found.threads}
    # Only libvirt since 6.1 knows dies.
    return element('topology', {name: str(number) for name, number in numbers.items() if name != 'dies' or dies > 1})


def numatune(placement: Placement, *, with_cells: bool) -> Element:
    """Return ``<numatune>`` of a guest with cells: the memory of each comes only from its host cell.

    :param with_cells: whether the guest sees its cells; otherwise it has one
    """
    nodes = cpuset.text(cpuset.mask(placed.host_cell for placed in placement.cells))
    memory = element('memory', {'mode': 'strict', 'nodeset': nodes})
    return element('numatune', None, memory, *(_memnodes(placement) if with_cells else ()))


def _memnodes(placement: Placement) -> Iterator[Element]:
    for index, placed in enumerate(placement.cells):
        yield element('memnode', {'cellid': str(index), 'mode': 'strict', 'nodeset': str(placed.host_cell)})


def cells(placement: Placement, host: Host, *, shared: Collection[int] = (), with_distances: bool = True) -> Element:
    """Return ``<numa>``: the guest cells and their distances.

    :param shared: numbers of the cells whose memory other processes may map
    """
    table = distances(placement, host) if with_distances else []
    return element(
        'numa',
        None,
        *(_cell(index, placement.guest, table, index in shared) for index in range(len(placement.cells))),
    )


def _cell(index: int, guest: Guest, table: list[list[int]], shared: bool) -> Element:
    """Return a cell with all its vCPUs, including those that are off, and its initial memory."""
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

    :returns: a row for each guest cell, with its distance to each; no rows if the host does not report all of them
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
