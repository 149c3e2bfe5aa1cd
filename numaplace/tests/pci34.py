# SPDX-License-Identifier: Apache-2.0
"""numaplace behind the functions that a scorer of Nova's answers about PCI devices calls: plain JSON in and out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from numaplace import fit, wire
from numaplace.fit.pci import PciAssignment
from numaplace.model import Host, PciPool, PciRequest

__all__ = ['Case', 'devices', 'joint', 'place', 'pools', 'requests', 'single', 'sockets']

Case = Mapping[str, Any]


def pools(listed: Sequence[Case]) -> list[PciPool]:
    """Return pools as Nova counts them: what is left of a PF and its VFs is not related."""
    return [replace(wire.read_pci_pool(pool), address=None, parent=None) for pool in listed]


def single(listed: Sequence[Case]) -> list[PciPool]:
    """Return the devices one by one."""
    read = [wire.read_pci_pool({**device, 'count': 1}) for device in listed]
    pairs = zip(read, listed, strict=True)
    return [replace(pool, address=device['address'], parent=device['parent_addr']) for pool, device in pairs]


def requests(listed: Sequence[Case]) -> list[PciRequest]:
    """Return requests of which the numbers are the names."""
    return [
        wire.read_pci_request(each['count'], each['spec'], each['numa_policy'], str(number))
        for number, each in enumerate(listed)
    ]


def sockets(host: Host) -> dict[int, int | None]:
    """Return the sockets of the host cells."""
    return {cell.id: cell.shape.socket for cell in host.cells}


def devices(host: Case, free: Sequence[PciPool], wanted: Sequence[Case]) -> PciAssignment:
    """Return the devices of a host for the requests of a guest."""
    return PciAssignment(sockets(wire.read_host(host)), free, requests(wanted))


def joint(host: Case, free: Sequence[Case], wanted: Sequence[Case], cells: Sequence[int] | None) -> bool:
    """Return whether the devices of pools can be assigned to all requests."""
    return devices(host, pools(free), wanted).supports(frozenset(cells or ()))


def place(case: Case, offered: Callable[[Case], fit.Devices] | None = None) -> list[int] | None:
    """Return the host cells of a guest with devices, None if it does not fit.

    :param offered: makes the devices; by default those of the pools
    """
    ratios, networks = wire.read_limits(case['limits']) if case['limits'] else (None, None)
    pack = case['conf'].get('packing_host_numa_cells_allocation_strategy')
    make = offered or (lambda case: devices(case['host'], pools(case['pools']), case['requests']))
    answer = fit.place(
        wire.read_host(case['host']),
        wire.read_guest(case['instance']),
        limits=ratios,
        networks=networks,
        devices=make(case),
        strategy=fit.PACK if pack else fit.SPREAD,
    )
    return [cell.host_cell for cell in answer.cells] if answer else None
