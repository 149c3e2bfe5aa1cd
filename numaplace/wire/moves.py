# SPDX-License-Identifier: Apache-2.0
"""What a server holds on both hosts of a move, as Nova stores it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numaplace.model import Host, Placement
from numaplace.wire.reading import placement_of
from numaplace.wire.table import open_object
from numaplace.wire.writing import JSON, Target, write_placement

__all__ = ['Context', 'read_context', 'write_context']


@dataclass(frozen=True, slots=True)
class Context:
    """The topologies of a move; None on both sides for a guest that floats.

    :param migration_id: number of the move
    """

    instance_uuid: str
    migration_id: int
    old: Placement | None
    new: Placement | None


def read_context(source: Any, old_host: Host, new_host: Host) -> Context:
    """Read a MigrationContext.

    :param old_host: the host that the guest leaves, which knows the siblings of its CPUs
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
    """Write a MigrationContext 1.2: no PCI devices, their requests or resources are known."""
    data: dict[str, Any] = {'instance_uuid': context.instance_uuid, 'migration_id': context.migration_id}
    for side, placement in (('old', context.old), ('new', context.new)):
        data[f'{side}_numa_topology'] = write_placement(placement, target) if placement else None
        data |= {f'{side}_{name}': None for name in ('pci_devices', 'pci_requests', 'resources')}
    return target.make('MigrationContext', data)
