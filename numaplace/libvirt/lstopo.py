# SPDX-License-Identifier: Apache-2.0
"""Convert the XML of ``lstopo --of xml`` (hwloc 2 and 3) to a host and its facts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Unpack

from numaplace import cpuset, units
from numaplace.libvirt import document, files, topology
from numaplace.libvirt.document import MOST_OCTETS, Document, show
from numaplace.libvirt.found_cell import FoundCell
from numaplace.libvirt.topology import VENDORS, HostFacts, Options
from numaplace.libvirt.xmltext import Element
from numaplace.memory_kinds import CXL, GPU, HBM, SLOW
from numaplace.model import Cache, Host, MemoryAccess

__all__ = ['Machine', 'bitmap', 'load', 'parse', 'read']

_SOURCE = 'the output of `lstopo --of xml` of hwloc 2 or 3'

#: hwloc names its own DTD, which is neither needed nor read; any other is refused.
_DOCTYPE = re.compile(rb'<!DOCTYPE topology SYSTEM "hwloc[23]?\.dtd">')

#: Vendor and family of CPUs with modules, as ``/proc/cpuinfo`` reports them.
_MODULAR = ('AuthenticAMD', '21')

_BITMAP = re.compile('(?:0x[0-9a-f]{1,8}|)(?:,(?:0x[0-9a-f]{1,8}|))*')

#: hwloc's names of latencies and bandwidths, and ours.
_VALUES = {
    'ReadLatency': 'read_latency_ns',
    'WriteLatency': 'write_latency_ns',
    'ReadBandwidth': 'read_bandwidth_mib_s',
    'WriteBandwidth': 'write_bandwidth_mib_s',
}


#: hwloc's kinds of NUMA nodes, some of which it guesses, and ours. For DRAM and SPM the bandwidths may show more.
_SUBTYPES = {
    'CXL-DRAM': CXL,
    'CXL-NVM': CXL,
    'GPUMemory': GPU,
    'HBM': HBM,
    'MCDRAM': HBM,
    'NVM': SLOW,
}


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine as lstopo describes it.

    :param hidden_cpus: mask of the CPUs that are offline, or that a control group hid from lstopo
    :param stray_cpus: mask of the online CPUs of offline nodes
    :param bare_cells: mask of the cells with CPUs but no visible memory, if lstopo ran in a control group: they have
        no memory, or it was hidden
    :param hidden_cells: mask of the nodes without visible CPUs or memory
    :param has_pages: whether lstopo reports how many pages there are
    """

    host: Host
    facts: HostFacts
    hidden_cpus: int
    stray_cpus: int = 0
    bare_cells: int = 0
    hidden_cells: int = 0
    has_pages: bool = True


def load(path: str) -> bytes:
    """Return the content of a file for :func:`read`; the errors are those of :func:`files.load`."""
    return files.load(path, _SOURCE)


def parse(xml: bytes, place: str) -> Document:
    """Parse what lstopo writes.

    :raises: :class:`~numaplace.exception.InvalidCapabilities` if it is not such XML
    """
    source = document.parse(_DOCTYPE.sub(b'', xml, count=1), place, 'topology', _SOURCE)
    _check_version(source)
    return source


def read(xml: bytes, *, place: str = 'lstopo', **options: Unpack[Options]) -> Machine:
    """Read a host's NUMA cells and its facts.

    lstopo lists nearby CPUs for memory without CPUs. So a CPU that several cells list is in the smallest of them, or
    in the first of equal ones.

    :param place: where the document came from, for the errors
    :param options: the operator's options: see :func:`numaplace.libvirt.topology.host`
    :raises: :class:`~numaplace.exception.InvalidCapabilities` if it is not such XML; otherwise as
        :func:`numaplace.libvirt.topology.host`
    """
    source = parse(xml, place)
    machine = source.root.find('object[@type="Machine"]')
    if machine is None:
        raise source.fault(source.root, f'there is no object of type Machine: expected {_SOURCE}')
    nodes = _find_nodes(source)
    cpus, stray = _divide(source, machine, nodes)
    cells = _read_cells(source, nodes, cpus)
    bare = cpuset.mask(set(cpus) - set(nodes))
    every = bitmap(source, machine, 'complete_cpuset')
    return Machine(
        topology.host(cells, present=every or None, **options),
        _facts(source),
        every & ~bitmap(source, machine, 'cpuset'),
        stray,
        # Without a control group nothing is hidden from lstopo, so these have no memory.
        bare if source.root.find('.//info[@name="LinuxCgroup"]') is not None else 0,
        bitmap(source, machine, 'complete_nodeset') & ~cpuset.mask(nodes) & ~bare,
        any(cell.pages for cell in cells),
    )


def _check_version(source: Document) -> None:
    version = source.root.get('version') or ''
    if version.startswith(('2.', '3.')):
        return
    # hwloc 1 writes no version.
    way_out = ', which `lstopo --input FILE --of xml` of hwloc 2 makes of it' if not version else ''
    raise source.fault(source.root, f'of another hwloc: expected {_SOURCE}{way_out}', 'version')


