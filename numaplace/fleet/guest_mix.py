# SPDX-License-Identifier: Apache-2.0
"""Which guests a fleet has, as ``preserve`` is told which ones to expect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from numaplace.model import Guest
from numaplace.model.records import InstanceRecord

__all__ = ['kind', 'kinds']


def kind(guest: Guest) -> tuple[int, int, int] | None:
    """Return the cells of a guest, and the CPUs and MiB of the largest of them; None if it has no pinned CPUs."""
    cpus = max([cell.dedicated_vcpus.bit_count() for cell in guest.cells], default=0)
    return (len(guest.cells), cpus, max([cell.memory_mib for cell in guest.cells])) if cpus else None


def kinds(servers: Iterable[InstanceRecord]) -> list[tuple[int, int, int, int]]:
    """Return the kinds of the servers that have hosts and pinned CPUs, with their numbers, the smallest first."""
    guests = [server.placement.guest for server in servers if server.host is not None]
    found = Counter([each for guest in guests if (each := kind(guest)) is not None])
    return [(*each, number) for each, number in sorted(found.items())]
