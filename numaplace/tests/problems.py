# SPDX-License-Identifier: Apache-2.0
"""Fleets of consolidation problems, in the form of those of the BalCon paper, and made-up problems of this form.

A problem has ``hosts`` and ``vms`` with ``cpu`` and ``mem`` in MiB, and ``mapping``, the number of the host of each VM.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from numaplace import fit, request
from numaplace.model import CellShape, Flavor, Host, HostCell, Limits, Pages, Placement
from numaplace.model.fleet import Fleet
from numaplace.model.records import ACTIVE, HostRecord, InstanceRecord

__all__ = ['make', 'read']

_LIMITS = Limits(1.0, 1.0)
_GIB_MIB, _PAGES_PER_MIB = 1024, 256
#: CPUs of made-up VMs, and their shares.
_SIZES = ((1, 0.5), (2, 0.25), (4, 0.15), (8, 0.08), (16, 0.02))


def read(problem: Mapping[str, Any], cells: int = 0) -> Fleet:
    """Return the fleet of a problem.

    :param cells: number of host cells of each host; 0 for one cell and guests that float
    """
    shapes = [_host(each['cpu'], each['mem'], max(1, cells)) for each in problem['hosts']]
    names = [f'host{number:04}' for number in range(len(shapes))]
    hosts, servers, now = list(shapes), list[InstanceRecord](), datetime.now(UTC)
    # The largest first: so they are not in the way of each other within a host.
    for number in sorted(range(len(problem['vms'])), key=lambda one: (-_size(problem, one), one)):
        vm, on = problem['vms'][number], problem['mapping'][number]
        flavor, placed = _placed(vm, hosts[on], cells)
        if placed is None:
            continue
        hosts[on] = hosts[on].consume(placed)
        key = str(uuid.UUID(int=number + 1))
        placed = replace(placed, guest=replace(placed.guest, instance_uuid=key))
        servers.append(InstanceRecord(key, f's{number}', number + 1, names[on], flavor, {}, placed, None, ACTIVE, now))
    facts = {'architecture': 'x86_64', 'domains': [['x86_64', 'kvm', 'hvm']]}
    records = [
        HostRecord(
            name, host, str(uuid.uuid5(uuid.NAMESPACE_OID, name)), 'nova', facts, 1.0, 1.0,
            servers=frozenset([server.uuid for server in servers if server.host == name]),
        )
        for name, host in zip(names, hosts, strict=True)
    ]  # fmt: skip
    return Fleet(
        tuple(records), tuple(servers), tuple({server.flavor.name: server.flavor for server in servers}.values())
    )


def make(hosts: int, servers: int, load: float = 0.6) -> dict[str, Any]:
    """Return a made-up problem: VMs of some sizes on random hosts, which use a share of the CPUs."""
    dice = random.Random(hosts)
    cpus = round(sum([cpus * weight for cpus, weight in _SIZES]) * servers / hosts / load)
    room = [[cpus, 2 * _GIB_MIB * cpus] for _ in range(hosts)]
    problem: dict[str, Any] = {
        'hosts': [{'cpu': cpus, 'mem': memory_mib} for cpus, memory_mib in room],
        'vms': [],
        'mapping': [],
    }
    sizes, weights = zip(*_SIZES, strict=True)
    while len(problem['vms']) < servers:
        width = dice.choices(sizes, weights)[0]
        needs = (width, width * _GIB_MIB * dice.choice((1, 2, 4)))
        on = dice.randrange(hosts)
        if all(need <= left for need, left in zip(needs, room[on], strict=True)):
            room[on] = [left - need for need, left in zip(needs, room[on], strict=True)]
            problem['vms'].append({'cpu': needs[0], 'mem': needs[1]})
            problem['mapping'].append(on)
    return problem


def _size(problem: Mapping[str, Any], number: int) -> float:
    vm, host = problem['vms'][number], problem['hosts'][problem['mapping'][number]]
    return max(vm['cpu'] / host['cpu'], vm['mem'] / host['mem'])


@cache
def _host(cpus: int, memory_mib: int, cells: int) -> Host:
    """Return a host without servers; the first cells have what is left over by the division."""
    made, first = [], 0
    for number in range(cells):
        width, size_mib = (amount // cells + (number < amount % cells) for amount in (cpus, memory_mib))
        mask = ((1 << width) - 1) << first
        siblings = tuple([1 << cpu for cpu in range(first, first + width)])
        shape = CellShape(number, mask, mask, size_mib, siblings, socket=number)
        made.append(HostCell(shape, pages=(Pages(4, size_mib * _PAGES_PER_MIB),)))
        first += width
    return Host(tuple(made))


@cache
def _flavor(cpus: int, memory_mib: int, cells: int) -> Flavor:
    """Return a flavor of pinned guests of some cells, or of guests that float."""
    specs = {'hw:cpu_policy': 'dedicated', 'hw:numa_nodes': str(cells)} if cells else {}
    name = f'c{cpus}m{memory_mib}' + (f'n{cells}' if cells else '')
    return Flavor(name, cpus, memory_mib, 1, specs, name)


def _placed(vm: Mapping[str, int], host: Host, cells: int) -> tuple[Flavor, Placement | None]:
    """Return how a VM is placed, by the fewest guest cells, into which it is divided evenly, that fit now."""
    for number in range(1, cells + 1) if cells else (0,):
        flavor = _flavor(vm['cpu'], vm['mem'], number)
        if number < 2 or vm['cpu'] % number == vm['mem'] % number == 0:
            placed = fit.place(host, request.read(flavor, {}), limits=_LIMITS)
            if isinstance(placed, Placement):
                return flavor, placed
    return flavor, None
