# SPDX-License-Identifier: Apache-2.0
"""The values that the packages exchange: host, guest, placement, refusal."""

from numaplace.model.cpu_topology import CpuTopology
from numaplace.model.devices import Devices, Disk, Nic
from numaplace.model.flavor import Flavor
from numaplace.model.guest import (
    DEDICATED,
    DIMM,
    ISOLATE,
    MIXED,
    NVDIMM,
    PAGES_ANY,
    PAGES_LARGE,
    PAGES_SMALL,
    PREFER,
    REQUIRE,
    SHARE,
    SHARED,
    Guest,
    GuestCell,
    MemoryModule,
    Offline,
)
from numaplace.model.hardware import Cache, MemoryAccess
from numaplace.model.host import CellShape, FreeCores, Host, HostCell, Pages, intern_shape
from numaplace.model.host_devices import HostDevices
from numaplace.model.host_resources import HostResources
from numaplace.model.limits import Limits, Networks, limit
from numaplace.model.pci import GrantedDevice, PciDevice, PciPool, PciRequest
from numaplace.model.placement import CellPlacement, Placement
from numaplace.model.refusal import Reason, Refusal, is_permanent
from numaplace.model.vnuma import Wish

__all__ = [
    'DEDICATED',
    'DIMM',
    'ISOLATE',
    'MIXED',
    'NVDIMM',
    'PAGES_ANY',
    'PAGES_LARGE',
    'PAGES_SMALL',
    'PREFER',
    'REQUIRE',
    'SHARE',
    'SHARED',
    'Cache',
    'CellPlacement',
    'CellShape',
    'CpuTopology',
    'Devices',
    'Disk',
    'Flavor',
    'FreeCores',
    'GrantedDevice',
    'Guest',
    'GuestCell',
    'Host',
    'HostCell',
    'HostDevices',
    'HostResources',
    'Limits',
    'MemoryAccess',
    'MemoryModule',
    'Networks',
    'Nic',
    'Offline',
    'Pages',
    'PciDevice',
    'PciPool',
    'PciRequest',
    'Placement',
    'Reason',
    'Refusal',
    'Wish',
    'intern_shape',
    'is_permanent',
    'limit',
]
