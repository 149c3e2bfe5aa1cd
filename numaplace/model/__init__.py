# SPDX-License-Identifier: Apache-2.0
"""The values that go through the house: host, guest, placement, refusal."""

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
    CpuTopology,
    Guest,
    GuestCell,
    MemoryModule,
    Offline,
)
from numaplace.model.hardware import Cache, MemoryAccess
from numaplace.model.host import CellShape, FreeCores, Host, HostCell, Pages, intern_shape
from numaplace.model.limits import Limits, Networks
from numaplace.model.placement import CellPlacement, Placement
from numaplace.model.refusal import Reason, Refusal
from numaplace.model.wish import Wish

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
    'FreeCores',
    'Guest',
    'GuestCell',
    'Host',
    'HostCell',
    'Limits',
    'MemoryAccess',
    'MemoryModule',
    'Networks',
    'Offline',
    'Pages',
    'Placement',
    'Reason',
    'Refusal',
    'Wish',
    'intern_shape',
]
