# SPDX-License-Identifier: Apache-2.0
"""Versioned objects: Nova's, with its names, fields and versions, and our own beside them.

They are registered nowhere but here: a class of the same name in the registry of a process is never replaced.
"""

from numaplace.objects.details import (
    AccessDetails,
    CacheDetails,
    CellDetails,
    GuestDetails,
    HostDetails,
    ModuleDetails,
    MoveDetails,
    OfflineDetails,
    SideDetails,
)
from numaplace.objects.instance_numa import InstanceNUMACell, InstanceNUMATopology, VirtCPUTopology
from numaplace.objects.migration_context import MigrationContext
from numaplace.objects.numa import NetworkMetadata, NUMACell, NUMAPagesTopology, NUMATopology, NUMATopologyLimits

__all__ = [
    'AccessDetails',
    'CacheDetails',
    'CellDetails',
    'GuestDetails',
    'HostDetails',
    'InstanceNUMACell',
    'InstanceNUMATopology',
    'MigrationContext',
    'ModuleDetails',
    'MoveDetails',
    'NUMACell',
    'NUMAPagesTopology',
    'NUMATopology',
    'NUMATopologyLimits',
    'NetworkMetadata',
    'OfflineDetails',
    'SideDetails',
    'VirtCPUTopology',
]
