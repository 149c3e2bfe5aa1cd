# SPDX-License-Identifier: Apache-2.0
"""The XML of ``lstopo --of xml`` (hwloc 2) to a host and its facts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Unpack

from lxml import etree

from numaplace import cpuset
from numaplace.libvirt import document, files, topology
from numaplace.libvirt.document import Document, show
from numaplace.libvirt.topology import VENDORS, FoundCell, HostFacts, Options
from numaplace.model import Cache, Host, MemoryAccess

__all__ = ['Machine', 'load', 'read']

_SOURCE = 'the output of `lstopo --of xml` of hwloc 2'

#: hwloc names a DTD of its own, which is neither needed nor read; any other is refused.
_DOCTYPE = re.compile(rb'<!DOCTYPE topology SYSTEM "hwloc[23]?\.dtd">')

_BITMAP = re.compile('(?:0x[0-9a-f]{1,8}|)(?:,(?:0x[0-9a-f]{1,8}|))*')

#: hwloc's names of the ways to memory by ours.
_VALUES = {
    'ReadLatency': 'read_latency_ns',
    'WriteLatency': 'write_latency_ns',
    'ReadBandwidth': 'read_bandwidth_mib_s',
    'WriteBandwidth': 'write_bandwidth_mib_s',
}


@dataclass(frozen=True, slots=True)
class Machine:
    """What lstopo saw.

    :param hidden_cpus: mask of the CPUs that are offline, or that a control group kept from lstopo
    """

    host: Host
    facts: HostFacts
    hidden_cpus: int


def load(path: str) -> bytes:
    """Return the content of a file for :func:`read`; the errors are those of :func:`files.load`."""
    return files.load(path, _SOURCE)


def read(xml: bytes, *, place: str = 'lstopo', **options: Unpack[Options]) -> Machine:
    """Read a host's NUMA cells and its facts.

    lstopo gives memory without CPUs the CPUs near to it: a CPU that several cells name is in the smallest of them,
    and of equal ones in the first.

    :param place: where the document came from, for the errors
    :param options: the operator's options: see :func:`numaplace.libvirt.topology.host`
    :raises: :class:`~numaplace.exception.InvalidCapabilities` if it is no such XML; the faults of
        :func:`numaplace.libvirt.topology.host`
    """
    source = document.parse(_DOCTYPE.sub(b'', xml, count=1), place, 'topology', _SOURCE)
    if not (source.root.get('version') or '').startswith('2.'):
        raise source.fault(source.root, f'not of hwloc 2: expected {_SOURCE}', 'version')
    machine = source.root.find('object[@type="Machine"]')
    if machine is None:
        raise source.fault(source.root, f'there is no object of type Machine: expected {_SOURCE}')
    hidden = _bitmap(source, machine, 'complete_cpuset') & ~_bitmap(source, machine, 'cpuset')
    return Machine(topology.host(_read_cells(source), **options), _facts(machine), hidden)


def _facts(machine: etree._Element) -> HostFacts:
    values = {info.get('name'): info.get('value') or None for info in machine.iterfind('.//info')}
    vendor = values.get('CPUVendor')
    return HostFacts(
        arch=values.get('Architecture') or '',
        cpu_model=values.get('CPUModel'),
        vendor=VENDORS.get(vendor, vendor) if vendor else None,
    )


def _objects(source: Document, kind: str) -> Iterator[etree._Element]:
    return (element for element in source.root.iter('object') if element.get('type') == kind)


def _bitmap(source: Document, element: etree._Element, attribute: str) -> int:
    """Return the mask of hwloc's form: words of 32 bits in hexadecimal, the highest first, empty ones of zero."""
    text = element.get(attribute, '')
    if not _BITMAP.fullmatch(text) or text.count(',') * 32 > cpuset.MAX_CPU:
        raise source.fault(element, f"{show(text)} is no set: expected one such as '0x00000003,0xffffffff'", attribute)
    mask = 0
    for word in text.split(','):
        mask = mask << 32 | int(word or '0', 16)
    return mask


def _masks(source: Document, kind: str) -> tuple[int, ...]:
    return tuple(mask for element in _objects(source, kind) if (mask := _bitmap(source, element, 'cpuset')))


def _read_cells(source: Document) -> list[FoundCell]:
    online = cpuset.mask(source.whole(pu, 'os_index', 'CPU number', cpuset.MAX_CPU) for pu in _objects(source, 'PU'))
    nodes: dict[int, etree._Element] = {}
    for element in _objects(source, 'NUMANode'):
        number = source.whole(element, 'os_index', 'cell number', topology.MAX_CELL)
        if number in nodes:
            raise source.fault(element, f'there are two cells {number}: expected each number once', 'os_index')
        nodes[number] = element
    if not nodes or not online:
        raise source.fault(
            source.root, f'there is no object of type {"PU" if nodes else "NUMANode"}: expected {_SOURCE}'
        )
    cpus = _divide(source, nodes, online)
    distances = _read_distances(source, list(nodes))
    accesses = _read_accesses(source, nodes, cpus)
    cores, packages = _masks(source, 'Core'), _packages(source)
    everywhere = FoundCell(
        id=0,
        memory_kib=0,
        cpus=0,
        packages=tuple(packages.values()),
        dies=_masks(source, 'Die'),
        clusters=tuple(
            _bitmap(source, group, 'cpuset') for group in _objects(source, 'Group') if group.get('subtype') == 'Cluster'
        ),
        caches=_read_caches(source),
    )
    return [
        replace(
            everywhere,
            id=number,
            memory_kib=_octets(source, nodes[number], 'local_memory') // 1024,
            cpus=cpus[number],
            pages=_read_pages(source, nodes[number]),
            siblings=_cores(cores, cpus[number]),
            sockets=frozenset(socket for socket, mask in packages.items() if mask & cpus[number]),
            distances=distances.get(number, ()),
            accesses=tuple(accesses.get(number, {}).values()),
        )
        for number in sorted(nodes)
    ]


