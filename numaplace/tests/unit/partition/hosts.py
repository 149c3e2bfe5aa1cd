# SPDX-License-Identifier: Apache-2.0
"""Hosts to divide guests over."""

from numaplace.model import CellShape, Host, HostCell


def node(number, cores, memory_mib=16384, distances=(), pinned=0):
    """Return a host cell; a core is a list of its CPUs."""
    masks = tuple(sum(1 << cpu for cpu in core) for core in cores)
    cpus = sum(masks)
    shape = CellShape(number, cpus, cpus, memory_mib, masks, distances=tuple(distances))
    return HostCell(shape, pinned_cpus=pinned)


def talk():
    """Return the host of the vNUMA talk: 120 CPUs, four nodes, siblings 60 apart, distances 10 and 21."""
    return Host(
        tuple(
            node(
                number,
                [[15 * number + core, 60 + 15 * number + core] for core in range(15)],
                129018,
                [(other, 10 if other == number else 21) for other in range(4)],
            )
            for number in range(4)
        )
    )


def plain(*widths, memory_mib=16384):
    """Return a host of cores without threads, so many in each host cell."""
    cells, first = [], 0
    for number, width in enumerate(widths):
        cells.append(node(number, [[first + core] for core in range(width)], memory_mib))
        first += width
    return Host(tuple(cells))
