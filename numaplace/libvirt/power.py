# SPDX-License-Identifier: Apache-2.0
"""Dedicated CPUs that power management has switched off: their cells and cores, which few sources report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from numaplace import cpuset
from numaplace.fleet.findings import Finding
from numaplace.model import CellShape, Host

if TYPE_CHECKING:
    from numaplace.libvirt.found_cell import FoundCell

__all__ = ['CPU_STATE', 'GOVERNOR', 'check', 'complete', 'locate', 'unknown_cores', 'why_refused']

#: The values of ``[libvirt] cpu_power_management_strategy``: take unused CPUs offline, or slow them down.
CPU_STATE, GOVERNOR = 'cpu_state', 'governor'

#: Nova never changes the state of this CPU (Nova 34, ``get_cpu_dedicated_set_nozero``).
_NEVER_OFF = 1 << 0

_HOW = 'register or refresh the host once while they are online: --refresh then keeps what was read of them'


def locate(found: Sequence[FoundCell], off: int, present: int | None, before: Host | None) -> list[FoundCell]:
    """Return the cells, each with the offline dedicated CPUs that are known to be in it.

    The source decides if it reports the cell of a CPU, otherwise the earlier record of the host. A single cell with
    number 0 has all CPUs that are present. A CPU whose cell remains unknown is omitted.

    :param off: mask of the dedicated CPUs that are not online
    :param present: mask of all CPUs of the host, or None if the source lists only some of those that are off
    :param before: the earlier record of the host
    """
    left = off & ~_NEVER_OFF
    cells: dict[int, int] = {}
    for source in found:
        cells[source.id] = source.offline & left
        left &= ~source.offline
    for cell in before.cells if before else ():
        shape = cell.shape
        if shape.id in cells:
            were = left & (shape.online_cpus | shape.shared_cpus | shape.dedicated_cpus)
            cells[shape.id] |= were if present is None else were & present
            left &= ~were
    if list(cells) == [0] and present:
        cells[0] |= left & present
    return [replace(source, offline=cells[source.id]) for source in found]


def complete(reported: Iterable[int], available: int, before: CellShape | None) -> set[int]:
    """Return the cores of a cell, including those of offline CPUs as far as they are known.

    A CPU whose core is not known is in none of them. The kernel reports no siblings of an offline CPU, and omits it
    from the siblings of other CPUs, so only the earlier record says more. Any two CPUs in the result were once online
    at the same time, so that the source reported whether they share a core.

    :param reported: masks of the cores as the source reports them
    :param available: mask of all CPUs of the cell that guests may have, including offline ones
    :param before: the earlier record of the cell
    """
    cores = {core & available for core in reported} - {0}
    left = available & ~cpuset.union(cores)
    known = cpuset.union(before.siblings) if before else 0
    for core in before.siblings if before else ():
        if core & left:
            rest = {one for one in cores if one & core}
            if _agree(core, rest, known, available):
                cores = cores - rest | {core & available | cpuset.union(rest)}
    return cores


def _agree(core: int, rest: set[int], known: int, available: int) -> bool:
    """Return whether the earlier record of a core is still valid.

    :param rest: masks of the cores that hold its CPUs now
    :param known: mask of the CPUs whose cores were known before
    """
    if not rest:
        # It was never online together with CPUs that are new here: any of these may be one of its threads.
        return not available & ~known
    return len(rest) == 1 and not cpuset.union(rest) & known & ~core


def unknown_cores(host: Host) -> int:
    """Return the mask of the offline CPUs whose siblings are not known."""
    return host.offline_cpus & ~cpuset.union(core for cell in host.cells for core in cell.shape.siblings)


def check(name: str, host: Host) -> Iterator[Finding]:
    """Find the offline CPUs whose siblings are not known.

    :param name: of the host
    """
    if unknown := unknown_cores(host):
        yield Finding('kernel.offline', name, found=cpuset.text(unknown))


def why_refused(missing: int, offline: int, strategy: str | None, *, all_named: bool) -> str:
    """Return why CPUs of ``cpu_dedicated_set`` that are not online are refused, as the end of an error text.

    :param missing: mask of the CPUs
    :param offline: mask of the CPUs that the source lists as present but that are not online
    :param strategy: of power management, or None without it
    :param all_named: whether the source lists each CPU that is present
    """
    here = missing & offline
    words = f'; CPUs {cpuset.text(here)} are present but offline'
    if strategy == CPU_STATE:
        if missing & _NEVER_OFF:
            return '; power management never switches CPU 0 on: bring it online, or leave it out'
        if here:
            return f'{words}, and it is not known in which cell they are: {_HOW}'
        return '; nor are they present' if all_named else f'; if they are offline, {_HOW}'
    if not here:
        return ''
    if strategy == GOVERNOR:
        return f'{words}, and [libvirt] cpu_power_management_strategy = {GOVERNOR} needs them online'
    return f'{words}, as they may be with [libvirt] cpu_power_management = True'
