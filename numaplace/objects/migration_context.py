# SPDX-License-Identifier: Apache-2.0
"""What a server holds on both hosts of a move."""

from __future__ import annotations

from typing import Any

from numaplace.objects import base, fields

__all__ = ['MigrationContext']


#: What came with a version, on both sides.
_SINCE = {(1, 1): ('pci_devices', 'pci_requests'), (1, 2): ('resources',)}


def _later_than(version: tuple[int, int]) -> list[str]:
    names = [name for since, added in _SINCE.items() if version < since for name in added]
    return [f'{side}_{name}' for name in names for side in ('old', 'new')]


@base.register
class MigrationContext(base.NovaObject):
    """What a server held before a move, and what it holds after it.

    PCI devices, their requests and resources can be null only, for there are no objects of theirs here.
    """

    # 1.0: first version
    # 1.1: PCI devices and requests
    # 1.2: resources
    VERSION = '1.2'

    fields = {
        'created_at': fields.DateTimeField(nullable=True),
        'updated_at': fields.DateTimeField(nullable=True),
        'deleted_at': fields.DateTimeField(nullable=True),
        'deleted': fields.BooleanField(default=False),
        'instance_uuid': fields.UUIDField(),
        'migration_id': fields.IntegerField(),
        'new_numa_topology': fields.ObjectField('InstanceNUMATopology', nullable=True),
        'old_numa_topology': fields.ObjectField('InstanceNUMATopology', nullable=True),
        'new_pci_devices': fields.ObjectField('PciDeviceList', nullable=True),
        'old_pci_devices': fields.ObjectField('PciDeviceList', nullable=True),
        'new_pci_requests': fields.ObjectField('InstancePCIRequests', nullable=True),
        'old_pci_requests': fields.ObjectField('InstancePCIRequests', nullable=True),
        'new_resources': fields.ObjectField('ResourceList', nullable=True),
        'old_resources': fields.ObjectField('ResourceList', nullable=True),
    }

    def obj_make_compatible(self, primitive: dict[str, Any], target_version: str) -> None:
        """Leave out what an older version does not have."""
        super().obj_make_compatible(primitive, target_version)
        for field in _later_than(base.version_tuple(target_version)):
            primitive.pop(field, None)

    def _bring_up(self, version: tuple[int, int]) -> None:
        for field in _later_than(version):
            setattr(self, field, None)
