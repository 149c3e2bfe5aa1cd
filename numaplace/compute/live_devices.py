# SPDX-License-Identifier: Apache-2.0
"""PCI devices of a guest that is moved while it runs (Nova 34, `_check_can_migrate_pci`).

A NIC that is a device of the host is detached and attached again. The state of every other device moves with the guest,
for which its alias has to ask with ``live_migratable``; the place of such a device in the guest cannot change.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from numaplace import exception, request
from numaplace.model import GrantedDevice, Guest, PciRequest, Placement, Reason, Refusal
from numaplace.model.devices import MACVTAP
from numaplace.model.pci import NETWORK
from numaplace.model.records import InstanceRecord

__all__ = ['Moved', 'in_place', 'moved', 'requested']


@dataclass(frozen=True, slots=True)
class Moved:
    """A device of a guest before and after its move, by address.

    :param is_attached_again: the guest loses it before the move, and gets the other one after it
    """

    request: str
    source: str
    destination: str
    is_attached_again: bool


def requested(instance: InstanceRecord, asked: Guest) -> tuple[PciRequest, ...]:
    """Return what a running server requests of its destination in exchange for its devices.

    :param asked: what its flavor and its NICs request
    :raises: :class:`~numaplace.exception.Conflict` for devices that do not move while the guest runs, with the reason
    """
    held: dict[str, list[str]] = defaultdict(list)
    for granted in instance.placement.devices:
        held[granted.request].append(granted.device.address)
    wanted: Counter[str] = Counter()
    for one in asked.pci_requests:
        wanted[one.name] += one.count
    faults = []
    for name, addresses in held.items():
        listed = ', '.join(addresses)
        if len(addresses) != wanted[name]:
            faults.append(f'{listed}: its flavor and NICs request {wanted[name]} such devices')
        elif not all(_moves(one) for one in asked.pci_requests if one.name == name):
            faults.append(f"{listed}: [pci] alias {name!r} does not say live_migratable='yes'")
    if missing := sorted(wanted.keys() - held.keys()):
        faults.append(f'none for {", ".join(missing)}')
    if faults:
        raise exception.Conflict(
            f'server {instance.name!r} ({instance.uuid}) holds PCI devices that do not move while it runs '
            f'({"; ".join(faults)}); expected NICs of physical networks or live_migratable devices, or a cold '
            'migration: `numaplace server migrate`'
        )
    return asked.pci_requests


def _moves(wanted: PciRequest) -> bool:
    migrates = all(found.get('live_migratable') == 'true' for found in wanted.alternatives)
    return wanted.name.startswith(NETWORK) or migrates


def in_place(instance: InstanceRecord, requests: Sequence[PciRequest], new: Placement) -> Placement | Refusal:
    """Return a placement with its devices in the order of those that they replace.

    :param requests: as :func:`requested` returns them
    :param new: at the destination
    :returns: a refusal if a device that the guest keeps would be near another guest cell
    """
    found: list[GrantedDevice] = []
    for wanted, again in _with_ways(instance, requests):
        part = slice(len(found), len(found) + wanted.count)
        left = list(new.devices[part])
        for old in instance.placement.devices[part]:
            cell = instance.placement.cell_near(old.device)
            match = next((one for one in left if again or new.cell_near(one.device) == cell), None)
            if match is None:
                return Refusal.of(Reason('pci.place', subject=f'{wanted.name} ({old.device.address})'))
            left.remove(match)
            found.append(match)
    return replace(new, devices=tuple(found))


def moved(instance: InstanceRecord, requests: Sequence[PciRequest], new: Placement) -> list[Moved]:
    """Return which device replaces which; parameters as for :func:`in_place`, which returned the placement."""
    ways = [again for wanted, again in _with_ways(instance, requests) for _ in range(wanted.count)]
    return [
        Moved(old.request, old.device.address, one.device.address, again)
        for old, one, again in zip(instance.placement.devices, new.devices, ways, strict=True)
    ]


def _with_ways(instance: InstanceRecord, requests: Sequence[PciRequest]) -> Iterator[tuple[PciRequest, bool]]:
    """Yield each request with whether its devices are detached and attached again; those of NICs are in their order."""
    nics = iter((instance.devices + request.devices(instance.flavor)).on_pci)
    for wanted in requests:
        yield wanted, wanted.name.startswith(NETWORK) and next(nics).vnic != MACVTAP
