# SPDX-License-Identifier: Apache-2.0
"""Versioned objects: Nova's, with its names, fields and versions, and numaplace's own.

The table in :mod:`numaplace.wire` defines their fields, their versions and what other versions contain. They are
registered only here: a class of the same name in the registry of a process is never replaced.
"""

from numaplace.objects.details import (
    AccessDetails,
    CacheDetails,
    CellDetails,
    DeviceDetails,
    GuestDetails,
    HostDetails,
    ModuleDetails,
    MoveDetails,
    OfflineDetails,
    SideDetails,
)
from numaplace.objects.fleet import (
    Fleet,
    FleetAggregate,
    FleetAllocation,
    FleetDisk,
    FleetFlavor,
    FleetHost,
    FleetInventory,
    FleetMove,
    FleetNic,
    FleetPlacement,
    FleetProvider,
    FleetRequestSpec,
    FleetServer,
    FleetSide,
    FleetUnread,
)
from numaplace.objects.instance_numa import (
    InstanceNUMACell,
    InstanceNUMATopology,
    LibvirtLiveMigrateNUMAInfo,
    MigrationContext,
    VirtCPUTopology,
)
from numaplace.objects.messages import CreateRequest, Decision, ServerRequest
from numaplace.objects.numa import NetworkMetadata, NUMACell, NUMAPagesTopology, NUMATopology, NUMATopologyLimits

__all__ = [
    'AccessDetails',
    'CacheDetails',
    'CellDetails',
    'CreateRequest',
    'Decision',
    'DeviceDetails',
    'Fleet',
    'FleetAggregate',
    'FleetAllocation',
    'FleetDisk',
    'FleetFlavor',
    'FleetHost',
    'FleetInventory',
    'FleetMove',
    'FleetNic',
    'FleetPlacement',
    'FleetProvider',
    'FleetRequestSpec',
    'FleetServer',
    'FleetSide',
    'FleetUnread',
    'GuestDetails',
    'HostDetails',
    'InstanceNUMACell',
    'InstanceNUMATopology',
    'LibvirtLiveMigrateNUMAInfo',
    'MigrationContext',
    'ModuleDetails',
    'MoveDetails',
    'NUMACell',
    'NUMAPagesTopology',
    'NUMATopology',
    'NUMATopologyLimits',
    'NetworkMetadata',
    'OfflineDetails',
    'ServerRequest',
    'SideDetails',
    'VirtCPUTopology',
]
