# SPDX-License-Identifier: Apache-2.0
"""Where a placed guest may run: the CPUs of its vCPUs and of its emulator, by the rules of Nova 34's libvirt driver."""

from __future__ import annotations

from numaplace import cpuset, exception
from numaplace.model import ISOLATE, SHARE, Host, Placement

__all__ = ['REALTIME_PRIORITY', 'configured_shared_cpus', 'emulator_cpus', 'vcpu_cpus']

#: Nova's default of ``[libvirt] realtime_scheduler_priority``.
REALTIME_PRIORITY = 1


def configured_shared_cpus(host: Host) -> int:
    """Return ``cpu_shared_set``, or 0 without it: then both sets hold all CPUs, or those of ``vcpu_pin_set``."""
    shared = host.shared_cpus
    return shared if shared != host.dedicated_cpus else 0


def vcpu_cpus(placement: Placement, host: Host) -> dict[int, int]:
    """Return the mask of CPUs that each vCPU may run on, by vCPU; none for a guest that floats.

    :raises: :class:`~numaplace.exception.InvalidConfiguration` if the host no longer has CPUs for a vCPU,
        :class:`~numaplace.exception.UsageInvalid` for a host cell that does not exist
    """
    pins: dict[int, int] = {}
    for placed in placement.cells:
        shared_cpus = host.cell(placed.host_cell).shape.shared_cpus
        for vcpu in cpuset.ids(placed.guest_cell.shared_vcpus):
            pins[vcpu] = shared_cpus
        pins |= {vcpu: 1 << cpu for vcpu, cpu in placed.pins}
        if loose := [vcpu for vcpu in cpuset.ids(placed.guest_cell.vcpus) if not pins.get(vcpu)]:
            raise exception.InvalidConfiguration(
                f'guest cell {placed.guest_cell.id}: there is no CPU for vCPU {loose[0]}: it is not pinned, and '
                f'host cell {placed.host_cell} has the shared CPUs {cpuset.text(shared_cpus) or "(none)"}'
            )
    return dict(sorted(pins.items()))


def emulator_cpus(placement: Placement, host: Host) -> int:
    """Return the mask of CPUs that the emulator's threads may run on; 0 for a guest that floats.

    :raises: as :func:`vcpu_cpus`
    """
    guest = placement.guest
    if guest.emulator_policy == ISOLATE:
        reserved = 0
        for placed in placement.cells:
            reserved |= placed.emulator_cpus
        if reserved:
            return reserved
    if guest.emulator_policy == SHARE and placement.cells and configured_shared_cpus(host):
        return configured_shared_cpus(host)
    pins = vcpu_cpus(placement, host)
    ordinary = [cpus for vcpu, cpus in pins.items() if not guest.realtime_vcpus >> vcpu & 1]
    union = 0
    for cpus in ordinary or pins.values():
        union |= cpus
    return union
