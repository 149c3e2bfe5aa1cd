# SPDX-License-Identifier: Apache-2.0
"""What domains that numaplace does not manage hold of a host: the only rule by which it is counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from numaplace import cpuset
from numaplace.model.holding import Holding
from numaplace.model.host import Host, HostCell
from numaplace.model.placement import Placement
from numaplace.model.refusal import Reason, Refusal
from numaplace.units import KIB_PER_MIB

__all__ = ['NAME_TAKEN', 'hold', 'left', 'name_taken', 'named']

#: The code of the refusal of a host where a domain has the name.
NAME_TAKEN = 'domain.name'


def named(holding: Holding) -> Holding:
    """Return a domain that is known and holds nothing."""
    return Holding(holding.name, holding.uuid)


def left(uuid: str, name: str, placement: Placement, host: Host) -> Holding:
    """Return the domain of a server that is no longer one, with what it holds on its host."""
    general = frozenset([cell.id for cell in host.cells if cell.shape.is_general])
    return Holding.of(name, uuid, placement, general)


def name_taken(unmanaged: Iterable[Holding], uuid: str, *names: str) -> Refusal | None:
    """Return the refusal of a host where a domain that numaplace does not manage has one of a server's names.

    :param uuid: of the server, whose own domain may have been left there
    """
    for holding in unmanaged:
        if holding.name in names and holding.uuid != uuid:
            return Refusal.of(Reason(NAME_TAKEN, subject=holding.name))
    return None


def hold(host: Host, holdings: Sequence[Holding]) -> Host:
    """Return a host on which these domains, and no others, hold something.

    It is counted beside the usage of the servers, which stays as it is: a CPU that both have is not free before both
    are gone. Memory that may be in several host cells is counted in each of them, since no split puts more of it into
    one; the whole host counts it once. Linear in the number of domains and of host cells.
    """
    general = frozenset([cell.id for cell in host.cells if cell.shape.is_general])
    held_mib = sum([mib for one in holdings for cells, mib in one.memory if cells & general])
    held_vcpus = sum([one.floating for one in holdings])
    cells = tuple([_hold(cell, holdings) for cell in host.cells])
    devices = host.devices.with_held([address for one in holdings for address in one.devices])
    resources = host.resources.with_held([name for one in holdings for name in one.resources])
    return replace(host, cells=cells, held_vcpus=held_vcpus, held_mib=held_mib, devices=devices, resources=resources)


def _hold(cell: HostCell, holdings: Sequence[Holding]) -> HostCell:
    if not (holdings or cell.held_cpus or cell.held_mib):
        return cell
    cpus = cpuset.mask([cpu for one in holdings for cpu in one.dedicated]) & cell.shape.dedicated_cpus
    held_mib = sum([_mib(cell.id, one) for one in holdings])
    smallest, pages = cell.smallest_pages, []
    for each in cell.pages:
        held = sum([number for one in holdings for number in _pages(cell.id, one, each.size_kib)])
        if each is smallest:
            huge_mib = sum([_huge_mib(cell.id, one) for one in holdings])
            held += (held_mib - huge_mib) * KIB_PER_MIB // each.size_kib
        pages.append(replace(each, held=held))
    found = replace(cell, held_cpus=cpus, held_mib=held_mib, pages=tuple(pages))
    return cell if found == cell else found  # with what is derived from it


def _mib(cell_id: int, holding: Holding) -> int:
    memory_mib = sum([mib for cells, mib in holding.memory if cell_id in cells])
    return max(memory_mib, _huge_mib(cell_id, holding))


def _pages(cell_id: int, holding: Holding, pagesize_kib: int) -> list[int]:
    return [number for cells, size_kib, number in holding.pages if cell_id in cells and size_kib == pagesize_kib]


def _huge_mib(cell_id: int, holding: Holding) -> int:
    return sum([size_kib * number for cells, size_kib, number in holding.pages if cell_id in cells]) // KIB_PER_MIB
