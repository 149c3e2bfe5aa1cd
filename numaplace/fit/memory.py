# SPDX-License-Identifier: Apache-2.0
"""Memory of one guest cell on one host cell: which page size backs it, or what is missing.

Nova 34, `_numa_fit_instance_cell` and `_numa_cell_supports_pagesize_request`. A guest cell with a page size needs
free pages of that size; one without needs memory: free memory if it is pinned, otherwise the cell's total.
"""

from __future__ import annotations

from numaplace.fit.cell_demand import Demand, Lack
from numaplace.model import PAGES_ANY, PAGES_LARGE, PAGES_SMALL, HostCell, Pages, Reason
from numaplace.units import KIB_PER_MIB

__all__ = ['backing_pages', 'page_shortfall', 'page_size', 'shortfall', 'shortfall_mib']


def backing_pages(host_cell: HostCell, pagesize_kib: int) -> list[Pages]:
    """Return the pages that a request may be backed by, largest size first."""
    if pagesize_kib > 0:
        return [pages for pages in host_cell.pages if pages.size_kib == pagesize_kib]
    by_size = sorted(host_cell.pages, key=lambda pages: -pages.size_kib)
    if pagesize_kib == PAGES_SMALL:
        return by_size[-1:]
    if pagesize_kib == PAGES_LARGE:
        return by_size[:-1]
    return by_size


def _backs(pages: Pages, memory_kib: int) -> bool:
    return memory_kib <= pages.free * pages.size_kib and memory_kib % pages.size_kib == 0


def page_size(host_cell: HostCell, demand: Demand) -> int | None:
    """Return the size in KiB of the pages that back a demand that fits; None if it requests no size."""
    if not demand.pagesize_kib:
        return None
    memory_kib = demand.memory_mib * KIB_PER_MIB
    for pages in backing_pages(host_cell, demand.pagesize_kib):
        if _backs(pages, memory_kib):
            return pages.size_kib
    return None


def shortfall(host_cell: HostCell, demand: Demand) -> Lack | None:
    """Return what a host cell's memory lacks for a demand, or None if it suffices."""
    if not demand.memory_mib:  # vCPUs added to a running guest
        return None
    if demand.pagesize_kib:
        return _page_shortfall(host_cell, demand)
    smallest = host_cell.smallest_pages
    memory_mib = demand.memory_mib
    if smallest is not None and memory_mib * KIB_PER_MIB % smallest.size_kib:
        return Lack('memory.multiple', memory_mib * KIB_PER_MIB, smallest.size_kib, 'KiB')
    return shortfall_mib(host_cell, memory_mib, memory_mib if demand.is_pinned else 0)


def shortfall_mib(host_cell: HostCell, memory_mib: int, pinned_mib: int) -> Lack | None:
    """Return what a host cell's memory lacks for guest cells without a page size, or None.

    :param memory_mib: memory of all of them, which must not exceed what the cell has
    :param pinned_mib: memory of those that are pinned, which must be free
    """
    smallest = host_cell.smallest_pages
    if smallest is None:
        total_mib, free_mib = host_cell.shape.memory_mib, host_cell.free_memory_mib
    else:
        total_mib = smallest.total * smallest.size_kib // KIB_PER_MIB
        free_mib = smallest.free * smallest.size_kib // KIB_PER_MIB
    if memory_mib > total_mib:
        return Lack('memory.total', memory_mib, total_mib, 'MiB')
    if pinned_mib and pinned_mib > free_mib:
        return Lack('memory.free', pinned_mib, free_mib, 'MiB')
    return None


def _page_shortfall(host_cell: HostCell, demand: Demand) -> Lack | None:
    requested = demand.pagesize_kib or PAGES_ANY
    memory_kib = demand.memory_mib * KIB_PER_MIB
    candidates = backing_pages(host_cell, requested)
    for pages in candidates:
        if _backs(pages, memory_kib):
            return None
    if not candidates:
        if requested < 0:
            return Lack('pages.large' if host_cell.pages else 'pages.none', 1, 0, 'page sizes')
        candidates = [Pages(requested, 0)]
    whole = [pages for pages in candidates if memory_kib % pages.size_kib == 0]
    if not whole:
        return Lack('memory.multiple', memory_kib, candidates[-1].size_kib, 'KiB')
    lacks = [page_shortfall(pages, memory_kib) for pages in whole]
    return lacks[0] if len(lacks) == 1 else min(lacks, key=_severity)


def page_shortfall(pages: Pages, memory_kib: int) -> Lack:
    """Return how many pages are missing for memory that is more than those that are free."""
    needed, total = -(-memory_kib // pages.size_kib), pages.total - pages.reserved
    if needed > total:
        return Lack(f'pages.{pages.size_kib}.total', needed, total, 'pages')
    return Lack(f'pages.{pages.size_kib}', needed, pages.free, 'pages')


def _severity(lack: Lack) -> tuple[bool, float]:
    return Reason(lack.code, lack.needed, lack.available, lack.unit).severity
