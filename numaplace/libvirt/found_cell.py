# SPDX-License-Identifier: Apache-2.0
"""A NUMA cell as a source describes it, before the operator's options apply."""

from __future__ import annotations

from dataclasses import dataclass

from numaplace.model import Cache, MemoryAccess

__all__ = ['FoundCell']


@dataclass(frozen=True, slots=True)
class FoundCell:
    """A NUMA cell as a source describes it; CPU sets are masks of online CPUs.

    :param pages: ``(size in KiB, number of pages)`` pairs as the source lists them
    :param siblings: the core of each CPU; a core is listed once for each of its threads
    :param sockets: physical packages of the CPUs, or none where their numbers are not known
    :param distances: ``(cell id, distance)`` pairs
    :param packages: masks of all CPUs of the packages; dies and clusters likewise; all may extend into other cells
    :param caches: banks of level 3 and above that hold data, in any order
    :param accesses: accesses to the memory of this cell, in any order
    :param offline: offline CPUs that the source reports in the cell
    :param memory_kind: kind of its memory, if the source reports it
    """

    id: int
    memory_kib: int
    cpus: int
    pages: tuple[tuple[int, int], ...] = ()
    siblings: tuple[int, ...] = ()
    sockets: frozenset[int] = frozenset()
    distances: tuple[tuple[int, int], ...] = ()
    packages: tuple[int, ...] = ()
    dies: tuple[int, ...] = ()
    clusters: tuple[int, ...] = ()
    caches: tuple[Cache, ...] = ()
    accesses: tuple[MemoryAccess, ...] = ()
    offline: int = 0
    memory_kind: str | None = None
