# SPDX-License-Identifier: Apache-2.0
"""Changes of what a guest requests beside its amounts: pages, threads, the number of its cells, devices, networks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from numaplace import cpuset
from numaplace.fleet.changes.base import Case, Change, Trial, amounts_of, with_cells
from numaplace.model import ISOLATE, PAGES_LARGE, PAGES_SMALL, PREFER, REQUIRE, Guest, GuestCell

__all__ = [
    'CELLS',
    'DEVICE',
    'NETWORK',
    'PAGE_SIZE',
    'THREADS',
    'other_cells',
    'other_threads',
    'smaller_pages',
    'without_device',
]

PAGE_SIZE, THREADS, CELLS, DEVICE, NETWORK = 'page_size', 'thread_policy', 'cells', 'device', 'network'

#: The policy that asks least of the host comes first.
_POLICIES = (PREFER, REQUIRE, ISOLATE)


def smaller_pages(case: Case) -> Change | None:
    """Return the largest page size of the host that is smaller than the requested one, and with which it fits.

    Of guest cells with unlike sizes, those with a larger one get it.
    """
    sizes = sorted({pages.size_kib for cell in case.host.cells for pages in cell.pages}, reverse=True)
    for size in sizes:
        guest = _with_pages(case.guest, size, is_smallest=size == sizes[-1])
        if guest != case.guest and case.takes_guest(guest):
            return Change(PAGE_SIZE, (-size,), _largest(case.guest), _largest(guest))
    return None


def _with_pages(guest: Guest, size_kib: int, *, is_smallest: bool) -> Guest:
    def smaller(requested: int | None) -> int | None:
        if requested == PAGES_LARGE:
            return PAGES_SMALL if is_smallest else requested
        return min(requested, size_kib) if requested and requested > 0 else requested

    if guest.wish is not None:
        guest = replace(guest, wish=replace(guest.wish, pagesize_kib=smaller(guest.wish.pagesize_kib)))
    return replace(guest, cells=tuple([replace(cell, pagesize_kib=smaller(cell.pagesize_kib)) for cell in guest.cells]))


def _largest(guest: Guest) -> int | None:
    """Return the largest page size that is requested, in KiB or as a class."""
    sizes = [cell.pagesize_kib for cell in guest.cells] or [guest.wish.pagesize_kib if guest.wish else None]
    return max(sizes, key=lambda size: (size == PAGES_LARGE, size or 0))


def other_threads(case: Case) -> Change | None:
    """Return the thread policy with which the guest fits; prefer comes first, then require."""
    policies = {cell.thread_policy for cell in case.guest.cells if cell.is_pinned}
    if not policies or not case.has_memory():
        return None
    for rank, policy in enumerate(_POLICIES):
        if policies <= {policy} or (policy == PREFER and policies <= {PREFER, None}):
            continue
        cells = [replace(cell, thread_policy=policy) if cell.is_pinned else cell for cell in case.guest.cells]
        if case.takes_guest(replace(case.guest, cells=tuple(cells))):
            before = ', '.join(sorted([name or PREFER for name in policies]))
            return Change(THREADS, (rank,), before, policy)
    return None


def other_cells(case: Case) -> Change | None:
    """Return another number of guest cells, all alike, with which the guest fits: the nearest, fewer before more."""
    guest, now = case.guest, len(case.guest.cells)
    if not now:
        return None
    for number in sorted(range(1, len(case.host.cells) + 1), key=lambda number: (abs(number - now), number)):
        if number != now and guest.vcpus % number == 0 and guest.memory_mib % number == 0:
            changed = with_cells(guest, list(_even(guest, number)))
            if case.takes_guest(changed):
                cost = (abs(number - now), number)
                return Change(CELLS, cost, amounts_of(guest), amounts_of(changed))
    return None


def _even(guest: Guest, number: int) -> Iterator[GuestCell]:
    """Yield so many cells with as many of the vCPUs each, in their order."""
    shared = cpuset.union([cell.shared_vcpus for cell in guest.cells])
    vcpus = list(cpuset.ids(cpuset.union([cell.vcpus for cell in guest.cells])))
    each = guest.vcpus // number
    for place in range(number):
        mask = cpuset.mask(vcpus[place * each : (place + 1) * each])
        yield replace(
            guest.cells[0],
            id=place,
            shared_vcpus=mask & shared,
            dedicated_vcpus=mask & ~shared,
            memory_mib=guest.memory_mib // number,
        )


def without_device(case: Case) -> Change | None:
    """Return the first device, or else the first network, without which the guest fits."""
    requests = case.guest.pci_requests
    for place, request in enumerate(requests):
        left = [replace(request, count=request.count - 1)] if request.count > 1 else []
        guest = replace(case.guest, pci_requests=(*requests[:place], *left, *requests[place + 1 :]))
        if case.takes_guest(guest):
            return Change(DEVICE, (0, place), request.count, request.count - 1, request.name)
    networks = case.networks
    if networks is None:
        return None
    fewer = [(name, replace(networks, physnets=networks.physnets - {name})) for name in sorted(networks.physnets)]
    fewer += [('', replace(networks, tunneled=False))] if networks.tunneled else []
    for place, (name, others) in enumerate(fewer):
        if case.takes(Trial(case.host, case.guest, others)):
            return Change(NETWORK, (1, place), subject=name)
    return None
