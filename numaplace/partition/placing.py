# SPDX-License-Identifier: Apache-2.0
"""Place a guest: by its own cells, divided over the host cells it names, or over the fewest and nearest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from numaplace import exception, fit
from numaplace.model import (
    GrantedDevice,
    Guest,
    Host,
    Limits,
    Networks,
    PciRequest,
    Placement,
    Reason,
    Refusal,
)
from numaplace.model.vnuma import AUTO_MODE
from numaplace.partition.auto import place_auto
from numaplace.partition.available import available_to
from numaplace.partition.dividing import divide

__all__ = ['place']


def place(
    host: Host,
    guest: Guest,
    *,
    limits: Limits | None = None,
    devices: fit.Devices | None = None,
    networks: Networks | None = None,
    strategy: fit.Strategy = fit.SPREAD,
    host_cell_ids: Sequence[int] | None = None,
) -> Placement | Refusal:
    """Place any guest: by its own cells, or divided over host cells where it requests that; with its devices.

    Host mode and node mode are one fit. Auto mode finds the smallest number of host cells in which the guest fits,
    and among such sets the one with the smallest sum of distances; see ``numaplace.partition.auto``. A guest that has
    both cells and a wish was divided before: it keeps its cells, on the cores that the wish allows.

    :param devices: what the guest wants beside its PCI requests; None for these alone
    :param strategy: the order of the host cells for a guest that is not divided here
    :param host_cell_ids: as in :func:`numaplace.fit.place`, for a guest that is not divided here
    :returns: as :func:`numaplace.fit.place`; a guest that was divided has its cells in the placement. A wish that no
        host of this shape can meet is also a refusal; :func:`numaplace.partition.divide` reports what is wrong with it
    """
    pci = _pci(host, guest) if devices is None else None
    answer = _place(
        host,
        guest,
        limits=limits,
        devices=pci or devices,
        networks=networks,
        strategy=strategy,
        host_cell_ids=host_cell_ids,
    )
    if isinstance(answer, Refusal) or not (guest.pci_requests or guest.resource_requests):
        return answer
    host_cells = frozenset([placed.host_cell for placed in answer.cells])
    answer = replace(answer, resources=host.resources.grant(guest.resource_requests, host_cells))
    return answer if pci is None else _with_devices(host, answer, pci, guest.pci_requests, host_cells)


def _pci(host: Host, guest: Guest) -> fit.PciAssignment | None:
    """Return the free PCI devices of a host for a guest; None if they do not matter to it."""
    if not (guest.pci_requests or host.devices):
        return None
    sockets = {cell.id: cell.shape.socket for cell in host.cells}
    return fit.PciAssignment(sockets, host.devices.pools, guest.pci_requests)


def _with_devices(
    host: Host,
    placement: Placement,
    pci: fit.PciAssignment,
    requests: Sequence[PciRequest],
    host_cells: frozenset[int],
) -> Placement | Refusal:
    assigned = pci.assign(host_cells)
    if assigned is None:
        return Refusal.of(*pci.reasons(host_cells))
    known = {device.address: device for device in host.devices.known}
    granted = [
        GrantedDevice(known[pool.address], request.name)
        for request, taken in zip(requests, assigned, strict=True)
        for pool, _ in taken
        if pool.address is not None
    ]
    return replace(placement, devices=tuple(granted))


def _place(
    host: Host,
    guest: Guest,
    *,
    limits: Limits | None,
    devices: fit.Devices | None,
    networks: Networks | None,
    strategy: fit.Strategy,
    host_cell_ids: Sequence[int] | None,
) -> Placement | Refusal:
    """Place a guest as :func:`place` does, with what else it wants as devices.

    :param devices: what it wants of the host's devices, its PCI requests too
    """
    wish = guest.wish
    if wish is None or guest.cells:
        answer = fit.place(
            available_to(host, guest, wish),
            guest,
            limits=limits,
            devices=devices,
            networks=networks,
            strategy=strategy,
            host_cell_ids=host_cell_ids,
        )
        return (
            answer if wish is None or isinstance(answer, Refusal) else replace(answer, guest=replace(guest, wish=None))
        )
    try:
        if wish.mode == AUTO_MODE:
            return place_auto(host, guest, wish, limits=limits, devices=devices, networks=networks)
        partition = divide(host, guest, wish)
    except exception.InvalidPartition as error:
        return Refusal.of(Reason('vnuma', subject=str(error)))
    return fit.place(
        available_to(host, partition.guest, wish),
        partition.guest,
        limits=limits,
        devices=devices,
        networks=networks,
        host_cell_ids=partition.host_cell_ids,
    )
