# SPDX-License-Identifier: Apache-2.0
"""Which CPUs of a host a guest with a wish may use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import reduce
from operator import or_

from numaplace.model import CellShape, Guest, Host, HostCell, Wish
from numaplace.model.vnuma import PIN_TO_CORE

__all__ = ['available', 'available_cell', 'available_to', 'capacity']


def available(host: Host, wish: Wish, threads: int) -> Host:
    """Return a host as a guest may use it; see :func:`available_cell`."""
    return replace(host, cells=tuple(available_cell(cell, wish, threads) for cell in host.cells))


def available_to(host: Host, guest: Guest, wish: Wish | None) -> Host:
    """Return a host as a guest that was divided may use it; see :func:`available_cell`. Without a wish it is all."""
    topology = guest.cpu_topology
    return host if wish is None else available(host, wish, topology.threads if topology else 1)


def available_cell(cell: HostCell, wish: Wish, threads: int) -> HostCell:
    """Return a host cell as a guest may use it: with PIN_TO_CORE without the cores that stay free.

    A guest core of several threads takes a host core with as many threads, all of them dedicated and free.

    :param threads: threads of a core of the guest
    """
    if wish.pinning != PIN_TO_CORE:
        return cell
    cores = _cores(cell.shape, wish, threads)
    if threads > 1:
        cores = (core for core in cores if not core & cell.taken_cpus)
    return replace(cell, withheld_cpus=cell.free_cpus & ~reduce(or_, cores, 0))


def capacity(shape: CellShape, wish: Wish, threads: int) -> int:
    """Return the number of CPUs that a guest may use in a host cell with no other guests."""
    if wish.pinning != PIN_TO_CORE:
        return shape.shared_cpus.bit_count()
    return (shape.dedicated_cpus & reduce(or_, _cores(shape, wish, threads), 0)).bit_count()


def _cores(shape: CellShape, wish: Wish, threads: int) -> Iterator[int]:
    """Yield the cores that may be used, apart from what guests hold."""
    for core in shape.cores[wish.keep :]:
        if threads == 1 or (core.bit_count() == threads and not core & ~shape.dedicated_cpus):
            yield core
