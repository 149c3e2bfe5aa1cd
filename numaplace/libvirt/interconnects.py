# SPDX-License-Identifier: Apache-2.0
"""Read the latencies and bandwidths between NUMA cells (ACPI HMAT) in capabilities XML."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from numaplace.libvirt import topology
from numaplace.libvirt.document import Document, show
from numaplace.libvirt.xmltext import Element
from numaplace.model import MemoryAccess

__all__ = ['read']

#: What the types of access stand for.
_TYPES = {'access': ('read', 'write'), 'read': ('read',), 'write': ('write',)}


def read(source: Document, cells: Collection[int]) -> dict[int, dict[int, MemoryAccess]]:
    """Return the accesses to memory, by the cell of the memory and the cell of the CPUs.

    Values for memory-side caches are omitted: they do not describe the memory itself.

    :raises: as the methods of :class:`~numaplace.libvirt.document.Document`
    """
    found: dict[int, dict[int, MemoryAccess]] = {}
    for element in source.root.findall('host/topology/interconnects/*'):
        if element.tag not in ('latency', 'bandwidth') or element.get('cache', '0').strip() != '0':
            continue
        target = source.whole(element, 'target', 'cell number', topology.MAX_CELL)
        initiator = source.whole(element, 'initiator', 'cell number', topology.MAX_CELL)
        if target not in cells:
            raise source.fault(element, f'there is no cell {target}: expected {", ".join(map(str, cells))}', 'target')
        ways = found.setdefault(target, {})
        ways[initiator] = replace(ways.get(initiator) or MemoryAccess(initiator), **_read_values(source, element))
    return found


def _read_values(source: Document, element: Element) -> dict[str, int]:
    kind = element.get('type', '')
    if kind not in _TYPES:
        raise source.fault(element, f'{show(kind)} is not a type of access: expected access, read or write', 'type')
    if element.tag == 'latency':
        latency_ns = source.whole(element, 'value', 'latency')
        return {f'{verb}_latency_ns': latency_ns for verb in _TYPES[kind]}
    bandwidth_mib_s = source.octets(element, 'value', 'bandwidth') // 1024**2
    return {f'{verb}_bandwidth_mib_s': bandwidth_mib_s for verb in _TYPES[kind]}
