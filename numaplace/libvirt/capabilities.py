# SPDX-License-Identifier: Apache-2.0
"""The XML of ``virsh capabilities`` to a host and its facts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Unpack

from lxml import etree

from numaplace import cpuset
from numaplace.libvirt import document, files, interconnects, topology
from numaplace.libvirt.document import Document
from numaplace.libvirt.topology import FoundCell, GuestType, HostFacts, Options
from numaplace.model import Cache, CpuTopology, Host

__all__ = ['facts', 'load', 'read']

_SOURCE = 'the output of `virsh capabilities`'


def load(path: str) -> bytes:
    """Return the content of a file for :func:`read` and :func:`facts`; the errors are those of :func:`files.load`."""
    return files.load(path, _SOURCE)


def read(xml: bytes, *, place: str = 'capabilities', **options: Unpack[Options]) -> Host:
    """Read a host's NUMA cells; CPUs that are offline (named without siblings) are left out.

    :param place: where the document came from, for the errors
    :param options: the operator's options: see :func:`numaplace.libvirt.topology.host`
    :raises: :class:`~numaplace.exception.InvalidCapabilities` if it is no capabilities XML with a host topology;
        the faults of :func:`numaplace.libvirt.topology.host`
    """
    source = document.parse(xml, place, 'capabilities', _SOURCE)
    return topology.host(_read_cells(source), **options)


def facts(xml: bytes, *, place: str = 'capabilities') -> HostFacts:
    """Read what a host is apart from its NUMA topology.

    :raises: :class:`~numaplace.exception.InvalidCapabilities` if it is no capabilities XML or names no architecture
    """
    source = document.parse(xml, place, 'capabilities', _SOURCE)
    arch = _text(source.root, 'host/cpu/arch')
    if arch is None:
        raise source.fault(source.root, f'there is no host/cpu/arch: expected {_SOURCE}')
    return HostFacts(
        arch=arch,
        uuid=_text(source.root, 'host/uuid'),
        cpu_model=_text(source.root, 'host/cpu/model'),
        vendor=_text(source.root, 'host/cpu/vendor'),
        cpu_topology=_read_cpu_topology(source),
        features=_names(source.root.findall('host/cpu/feature'), 'name'),
        guests=tuple(
            _read_guest_type(guest, arch) for guest in source.root.findall('guest') for arch in guest.findall('arch')
        ),
    )


def _text(element: etree._Element, path: str) -> str | None:
    return (element.findtext(path) or '').strip() or None


def _names(elements: Iterable[etree._Element], attribute: str | None) -> tuple[str, ...]:
    """Return the attributes or texts of elements, each once, in their order."""
    values = (element.text if attribute is None else element.get(attribute) for element in elements)
    return tuple(dict.fromkeys(str(value).strip() for value in values if value))


def _read_cpu_topology(source: Document) -> CpuTopology | None:
    element = source.root.find('host/cpu/topology')
    if element is None:
        return None
    return CpuTopology(*(source.whole(element, name, f'number of {name}') for name in ('sockets', 'cores', 'threads')))


def _read_guest_type(guest: etree._Element, arch: etree._Element) -> GuestType:
    return GuestType(
        os_type=_text(guest, 'os_type') or '',
        arch=arch.get('name') or '',
        domain_types=_names(arch.findall('domain'), 'type'),
        machines=_names(arch.iter('machine'), None),
    )


def _read_cells(source: Document) -> list[FoundCell]:
    elements = source.root.findall('host/topology/cells/cell')
    if not elements:
        raise source.fault(
            source.root, f'there is no host/topology/cells/cell: expected {_SOURCE} of a host that knows its NUMA cells'
        )
    owners: dict[int, int] = {}
    cells: dict[int, FoundCell] = {}
    for element in elements:
        cell_id = source.whole(element, 'id', 'cell number', topology.MAX_CELL)
        if cell_id in cells:
            raise source.fault(element, f'there are two cells {cell_id}: expected each number once', 'id')
        cells[cell_id] = _read_cell(source, element, cell_id, owners)
    if not any(cell.cpus for cell in cells.values()):
        raise source.fault(elements[0], "no CPU of the host is online: expected cpus/cpu with 'siblings'")
    caches = _read_caches(source)
    accesses = interconnects.read(source, cells)
    return [
        replace(cell, caches=caches, accesses=tuple(accesses.get(cell_id, {}).values()))
        for cell_id, cell in cells.items()
    ]


def _read_cell(source: Document, element: etree._Element, cell_id: int, owners: dict[int, int]) -> FoundCell:
    cores: dict[int, int] = {}
    groups: dict[tuple[int, ...], int] = {}
    for cpu in element.findall('cpus/cpu'):
        number = source.whole(cpu, 'id', 'CPU number', cpuset.MAX_CPU)
        if number in owners:
            raise source.fault(
                cpu, f'CPU {number} is in cell {owners[number]} already: expected each CPU once, in one cell', 'id'
            )
        owners[number] = cell_id
        core = _read_core(source, cpu, number)
        if core is not None:
            cores[number] = core
            for group in _read_groups(source, cpu):
                groups[group] = groups.get(group, 0) | 1 << number
    _check_cores(source, element, cores)
    memory = element.find('memory')
    packages, dies, clusters = (
        tuple(mask for group, mask in groups.items() if len(group) == depth) for depth in (1, 2, 3)
    )
    return FoundCell(
        id=cell_id,
        # libvirt leaves the element out where a cell has CPUs alone.
        memory_kib=0 if memory is None else source.octets(memory, None, 'size') // 1024,
        cpus=cpuset.mask(cores),
        pages=_read_pages(source, element),
        siblings=tuple(cores.values()),
        sockets=frozenset(group[0] for group in groups),
        distances=tuple(
            (
                source.whole(sibling, 'id', 'cell number', topology.MAX_CELL),
                source.whole(sibling, 'value', 'distance'),
            )
            for sibling in element.findall('distances/sibling')
        ),
        packages=packages,
        dies=dies,
        clusters=clusters,
    )


def _read_groups(source: Document, cpu: etree._Element) -> Iterator[tuple[int, ...]]:
    """Yield the package of a CPU, its die and its cluster: each is numbered within the one before."""
    group: tuple[int, ...] = ()
    for attribute, what in (('socket_id', 'socket'), ('die_id', 'die'), ('cluster_id', 'cluster')):
        if attribute not in cpu.attrib:
            return
        group += (source.whole(cpu, attribute, f'{what} number'),)
        yield group


def _check_cores(source: Document, cell: etree._Element, cores: dict[int, int]) -> None:
    named = 0
    for core in dict.fromkeys(cores.values()):
        if both := core & named:
            raise source.fault(
                cell, f'CPUs {cpuset.text(both)} are in two cores: expected the same siblings for each CPU of a core'
            )
        named |= core


def _read_core(source: Document, cpu: etree._Element, number: int) -> int | None:
    """Return the mask of a CPU's core, or None for a CPU that is offline."""
    return None if cpu.get('siblings') is None else source.cpus(cpu, 'siblings') | 1 << number


def _read_pages(source: Document, cell: etree._Element) -> tuple[tuple[int, int], ...]:
    pages: dict[int, int] = {}
    for element in cell.findall('pages'):
        octets = source.octets(element, 'size', 'page size')
        if octets < 1024 or octets % 1024:
            raise source.fault(element, f'a page size of {octets} bytes: expected a whole number of KiB', 'size')
        if octets // 1024 in pages:
            raise source.fault(element, f'pages of {octets // 1024} KiB stand here twice: expected one entry', 'size')
        pages[octets // 1024] = source.whole(element, None, 'number of pages')
    return tuple(pages.items())


def _read_caches(source: Document) -> tuple[Cache, ...]:
    caches = []
    for bank in source.root.findall('host/cache/bank'):
        level = source.whole(bank, 'level', 'cache level')
        if level >= topology.MIN_CACHE_LEVEL and bank.get('type') != 'code':
            size_kib = source.octets(bank, 'size', 'cache size') // 1024
            caches.append(Cache(level, size_kib, source.cpus(bank, 'cpus')))
    return tuple(caches)
