# SPDX-License-Identifier: Apache-2.0
"""Write ``<cputune>``, in libvirt's order: where and when the threads of a guest run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from numaplace import cpuset
from numaplace.libvirt import pinning
from numaplace.libvirt.xmltext import Element, element
from numaplace.model import CellPlacement, Host, Placement
from numaplace.request import Tuning

__all__ = ['build', 'pins']


def build(
    placement: Placement, host: Host, tuning: Tuning, *, iothreads: bool, emulator_cells: Sequence[CellPlacement]
) -> Element | None:
    """Return ``<cputune>``, or None if it would be empty.

    :param iothreads: whether the guest has an I/O thread
    :param emulator_cells: guest cells whose host cells the emulator must be able to run on
    :raises: as :func:`numaplace.libvirt.pinning.vcpu_cpus`
    """
    children = list(_quotas(tuning))
    if placement.cells:
        children += pins(placement, host, iothreads=iothreads, emulator_cells=emulator_cells)
        children += _realtime(placement)
    return element('cputune', None, *children) if children else None


def pins(
    placement: Placement, host: Host, *, iothreads: bool, emulator_cells: Sequence[CellPlacement]
) -> Iterator[Element]:
    """Yield ``<vcpupin>`` for each vCPU, and where the other threads of a guest with cells run.

    :param iothreads: as for :func:`build`, and `emulator_cells` likewise
    :raises: as :func:`numaplace.libvirt.pinning.vcpu_cpus`
    """
    for vcpu, cpus in pinning.vcpu_cpus(placement, host).items():
        yield element('vcpupin', {'vcpu': str(vcpu), 'cpuset': cpuset.text(cpus)})
    emulator = {'cpuset': cpuset.text(_reaching(placement, host, emulator_cells))}
    yield element('emulatorpin', emulator)
    if iothreads:
        yield element('iothreadpin', {'iothread': '1', **emulator})


def _quotas(tuning: Tuning) -> Iterator[Element]:
    for name in ('shares', 'period', 'quota'):
        value = getattr(tuning, name)
        if value is not None:
            yield element(name, text=str(value))


def _realtime(placement: Placement) -> Iterator[Element]:
    priority = str(pinning.REALTIME_PRIORITY)
    for vcpu in cpuset.ids(placement.guest.realtime_vcpus):  # one by one, as libvirt prints them
        yield element('vcpusched', {'vcpus': str(vcpu), 'scheduler': 'fifo', 'priority': priority})


def _reaching(placement: Placement, host: Host, emulator_cells: Sequence[CellPlacement]) -> int:
    """Return the emulator's CPUs, plus the guest's CPUs in each cell that these do not reach."""
    emulator = pinning.emulator_cpus(placement, host)
    pins = pinning.vcpu_cpus(placement, host)
    for placed in emulator_cells:
        shape = host.cell(placed.host_cell).shape
        if not emulator & (shape.online_cpus | shape.shared_cpus | shape.dedicated_cpus):
            for vcpu in cpuset.ids(placed.guest_cell.vcpus):
                emulator |= pins[vcpu]
    return emulator
