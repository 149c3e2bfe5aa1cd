# SPDX-License-Identifier: Apache-2.0
"""Hosts and guests that tests place."""

import uuid
from collections.abc import Iterable
from dataclasses import replace

from numaplace.compute import resource_tracker
from numaplace.db.records import InstanceRequest
from numaplace.model import (
    DEDICATED,
    CellShape,
    CpuTopology,
    Flavor,
    Guest,
    GuestCell,
    Host,
    HostCell,
    Pages,
    allocations,
)
from numaplace.model.records import HostRecord, InstanceRecord

__all__ = ['guest', 'host', 'host_record', 'idle', 'instance_request', 'used']


def host(cells: int = 2, cpus: int = 8, memory_mib: int = 4096) -> Host:
    """Return an idle host whose cores have two threads, numbered one after the other."""
    return Host(tuple(_host_cell(number, cells, cpus, memory_mib) for number in range(cells)))


def _host_cell(number: int, cells: int, cpus: int, memory_mib: int) -> HostCell:
    first = number * cpus
    mask = ((1 << cpus) - 1) << first
    shape = CellShape(
        id=number,
        shared_cpus=mask,
        dedicated_cpus=mask,
        memory_mib=memory_mib,
        siblings=tuple(0b11 << cpu for cpu in range(first, first + cpus, 2)),
        socket=number,
        physnets=frozenset({f'physnet{number}'}),
        distances=tuple((other, 10 if other == number else 21) for other in range(cells)),
    )
    pages = (Pages(4, memory_mib * 256 // 2), Pages(2048, memory_mib // 4, reserved=2))
    return HostCell(shape, pages=pages)


def idle(cell: HostCell) -> HostCell:
    """Return a host cell without usage."""
    return HostCell(cell.shape, pages=tuple([replace(pages, used=0) for pages in cell.pages]))


def used(record: HostRecord, instances: Iterable[InstanceRecord]) -> Host:
    """Return a host with the usage of its servers alone; two of them that hold a CPU are an error."""
    counted = resource_tracker.empty(record.host)
    for placement in allocations.held_on(record.name, instances):
        counted = counted.consume(placement)
    return counted


def guest(
    cells: int = 1, vcpus: int = 2, memory_mib: int = 512, policy: str | None = DEDICATED, **keys: object
) -> Guest:
    """Return a guest of equal cells; `vcpus` and `memory_mib` are those of one cell."""
    made = []
    for number in range(cells):
        mask = ((1 << vcpus) - 1) << (number * vcpus)
        shared, dedicated = (0, mask) if policy == DEDICATED else (mask, 0)
        made.append(GuestCell(number, shared, dedicated, memory_mib, cpu_policy=policy, **keys))
    total = cells * vcpus
    return Guest(total, cells * memory_mib, tuple(made), cpu_topology=CpuTopology(total))


def host_record(name: str = 'host1', **keys: int) -> HostRecord:
    """Return an idle host as it is stored."""
    return HostRecord(name, host(**keys), str(uuid.uuid4()), facts={'architecture': 'x86_64'})


def instance_request(asked: Guest, name: str = 'guest1') -> InstanceRequest:
    """Return a server that requests that."""
    flavor = Flavor('m1.sample', asked.vcpus, asked.memory_mib, 1, {'hw:cpu_policy': 'dedicated'}, 'sample')
    return InstanceRequest(name, flavor, asked, {'hw_cpu_threads': '1'})
