# SPDX-License-Identifier: Apache-2.0
"""What lies around the CPUs of a host cell: caches that cores share, and the ways to its memory."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ['Cache', 'MemoryAccess']


@dataclass(frozen=True, slots=True)
class Cache:
    """One bank of a cache.

    :param cpus: mask of all CPUs that share it, those of other cells too
    """

    level: int
    size_kib: int
    cpus: int


@dataclass(frozen=True, slots=True)
class MemoryAccess:
    """How CPUs of one cell reach the memory of another or of their own (ACPI HMAT); None is not known.

    :param initiator: id of the cell whose CPUs read and write
    """

    initiator: int
    read_latency_ns: int | None = None
    write_latency_ns: int | None = None
    read_bandwidth_mib_s: int | None = None
    write_bandwidth_mib_s: int | None = None
