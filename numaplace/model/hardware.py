# SPDX-License-Identifier: Apache-2.0
"""Caches that the cores of a host cell share, and how fast CPUs reach its memory."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ['Cache', 'MemoryAccess']


@dataclass(frozen=True, slots=True)
class Cache:
    """One bank of a cache.

    :param cpus: mask of all CPUs that share it, including those of other cells
    """

    level: int
    size_kib: int
    cpus: int


@dataclass(frozen=True, slots=True)
class MemoryAccess:
    """How fast CPUs of a cell reach the memory of another or their own (ACPI HMAT); None where not known.

    :param initiator: id of the cell whose CPUs read and write
    """

    initiator: int
    read_latency_ns: int | None = None
    write_latency_ns: int | None = None
    read_bandwidth_mib_s: int | None = None
    write_bandwidth_mib_s: int | None = None
