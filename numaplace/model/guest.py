# SPDX-License-Identifier: Apache-2.0
"""What a guest requests, as frozen values; only `Guest` carries a cache."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from numaplace.model.cpu_topology import CpuTopology, block
from numaplace.model.host_resources import ENCRYPTIONS
from numaplace.model.pci import PciRequest
from numaplace.model.vnuma import Wish

__all__ = [
    'DEDICATED',
    'DIMM',
    'ISOLATE',
    'MIXED',
    'NVDIMM',
    'PAGES_ANY',
    'PAGES_LARGE',
    'PAGES_SMALL',
    'PREFER',
    'REQUIRE',
    'SHARE',
    'SHARED',
    'Guest',
    'GuestCell',
    'MemoryModule',
    'Offline',
]

_ENCRYPTIONS = frozenset(ENCRYPTIONS)

#: CPU policies.
SHARED, DEDICATED, MIXED = 'shared', 'dedicated', 'mixed'
#: CPU thread policies; ISOLATE is also an emulator threads policy.
PREFER, ISOLATE, REQUIRE = 'prefer', 'isolate', 'require'
#: Emulator threads policy with ISOLATE.
SHARE = 'share'
#: Page sizes by class; a positive number is a size in KiB.
PAGES_SMALL, PAGES_LARGE, PAGES_ANY = -1, -2, -3
#: Models of memory modules.
DIMM, NVDIMM = 'dimm', 'nvdimm'


@dataclass(frozen=True, slots=True)
class GuestCell:
    """One NUMA cell of a guest: what it holds while the guest runs; vCPU sets are masks.

    :param id: the guest's number of this cell
    :param shared_vcpus: vCPUs that float over the host cell's shared CPUs
    :param dedicated_vcpus: vCPUs that are pinned, one to a CPU
    :param memory_mib: memory, including the modules that were plugged in
    :param pagesize_kib: size in KiB, PAGES_SMALL, PAGES_LARGE, PAGES_ANY, or None if none is requested
    :param cpu_policy: SHARED, DEDICATED, MIXED or None (as SHARED)
    :param thread_policy: PREFER, ISOLATE, REQUIRE or None (as PREFER)
    """

    id: int
    shared_vcpus: int
    dedicated_vcpus: int
    memory_mib: int
    pagesize_kib: int | None = None
    cpu_policy: str | None = None
    thread_policy: str | None = None

    @property
    def vcpus(self) -> int:
        """Mask of all vCPUs of the cell."""
        return self.shared_vcpus | self.dedicated_vcpus

    @property
    def is_pinned(self) -> bool:
        """Whether the CPU policy is dedicated or mixed."""
        return self.cpu_policy in (DEDICATED, MIXED)


class Offline(NamedTuple):
    """The vCPUs of a guest cell that are off, as masks: they hold nothing."""

    shared: int = 0
    dedicated: int = 0


@dataclass(frozen=True, slots=True)
class MemoryModule:
    """Memory that was plugged into a running guest.

    :param cell: number of the guest cell
    :param path: file or device of the host that holds the content; None for memory of the host cell
    :param align_kib: alignment of the content in the guest, or None for that of its pages
    :param label_kib: size of the area for labels, or None for none
    :param pmem: the content is persistent memory of the host
    """

    size_mib: int
    cell: int
    path: str | None = None
    align_kib: int | None = None
    label_kib: int | None = None
    pmem: bool = False

    @property
    def model(self) -> str:
        """DIMM or NVDIMM."""
        return DIMM if self.path is None else NVDIMM

    @property
    def claimed_mib(self) -> int:
        """Memory that it takes from the host cell."""
        return self.size_mib if self.path is None else 0


@dataclass(frozen=True, slots=True)
class Guest:
    """What a guest requests; without cells it floats over the whole host.

    :param vcpus: number of vCPUs that are on
    :param memory_mib: memory of the whole guest
    :param emulator_policy: SHARE, ISOLATE or None (the emulator floats over the guest's CPUs)
    :param cpu_topology: sockets, cores and threads, or None where not known
    :param realtime_vcpus: mask of the realtime vCPUs
    :param instance_uuid: kept for stored objects that carry one
    :param wish: how to divide it over host cells, for a guest whose cells depend on the host
    :param offline: the vCPUs that are off, by guest cell; one entry for a guest without cells, none if all are on
    :param modules: memory that was plugged in, the oldest first
    :param pci_requests: PCI devices that it requests; none once it is placed, as the placement has them
    :param resource_requests: what else it requests by name, as ``HostResources`` has it; none once
        it is placed
    :param memo: cache of what other modules derive from this value, by their keys; it lives as long as the value
    """

    vcpus: int
    memory_mib: int
    cells: tuple[GuestCell, ...] = ()
    emulator_policy: str | None = None
    cpu_topology: CpuTopology | None = None
    realtime_vcpus: int = 0
    locked_memory: bool = False
    instance_uuid: str | None = None
    wish: Wish | None = None
    offline: tuple[Offline, ...] = ()
    modules: tuple[MemoryModule, ...] = ()
    pci_requests: tuple[PciRequest, ...] = field(default=(), hash=False)
    resource_requests: tuple[str, ...] = ()
    memo: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def is_encrypted(self) -> bool:
        """Whether it requests memory encryption."""
        return not _ENCRYPTIONS.isdisjoint(self.resource_requests)

    @property
    def offline_vcpus(self) -> int:
        """Mask of the vCPUs that are off."""
        off = 0
        for shared, dedicated in self.offline:
            off |= shared | dedicated
        return off

    @property
    def most_vcpus(self) -> int:
        """Number of vCPUs that may be on."""
        return self.vcpus + self.offline_vcpus.bit_count()

    @property
    def cell_vcpus(self) -> tuple[int, ...]:
        """Masks of the vCPUs of each cell, including those that are off; a guest without cells has one for all."""
        if not self.cells:
            return ((1 << self.most_vcpus) - 1,)
        masks = [cell.vcpus for cell in self.cells]
        for number, (shared, dedicated) in enumerate(self.offline):
            masks[number] |= shared | dedicated
        return tuple(masks)

    @property
    def topology(self) -> CpuTopology:
        """The vCPU topology; where it is not known, each vCPU is a socket."""
        return self.cpu_topology or CpuTopology(sockets=self.most_vcpus)

    @property
    def has_whole_cores(self) -> bool:
        """Whether no core lies in two cells."""
        return block(self.cell_vcpus) % self.topology.threads == 0

    @property
    def dies(self) -> int:
        """Dies of each socket: the fewest of which none lies in two cells; 1 where even cores do."""
        if not self.has_whole_cores:
            return 1
        topology = self.topology
        return topology.cores // math.gcd(topology.cores, block(self.cell_vcpus) // topology.threads)

    @property
    def plugged_mib(self) -> int:
        """Memory that was plugged in and is taken from the host."""
        return sum([module.claimed_mib for module in self.modules])
