# SPDX-License-Identifier: Apache-2.0
"""Read Nova's objects into the model."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from numaplace.model import (
    DEDICATED,
    ISOLATE,
    CellPlacement,
    CellShape,
    CpuTopology,
    Guest,
    GuestCell,
    Host,
    HostCell,
    Limits,
    Networks,
    Pages,
    Placement,
    intern_shape,
)
from numaplace.wire.primitives import open_object

__all__ = ['host_of', 'placement_of', 'read_guest', 'read_host', 'read_limits', 'read_placement']


def read_host(source: Any) -> Host:
    """Read a NUMATopology into a host; the counters of the whole host are the sums of its cells.

    :raises: :class:`~numaplace.exception.InvalidObject`, :class:`~numaplace.exception.IncompatibleObjectVersion`
    """
    return host_of(open_object(source, 'NUMATopology'))


def host_of(data: dict[str, Any]) -> Host:
    """Return the host of a NUMATopology that is opened already."""
    cells = tuple([_host_cell(cell) for cell in data['cells']])
    vcpus_used = sum([cell.cpu_usage + cell.pinned_cpus.bit_count() for cell in cells])
    return Host(cells, vcpus_used, sum([cell.memory_usage_mib for cell in cells]))


def _host_cell(data: dict[str, Any]) -> HostCell:
    networks = data['network_metadata'] or _NO_NETWORKS
    shape = _shape(
        data['id'],
        data['cpuset'],
        data['pcpuset'],
        data['memory'],
        data['siblings'],
        data['socket'],
        networks['physnets'],
        networks['tunneled'],
    )
    pages = tuple([_pages(p['size_kb'], p['total'], p['used'], p['reserved']) for p in data['mempages']])
    return HostCell(shape, data['pinned_cpus'], data['cpu_usage'], data['memory_usage'], pages)


_NO_NETWORKS = {'physnets': frozenset[str](), 'tunneled': False}

# Hosts are read often and change little: equal parts are created once.
_pages = lru_cache(maxsize=65536)(Pages)


@lru_cache(maxsize=65536)
def _shape(*fields: Any) -> CellShape:
    return intern_shape(CellShape(*fields))


def read_guest(source: Any) -> Guest:
    """Read an InstanceNUMATopology that is a request: its cells are numbered from 0 and hold no pins.

    :raises: as :func:`read_host`
    """
    return _guest(open_object(source, 'InstanceNUMATopology'))


def _guest(data: dict[str, Any]) -> Guest:
    cells = tuple([_guest_cell(cell) for cell in data['cells']])
    vcpus = sum(cell.vcpus.bit_count() for cell in cells)
    topology = next((cell['cpu_topology'] for cell in data['cells'] if cell['cpu_topology']), None)
    return Guest(
        vcpus=vcpus,
        memory_mib=sum(cell.memory_mib for cell in cells),
        cells=cells,
        emulator_policy=data['emulator_threads_policy'],
        cpu_topology=CpuTopology(*(topology[key] or 1 for key in ('sockets', 'cores', 'threads')))
        if topology
        else None,
        instance_uuid=data['instance_uuid'],
    )


def _guest_cell(data: dict[str, Any]) -> GuestCell:
    shared, dedicated = data['cpuset'], data['pcpuset']
    if data['cpu_policy'] == DEDICATED and not dedicated:  # rows of any version may have the old form
        shared, dedicated = 0, shared
    return GuestCell(
        id=data['id'],
        shared_vcpus=shared,
        dedicated_vcpus=dedicated,
        memory_mib=data['memory'],
        pagesize_kib=data['pagesize'] or None,
        cpu_policy=data['cpu_policy'],
        thread_policy=data['cpu_thread_policy'],
    )


def read_placement(source: Any, host: Host | None = None) -> Placement:
    """Read an InstanceNUMATopology that was claimed: its cells carry the ids of host cells, and pins.

    :param host: the host that it was claimed on; without it, thread policy isolate takes no sibling CPUs
    :raises: as :func:`read_host`
    """
    return placement_of(open_object(source, 'InstanceNUMATopology'), host)


def placement_of(data: dict[str, Any], host: Host | None) -> Placement:
    """Return the placement of an InstanceNUMATopology that is opened already."""
    guest = _guest(data)
    shapes = {cell.id: cell.shape for cell in host.cells} if host else {}
    cells = [
        _placed(cell, fields, shapes.get(cell.id)) for cell, fields in zip(guest.cells, data['cells'], strict=True)
    ]
    return Placement(guest, tuple(cells))


def _placed(cell: GuestCell, data: dict[str, Any], shape: CellShape | None) -> CellPlacement:
    pins = data['cpu_pinning_raw'] or ()
    emulator_cpus = taken = data['cpuset_reserved'] or 0
    for _vcpu, cpu in pins:
        taken |= 1 << cpu
    if not cell.is_pinned:
        taken = 0
    elif cell.thread_policy == ISOLATE and shape is not None:
        taken = shape.with_siblings(taken)
    return CellPlacement(cell, cell.id, cell.pagesize_kib, pins, emulator_cpus, taken)


def read_limits(source: Any) -> tuple[Limits, Networks | None]:
    """Read a NUMATopologyLimits: the ratios, and the networks of the guest or None.

    :raises: as :func:`read_host`
    """
    data = open_object(source, 'NUMATopologyLimits')
    networks = data['network_metadata']
    return (
        Limits(data['cpu_allocation_ratio'], data['ram_allocation_ratio']),
        Networks(networks['physnets'], networks['tunneled']) if networks else None,
    )
