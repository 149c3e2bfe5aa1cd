# SPDX-License-Identifier: Apache-2.0
"""Memory of one guest cell on one host cell: which page size backs it, or what is missing.

Nova 34, `_numa_fit_instance_cell` and `_numa_cell_supports_pagesize_request`. A guest cell with a page size needs
free pages of that size; one without needs memory: free memory if it is pinned, otherwise the cell's total.
"""

from __future__ import annotations

from numaplace.fit.demand import Demand, Lack
from numaplace.model import PAGES_ANY, PAGES_LARGE, PAGES_SMALL, HostCell, Pages
from numaplace.units import KIB_PER_MIB

__all__ = ['backing_pages', 'page_size', 'shortfall']


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
    """Return the size in KiB of the pages that back a demand that fits; None if it asks for no size."""
    if not demand.pagesize_kib:
        return None
    memory_kib = demand.memory_mib * KIB_PER_MIB
    for pages in backing_pages(host_cell, demand.pagesize_kib):
        if _backs(pages, memory_kib):
            return pages.size_kib
    return None


def shortfall(host_cell: HostCell, demand: Demand) -> Lack | None:
    """Return what a host cell's memory lacks for a demand, or None if it suffices."""
    if not demand.memory_mib:  # vCPUs that come to a guest
        return None
    if demand.pagesize_kib:
        return _page_shortfall(host_cell, demand)
    smallest = host_cell.smallest_pages
    memory_mib = demand.memory_mib
    if smallest is not None:
        if memory_mib * KIB_PER_MIB % smallest.size_kib:
            return Lack('memory.multiple', memory_mib * KIB_PER_MIB, smallest.size_kib, 'KiB')
        number = smallest.free if demand.is_pinned else smallest.total
        available_kib = number * smallest.size_kib
        if memory_mib * KIB_PER_MIB <= available_kib:
            return None
        available_mib = available_kib // KIB_PER_MIB
    else:
        available_mib = host_cell.free_memory_mib if demand.is_pinned else host_cell.shape.memory_mib
        if memory_mib <= available_mib:
            return None
    return Lack('memory.free' if demand.is_pinned else 'memory.total', memory_mib, available_mib, 'MiB')


def _page_shortfall(host_cell: HostCell, demand: Demand) -> Lack | None:
    asked = demand.pagesize_kib or PAGES_ANY
    memory_kib = demand.memory_mib * KIB_PER_MIB
    candidates = backing_pages(host_cell, asked)
    for pages in candidates:
        if _backs(pages, memory_kib):
            return None
    if not candidates:
        if asked > 0:
            return Lack(f'pages.{asked}', -(-memory_kib // asked), 0, 'pages')
        return Lack('pages.large' if host_cell.pages else 'pages.none', 1, 0, 'page sizes')
    whole = [pages for pages in candidates if memory_kib % pages.size_kib == 0]
    if not whole:
        return Lack('memory.multiple', memory_kib, candidates[-1].size_kib, 'KiB')
    nearest = max(whole, key=lambda pages: pages.free * pages.size_kib)
    return Lack(f'pages.{nearest.size_kib}', memory_kib // nearest.size_kib, nearest.free, 'pages')
