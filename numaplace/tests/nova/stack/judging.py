# SPDX-License-Identifier: Apache-2.0
"""What stored guests must be on stored hosts, judged without the fit."""

import collections
import copy
from collections.abc import Iterable
from typing import Any

from numaplace.tests import audit

__all__ = ['faults', 'pins', 'usage', 'usage_by']

_Data = dict[str, Any]

#: KiB of the pages that a guest is counted in that did not ask for any.
_SMALLEST = 4


def faults(host_before: _Data, placed: _Data, pagesize: int | None = None) -> list[str]:
    """Return what is wrong with a placed guest of pinned cells; nothing, if all is well.

    :param host_before: the NUMA topology of the host before the guest came
    :param placed: the NUMA topology of the guest
    :param pagesize: what it asked for: KiB, or Nova's negative number for a kind of pages
    """
    asked = copy.deepcopy(placed)
    for number, cell in enumerate(asked['nova_object.data']['cells']):
        cell['nova_object.data'] |= {'id': number, 'pagesize': pagesize, 'cpu_pinning_raw': None}
    return audit.audit(host_before, asked, None, placed)


def pins(cell: _Data) -> dict[int, int]:
    """Return the CPUs of a stored guest cell by its vCPUs."""
    return {int(vcpu): cpu for vcpu, cpu in (cell['cpu_pinning_raw'] or {}).items()}


def usage(host: Iterable[_Data]) -> dict[int, tuple[list[int], int, dict[int, int]]]:
    """Return the pinned CPUs, MiB and used pages of each cell of a host as the host counts them."""
    return {
        cell['id']: (
            sorted(cell['pinned_cpus']),
            cell['memory_usage'],
            {
                pages['nova_object.data']['size_kb']: pages['nova_object.data']['used']
                for pages in cell['mempages']
                if pages['nova_object.data']['used']
            },
        )
        for cell in host
    }


def usage_by(
    guests: Iterable[Iterable[_Data]], cells: Iterable[int]
) -> dict[int, tuple[list[int], int, dict[int, int]]]:
    """Return the same as the sum of the guests of the host.

    :raises: AssertionError if a CPU is in two guests
    """
    cpus, memory, pages = (
        collections.defaultdict(list),
        collections.Counter(),
        collections.defaultdict(collections.Counter),
    )
    for guest in guests:
        for cell in guest:
            cpus[cell['id']] += pins(cell).values()
            memory[cell['id']] += cell['memory']
            size = cell['pagesize'] or _SMALLEST
            pages[cell['id']][size] += cell['memory'] * 1024 // size
    for taken in cpus.values():
        assert len(taken) == len(set(taken)), f'a CPU is in two guests: {sorted(taken)}'
    return {cell: (sorted(cpus[cell]), memory[cell], dict(pages[cell])) for cell in cells}
