# SPDX-License-Identifier: Apache-2.0
"""Write the model as Nova's objects."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from numaplace import cpuset
from numaplace.model import CellPlacement, Host, HostCell, Networks, Pages, Placement
from numaplace.wire.primitives import primitive

__all__ = ['JSON', 'Target', 'write_host', 'write_pages', 'write_placement']


@dataclass(frozen=True, slots=True)
class Target:
    """The form that is written: how objects and sets are created.

    :param make: creates an object from its name and fields
    :param collect: creates a set from its items in ascending order
    """

    make: Callable[[str, dict[str, Any]], Any]
    collect: Callable[[Iterable[Any]], Any]


#: Writes dicts that :func:`dumps` accepts.
JSON = Target(primitive, list)


@lru_cache(maxsize=65536)
def _ids(cpus: int) -> tuple[int, ...]:
    """Return the numbers of a mask; cached, as cores and cells recur in each host that is written."""
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


def write_placement(placement: Placement, target: Target = JSON) -> Any:
    """Write a placed guest as an InstanceNUMATopology 1.3: ids of host cells, page sizes and pins."""
    guest = placement.guest
    data: dict[str, Any] = {
        'cells': [_write_guest_cell(placed, target) for placed in placement.cells],
        'emulator_threads_policy': guest.emulator_policy,
    }
    if guest.instance_uuid is not None:
        data['instance_uuid'] = guest.instance_uuid
    return target.make('InstanceNUMATopology', data)


def _write_guest_cell(placed: CellPlacement, target: Target) -> Any:
    cell, cpus = placed.guest_cell, target.collect
    return target.make(
        'InstanceNUMACell',
        {
            'id': placed.host_cell,
            'cpuset': cpus(cpuset.ids(cell.shared_vcpus)),
            'pcpuset': cpus(cpuset.ids(cell.dedicated_vcpus)),
            'cpuset_reserved': cpus(cpuset.ids(placed.emulator_cpus)) if placed.emulator_cpus else None,
            'memory': cell.memory_mib,
            'pagesize': placed.pagesize_kib,
            'cpu_pinning_raw': {str(vcpu): cpu for vcpu, cpu in placed.pins} or None,
            'cpu_policy': cell.cpu_policy,
            'cpu_thread_policy': cell.thread_policy,
        },
    )
