# SPDX-License-Identifier: Apache-2.0
"""Four small hosts with PCI devices, guests of which some are always in each other's way, and groups of them."""

from __future__ import annotations

import random
import uuid
from dataclasses import replace

from numaplace import request as requests
from numaplace.compute import resource_tracker
from numaplace.db import api
from numaplace.db.records import InstanceRequest
from numaplace.model import (
    MIXED,
    CellShape,
    Devices,
    Flavor,
    Guest,
    GuestCell,
    Host,
    HostCell,
    HostDevices,
    Limits,
    Pages,
    PciDevice,
    PciRequest,
)
from numaplace.model.grouping import AFFINITY, ANTI_AFFINITY, ServerGroup
from numaplace.model.pci import PF, REQUIRED, VF
from numaplace.model.records import HostRecord
from numaplace.tests import samples

__all__ = ['CARD', 'GPUS', 'GROUPS', 'GUESTS', 'HOSTS', 'LIMITS', 'SLOTS', 'VFS', 'fill', 'flavor', 'host', 'request']

#: The first two keep shared and dedicated CPUs apart; on the others every CPU is both, so that cores can be isolated.
HOSTS = ('host0', 'host1', 'host2', 'host3')
LIMITS = Limits(2.0, 1.0)
#: So many memory modules may a guest with cells have.
SLOTS = 2

#: By UUID; a host takes one member of the second, two of the third.
GROUPS = {
    group.uuid: group
    for group in (
        ServerGroup('together', AFFINITY, str(uuid.UUID(int=1))),
        ServerGroup('apart', ANTI_AFFINITY, str(uuid.UUID(int=2))),
        ServerGroup('pairs', ANTI_AFFINITY, str(uuid.UUID(int=3)), 2),
    )
}

_PAGES_KIB = 2048

#: The devices of each host: a GPU on each cell, and a network card that goes whole or in parts.
_KEPT = {'live_migratable': 'true'}
GPUS = tuple(PciDevice(f'0000:0{cell + 1}:00.0', '10de', '20b0', numa_node=cell, tags=_KEPT) for cell in range(2))
CARD = PciDevice('0000:05:00.0', '8086', '1572', PF, 0, tags=_KEPT)
VFS = tuple(
    PciDevice(f'0000:05:02.{number}', '8086', '154c', VF, 0, CARD.address, {'physical_network': 'lake'})
    for number in range(3)
)


def _one_of(device: PciDevice, name: str) -> tuple[PciRequest, ...]:
    wanted = {'vendor_id': device.vendor_id, 'product_id': device.product_id, 'dev_type': device.dev_type}
    return (PciRequest(1, (wanted | _KEPT,), REQUIRED, name),)


def _mixed() -> Guest:
    return Guest(3, 512, (GuestCell(0, 0b001, 0b110, 512, _PAGES_KIB, MIXED),))


#: By name; sizes are such that a host takes about ten.
GUESTS = {
    'pinned': samples.guest(vcpus=2, memory_mib=256),
    'huge': samples.guest(vcpus=1, memory_mib=512, pagesize_kib=_PAGES_KIB),
    'pages': samples.guest(vcpus=1, memory_mib=768, policy=None, pagesize_kib=_PAGES_KIB),
    'wide': samples.guest(cells=2, vcpus=2, memory_mib=256, pagesize_kib=_PAGES_KIB),
    'isolated': samples.guest(vcpus=2, memory_mib=256, thread_policy='isolate'),
    'emulator': replace(samples.guest(vcpus=2, memory_mib=256), emulator_policy='isolate'),
    'mixed': _mixed(),
    'shared': samples.guest(vcpus=2, memory_mib=256, policy=None),
    'floating': Guest(2, 256),
    'gpu': replace(samples.guest(vcpus=2, memory_mib=256), pci_requests=_one_of(GPUS[0], 'gpu')),
    'card': Guest(2, 256, pci_requests=_one_of(CARD, 'card')),
}
#: What their flavors say of devices; the other guests have none.
_DEVICES = {
    'wide': {'numaplace:nic.0': 'physnet=lake,vnic=direct'},
    'gpu': {'pci_passthrough:alias': 'gpu:1'},
    'card': {'pci_passthrough:alias': 'card:1'},
}


def host(*, apart: bool) -> Host:
    """Return a host that nobody uses; `apart` says whether no CPU is both shared and dedicated."""
    cells = []
    for number in range(2):
        first, cpus = number * 8, 0xFF << (number * 8)
        shared, dedicated = (0b11 << first, cpus & ~(0b11 << first)) if apart else (cpus, cpus)
        cores = tuple(0b11 << cpu for cpu in range(first, first + 8, 2))
        pages = (Pages(4, 2048 * 256), Pages(_PAGES_KIB, 1024, reserved=8))
        cells.append(HostCell(CellShape(number, shared, dedicated, 4096, cores), pages=pages))
    return Host(tuple(cells), devices=HostDevices((*GPUS, CARD, *VFS)))


def fill(database: api.Database) -> None:
    """Store the hosts, which nobody uses, and the groups, which have no members."""
    for group in GROUPS.values():
        database.create_server_group(group)
    for number, name in enumerate(HOSTS):
        record = HostRecord(name, host(apart=number < 2), facts={'architecture': 'x86_64'})
        resource_tracker.register(database, record)


def flavor(kind: str) -> Flavor:
    """Return the flavor of a kind of guest."""
    asked = GUESTS[kind]
    return Flavor(kind, asked.vcpus, asked.memory_mib, 1, _hotplug(asked) | _DEVICES.get(kind, {}), kind)


def _hotplug(asked: Guest) -> dict[str, str]:
    """Let vCPUs go off, and modules be plugged into guests that have cells."""
    specs = {'numaplace:vcpu_hotplug': 'true'}
    if asked.cells:
        specs |= {'numaplace:memory_slots': str(SLOTS), 'numaplace:max_memory': '8192'}
    return specs


def request(dice: random.Random, kind: str, group: str | None = None) -> InstanceRequest:
    """Return a server that is not there yet, in a group or in none; its UUID comes from the dice."""
    made = str(uuid.UUID(int=dice.getrandbits(128), version=4))
    guest = requests.with_networks(GUESTS[kind], flavor(kind), {}, Devices())
    return InstanceRequest(f'{kind}-{made[:8]}', flavor(kind), guest, uuid=made, group=group)