def _facts(source: Document) -> HostFacts:
    values = {info.get('name'): info.get('value') or None for info in source.root.iterfind('.//info')}
    vendor = values.get('CPUVendor')
    return HostFacts(
        arch=values.get('Architecture') or '',
        cpu_model=values.get('CPUModel'),
        vendor=VENDORS.get(vendor, vendor) if vendor else None,
    )


def _objects(source: Document, kind: str) -> Iterator[Element]:
    return (element for element in source.root.iter('object') if element.get('type') == kind)


def bitmap(source: Document, element: Element, attribute: str) -> int:
    """Return the mask in hwloc's format: 32-bit hexadecimal words, the highest first, empty for zero."""
    text = element.get(attribute, '')
    if not _BITMAP.fullmatch(text) or text.count(',') * 32 > cpuset.MAX_CPU:
        raise source.fault(element, f"{show(text)} is not a set: expected '0x00000003,0xffffffff' or such", attribute)
    mask = 0
    for word in text.split(','):
        mask = mask << 32 | int(word or '0', 16)
    return mask


def _masks(source: Document, kind: str) -> tuple[int, ...]:
    return tuple(mask for element in _objects(source, kind) if (mask := bitmap(source, element, 'cpuset')))


def _find_nodes(source: Document) -> dict[int, Element]:
    """Return the elements of the nodes by their numbers."""
    nodes: dict[int, Element] = {}
    for element in _objects(source, 'NUMANode'):
        number = source.whole(element, 'os_index', 'cell number', topology.MAX_CELL)
        if number in nodes:
            raise source.fault(element, f'there are two cells {number}: expected each number once', 'os_index')
        nodes[number] = element
    return nodes


def _read_cells(source: Document, nodes: dict[int, Element], cpus: dict[int, int]) -> list[FoundCell]:
    distances = _read_distances(source, list(nodes))
    accesses = _read_accesses(source, nodes, cpus)
    cores, packages = _read_cores(source), _packages(source)
    hidden = _hidden_cpus(source, nodes, cpus)
    everywhere = FoundCell(
        id=0,
        memory_kib=0,
        cpus=0,
        packages=tuple(packages.values()),
        dies=_masks(source, 'Die'),
        clusters=tuple(
            bitmap(source, group, 'cpuset') for group in _objects(source, 'Group') if group.get('subtype') == 'Cluster'
        ),
        caches=_read_caches(source),
    )
    cells = (
        replace(
            everywhere,
            id=number,
            cpus=cpus[number],
            offline=hidden.get(number, 0),
            siblings=_cores(cores, cpus[number]),
            sockets=frozenset(socket for socket, mask in packages.items() if mask & cpus[number]),
            distances=distances.get(number, ()),
            accesses=tuple(accesses.get(number, {}).values()),
        )
        for number in sorted(cpus)
    )
    return [_with_memory(source, cell, nodes.get(cell.id)) for cell in cells]


def _with_memory(source: Document, cell: FoundCell, node: Element | None) -> FoundCell:
    """Return a cell with the memory of its NUMANode; without one it has none."""
    if node is None:
        return cell
    return replace(
        cell,
        memory_kib=_octets(source, node, 'local_memory') // 1024,
        pages=_read_pages(source, node),
        memory_kind=_SUBTYPES.get(node.get('subtype', '')),
    )


def _octets(source: Document, element: Element, attribute: str) -> int:
    """Return a number of bytes; hwloc omits the attribute if it is zero."""
    return source.whole(element, attribute, 'size in bytes', MOST_OCTETS) if attribute in element.attrib else 0


def _divide(source: Document, machine: Element, nodes: dict[int, Element]) -> tuple[dict[int, int], int]:
    """Return the CPUs of each cell, each CPU in one, and those that are in none.

    A node without memory has no NUMANode unless lstopo was told to show disallowed objects: the kernel omits it from
    the memory that a control group may use, even the root group. Only the ``complete_nodeset`` of its CPUs shows such
    a node.
    """
    hidden = bitmap(source, machine, 'complete_nodeset') & ~cpuset.mask(nodes)
    near = dict.fromkeys((*nodes, *cpuset.ids(hidden)), 0)
    online = 0
    for pu in _objects(source, 'PU'):
        cpu = cpuset.mask([source.whole(pu, 'os_index', 'CPU number', cpuset.MAX_CPU)])
        online |= cpu
        for number in cpuset.ids(bitmap(source, pu, 'complete_nodeset') & hidden):
            near[number] |= cpu
    for number, element in nodes.items():
        near[number] = bitmap(source, element, 'cpuset') & online
    left, cpus = online, {}
    for number in sorted(near, key=lambda number: (near[number].bit_count(), number)):
        if number in nodes or near[number] & left:
            cpus[number] = near[number] & left
            left &= ~near[number]
    if not any(cpus.values()):
        kind = 'PU that is in a NUMANode' if nodes else 'NUMANode'
        raise source.fault(source.root, f'there is no object of type {kind}: expected {_SOURCE}')
    return cpus, left


