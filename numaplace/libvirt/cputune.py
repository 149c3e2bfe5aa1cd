# SPDX-License-Identifier: Apache-2.0
"""Where the threads of a guest run, and when: ``<cputune>``, in libvirt's order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lxml import etree

from numaplace import cpuset
from numaplace.libvirt import pinning
from numaplace.libvirt.xmltext import element
from numaplace.model import CellPlacement, Host, Placement
from numaplace.request import Tuning

__all__ = ['build', 'vcpupins']


def build(
    placement: Placement, host: Host, tuning: Tuning, *, iothreads: bool, reached: Sequence[CellPlacement]
) -> etree._Element | None:
    """Return ``<cputune>``, or None if there is nothing to say.

    :param iothreads: whether the guest has an I/O thread
    :param reached: guest cells on whose host cells the emulator has to be able to run
    :raises: as :func:`numaplace.libvirt.pinning.vcpu_cpus`
    """
    children = list(_quotas(tuning))
    if placement.cells:
        emulator = {'cpuset': cpuset.text(_reaching(placement, host, reached))}
        children += vcpupins(placement, host)
        children.append(element('emulatorpin', emulator))
        if iothreads:
            children.append(element('iothreadpin', {'iothread': '1', **emulator}))
        children += _realtime(placement)
    return element('cputune', None, *children) if children else None


def vcpupins(placement: Placement, host: Host) -> list[etree._Element]:
    """Return ``<vcpupin>`` for each vCPU.

    :raises: as :func:`numaplace.libvirt.pinning.vcpu_cpus`
    """
    return [
        element('vcpupin', {'vcpu': str(vcpu), 'cpuset': cpuset.text(cpus)})
        for vcpu, cpus in pinning.vcpu_cpus(placement, host).items()
    ]


def _quotas(tuning: Tuning) -> Iterator[etree._Element]:
    for name in ('shares', 'period', 'quota'):
        value = getattr(tuning, name)
        if value is not None:
            yield element(name, text=str(value))


def _realtime(placement: Placement) -> Iterator[etree._Element]:
    priority = str(pinning.REALTIME_PRIORITY)
    for vcpu in cpuset.ids(placement.guest.realtime_vcpus):  # one by one, as libvirt prints them
        yield element('vcpusched', {'vcpus': str(vcpu), 'scheduler': 'fifo', 'priority': priority})


def _reaching(placement: Placement, host: Host, reached: Sequence[CellPlacement]) -> int:
    """Return the emulator's CPUs, and those of the guest in each cell that they do not reach."""
    emulator = pinning.emulator_cpus(placement, host)
    pins = pinning.vcpu_cpus(placement, host)
    for placed in reached:
        shape = host.cell(placed.host_cell).shape
        if not emulator & (shape.online_cpus | shape.shared_cpus | shape.dedicated_cpus):
            for vcpu in cpuset.ids(placed.guest_cell.vcpus):
                emulator |= pins[vcpu]
    return emulator
