# SPDX-License-Identifier: Apache-2.0
"""Convert a flavor and an image to the guest that they request.

Nova 34, `numa_get_constraints`: the same precedence, conflicts and error classes. All faults are found before the
first is raised; its class is the one that Nova would raise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from numaplace import exception
from numaplace.model import DEDICATED, MIXED, Flavor, Guest, GuestCell
from numaplace.request import cpu_policies, cpu_topology, memory, topology, tuning, verdicts, vnuma
from numaplace.request.cpu_policies import CpuPolicies
from numaplace.request.hotplug import hotplug
from numaplace.request.pci import affinity_policy
from numaplace.request.properties import Properties
from numaplace.request.viommu import viommu

__all__ = ['read']

_T = TypeVar('_T')


class _Faults:
    """Collects the faults of several checks."""

    def __init__(self) -> None:
        self._found: list[exception.Invalid] = []

    def check(self, read: Callable[..., _T], *args: object) -> _T | None:
        """Return what a check returns, or None if it finds a fault."""
        try:
            return read(*args)
        except exception.Invalid as fault:
            self._found.append(fault)
            return None

    def raise_any(self) -> None:
        """Raise the first fault, with the text of all faults.

        :raises: the class of the first fault, one of the subclasses of :class:`~numaplace.exception.Invalid`
        """
        if self._found:
            texts = dict.fromkeys(str(fault) for fault in self._found)
            raise type(self._found[0])('; '.join(texts))


def read(flavor: Flavor, image: Mapping[str, object] | None = None) -> Guest:
    """Read what a flavor and an image request.

    :param image: properties of the image, keys such as ``hw_numa_nodes``, values as text or as in JSON; None where
        it is not known yet
    :returns: the guest; without cells if nothing requests a NUMA topology
    :raises: the subclass of :class:`~numaplace.exception.Invalid` for the first fault; the text lists every fault
    """
    properties = Properties(flavor, image or {})
    faults = _Faults()
    policies = _read_policies(properties, faults)
    nodes = faults.check(topology.node_count, properties)
    pagesize_kib = faults.check(memory.page_size, properties)
    locked = faults.check(memory.locked_memory, properties)
    encryption, pmem = faults.check(memory.encryption, properties, image is not None), memory.pmem(properties)
    cpu_shape = faults.check(cpu_topology.choose, properties)
    pinned = policies.cpu_policy in (DEDICATED, MIXED)
    wish = faults.check(vnuma.wish, properties, policies, pagesize_kib)
    faults.check(verdicts.check, flavor.name, flavor.extra_specs)
    faults.check(hotplug, flavor)
    faults.check(viommu, flavor, image)
    faults.check(affinity_policy, properties)
    faults.check(tuning.addresses, properties)
    shares = None
    if wish is None and (nodes or pagesize_kib or pinned or pmem):
        shares = faults.check(topology.shares, properties, nodes or 1)
    faults.raise_any()
    return Guest(
        vcpus=flavor.vcpus,
        memory_mib=flavor.memory_mib,
        cells=_cells(shares or [], policies, _dedicated(policies, flavor), pagesize_kib),
        emulator_policy=policies.emulator_policy,
        cpu_topology=cpu_shape,
        realtime_vcpus=policies.realtime or 0,
        locked_memory=bool(locked or policies.realtime or encryption in memory.LOCKED),
        wish=wish,
        resource_requests=(*([encryption] if encryption else []), *pmem),
    )


def _read_policies(properties: Properties, faults: _Faults) -> CpuPolicies:
    policy = faults.check(cpu_policies.cpu_policy, properties)
    threads = faults.check(cpu_policies.thread_policy, properties)
    realtime = faults.check(cpu_policies.realtime_mask, properties)
    dedicated = faults.check(cpu_policies.dedicated_mask, properties)
    emulator = faults.check(cpu_policies.emulator_policy, properties)
    faults.raise_any()  # later checks would only report consequences
    policy = faults.check(cpu_policies.explicit_policy, properties, policy, emulator)
    threads = faults.check(cpu_policies.smt_trait, properties, threads)
    faults.raise_any()
    policies = CpuPolicies(policy, threads, emulator, dedicated, realtime)
    faults.check(cpu_policies.validate, policies, properties.flavor.name)
    return policies


def _dedicated(policies: CpuPolicies, flavor: Flavor) -> int:
    """Return the mask of the vCPUs to pin."""
    if policies.cpu_policy == DEDICATED:
        return (1 << flavor.vcpus) - 1
    if policies.cpu_policy == MIXED:
        return policies.dedicated or policies.realtime or 0
    return 0


def _cells(
    shares: list[topology.Share], policies: CpuPolicies, dedicated: int, pagesize_kib: int | None
) -> tuple[GuestCell, ...]:
    return tuple(
        GuestCell(
            id=number,
            shared_vcpus=vcpus & ~dedicated,
            dedicated_vcpus=vcpus & dedicated,
            memory_mib=memory_mib,
            pagesize_kib=pagesize_kib,
            cpu_policy=policies.cpu_policy,
            thread_policy=policies.thread_policy,
        )
        for number, (vcpus, memory_mib) in enumerate(shares)
    )
