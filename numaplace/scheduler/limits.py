# SPDX-License-Identifier: Apache-2.0
"""How far a host may be overcommitted."""

from numaplace.conf import default
from numaplace.model import Limits
from numaplace.model.records import HostRecord

__all__ = ['limits']


def limits(host: HostRecord) -> Limits:
    """Return the host's allocation ratios; if it has none, the defaults of the configuration."""
    return Limits(
        host.cpu_allocation_ratio or default.INITIAL_CPU_RATIO,
        host.ram_allocation_ratio or default.INITIAL_RAM_RATIO,
    )
