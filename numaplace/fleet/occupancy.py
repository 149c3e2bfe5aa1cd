# SPDX-License-Identifier: Apache-2.0
"""What each CPU of a host is used for, as one character, and the letters of the servers that hold CPUs."""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping

from numaplace import cpuset
from numaplace.model import HostCell, Placement

__all__ = ['FLOATING', 'FREE', 'MEANINGS', 'PINNED', 'PINNED_OFF', 'cores', 'cpus', 'labels', 'symbols']

#: Symbols of CPUs that no server holds.
FREE, _OFF, FLOATING, _SHARED, _HELD, _UNKNOWN = '.', '_', '~', '-', '#', '?'
#: Symbols of CPUs that a server holds, where the letter of the server does not stand in their place.
PINNED, PINNED_OFF = 'x', 'o'
MEANINGS: Mapping[str, str] = {
    FREE: 'free to be pinned',
    _OFF: 'off to save power, free to be pinned',
    FLOATING: 'shared, vCPUs float here',
    _SHARED: 'shared, no guest cell floats here',
    _HELD: 'held by a domain that numaplace does not manage',
    _UNKNOWN: 'pinned, but by no server of this host',
}


def cpus(cell: HostCell) -> int:
    """Return the mask of the CPUs that guests may have."""
    return cell.shape.shared_cpus | cell.shape.dedicated_cpus


def cores(cell: HostCell) -> list[int]:
    """Return the masks of these CPUs by core, by lowest CPU."""
    left, found = cpus(cell), []
    while left:
        core = cell.shape.with_siblings(left & -left) & left
        found.append(core)
        left &= ~core
    return found


def symbols(cell: HostCell, owned: int, off: int) -> dict[int, str]:
    """Return the symbol of each of these CPUs, by CPU.

    :param owned: mask of the CPUs that servers of the host hold
    :param off: mask of the CPUs of the host that are off
    """
    found = {}
    for cpu in cpuset.ids(cpus(cell)):
        bit = 1 << cpu
        if cell.pinned_cpus & bit:
            found[cpu] = (PINNED_OFF if off & bit else PINNED) if owned & bit else _UNKNOWN
        elif cell.held_cpus & bit:
            found[cpu] = _HELD
        elif off & bit:
            found[cpu] = _OFF
        elif cell.shape.shared_cpus & bit and cell.cpu_usage:
            found[cpu] = FLOATING
        else:
            found[cpu] = FREE if cell.shape.dedicated_cpus & bit else _SHARED
    return found


def labels(held: Iterable[tuple[str, Placement]]) -> dict[str, str]:
    """Name the servers that hold CPUs A, B, ..., Z, AA, AB, ...

    :param held: UUIDs of the servers of a host and what they hold there
    :returns: the names by UUID
    """
    holders = dict.fromkeys([uuid for uuid, placement in held if any(placed.taken for placed in placement.cells)])
    return {uuid: _label(index) for index, uuid in enumerate(holders)}


def _label(index: int) -> str:
    letters = string.ascii_uppercase
    label = ''
    while index >= 0:
        label = letters[index % len(letters)] + label
        index = index // len(letters) - 1
    return label