def _octets(source: Document, element: etree._Element, attribute: str) -> int:
    """Return a number of bytes; hwloc leaves the attribute out where there are none."""
    return source.whole(element, attribute, 'size in bytes') if attribute in element.attrib else 0


def _divide(source: Document, nodes: dict[int, etree._Element], online: int) -> dict[int, int]:
    """Return the CPUs of each cell, each CPU in one."""
    near = {number: _bitmap(source, element, 'cpuset') & online for number, element in nodes.items()}
    left, cpus = online, {}
    for number in sorted(near, key=lambda number: (near[number].bit_count(), number)):
        cpus[number] = near[number] & left
        left &= ~near[number]
    if left:
        raise source.fault(source.root, f'CPUs {cpuset.text(left)} are in no NUMANode: expected {_SOURCE}')
    return cpus


def _cores(cores: tuple[int, ...], cpus: int) -> tuple[int, ...]:
    """Return the cores of CPUs; one that no Core holds is a core."""
    found = [core for core in cores if core & cpus]
    named = 0
    for core in found:
        named |= core
    return (*found, *(1 << cpu for cpu in cpuset.ids(cpus & ~named)))


def _packages(source: Document) -> dict[int, int]:
    """Return the CPUs of the packages by their numbers."""
    return {
        source.whole(package, 'os_index', 'socket number'): _bitmap(source, package, 'cpuset')
        for package in _objects(source, 'Package')
        if 'os_index' in package.attrib
    }


def _read_caches(source: Document) -> tuple[Cache, ...]:
    banks = []
    for element in source.root.iter('object'):
        match = re.fullmatch(r'L([1-9])Cache', element.get('type', ''))
        if match and int(match[1]) >= topology.MIN_CACHE_LEVEL and 'cache_size' in element.attrib:
            size_kib = _octets(source, element, 'cache_size') // 1024
            banks.append(Cache(int(match[1]), size_kib, _bitmap(source, element, 'cpuset')))
    return tuple(banks)


def _read_pages(source: Document, node: etree._Element) -> tuple[tuple[int, int], ...]:
    pages: dict[int, int] = {}
    for element in node.findall('page_type'):
        octets = source.whole(element, 'size', 'page size')
        if octets < 1024 or octets % 1024 or octets // 1024 in pages:
            raise source.fault(element, f'a page size of {octets} bytes: expected whole KiB, each size once', 'size')
        pages[octets // 1024] = source.whole(element, 'count', 'number of pages')
    return tuple(pages.items())


def _read_distances(source: Document, nodes: list[int]) -> dict[int, tuple[tuple[int, int], ...]]:
    """Return the rows of the kernel's matrix, by cell."""
    for matrix in source.root.findall('distances2[@type="NUMANode"]'):
        if matrix.get('name', 'NUMALatency') != 'NUMALatency' or matrix.get('indexing') != 'os':
            continue
        order = _words(source, matrix, 'indexes')
        values = _words(source, matrix, 'u64values')
        if set(order) != set(nodes) or len(values) != len(order) ** 2:
            raise source.fault(
                matrix, f'{len(values)} distances of {len(order)} cells: expected one from each cell to each'
            )
        width = len(order)
        return {
            number: tuple(zip(order, values[row * width : (row + 1) * width], strict=True))
            for row, number in enumerate(order)
        }
    # Of a cell alone hwloc names none; to itself it is what the SLIT calls local.
    return {nodes[0]: ((nodes[0], 10),)} if len(nodes) == 1 else {}


def _words(source: Document, matrix: etree._Element, tag: str) -> list[int]:
    found = []
    for element in matrix.findall(tag):
        for word in (element.text or '').split():
            if not re.fullmatch('[0-9]{1,9}', word):
                raise source.fault(element, f'{show(word)} is no whole number')
            found.append(int(word))
    return found


def _read_accesses(
    source: Document, nodes: dict[int, etree._Element], cpus: dict[int, int]
) -> dict[int, dict[int, MemoryAccess]]:
    """Return the ways to the memory of cells, by the cell of the memory and that of the CPUs."""
    targets = {element.get('gp_index'): number for number, element in nodes.items()}
    found: dict[int, dict[int, MemoryAccess]] = {}
    for attribute in source.root.findall('memattr'):
        name = _VALUES.get(attribute.get('name', ''))
        for element in attribute.findall('memattr_value') if name else ():
            target = targets.get(element.get('target_obj_gp_index'))
            if target is None:
                raise source.fault(element, 'no NUMANode has this gp_index', 'target_obj_gp_index')
            value = {str(name): source.whole(element, 'value', 'latency or bandwidth')}
            near = _bitmap(source, element, 'initiator_cpuset')
            for initiator in (number for number, mask in cpus.items() if mask and mask & ~near == 0):
                ways = found.setdefault(target, {})
                ways[initiator] = replace(ways.get(initiator) or MemoryAccess(initiator), **value)
    return found
