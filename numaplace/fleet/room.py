# SPDX-License-Identifier: Apache-2.0
"""How many more guests that are alike fit on one host: exactly where that can be told, otherwise two bounds.

The number is the largest over all choices of host cells; in a cell the fit chooses the CPUs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from numaplace import fit, partition
from numaplace.fit import amounts
from numaplace.fit.cell_demand import Demand, demands
from numaplace.fit.networks import affinities
from numaplace.fleet import cell_room, device_room
from numaplace.fleet.cell_packing import Packing
from numaplace.fleet.counting import MOST, largest, spread
from numaplace.model import ISOLATE, Guest, Host, HostCell, Limits, Networks, Refusal, limit
from numaplace.model.host_resources import PMEM

__all__ = ['Room', 'crowded', 'is_whole', 'left', 'never', 'room']


class Room(NamedTuple):
    """How many guests fit, from a lower to an upper bound.

    :param binding: code of the refusal that the next one meets; the most frequent one of those of the cells
    """

    at_least: int
    at_most: int
    binding: str


_ANY = Room(MOST, MOST, '')


def never() -> bool:
    """Return false: a search goes on up to its number of steps."""
    return False


def room(
    host: Host,
    guest: Guest,
    *,
    limits: Limits | None = None,
    networks: Networks | None = None,
    stop: Callable[[], bool] = never,
) -> Room:
    """Return how many more guests fit on a host.

    Exact for guests without cells, for guests of one cell with PCI devices that are near it, and for guests without
    devices whose cells are alike: n of them with m cells each fit where
    the sum over the host cells of min(n, guest cells that fit there) is at least m x n. Linear in the number of host
    cells for these. Other guests with cells are searched for, in a limited number of steps; for guests that numaplace
    divides, the lower bound is one after the other.

    :param limits: overcommit of shared CPUs and memory; None sets no limit
    :param networks: the networks that each guest attaches to, if any
    :param stop: asked in a search; once it is true, the bounds stay as they are
    """
    found = _room(host, guest, limits, networks, stop)
    most = min(host.resources.room(guest.resource_requests), MOST)
    if most >= found.at_most:
        return found
    kind = 'pmem' if any(one.startswith(PMEM) for one in guest.resource_requests) else 'encryption'
    return Room(min(found.at_least, int(most)), int(most), f'{kind}.free')


def is_whole(host: Host, guest: Guest, limits: Limits | None) -> bool:
    """Return whether the fit refuses no guest up to :func:`room` for what the ones before it take of the whole host."""
    if guest.wish is not None or guest.pci_requests:
        return False
    return not (guest.cells and _is_crowded(host, limits)) or _is_counted_whole(host, guest)


def _is_crowded(host: Host, limits: Limits | None) -> bool:
    """Return whether guests with cells are counted on the whole host too, because others float there."""
    return limits is not None and bool(host.floating_vcpus or host.held_vcpus)


def _room(host: Host, guest: Guest, limits: Limits | None, networks: Networks | None, stop: Callable[[], bool]) -> Room:
    found = _by_cell(host, guest, limits, networks)
    if found is not None and found.at_most:
        return found  # as many as that fit, so the fit need not say whether one does
    if isinstance(refusal := partition.place(host, guest, limits=limits, networks=networks), Refusal):
        return Room(0, 0, max(refusal.reasons, key=lambda reason: reason.position).code)
    if guest.pci_requests:
        return _with_devices(host, guest, limits, networks, stop)
    if guest.wish is not None:
        return _one_by_one(host, guest, limits, networks)
    found = _in_cells(host, guest, limits, networks, stop) if guest.cells else _ANY
    return _beside_others(found, host, guest, limits, networks)


def _by_cell(host: Host, guest: Guest, limits: Limits | None, networks: Networks | None) -> Room | None:
    """Return the exact number of guests for which cell by cell and the totals decide; None for others."""
    if guest.resource_requests or amounts.reasons(guest) or not is_whole(host, guest, limits):
        return None
    found = _evenly(host, guest, limits, networks) if guest.cells else _ANY
    return None if found is None else _beside_others(found, host, guest, limits, networks)


def _with_devices(
    host: Host, guest: Guest, limits: Limits | None, networks: Networks | None, stop: Callable[[], bool]
) -> Room:
    """Return a room that PCI devices limit too: by host cell where the guests of one cell do not share any."""
    plain = room(host, replace(guest, pci_requests=()), limits=limits, networks=networks, stop=stop)
    floats = not guest.cells and guest.wish is None
    anywhere = frozenset([] if floats else [cell.id for cell in host.cells])
    most = device_room.most(host, guest.pci_requests, anywhere, plain.at_most)
    if floats:
        return plain if most == plain.at_most else Room(most, most, 'pci.total')
    if guest.wish is None and len(guest.cells) == 1 and device_room.are_by_cell(host, guest.pci_requests):
        found = _in_cells(host, guest, limits, networks, stop)
        return _beside_others(found, host, guest, limits, networks)
    reached, binding = _repeat(host, guest, limits, networks)
    return Room(reached, max(reached, most), binding)


def _beside_others(found: Room, host: Host, guest: Guest, limits: Limits | None, networks: Networks | None) -> Room:
    """Return a room that the whole host limits too, if guests float there or this one does."""
    if guest.cells and not _is_crowded(host, limits):
        return found
    if _is_counted_whole(host, guest):
        return _within_host(found, host, guest, limits)
    reached, binding = _repeat(host, guest, limits, networks)
    return Room(min(reached, found.at_most), found.at_most, binding)


def crowded(host: Host, guest: Guest, number: int, *, memory: bool = True) -> Host:
    """Return a host whose totals count some more guests, while its cells stay as they are.

    :param memory: whether their memory counts
    """
    return replace(
        host,
        vcpus_used=host.vcpus_used + number * guest.vcpus,
        memory_used_mib=host.memory_used_mib + number * guest.memory_mib * memory,
        floating_vcpus=host.floating_vcpus + number * (0 if guest.cells else guest.vcpus),
    )


def _is_counted_whole(host: Host, guest: Guest) -> bool:
    """Return whether each guest takes as much of the whole host as it needs there, wherever its cells go."""
    if not guest.cells:
        return True
    if not all(cell.shape.is_general for cell in host.cells):
        return False
    if not host.shared_cpus & host.dedicated_cpus or not any(cell.dedicated_vcpus for cell in guest.cells):
        return True
    isolated = ISOLATE in (guest.emulator_policy, *(cell.thread_policy for cell in guest.cells))
    return not isolated and all(cell.shape.shared_cpus == cell.shape.dedicated_cpus for cell in host.cells)


def _within_host(found: Room, host: Host, guest: Guest, limits: Limits | None) -> Room:
    """Return a room that the whole host limits too."""
    both = host.shared_cpus & host.dedicated_cpus
    shared = guest.vcpus if both else sum([cell.shared_vcpus.bit_count() for cell in guest.cells])

    def refused(number: int) -> Refusal | None:
        crowd = crowded(host, guest, number - 1)
        if guest.cells:
            crowd = replace(crowd, floating_vcpus=host.floating_vcpus + (number - 1) * shared)
        return fit.refusal(crowd, guest, limits=limits)

    number = largest(
        found.at_most,
        lambda many: refused(many) is None,
        _likely(host, guest, limits, shared if guest.cells else guest.vcpus),
    )
    if number == found.at_most:
        return found
    refusal = refused(number + 1)
    binding = refusal.reasons[0].code if refusal is not None else found.binding
    return Room(min(found.at_least, number), number, binding)


def _likely(host: Host, guest: Guest, limits: Limits | None, shared: int) -> int:
    """Return how many guests the totals of a host probably suffice for: a quotient for each."""
    ratios = limits or Limits(1.0, 1.0)
    memory_mib = limit(host.memory_mib, ratios.ram_allocation_ratio) - host.general_memory_used_mib - host.held_mib
    vcpus = limit(host.shared_cpus.bit_count(), ratios.cpu_allocation_ratio) - host.shared_vcpus_used
    return int(min(MOST, memory_mib // max(guest.memory_mib, 1), vcpus // shared if shared else MOST))


def _repeat(host: Host, guest: Guest, limits: Limits | None, networks: Networks | None) -> tuple[int, str]:
    """Return how many fit one after the other, and what refuses the next."""
    for number in range(MOST):
        answer = partition.place(host, guest, limits=limits, networks=networks, strategy=fit.PACK)
        if isinstance(answer, Refusal):
            return number, max(answer.reasons, key=lambda reason: reason.position).code
        host = host.consume(answer)
    return MOST, ''


def _one_by_one(host: Host, guest: Guest, limits: Limits | None, networks: Networks | None) -> Room:
    """Return bounds for guests that are divided: one after the other, and what all cells have together."""
    reached, binding = _repeat(host, guest, limits, networks)
    cpus, memory = left(host, limits)
    most = min(memory // max(guest.memory_mib, 1), cpus // max(guest.vcpus, 1), MOST)
    return Room(reached, max(reached, int(most)), binding)


def left(host: Host, limits: Limits | None) -> tuple[float, float]:
    """Return upper bounds of the vCPUs and of the memory in MiB that guests with cells can still have together."""
    cpus = memory = 0.0
    for cell in host.cells:
        pages_mib = sum(max(0, pages.free) * pages.size_kib for pages in cell.pages) // 1024
        memory += max(0, cell.free_memory_mib, pages_mib, cell_room.ram_left(cell, limits))
        cpus += cell.free_cpus.bit_count() + max(0, cell_room.cpus_left(cell, limits))
    return cpus, memory


def _in_cells(
    host: Host, guest: Guest, limits: Limits | None, networks: Networks | None, stop: Callable[[], bool]
) -> Room:
    found = _evenly(host, guest, limits, networks)
    if found is not None:
        return found
    near = [affinity.columns for affinity in affinities(host.cells, networks)]
    packing = Packing(guest, demands(guest, limits), near)
    most = packing.bound(host.cells)
    if most >= MOST:
        return _ANY
    reached, binding = _repeat(host, guest, limits, networks)
    if reached < most:
        reached, most = packing.search(host.cells, reached, most, stop)
    return Room(reached, most, binding)


def _evenly(host: Host, guest: Guest, limits: Limits | None, networks: Networks | None) -> Room | None:
    """Return the exact number of guests of one cell, or of alike cells that may be anywhere; None for others."""
    wanted = demands(guest, limits)
    near = [affinity.columns for affinity in affinities(host.cells, networks)]
    if len(wanted) == 1:
        usable = [cell for column, cell in enumerate(host.cells) if all(mask >> column & 1 for mask in near)]
        return _alike(usable, guest, wanted, host)
    return _alike(host.cells, guest, wanted, host) if not near and len(set(wanted)) == 1 else None


def _alike(cells: Sequence[HostCell], guest: Guest, wanted: Sequence[Demand], host: Host) -> Room:
    """Return the exact number of guests whose cells are alike; with PCI devices, of guests of one cell."""
    each = [cell_room.exact(cell, guest.cells[0], wanted[0]) for cell in cells]
    if guest.pci_requests:
        each = [_near_devices(host, guest, cell, *amount) for cell, amount in zip(cells, each, strict=True)]
    numbers = [amount for amount, _code in each]
    number = spread(numbers, len(wanted))
    if number >= MOST:
        return _ANY
    codes = Counter([code for amount, code in each if amount <= number])
    binding = codes.most_common(1)[0][0] if codes else 'cells.count'
    return Room(number, number, binding)


def _near_devices(host: Host, guest: Guest, cell: HostCell, number: float, code: str) -> tuple[float, str]:
    """Return how many of so many guests on a host cell get their devices too, and the code of what ends it."""
    most = device_room.most(host, guest.pci_requests, frozenset([cell.id]), int(min(number, MOST)))
    return (most, 'pci.affinity') if most < number else (number, code)
