# SPDX-License-Identifier: Apache-2.0
"""Large fleets for measurements: hosts of eight cells, half full of small guests, by a seed."""

import random
import uuid
from datetime import UTC, datetime

from numaplace import fit, request
from numaplace.model import CellShape, Flavor, Host, HostCell, Pages, Placement
from numaplace.model.fleet import Fleet
from numaplace.model.records import ACTIVE, HostRecord, InstanceRecord

__all__ = ['FLAVORS', 'fleet']

FLAVORS = tuple(
    Flavor(name, vcpus, vcpus * 1024, 1, specs, name)
    for name, vcpus, specs in (
        ('m1.pinned', 2, {'hw:cpu_policy': 'dedicated'}),
        ('m1.pages', 4, {'hw:cpu_policy': 'dedicated', 'hw:mem_page_size': '2MB'}),
        ('m1.shared', 2, {'hw:numa_nodes': '1'}),
        ('m1.wide', 32, {'hw:cpu_policy': 'dedicated', 'hw:numa_nodes': '4'}),
    )
)
_CELLS, _CPUS, _MIB = 8, 16, 65536
_WHEN = datetime(2026, 11, 1, tzinfo=UTC)


def _host() -> Host:
    """Return an idle host: two of the 16 CPUs of each cell are shared."""
    cells = []
    for number in range(_CELLS):
        first = number * _CPUS
        shape = CellShape(
            number,
            0b11 << first,
            ((1 << _CPUS) - 4) << first,
            _MIB,
            tuple(0b11 << cpu for cpu in range(first, first + _CPUS, 2)),
            socket=number // 4,
            distances=tuple((other, 10 if other == number else 21) for other in range(_CELLS)),
        )
        cells.append(HostCell(shape, pages=(Pages(4, _MIB * 128), Pages(2048, _MIB // 4, reserved=64))))
    return Host(tuple(cells))


def _used(dice: random.Random, guests: int) -> tuple[Host, list[tuple[Flavor, Placement]]]:
    """Return a host with guests of the first three flavors."""
    host, placed = _host(), list[tuple[Flavor, Placement]]()
    for flavor in dice.choices(FLAVORS[:3], k=guests):
        placement = fit.place(host, request.read(flavor), strategy=dice.choice((fit.PACK, fit.SPREAD)))
        assert isinstance(placement, Placement)
        host = host.consume(placement)
        placed.append((flavor, placement))
    return host, placed


def fleet(hosts: int, guests: int = 20) -> Fleet:
    """Return a fleet; each host has so many guests, and every hundredth is used alike."""
    dice = random.Random(guests)
    uses = [_used(dice, guests) for _ in range(min(hosts, 100))]
    records, servers = [], []
    for number in range(hosts):
        name, (host, placed) = f'compute{number:05}', uses[number % len(uses)]
        for flavor, placement in placed:
            serial = len(servers) + 1
            uid = str(uuid.UUID(int=dice.getrandbits(128), version=4))
            servers.append(
                InstanceRecord(
                    uid, f'guest{serial:06}', serial, name, flavor, {}, placement, 'nova', ACTIVE, created_at=_WHEN
                )
            )
        records.append(HostRecord(name, host, str(number), f'zone{number % 4}', {'architecture': 'x86_64'}))
    return Fleet(tuple(records), tuple(servers), FLAVORS)
