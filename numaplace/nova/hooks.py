# SPDX-License-Identifier: Apache-2.0
"""What stands in the place of Nova's functions: the same parameters, answers of Nova's classes, Nova's exceptions.

Importing this imports Nova's services; :func:`numaplace.nova.engine.install` does it when it is time.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NoReturn

from nova import conf
from nova import exception as nova_exception

from numaplace import cpuset, exception, fit
from numaplace.model import CellPlacement, Guest, Host, HostCell, Placement, Refusal
from numaplace.nova import convert, topologies
from numaplace.nova.devices import PciDevices
from numaplace.units import KIB_PER_MIB

__all__ = [
    'count',
    'devices',
    'numa_fit_instance_to_host',
    'numa_usage_from_instance_numa',
    'place',
    'restoring',
]


def numa_fit_instance_to_host(  # noqa: PLR0917 - as Nova's callers give them
    host_topology: Any,
    instance_topology: Any,
    provider_mapping: Any,
    limits: Any = None,
    pci_requests: Any = None,
    pci_stats: Any = None,
) -> Any:
    """Fit a guest onto a host; the request stays as it is.

    :returns: a new ``InstanceNUMATopology``, or None if the guest does not fit or there is no topology
    """
    if not host_topology or not instance_topology:
        return None
    if len(instance_topology) > len(host_topology):
        return None  # as Nova, before anything of the cells is read
    offered = devices(instance_topology, provider_mapping, pci_requests, pci_stats)
    answer = place(topologies.read(host_topology), convert.read_guest(instance_topology), limits, offered)
    return convert.write_placement(answer) if answer else None


def devices(instance_topology: Any, provider_mapping: Any, pci_requests: Any, pci_stats: Any) -> PciDevices | None:
    """Return the devices that a guest may have, None where the host counts none."""
    return PciDevices(pci_stats, pci_requests, provider_mapping, instance_topology.cells) if pci_stats else None


def place(host: Host, guest: Guest, limits: Any, offered: PciDevices | None) -> Placement | Refusal:
    """Return the answer of the fit by the strategy of Nova's configuration.

    :param limits: Nova's ``NUMATopologyLimits``, or None
    """
    ratios, networks = convert.read_limits(limits)
    strategy = fit.PACK if conf.CONF.compute.packing_host_numa_cells_allocation_strategy else fit.SPREAD
    return fit.place(host, guest, limits=ratios, devices=offered, networks=networks, strategy=strategy)


def numa_usage_from_instance_numa(host_topology: Any, instance_topology: Any, free: bool = False) -> Any:
    """Count a placed guest into the usage of a host, or out of it.

    Host cells that the host does not have are passed over, and no counter goes below zero: a compute node counts
    guests that were placed before its cells or its configuration changed.

    :returns: a new ``NUMATopology``, or the host's own if there is nothing to count
    :raises: Nova's ``CPUPinningInvalid``, ``CPUPinningUnknown``, ``CPUUnpinningInvalid`` or ``CPUUnpinningUnknown``
    """
    if not host_topology or not instance_topology:
        return host_topology
    return topologies.write(count(topologies.read(host_topology), instance_topology, free=free))


def count(host: Host, instance_topology: Any, *, free: bool) -> Host:
    """Return a host with a placed guest counted; errors as :func:`numa_usage_from_instance_numa`."""
    placement = convert.read_placement(instance_topology, host)
    cells = {cell.id: cell for cell in host.cells}
    for placed in placement.cells:
        if placed.host_cell in cells:
            cells[placed.host_cell] = _count(cells[placed.host_cell], placed, free=free)
    return Host(tuple(cells.values()))


def _count(cell: HostCell, placed: CellPlacement, *, free: bool) -> HostCell:
    try:
        return _raised(cell, placed).release(placed) if free else cell.consume(placed)
    except exception.NumaplaceException as error:
        _raise_as_nova(error, cell, placed)


def _raised(cell: HostCell, placed: CellPlacement) -> HostCell:
    """Return a host cell with counters from which a guest cell can be counted out."""
    memory_mib = placed.guest_cell.memory_mib
    smallest = cell.smallest_pages
    size_kib = placed.pagesize_kib or (smallest.size_kib if smallest else 0)
    return replace(
        cell,
        cpu_usage=max(cell.cpu_usage, placed.guest_cell.shared_vcpus.bit_count()),
        memory_usage_mib=max(cell.memory_usage_mib, memory_mib),
        pages=tuple(
            replace(pages, used=max(pages.used, memory_mib * KIB_PER_MIB // size_kib))
            if pages.size_kib == size_kib
            else pages
            for pages in cell.pages
        ),
    )


#: For each fault Nova's class, and the CPUs that it calls available.
_FAULTS: dict[type[Exception], tuple[Callable[..., Exception], Callable[[HostCell], int]]] = {
    exception.CPUPinningInvalid: (nova_exception.CPUPinningInvalid, lambda cell: cell.free_cpus),
    exception.CPUPinningUnknown: (nova_exception.CPUPinningUnknown, lambda cell: cell.shape.dedicated_cpus),
    exception.CPUUnpinningInvalid: (nova_exception.CPUUnpinningInvalid, lambda cell: cell.pinned_cpus),
    exception.CPUUnpinningUnknown: (nova_exception.CPUUnpinningUnknown, lambda cell: cell.shape.dedicated_cpus),
}


def _raise_as_nova(error: exception.NumaplaceException, cell: HostCell, placed: CellPlacement) -> NoReturn:
    if type(error) not in _FAULTS:
        raise error
    theirs, available = _FAULTS[type(error)]
    raise theirs(requested=list(cpuset.ids(placed.taken)), available=list(cpuset.ids(available(cell)))) from error


def restoring(consume: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Wrap ``HostState._locked_consume_from_request``: the request asks afterwards for what it asked before.

    Nova puts the answer of the fit in its place, so the second of several guests would ask for something else.
    """

    @functools.wraps(consume)
    def consume_and_restore(self: Any, spec_obj: Any) -> Any:
        asked = spec_obj.numa_topology
        try:
            return consume(self, spec_obj)
        finally:
            if spec_obj.numa_topology is not asked:
                spec_obj.numa_topology = asked

    return consume_and_restore
