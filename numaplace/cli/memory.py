# SPDX-License-Identifier: Apache-2.0
"""The display of a host's memory that does not belong to CPUs."""

from __future__ import annotations

from collections.abc import Sequence

from numaplace import cpuset
from numaplace.memory_kinds import GENERAL, UNKNOWN
from numaplace.model import CellShape, Host, HostCell

__all__ = ['of_other_kinds', 'words']


def of_other_kinds(host: Host) -> dict[str, dict[str, int]]:
    """Return the memory that is not general, and how much of it is used, in MiB, by its kind."""
    found: dict[str, dict[str, int]] = {}
    for cell in host.cells:
        if cell.shape.memory_mib and not cell.shape.is_general:
            sums = found.setdefault(cell.shape.kind, {'memory_mib': 0, 'memory_used_mib': 0})
            sums['memory_mib'] += cell.shape.memory_mib
            sums['memory_used_mib'] += cell.memory_usage_mib
    return found


def words(shape: CellShape, cells: Sequence[HostCell]) -> str:
    """Describe the memory of a cell without CPUs and name the nearest CPUs; empty for other cells.

    :param cells: all cells of the host
    """
    if shape.kind == GENERAL or not shape.memory_mib:
        return ''
    kind = 'memory of unknown kind' if shape.kind == UNKNOWN else f'{shape.kind} memory'
    return kind + (' that counts as general' if shape.counts_as_general else '') + _nearest(shape, cells)


def _nearest(shape: CellShape, cells: Sequence[HostCell]) -> str:
    distances = dict(shape.distances)
    known = {cell.id: distances[cell.id] for cell in cells if cell.shape.kind == GENERAL and cell.id in distances}
    if not known:
        return ''
    least = min(known.values())
    near = cpuset.mask(cell_id for cell_id, distance in known.items() if distance == least)
    return f', at distance {least} from {"cell" if near.bit_count() == 1 else "cells"} {cpuset.text(near)}'
