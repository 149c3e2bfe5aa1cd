# SPDX-License-Identifier: Apache-2.0
"""What a guest asks for. Everything here is immutable."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from numaplace.model.wish import Wish

__all__ = [
    'DEDICATED',
    'ISOLATE',
    'MIXED',
    'PAGES_ANY',
    'PAGES_LARGE',
    'PAGES_SMALL',
    'PREFER',
    'REQUIRE',
    'SHARE',
    'SHARED',
    'CpuTopology',
    'Guest',
    'GuestCell',
]

#: CPU policies.
SHARED, DEDICATED, MIXED = 'shared', 'dedicated', 'mixed'
#: CPU thread policies; ISOLATE is one of the emulator threads policies too.
PREFER, ISOLATE, REQUIRE = 'prefer', 'isolate', 'require'
#: Emulator threads policy beside ISOLATE.
SHARE = 'share'
#: Page sizes by class; a positive number is a size in KiB.
PAGES_SMALL, PAGES_LARGE, PAGES_ANY = -1, -2, -3


@dataclass(frozen=True, slots=True)
class CpuTopology:
    """The vCPU topology that a guest sees."""

    sockets: int = 1
    cores: int = 1
    threads: int = 1


@dataclass(frozen=True, slots=True)
class GuestCell:
    """One NUMA cell of a guest; vCPU sets are masks.

    :param id: the guest's number of this cell
    :param shared_vcpus: vCPUs that float over the host cell's shared CPUs
    :param dedicated_vcpus: vCPUs that are pinned, one to a CPU
    :param pagesize_kib: size in KiB, PAGES_SMALL, PAGES_LARGE, PAGES_ANY, or None for no wish
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


@dataclass(frozen=True, slots=True)
class Guest:
    """What a guest asks for; without cells it floats over the whole host.

    :param vcpus: number of vCPUs
    :param memory_mib: memory of the whole guest
    :param emulator_policy: SHARE, ISOLATE or None (the emulator floats over the guest's CPUs)
    :param cpu_topology: sockets, cores and threads, or None where not known
    :param realtime_vcpus: mask of the realtime vCPUs
    :param instance_uuid: kept for stored objects that carry one
    :param wish: how it is to be divided over host cells, for a guest whose cells follow from the host
    :param memo: what others derived from this value, by their keys; it lives and goes with the value
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
    memo: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
