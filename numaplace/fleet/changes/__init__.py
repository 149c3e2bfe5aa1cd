# SPDX-License-Identifier: Apache-2.0
"""The smallest change after which a host takes a guest that it refuses, in a stated order of cost.

Kinds of changes come in the order of :data:`KINDS`; each module says what the list of a kind is, and its order.
"""

from collections.abc import Callable, Mapping

from numaplace.fleet.changes.amounts import MEMORY, VCPUS, smaller_amounts
from numaplace.fleet.changes.base import Case, Change, Takes, Trial
from numaplace.fleet.changes.guests import (
    CELLS,
    DEVICE,
    NETWORK,
    PAGE_SIZE,
    THREADS,
    other_cells,
    other_threads,
    smaller_pages,
    without_device,
)
from numaplace.fleet.changes.hosts import HOST, SERVER, other_host, without_server
from numaplace.fleet.changes.reserved import RESERVED, fewer_reserved
from numaplace.fleet.changes.split import SPLIT, other_split

__all__ = ['KINDS', 'SEARCHES', 'Case', 'Change', 'Takes', 'Trial', 'nearest']

#: The cheapest kind first; vCPUs and memory are compared by their share, and devices come before networks.
KINDS = (RESERVED, PAGE_SIZE, THREADS, SPLIT, CELLS, VCPUS, MEMORY, DEVICE, NETWORK, SERVER, HOST)

#: A search for the smallest change of each kind, or of two.
SEARCHES: tuple[Callable[[Case], Change | None], ...] = (
    fewer_reserved,
    smaller_pages,
    other_threads,
    other_split,
    other_cells,
    smaller_amounts,
    without_device,
    without_server,
    other_host,
)


def nearest(cases: Mapping[str, Case]) -> tuple[str, Change] | None:
    """Return the smallest change after which one of some hosts takes a guest, and the name of that host.

    No change of a cheaper kind, and no smaller one of the same kind, makes the guest fit any of them; ties go by name.

    :param cases: hosts that refuse the guest, by name
    """
    for search in SEARCHES:
        found = [(change.cost, name, change) for name, case in sorted(cases.items()) if (change := search(case))]
        if found:
            _cost, name, change = min(found, key=lambda each: each[:2])
            return name, change
    return None
