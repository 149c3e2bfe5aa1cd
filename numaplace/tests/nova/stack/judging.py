# SPDX-License-Identifier: Apache-2.0
"""What stored guests must be on stored hosts, judged without the fit."""

import collections
import copy
from collections.abc import Iterable
from typing import Any, NamedTuple
from xml.etree import ElementTree

from numaplace import cpuset
from numaplace.tests import audit

__all__ = ['Usage', 'cpus', 'faults', 'pins', 'usage', 'usage_by', 'vcpu_pins']

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


def cpus(text: str) -> set[int]:
    """Return the CPUs of a list as libvirt writes it."""
    return set(cpuset.ids(cpuset.parse(text)))


def vcpu_pins(domain: ElementTree.Element) -> dict[int, set[int]]:
    """Return the CPUs of libvirt's XML of a guest by its vCPUs."""
    return {int(pin.get('vcpu')): cpus(pin.get('cpuset')) for pin in domain.findall('cputune/vcpupin')}


class Usage(NamedTuple):
    """What is used of a host cell; pages by their size in KiB, without sizes of which none is used."""

    pinned_cpus: list[int]
    memory_mib: int
    pages: dict[int, int]
    shared_vcpus: int


def usage(host: Iterable[_Data]) -> dict[int, Usage]:
    """Return the usage of each cell of a host as the host counts it."""
    return {
        cell['id']: Usage(
            sorted(cell['pinned_cpus']),
            cell['memory_usage'],
            {
                pages['nova_object.data']['size_kb']: pages['nova_object.data']['used']
                for pages in cell['mempages']
                if pages['nova_object.data']['used']
            },
            cell['cpu_usage'],
        )
        for cell in host
    }


def usage_by(guests: Iterable[Iterable[_Data]], cells: Iterable[int]) -> dict[int, Usage]:
    """Return the same as the sum of the guests of the host.

    :raises: AssertionError if a CPU is in two guests
    """
    held = collections.defaultdict(list)
    for guest in guests:
        for cell in guest:
            held[cell['id']].append(cell)
    return {cell: _sum(held[cell]) for cell in cells}


def _sum(held: list[_Data]) -> Usage:
    """Return what guest cells use of the host cell that holds them."""
    pinned = [cpu for cell in held for cpu in (*pins(cell).values(), *(cell['cpuset_reserved'] or ()))]
    assert len(pinned) == len(set(pinned)), f'a CPU is in two guests: {sorted(pinned)}'
    pages = collections.Counter()
    for cell in held:
        size = cell['pagesize'] or _SMALLEST
        pages[size] += cell['memory'] * 1024 // size
    memory_mib = sum(cell['memory'] for cell in held)
    return Usage(sorted(pinned), memory_mib, dict(pages), sum(len(cell['cpuset']) for cell in held))
