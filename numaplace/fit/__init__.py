# SPDX-License-Identifier: Apache-2.0
"""The engine: decide where the cells of a guest go on a host, exactly and identically in every process."""

from numaplace.fit.devices import Devices
from numaplace.fit.host_wide import memory_reason
from numaplace.fit.pci import PciAssignment
from numaplace.fit.placing import place, refusal
from numaplace.fit.strategies import CLOSEST, LINEAR, PACK, PRESERVE, SPREAD, Strategy, preserve

__all__ = [
    'CLOSEST',
    'LINEAR',
    'PACK',
    'PRESERVE',
    'SPREAD',
    'Devices',
    'PciAssignment',
    'Strategy',
    'memory_reason',
    'place',
    'preserve',
    'refusal',
]
