# SPDX-License-Identifier: Apache-2.0
"""The model into Nova's objects."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from numaplace import cpuset
from numaplace.model import CellPlacement, Guest, GuestCell, Host, HostCell, Limits, Networks, Pages, Placement
from numaplace.wire.table import primitive

__all__ = ['JSON', 'Target', 'write_guest', 'write_host', 'write_limits', 'write_pages', 'write_placement']


@dataclass(frozen=True, slots=True)
class Target:
    """What is written: how an object is made of its name and fields, and what holds a set.

    :param make: takes the name of an object and its fields
    :param collect: takes the items of a set in ascending order
    """

    make: Callable[[str, dict[str, Any]], Any]
    collect: Callable[[Iterable[Any]], Any]


#: Writes dicts that :func:`dumps` takes.
JSON = Target(primitive, list)


@lru_cache(maxsize=65536)
def _ids(cpus: int) -> tuple[int, ...]:
    """Return the numbers of a mask; those of cores and cells come again with each host that is written."""
    return tuple(cpuset.ids(cpus))


def write_host(host: Host, target: Target = JSON) -> Any:
    """Write a host as a NUMATopology 1.2 with cells 1.5."""
    return target.make('NUMATopology', {'cells': [_write_host_cell(cell, target) for cell in host.cells]})


def _write_host_cell(cell: HostCell, target: Target) -> Any:
    shape, cpus = cell.shape, target.collect
    return target.make(
        'NUMACell',
        {
            'id': shape.id,
            'cpuset': cpus(_ids(shape.shared_cpus)),
            'pcpuset': cpus(_ids(shape.dedicated_cpus)),
            'memory': shape.memory_mib,
            'cpu_usage': cell.cpu_usage,
            'memory_usage': cell.memory_usage_mib,
            'pinned_cpus': cpus(_ids(cell.pinned_cpus)),
            'siblings': [cpus(_ids(core)) for core in shape.siblings],
            'mempages': [write_pages(pages, target) for pages in cell.pages],
            'network_metadata': _write_networks(Networks(shape.physnets, shape.tunneled), target),
            'socket': shape.socket,
        },
    )


def write_pages(pages: Pages, target: Target = JSON) -> Any:
    """Write the pages of one size as a NUMAPagesTopology 1.1."""
    data = {'size_kb': pages.size_kib, 'total': pages.total, 'used': pages.used, 'reserved': pages.reserved}
    return target.make('NUMAPagesTopology', data)


def _write_networks(networks: Networks, target: Target) -> Any:
    data = {'physnets': target.collect(sorted(networks.physnets)), 'tunneled': networks.tunneled}
    return target.make('NetworkMetadata', data)


def write_guest(guest: Guest, target: Target = JSON) -> Any:
    """Write a request as an InstanceNUMATopology 1.3 with cells 1.6."""
    return _write_topology(guest, [_write_guest_cell(cell, cell.id, target) for cell in guest.cells], target)


def write_placement(placement: Placement, target: Target = JSON) -> Any:
    """Write a placed guest as an InstanceNUMATopology 1.3: ids of host cells, page sizes and pins."""
    cells = [
        _write_guest_cell(
            placed.guest_cell,
            placed.host_cell,
            target,
            pagesize=placed.pagesize_kib,
            cpu_pinning_raw=_write_pins(placed),
            cpuset_reserved=target.collect(cpuset.ids(placed.emulator_cpus)) if placed.emulator_cpus else None,
        )
        for placed in placement.cells
    ]
    return _write_topology(placement.guest, cells, target)


def _write_pins(placed: CellPlacement) -> dict[str, int] | None:
    return {str(vcpu): cpu for vcpu, cpu in placed.pins} or None


def _write_guest_cell(cell: GuestCell, cell_id: int, target: Target, **placed: Any) -> Any:
    data = {
        'id': cell_id,
        'cpuset': target.collect(cpuset.ids(cell.shared_vcpus)),
        'pcpuset': target.collect(cpuset.ids(cell.dedicated_vcpus)),
        'cpuset_reserved': None,
        'memory': cell.memory_mib,
        'pagesize': cell.pagesize_kib,
        'cpu_pinning_raw': None,
        'cpu_policy': cell.cpu_policy,
        'cpu_thread_policy': cell.thread_policy,
    }
    return target.make('InstanceNUMACell', data | placed)


def _write_topology(guest: Guest, cells: list[Any], target: Target) -> Any:
    data: dict[str, Any] = {'cells': cells, 'emulator_threads_policy': guest.emulator_policy}
    if guest.instance_uuid is not None:
        data['instance_uuid'] = guest.instance_uuid
    return target.make('InstanceNUMATopology', data)


def write_limits(limits: Limits, networks: Networks | None = None, target: Target = JSON) -> Any:
    """Write limits as a NUMATopologyLimits 1.1."""
    data: dict[str, Any] = {
        'cpu_allocation_ratio': limits.cpu_allocation_ratio,
        'ram_allocation_ratio': limits.ram_allocation_ratio,
    }
    if networks is not None:
        data['network_metadata'] = _write_networks(networks, target)
    return target.make('NUMATopologyLimits', data)
