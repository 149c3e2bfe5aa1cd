# SPDX-License-Identifier: Apache-2.0
"""What a server holds on both hosts of a move, as Nova stores it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numaplace import cpuset
from numaplace.model import Host, Placement
from numaplace.wire.primitives import open_object
from numaplace.wire.reading import placement_of
from numaplace.wire.writing import JSON, Target, write_placement

__all__ = [
    'Context',
    'LiveMigrateNumaInfo',
    'read_context',
    'write_context',
    'write_live_migrate_numa_info',
]


@dataclass(frozen=True, slots=True)
class Context:
    """The topologies of a move; None on both sides for a guest that floats.

    :param migration_id: number of the move
    """

    instance_uuid: str
    migration_id: int
    old: Placement | None
    new: Placement | None


def read_context(source: Any, old_host: Host | None, new_host: Host | None) -> Context:
    """Read a MigrationContext.

    :param old_host: the host that the guest leaves, for the siblings of its CPUs
    :param new_host: the host that it goes to
    :raises: :class:`~numaplace.exception.InvalidObject`, :class:`~numaplace.exception.IncompatibleObjectVersion`
    """
    data = open_object(source, 'MigrationContext')
    old, new = data['old_numa_topology'], data['new_numa_topology']
    return Context(
        data['instance_uuid'],
        data['migration_id'],
        placement_of(old, old_host) if old else None,
        placement_of(new, new_host) if new else None,
    )


def write_context(context: Context, target: Target = JSON) -> Any:
    """Write a MigrationContext 1.2; PCI devices, PCI requests and resources are null."""
    data: dict[str, Any] = {'instance_uuid': context.instance_uuid, 'migration_id': context.migration_id}
    for side, placement in (('old', context.old), ('new', context.new)):
        data[f'{side}_numa_topology'] = write_placement(placement, target) if placement else None
        data |= {f'{side}_{name}': None for name in ('pci_devices', 'pci_requests', 'resources')}
    return target.make('MigrationContext', data)


@dataclass(frozen=True, slots=True)
class LiveMigrateNumaInfo:
    """The pins of a guest at the destination of a live migration; CPU sets are masks.

    :param cpu_pins: ``(vCPU, CPUs)``
    :param cell_pins: ``(guest cell, host cells)``
    :param sched_vcpus: the realtime vCPUs
    :param sched_priority: their priority; None where there are none
    """

    cpu_pins: tuple[tuple[int, int], ...]
    cell_pins: tuple[tuple[int, int], ...]
    emulator_pins: int
    sched_vcpus: int = 0
    sched_priority: int | None = None


def write_live_migrate_numa_info(info: LiveMigrateNumaInfo | None, target: Target = JSON) -> Any:
    """Write a LibvirtLiveMigrateNUMAInfo 1.0: fields that do not apply are left out, as Nova does.

    :param info: None for a guest that floats
    """
    data: dict[str, Any] = {}
    if info is not None:
        data['cpu_pins'] = _write_sets(info.cpu_pins, target)
        data['cell_pins'] = _write_sets(info.cell_pins, target)
        data['emulator_pins'] = target.collect(cpuset.ids(info.emulator_pins))
        if info.sched_priority is not None:
            data['sched_vcpus'] = target.collect(cpuset.ids(info.sched_vcpus))
            data['sched_priority'] = info.sched_priority
    return target.make('LibvirtLiveMigrateNUMAInfo', data)


def _write_sets(pairs: tuple[tuple[int, int], ...], target: Target) -> dict[str, Any]:
    return {str(key): target.collect(cpuset.ids(cpus)) for key, cpus in pairs}