def _hidden_cpus(source: Document, nodes: dict[int, Element], cpus: dict[int, int]) -> dict[int, int]:
    """Return the CPUs of nodes that a control group hid completely from lstopo, each CPU in one.

    Memory without CPUs has nearby CPUs in its ``cpuset``, so it is not one of these.
    """
    bare = {
        number: bitmap(source, element, 'complete_cpuset')
        for number, element in nodes.items()
        if not cpus[number] and not bitmap(source, element, 'cpuset')
    }
    left = ~cpuset.union(cpus.values())
    hidden = {}
    for number in sorted(bare, key=lambda number: (bare[number].bit_count(), number)):
        hidden[number] = bare[number] & left
        left &= ~bare[number]
    return hidden


def _read_cores(source: Document) -> tuple[int, ...]:
    """Return the CPUs of each core.

    Two integer cores of AMD family 15h share a module with its L1i and L2 caches. The kernel and libvirt treat them
    as siblings; hwloc treats each as a core.
    """
    modules = 0
    found = []
    for package in _objects(source, 'Package'):
        values = {info.get('name'): info.get('value') for info in package.iterfind('info')}
        if (values.get('CPUVendor'), values.get('CPUFamilyNumber')) == _MODULAR:
            for kind in ('L2Cache', 'L1iCache'):
                for element in package.iterfind(f'.//object[@type="{kind}"]'):
                    module = bitmap(source, element, 'cpuset') & ~modules
                    modules |= module
                    found.append(module)
    return (*found, *(core for core in _masks(source, 'Core') if not core & modules))


def _cores(cores: tuple[int, ...], cpus: int) -> tuple[int, ...]:
    """Return the cores of CPUs; a CPU that is in no Core object is its own core."""
    found = [core for core in cores if core & cpus]
    named = 0
    for core in found:
        named |= core
    return (*found, *(1 << cpu for cpu in cpuset.ids(cpus & ~named)))


def _packages(source: Document) -> dict[int, int]:
    """Return the CPUs of the packages by package number."""
    return {
        source.whole(package, 'os_index', 'socket number'): bitmap(source, package, 'cpuset')
        for package in _objects(source, 'Package')
        if 'os_index' in package.attrib
    }


def _read_caches(source: Document) -> tuple[Cache, ...]:
    banks = []
    for element in source.root.iter('object'):
        match = re.fullmatch(r'L([1-9])Cache', element.get('type', ''))
        if match and int(match[1]) >= topology.MIN_CACHE_LEVEL and 'cache_size' in element.attrib:
            size_kib = _octets(source, element, 'cache_size') // 1024
            banks.append(Cache(int(match[1]), size_kib, bitmap(source, element, 'cpuset')))
    return tuple(banks)


def _read_pages(source: Document, node: Element) -> tuple[tuple[int, int], ...]:
    """Return the numbers of pages by size; none if they are not known.

    hwloc 3 reports only the sizes, and writes a number of 0 for each when it exports XML of hwloc 2.
    """
    pages: dict[int, int] = {}
    for element in node.findall('page_type'):
        octets = source.whole(element, 'size', 'page size')
        if octets % 1024 or not units.is_page_size(octets // 1024) or octets // 1024 in pages:
            forms = f'expected whole KiB, {units.PAGE_SIZE}, each size once'
            raise source.fault(element, f'a page size of {octets} bytes: {forms}', 'size')
        pages[octets // 1024] = source.whole(element, 'count', 'number of pages')
    return tuple(pages.items()) if any(pages.values()) or not _octets(source, node, 'local_memory') else ()


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
    # hwloc lists none for a single cell; its distance to itself is the SLIT's local distance.
    return {nodes[0]: ((nodes[0], 10),)} if len(nodes) == 1 else {}


def _words(source: Document, matrix: Element, tag: str) -> list[int]:
    found = []
    for element in matrix.findall(tag):
        for word in (element.text or '').split():
            if not re.fullmatch('[0-9]{1,9}', word):
                raise source.fault(element, f'{show(word)} is not a whole number')
            found.append(int(word))
    return found


def _read_accesses(
    source: Document, nodes: dict[int, Element], cpus: dict[int, int]
) -> dict[int, dict[int, MemoryAccess]]:
    """Return the accesses to memory, by the cell of the memory and the cell of the CPUs."""
    targets = {element.get('gp_index'): number for number, element in nodes.items()}
    found: dict[int, dict[int, MemoryAccess]] = {}
    for attribute in source.root.findall('memattr'):
        name = _VALUES.get(attribute.get('name', ''))
        for element in attribute.findall('memattr_value') if name else ():
            target = targets.get(element.get('target_obj_gp_index'))
            if target is None:
                raise source.fault(element, 'no NUMANode has this gp_index', 'target_obj_gp_index')
            value = {str(name): source.whole(element, 'value', 'latency or bandwidth')}
            near = bitmap(source, element, 'initiator_cpuset')
            for initiator in (number for number, mask in cpus.items() if mask and mask & ~near == 0):
                ways = found.setdefault(target, {})
                ways[initiator] = replace(ways.get(initiator) or MemoryAccess(initiator), **value)
    return found
