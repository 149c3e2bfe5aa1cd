# SPDX-License-Identifier: Apache-2.0
"""How the XML of a live-migrated guest has to change: what the destination sends to the source."""

from __future__ import annotations

from typing import Any

from numaplace import wire
from numaplace.libvirt import pinning
from numaplace.model import Host, Placement

__all__ = ['numa_info']


def numa_info(placement: Placement, host: Host, target: wire.Target = wire.JSON) -> Any:
    """Return the pins of a guest at its destination as a LibvirtLiveMigrateNUMAInfo 1.0.

    :param placement: placement of the guest; for a floating guest the result has no fields
    :param host: the destination
    :raises: as :func:`numaplace.libvirt.pinning.vcpu_cpus`
    """
    if not placement.cells:
        return wire.write_live_migrate_numa_info(None, target)
    info = wire.LiveMigrateNumaInfo(
        cpu_pins=tuple(pinning.vcpu_cpus(placement, host).items()),
        cell_pins=tuple((index, 1 << placed.host_cell) for index, placed in enumerate(placement.cells)),
        emulator_pins=pinning.emulator_cpus(placement, host),
        sched_vcpus=placement.guest.realtime_vcpus,
        sched_priority=pinning.REALTIME_PRIORITY if placement.guest.realtime_vcpus else None,
    )
    return wire.write_live_migrate_numa_info(info, target)
