# SPDX-License-Identifier: Apache-2.0
"""The usage of a host as its servers make it, beside what is stored; conflicts between servers do not stop it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from numaplace import cpuset, units
from numaplace.fleet.findings import Finding
from numaplace.model import CellPlacement, Host, HostCell, HostDevices, HostResources, Pages, Placement
from numaplace.model.records import HostRecord

__all__ = ['check', 'count', 'pinned']


def count(host: Host, placements: Sequence[Placement]) -> Host:
    """Return a host with the usage of these placements alone; what two of them hold counts once.

    Linear in the number of guest cells; of those on host cells that do not exist only the CPUs are counted.
    """
    by_cell: dict[int, list[CellPlacement]] = {cell.id: [] for cell in host.cells}
    held = pinned(host.cells, [placed for placement in placements for placed in placement.cells])
    for placement in placements:
        for placed in placement.cells:
            by_cell.get(placed.host_cell, []).append(placed)
    return Host(
        cells=tuple([_count_cell(cell, held[cell.id], by_cell[cell.id]) for cell in host.cells]),
        vcpus_used=sum([placement.guest.vcpus for placement in placements]),
        memory_used_mib=sum([placement.guest.memory_mib for placement in placements]),
        floating_vcpus=sum([placement.guest.vcpus for placement in placements if not placement.cells]),
        devices=_count_devices(host, placements),
        resources=_count_resources(host, placements),
    )


def _count_devices(host: Host, placements: Iterable[Placement]) -> HostDevices:
    held = {granted.device.address for placement in placements for granted in placement.devices}
    return replace(host.devices, taken=frozenset(held & {device.address for device in host.devices.known}))


def _count_resources(host: Host, placements: Iterable[Placement]) -> HostResources:
    # Those that the host does not have are reported by themselves, as is one that more servers hold than may.
    held = sorted([name for placement in placements for name in placement.resources])
    return replace(host.resources, used=tuple([name for name in held if host.resources.total(name)]))


def pinned(cells: Sequence[HostCell], placed: Iterable[CellPlacement]) -> dict[int, int]:
    """Return by host cell the masks of the CPUs that guest cells hold, each once, in the host cell that has it.

    A CPU that is dedicated in no host cell is in that of the guest cell, if the host has it.
    """
    taken = dict.fromkeys([cell.id for cell in cells], 0)
    elsewhere = 0
    for one in placed:
        if one.host_cell in taken:
            taken[one.host_cell] |= one.taken
        else:
            elsewhere |= one.taken
    everywhere = cpuset.union(taken.values()) | elsewhere
    dedicated = cpuset.union([cell.shape.dedicated_cpus for cell in cells])
    return {cell.id: everywhere & cell.shape.dedicated_cpus | taken[cell.id] & ~dedicated for cell in cells}


def _count_cell(cell: HostCell, held: int, placed: Sequence[CellPlacement]) -> HostCell:
    return HostCell(
        cell.shape,
        held,
        sum([one.guest_cell.shared_vcpus.bit_count() for one in placed]),
        sum([one.guest_cell.memory_mib for one in placed]),
        _count_pages(cell, placed),
    )


def _count_pages(cell: HostCell, placed: Iterable[CellPlacement]) -> tuple[Pages, ...]:
    smallest = cell.smallest_pages
    if smallest is None:
        return ()
    used = dict.fromkeys([pages.size_kib for pages in cell.pages], 0)
    for one in placed:
        size_kib = one.pagesize_kib or smallest.size_kib
        if size_kib in used:
            used[size_kib] += one.guest_cell.memory_mib * units.KIB_PER_MIB // size_kib
    return tuple([replace(pages, used=used[pages.size_kib]) for pages in cell.pages])


def check(record: HostRecord, counted: Host) -> Iterator[Finding]:
    """Compare the stored usage of a host with what its servers hold, and both with what the host has."""
    yield from _check_whole(record, counted)
    for code, wrong in (
        ('devices.leaked', record.host.devices.taken - counted.devices.taken),
        ('devices.uncounted', counted.devices.taken - record.host.devices.taken),
        ('resources.leaked', (Counter(record.host.resources.used) - Counter(counted.resources.used)).elements()),
        ('resources.uncounted', (Counter(counted.resources.used) - Counter(record.host.resources.used)).elements()),
    ):
        if found := ', '.join(sorted(wrong)):
            yield Finding(code, record.name, found=found)
    for stored, right in zip(record.host.cells, counted.cells, strict=True):
        for code, found, expected, subject in _check_cell(stored, right, record.ram_allocation_ratio):
            yield Finding(code, record.name, None, stored.id, found, expected, subject)


def _check_whole(record: HostRecord, counted: Host) -> Iterator[Finding]:
    stored = record.host
    for subject, found, expected in (
        ('vCPUs', stored.vcpus_used, counted.vcpus_used),
        ('MiB', stored.memory_used_mib, counted.memory_used_mib),
        ('vCPUs that float', stored.floating_vcpus, counted.floating_vcpus),
    ):
        if found != expected:
            yield Finding('usage.host', record.name, found=str(found), expected=str(expected), subject=subject)


def _check_cell(stored: HostCell, right: HostCell, ram_ratio: float | None) -> Iterator[tuple[str, str, str, str]]:
    if leaked := stored.pinned_cpus & ~right.pinned_cpus:
        yield 'cpus.leaked', cpuset.text(leaked), '', ''
    if uncounted := right.pinned_cpus & ~stored.pinned_cpus:
        yield 'cpus.uncounted', cpuset.text(uncounted), '', ''
    yield from _check_negative(stored)
    if stored.cpu_usage != right.cpu_usage:
        yield 'cpus.shared', str(stored.cpu_usage), str(right.cpu_usage), ''
    if stored.memory_usage_mib != right.memory_usage_mib:
        yield 'memory.counted', str(stored.memory_usage_mib), str(right.memory_usage_mib), ''
    if ram_ratio is not None and right.memory_usage_mib > (most := int(right.shape.memory_mib * ram_ratio)):
        yield 'memory.overdrawn', str(right.memory_usage_mib), str(most), ''
    smallest = right.smallest_pages
    for pages, counted in zip(stored.pages, right.pages, strict=True):
        yield from _check_pages(pages, counted, limited=counted is not smallest)


def _check_negative(stored: HostCell) -> Iterator[tuple[str, str, str, str]]:
    amounts = {
        'shared vCPUs': stored.cpu_usage,
        'MiB': stored.memory_usage_mib,
        **{f'pages of {units.size(pages.size_kib)}': pages.used for pages in stored.pages},
    }
    for unit, amount in amounts.items():
        if amount < 0:
            yield 'usage.negative', f'{amount} {unit}', '', ''


def _check_pages(stored: Pages, counted: Pages, *, limited: bool) -> Iterator[tuple[str, str, str, str]]:
    # Pages of the smallest size may be overcommitted: the allocation ratio is their limit.
    size = units.size(stored.size_kib)
    if stored.used != counted.used:
        yield 'pages.counted', str(stored.used), str(counted.used), size
    if limited and counted.used and counted.free < 0:
        yield 'pages.overdrawn', str(counted.used), str(counted.total - counted.reserved), size
