# SPDX-License-Identifier: Apache-2.0
"""Convert the XML of ``virsh capabilities`` to a host and its facts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Unpack

from numaplace import cpuset, units
from numaplace.libvirt import document, files, interconnects, topology
from numaplace.libvirt.document import Document
from numaplace.libvirt.found_cell import FoundCell
from numaplace.libvirt.topology import GuestType, HostFacts, Options
from numaplace.libvirt.xmltext import Element
from numaplace.model import Cache, CpuTopology, Host

__all__ = ['facts', 'load', 'read']

_SOURCE = 'the output of `virsh capabilities`'


def load(path: str) -> bytes:
    """Return the content of a file for :func:`read` and :func:`facts`; the errors are those of :func:`files.load`."""
    return files.load(path, _SOURCE)


def read(
    xml: bytes,
    *,
    place: str = 'capabilities',
    memory_kinds: Mapping[int, str] = MappingProxyType({}),
    **options: Unpack[Options],
) -> Host:
    """Read a host's NUMA cells; offline CPUs (listed without siblings) matter only to power management.

    libvirt lists the CPUs that were online when its process started, and omits the others.

    :param place: where the document came from, for the errors
    :param memory_kinds: what the kernel reports about the memory of cells without CPUs, by cell id; libvirt does not
    :param options: the operator's options: see :func:`numaplace.libvirt.topology.host`
    :raises: :class:`~numaplace.exception.InvalidCapabilities` if it is not capabilities XML with a host topology;
        otherwise as :func:`numaplace.libvirt.topology.host`
    """
    source = document.parse(xml, place, 'capabilities', _SOURCE)
    found = [replace(cell, memory_kind=memory_kinds.get(cell.id)) for cell in _read_cells(source)]
    return topology.host(found, **options)


def facts(xml: bytes, *, place: str = 'capabilities') -> HostFacts:
    """Read the facts about a host other than its NUMA topology.

    :raises: :class:`~numaplace.exception.InvalidCapabilities` if it is not capabilities XML or names no architecture
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
            _read_guest_type(source, guest, arch)
            for guest in source.root.findall('guest')
            for arch in guest.findall('arch')
        ),
    )


def _text(element: Element, path: str) -> str | None:
    return (element.findtext(path) or '').strip() or None


def _names(elements: Iterable[Element], attribute: str | None) -> tuple[str, ...]:
    """Return the attributes or texts of elements in order, without duplicates."""
    values = (element.text if attribute is None else element.get(attribute) for element in elements)
    return tuple(dict.fromkeys(str(value).strip() for value in values if value))


def _read_cpu_topology(source: Document) -> CpuTopology | None:
    element = source.root.find('host/cpu/topology')
    if element is None:
        return None
    return CpuTopology(*(source.whole(element, name, f'number of {name}') for name in ('sockets', 'cores', 'threads')))


def _read_guest_type(source: Document, guest: Element, arch: Element) -> GuestType:
    return GuestType(
        os_type=_text(guest, 'os_type') or '',
        arch=arch.get('name') or '',
        domain_types=_names(arch.findall('domain'), 'type'),
        machines=_names(arch.iter('machine'), None),
        max_vcpus=tuple(
            {
                (machine.text or '').strip(): source.whole(machine, 'maxCpus', 'number of vCPUs')
                for machine in arch.iter('machine')
                if machine.get('maxCpus') is not None
            }.items()
        ),
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
    _check_told(source, elements)
    caches = _read_caches(source)
    accesses = interconnects.read(source, cells)
    return [
        replace(cell, caches=caches, accesses=tuple(accesses.get(cell_id, {}).values()))
        for cell_id, cell in cells.items()
    ]


def _check_told(source: Document, cells: list[Element]) -> None:
    """Refuse data that very old libvirts omit for all cells; newer ones omit it for some, which has a meaning."""
    missing = []
    if all(cell.find('memory') is None and cell.find('pages') is None for cell in cells):
        missing.append("how much memory a cell has ('memory')")
    if all(cpu.get('siblings') is None for cell in cells for cpu in cell.iterfind('cpus/cpu')):
        missing.append("which CPUs share a core (cpus/cpu with 'siblings')")
    if missing:
        raise source.fault(
            cells[0],
            f'neither this cell nor any other reports {" or ".join(missing)}, as with very old libvirts: import the '
            'host from lstopo, or from numactl and lscpu, or discover it from a copy of its /sys',
        )


def _read_cell(source: Document, element: Element, cell_id: int, owners: dict[int, int]) -> FoundCell:
    cores: dict[int, int] = {}
    offline = 0
    groups: dict[tuple[int, ...], int] = {}
    for cpu in element.findall('cpus/cpu'):
        number = source.whole(cpu, 'id', 'CPU number', cpuset.MAX_CPU)
        if number in owners:
            raise source.fault(
                cpu, f'CPU {number} is in cell {owners[number]} already: expected each CPU once, in one cell', 'id'
            )
        owners[number] = cell_id
        core = _read_core(source, cpu, number)
        if core is None:
            offline |= 1 << number
        else:
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
        # libvirt omits the element for a cell that has only CPUs.
        memory_kib=0 if memory is None else source.octets(memory, None, 'size') // 1024,
        cpus=cpuset.mask(cores),
        offline=offline,
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


def _read_groups(source: Document, cpu: Element) -> Iterator[tuple[int, ...]]:
    """Yield the package, the die and the cluster of a CPU; each is numbered within the previous one.

    -1 means none: the kernel reports it on Arm and POWER without dies, unless libvirt converts it to 0.
    """
    group: tuple[int, ...] = ()
    for attribute, what in (('socket_id', 'socket'), ('die_id', 'die'), ('cluster_id', 'cluster')):
        if attribute not in cpu.attrib:
            return
        none = cpu.get(attribute) == '-1'
        group += (0 if none else source.whole(cpu, attribute, f'{what} number'),)
        yield group


def _check_cores(source: Document, cell: Element, cores: dict[int, int]) -> None:
    named = 0
    for core in dict.fromkeys(cores.values()):
        if both := core & named:
            raise source.fault(
                cell, f'CPUs {cpuset.text(both)} are in two cores: expected the same siblings for each CPU of a core'
            )
        named |= core


def _read_core(source: Document, cpu: Element, number: int) -> int | None:
    """Return the mask of a CPU's core, or None for a CPU that is offline."""
    return None if cpu.get('siblings') is None else source.cpus(cpu, 'siblings') | 1 << number


def _read_pages(source: Document, cell: Element) -> tuple[tuple[int, int], ...]:
    pages: dict[int, int] = {}
    for element in cell.findall('pages'):
        octets = source.octets(element, 'size', 'page size')
        if octets % 1024 or not units.is_page_size(octets // 1024):
            raise source.fault(
                element, f'a page size of {octets} bytes: expected a whole number of KiB, {units.PAGE_SIZE}', 'size'
            )
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
