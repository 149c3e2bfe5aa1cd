# SPDX-License-Identifier: Apache-2.0
"""The replacements of Nova's functions: the same parameters, results of Nova's classes, Nova's exceptions.

Importing this module imports Nova's services; :func:`numaplace.nova.engine.install` does it at the right time.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce
from operator import or_
from typing import Any, NamedTuple

from nova import conf
from nova import exception as nova_exception

from numaplace import conf as our_conf
from numaplace import cpuset, fit
from numaplace.fit.usefulness import Mix
from numaplace.model import (
    DEDICATED,
    ISOLATE,
    MIXED,
    CellPlacement,
    CellShape,
    Guest,
    Host,
    HostCell,
    Pages,
    Placement,
    Refusal,
)
from numaplace.nova import claim_log, convert, faults, scheduler_request, topologies
from numaplace.nova.devices import HostDevices, PciDevices
from numaplace.units import KIB_PER_MIB

__all__ = [
    'count',
    'counting',
    'devices',
    'numa_fit_instance_to_host',
    'numa_usage_from_instance_numa',
    'place',
    'restoring',
]


def _own() -> fit.Strategy | None:
    """Return the configured strategy, if it is one that Nova does not have."""
    name = our_conf.own_strategy(conf.CONF)
    if name == fit.PRESERVE.name:
        return fit.preserve(Mix.of(our_conf.preserve_mix(conf.CONF)))
    return fit.CLOSEST if name else None


def numa_fit_instance_to_host(  # noqa: PLR0917 - as Nova's callers give them
    host_topology: Any,
    instance_topology: Any,
    provider_mapping: Any,
    limits: Any = None,
    pci_requests: Any = None,
    pci_stats: Any = None,
) -> Any:
    """Fit a guest onto a host; the request stays as it is.

    :returns: a new ``InstanceNUMATopology``, or None if the guest does not fit or there is no topology; None too, with
        a line in the log, if numaplace cannot read the request
    :raises: what Nova's own choice of devices raises, if it is an exception of Nova's
    """
    try:
        if not host_topology or not instance_topology:
            return None
        if len(instance_topology) > len(host_topology):
            return None  # as Nova does, before the cells are read
        host, guest = topologies.read(host_topology), convert.read_guest(instance_topology)
        offered = devices(host, provider_mapping, pci_requests, pci_stats)
        answer = place(host, guest, limits, offered, own=_own())
        if isinstance(answer, Refusal):
            claim_log.refused(guest, answer)
            return None
        claim_log.placed(host, answer)
        return convert.write_placement(answer)
    except nova_exception.NovaException:
        raise
    except Exception as error:  # noqa: BLE001 - this is the boundary
        faults.tell('fit a NUMA topology', error, 'it counts as one that does not fit')
        return None


def devices(
    host: Host, provider_mapping: Any, pci_requests: Any, pci_stats: Any, limit_s: float | None = None
) -> PciDevices | None:
    """Return the devices that a guest may have, None if the host counts none; the limit is that of HostDevices."""
    if not pci_stats:
        return None
    return PciDevices(HostDevices(host, pci_stats, pci_requests, limit_s=limit_s), provider_mapping)


def place(
    host: Host, guest: Guest, limits: Any, offered: PciDevices | None, *, own: fit.Strategy | None = None
) -> Placement | Refusal:
    """Return the answer of the fit by the strategy of Nova's configuration.

    :param limits: Nova's ``NUMATopologyLimits``, or None
    :param own: a strategy that Nova does not have
    """
    impossible = scheduler_request.impossible(guest)
    if impossible is not None:
        return impossible
    ratios, networks = convert.read_limits(limits)
    novas = fit.PACK if conf.CONF.compute.packing_host_numa_cells_allocation_strategy else fit.SPREAD
    return fit.place(host, guest, limits=ratios, devices=offered, networks=networks, strategy=own or novas)


def counting(theirs: Callable[..., Any]) -> Callable[..., Any]:
    """Return what replaces ``numa_usage_from_instance_numa``.

    :param theirs: Nova's own, which counts what numaplace cannot read
    """

    def count_or_leave(host_topology: Any, instance_topology: Any, free: bool = False) -> Any:
        try:
            return numa_usage_from_instance_numa(host_topology, instance_topology, free)
        except nova_exception.NovaException:
            raise
        except Exception as error:  # noqa: BLE001 - this is the boundary
            faults.tell('count a guest', error, 'Nova counts it')
        return theirs(host_topology, instance_topology, free)

    return count_or_leave


def numa_usage_from_instance_numa(host_topology: Any, instance_topology: Any, free: bool = False) -> Any:
    """Count a placed guest into the usage of a host, or out of it.

    Host cells that the host does not have are skipped, and no counter goes below zero: a compute node counts
    guests that were placed before its cells or its configuration changed, and guests of amounts below zero.

    :returns: a new ``NUMATopology``, or the host's own if there is nothing to count
    :raises: Nova's ``CPUPinningInvalid``, ``CPUPinningUnknown``, ``CPUUnpinningInvalid`` or ``CPUUnpinningUnknown``;
        :class:`~numaplace.exception.InvalidObject` for what cannot be read
    """
    if not host_topology or not instance_topology:
        return host_topology
    return topologies.write(count(topologies.read(host_topology), instance_topology, free=free))


def count(host: Host, instance_topology: Any, *, free: bool, unchanged_cpus: int = 0) -> Host:
    """Return a host with a placed guest counted; errors as :func:`numa_usage_from_instance_numa`.

    :param unchanged_cpus: mask of CPUs that stay pinned or free as they are, without an error
    """
    placement = convert.read_placement(instance_topology, host)
    placed: dict[int, list[_Placed]] = {}
    for cell, theirs in zip(placement.cells, instance_topology.cells, strict=True):
        # Nova counts the whole set, even if it holds pinned vCPUs.
        found = _Placed(cell, len(theirs.cpuset), theirs.cpu_policy in (DEDICATED, MIXED))
        placed.setdefault(cell.host_cell, []).append(found)
    return Host(
        tuple(_count(cell, placed.get(cell.id, ()), free=free, unchanged_cpus=unchanged_cpus) for cell in host.cells)
    )


class _Placed(NamedTuple):
    """A guest cell that is counted.

    :param shared: how many vCPUs Nova counts on shared CPUs
    :param is_pinned: whether Nova counts the pins
    """

    placement: CellPlacement
    shared: int
    is_pinned: bool


def _count(cell: HostCell, placed: Sequence[_Placed], *, free: bool, unchanged_cpus: int) -> HostCell:
    """Nova 34, `numa_usage_from_instance_numa`: sums below zero count as zero once all guest cells are added."""
    if not placed and cell.cpu_usage >= 0 and cell.memory_usage_mib >= 0:
        return cell
    sign = -1 if free else 1
    cpu_usage, memory_mib, pinned, pages = cell.cpu_usage, cell.memory_usage_mib, cell.pinned_cpus, cell.pages
    for guest in placed:
        pages = _count_pages(pages, guest.placement, sign)
        memory_mib += sign * guest.placement.guest_cell.memory_mib
        cpu_usage += sign * guest.shared
        held = _held(cell.shape, guest) & ~unchanged_cpus
        missed = guest.placement.taken & cell.shape.dedicated_cpus & ~held & ~unchanged_cpus
        if free:
            pinned = _unpin(cell.shape.dedicated_cpus, pinned, held) & ~missed
        else:
            pinned = _pin(cell.shape.dedicated_cpus, pinned, held | missed)
    return HostCell(cell.shape, pinned, max(0, cpu_usage), max(0, memory_mib), pages)


def _count_pages(counted: tuple[Pages, ...], placement: CellPlacement, sign: int) -> tuple[Pages, ...]:
    """Nova 34, `_numa_pagesize_usage_from_cell`; a host cell without page sizes has no pages to count."""
    size_kib = placement.pagesize_kib or min((pages.size_kib for pages in counted), default=0)
    kib = sign * placement.guest_cell.memory_mib * KIB_PER_MIB
    return tuple(
        replace(pages, used=max(0, (pages.used * size_kib + kib) // size_kib)) if pages.size_kib == size_kib else pages
        for pages in counted
    )


def _held(shape: CellShape, guest: _Placed) -> int:
    """Return the mask of the CPUs that Nova counts as pinned.

    It misses CPUs that are in no core of the host cell, with isolate, and the pins of cells without a CPU policy. They
    are counted all the same where they are dedicated, or two guests would get them.
    """
    if not guest.is_pinned:
        return 0
    if guest.placement.guest_cell.thread_policy == ISOLATE:
        return guest.placement.taken & reduce(or_, shape.siblings, 0)
    return guest.placement.taken


def _pin(dedicated: int, pinned: int, cpus: int) -> int:
    """Return the mask of the pinned CPUs after more are pinned."""
    if cpus & ~dedicated:
        raise _fault(nova_exception.CPUPinningUnknown, cpus, dedicated)
    if cpus & pinned:
        raise _fault(nova_exception.CPUPinningInvalid, cpus, dedicated & ~pinned)
    return pinned | cpus


def _unpin(dedicated: int, pinned: int, cpus: int) -> int:
    """Return the mask of the pinned CPUs after some are unpinned."""
    if cpus & ~dedicated:
        raise _fault(nova_exception.CPUUnpinningUnknown, cpus, dedicated)
    if cpus & ~pinned:
        raise _fault(nova_exception.CPUUnpinningInvalid, cpus, pinned)
    return pinned & ~cpus


def _fault(of: Callable[..., Exception], requested: int, available: int) -> Exception:
    return of(requested=list(cpuset.ids(requested)), available=list(cpuset.ids(available)))


def restoring(consume: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Wrap ``HostState._locked_consume_from_request``: restore the requested topology afterwards.

    Nova overwrites it with the answer of the fit, so the second of several guests would request something else.
    """

    @functools.wraps(consume)
    def consume_and_restore(self: Any, spec_obj: Any) -> Any:
        wanted = spec_obj.numa_topology
        try:
            return consume(self, spec_obj)
        finally:
            if spec_obj.numa_topology is not wanted:
                spec_obj.numa_topology = wanted

    return consume_and_restore
