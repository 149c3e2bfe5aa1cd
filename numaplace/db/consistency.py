# SPDX-License-Identifier: Apache-2.0
"""What the values of a row have to agree on: ranges within the JSON, and what one value says about another."""

from __future__ import annotations

from collections.abc import Iterable

from numaplace import cpuset, exception
from numaplace.model import DEDICATED, ISOLATE, MIXED, CellPlacement, Guest, HostCell, Placement

__all__ = ['check_host_cells', 'check_placement', 'expect']

#: The largest number of any key: JSON has no limit.
_LARGEST = 2**63 - 1


def expect(key: str, is_right: bool, found: object, expected: str) -> None:
    """Refuse a value that is out of range, or contradicts others.

    :param key: column or JSON key
    :raises: :class:`~numaplace.exception.InvalidObject`
    """
    if not is_right:
        raise exception.InvalidObject(f'{key!r} is {found!r:.60}: expected {expected}')


def _range(key: str, number: int | None, low: int, high: int = _LARGEST) -> None:
    if number is not None and not low <= number <= high:
        expect(key, False, number, f'a whole number from {low}' + (f' to {high}' if high < _LARGEST else ''))


def _disjoint(key: str, masks: Iterable[int], what: str) -> int:
    """Return the union of masks that share no bit."""
    union = 0
    for mask in masks:
        if union & mask:
            expect(key, False, cpuset.text(union & mask), f'{what} in one cell only')
        union |= mask
    return union


# --- servers


def check_placement(placement: Placement) -> None:
    """Make sure that a guest and its cells can be what was placed.

    :raises: :class:`~numaplace.exception.InvalidObject`
    """
    guest = placement.guest
    _range('vcpus', guest.vcpus, 1, cpuset.MAX_CPU + 1)
    _range('memory', guest.memory_mib, 1)
    for placed in placement.cells:
        _check_cell(placed)
    _disjoint('cpuset', [placed.guest_cell.vcpus for placed in placement.cells], 'each vCPU')
    held = [cpuset.mask(cpu for _, cpu in placed.pins) | placed.emulator_cpus for placed in placement.cells]
    _disjoint('cpu_pinning_raw', held, 'each CPU')
    isolated = any(placed.emulator_cpus for placed in placement.cells)
    wanted = guest.emulator_policy == ISOLATE and any(placed.guest_cell.is_pinned for placed in placement.cells)
    expect(
        'emulator_threads_policy',
        isolated == wanted,
        guest.emulator_policy,
        "'isolate' if CPUs are reserved for the emulator, and no other policy",
    )
    _check_details(guest)


def _check_cell(placed: CellPlacement) -> None:
    cell, policy = placed.guest_cell, placed.guest_cell.cpu_policy
    _range('id', placed.host_cell, 0)
    _range('memory', cell.memory_mib, 1)
    _range('pagesize', cell.pagesize_kib, 1)
    is_pure = not cell.shared_vcpus if policy == DEDICATED else not cell.dedicated_vcpus or policy == MIXED
    expect('cpu_policy', is_pure, policy, 'the policy of the vCPUs of its cell')
    pinned = [vcpu for vcpu, _ in placed.pins]
    expect('cpu_pinning_raw', pinned == list(cpuset.ids(cell.dedicated_vcpus)), dict(placed.pins), 'each pinned vCPU')
    cpus = {cpu for _, cpu in placed.pins}
    is_free = len(cpus) == len(pinned) and not any(placed.emulator_cpus >> cpu & 1 for cpu in cpus)
    expect('cpu_pinning_raw', is_free, dict(placed.pins), 'each CPU once, without those reserved for the emulator')


def _check_details(guest: Guest) -> None:
    number = max(1, len(guest.cells))
    expect('offline', len(guest.offline) in (0, number), len(guest.offline), f'an entry for each of {number} cells')
    online = _disjoint('cpuset', [cell.vcpus for cell in guest.cells], 'each vCPU')
    off = _disjoint('offline', [mask for each in guest.offline for mask in each], 'each vCPU')
    _disjoint('offline', (online, off), 'each vCPU on or off, and')
    every = _disjoint('cpuset', guest.cell_vcpus, 'each vCPU')
    expect('realtime_vcpus', not guest.realtime_vcpus & ~every, cpuset.text(guest.realtime_vcpus), 'vCPUs of the guest')
    if (topology := guest.cpu_topology) is not None:
        parts = topology.sockets, topology.cores, topology.threads
        is_whole = min(parts) > 0 and parts[0] * parts[1] * parts[2] == guest.most_vcpus
        expect('cpu_topology', is_whole, parts, f'sockets, cores and threads of {guest.most_vcpus} vCPUs')
    for module in guest.modules:
        _range('size_mib', module.size_mib, 1)
        _range('cell', module.cell, 0, number - 1)
        _range('align_kib', module.align_kib, 1)
        _range('label_kib', module.label_kib, 1)


# --- hosts


def check_host_cells(cells: tuple[HostCell, ...]) -> None:
    """Make sure that the cells of a host can be, and that nobody uses what they do not have.

    :raises: :class:`~numaplace.exception.InvalidObject`
    """
    ids = [cell.id for cell in cells]
    expect('id', len(set(ids)) == len(ids), ids, 'each cell once')
    for cell in cells:
        _check_shape(cell)
        _range('cpu_usage', cell.cpu_usage, 0)
        _range('memory_usage', cell.memory_usage_mib, 0)
        strange = cell.pinned_cpus & ~cell.shape.dedicated_cpus
        expect('pinned_cpus', not strange, cpuset.text(cell.pinned_cpus), 'dedicated CPUs of the cell')
        for pages in cell.pages:
            _range('size_kb', pages.size_kib, 1)
            for key in ('total', 'used', 'reserved'):
                _range(key, getattr(pages, key), 0)
    _disjoint('cpuset', [cell.shape.shared_cpus | cell.shape.dedicated_cpus for cell in cells], 'each CPU')


def _check_shape(cell: HostCell) -> None:
    shape = cell.shape
    _range('id', shape.id, 0)
    _range('memory', shape.memory_mib, 0)
    _range('socket', shape.socket, 0)
    for other, distance in shape.distances:
        _range('distances', other, 0)
        _range('distances', distance, 0)
    for bank in shape.caches:
        _range('level', bank.level, 1)
        _range('size_kib', bank.size_kib, 0)
    for access in shape.accesses:
        for key in (
            'initiator',
            'read_latency_ns',
            'write_latency_ns',
            'read_bandwidth_mib_s',
            'write_bandwidth_mib_s',
        ):
            _range(key, getattr(access, key), 0)
