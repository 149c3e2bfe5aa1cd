# SPDX-License-Identifier: Apache-2.0
"""Refuse what libvirt wrongly accepts in a domain: what its host or the guest itself does not have.

libvirt 9 silently ignores or corrects such values, or fails when the guest starts.
"""

from __future__ import annotations

from collections.abc import Iterator

from numaplace import cpuset
from numaplace.libvirt import domain_parts as parts
from numaplace.libvirt.document import Document
from numaplace.libvirt.xmltext import Element
from numaplace.model import Host

__all__ = ['check', 'is_preallocated']

#: Attributes that name vCPUs, and CPUs of the host.
_OF_VCPUS = (
    ('cputune/vcpupin', 'vcpu'),
    ('cputune/vcpusched', 'vcpus'),
    ('cputune/cachetune', 'vcpus'),
    ('cputune/memorytune', 'vcpus'),
)
_OF_CPUS = ('vcpu', 'cputune/vcpupin', 'cputune/emulatorpin', 'cputune/iothreadpin')


def check(domain: Document, host: Host, *, reaches_all_nodes: bool = True) -> None:
    """Make sure that a host can run a guest as its domain describes.

    :param domain: the complete domain, as libvirt gets it
    :param reaches_all_nodes: whether the emulator must be able to run on each node with preallocated memory: QEMU since
        7.2 does not start otherwise
    :raises: :meth:`~numaplace.libvirt.document.Document.fault` for a vCPU that the guest lacks, CPUs, nodes or pages
        that the host lacks, a vCPU in no cell, a cell without vCPUs on a node that has CPUs, memory that is not the sum
        of the cells, a distance in only one direction, or an emulator that cannot run on a node
    """
    _check_vcpus(domain)
    _check_cpus(domain, host)
    _check_nodes(domain, host)
    _check_cells(domain, host)
    _check_memory(domain)
    _check_distances(domain)
    _check_pages(domain, host)
    if reaches_all_nodes and is_preallocated(domain.root):
        _check_emulator(domain, host)


def _check_vcpus(domain: Document) -> None:
    known = (1 << parts.number_of_vcpus(domain)) - 1
    for path, attribute in _OF_VCPUS:
        for element in domain.root.iterfind(path):
            if beyond := domain.cpus(element, attribute) & ~known:
                raise domain.fault(
                    element, f'there is no vCPU {cpuset.text(beyond)}: expected of {cpuset.text(known)}', attribute
                )


def _check_cpus(domain: Document, host: Host) -> None:
    online = host.online_cpus
    if not online:  # not known
        return
    # Power management switches offline CPUs on before the guest starts.
    online |= host.offline_cpus
    for path in _OF_CPUS:
        for element in domain.root.iterfind(path):
            if missing := domain.cpus(element, 'cpuset') & ~online:
                raise domain.fault(
                    element, f'the host has no CPU {cpuset.text(missing)}: expected of {cpuset.text(online)}', 'cpuset'
                )


def _check_nodes(domain: Document, host: Host) -> None:
    known = cpuset.mask(cell.id for cell in host.cells)
    for element, attribute, nodes in _nodesets(domain):
        if missing := nodes & ~known:
            raise domain.fault(
                element, f'the host has no node {cpuset.text(missing)}: expected of {cpuset.text(known)}', attribute
            )


def _nodesets(domain: Document) -> Iterator[tuple[Element, str | None, int]]:
    for path in ('numatune/memory', 'numatune/memnode'):
        for element in domain.root.iterfind(path):
            yield element, 'nodeset', domain.cpus(element, 'nodeset')
    for element in domain.root.iterfind('devices/memory/source/nodemask'):
        yield element, None, domain.cpus(element, None)


def _bound(domain: Document) -> dict[int, int]:
    """Return the masks of the nodes that guest cells are bound to, by cell number; 0 where the guest sees no cells."""
    return {number: domain.cpus(element, 'nodeset') for number, element in parts.bound(domain).items()}


def _cpus_of(host: Host, nodes: int) -> int:
    """Return the mask of the CPUs of some nodes, or 0 if they have none, or none are known."""
    cpus = 0
    for cell in host.cells:
        if nodes >> cell.id & 1:
            cpus |= cell.shape.online_cpus | cell.shape.shared_cpus | cell.shape.dedicated_cpus
    return cpus


def _check_cells(domain: Document, host: Host) -> None:
    bound, assigned = _bound(domain), 0
    for number, cell in parts.cells(domain).items():
        vcpus = domain.cpus(cell, 'cpus')
        # A memory-only cell is valid on a memory-only node.
        if not vcpus and (number not in bound or _cpus_of(host, bound[number])):
            raise domain.fault(cell, 'the cell has no vCPUs: expected at least one, for its node has CPUs')
        assigned |= vcpus
    numa = domain.root.find('cpu/numa')
    if numa is not None and (loose := ((1 << parts.number_of_vcpus(domain)) - 1) & ~assigned):
        raise domain.fault(numa, f'vCPU {cpuset.text(loose)} is in no cell: expected each in one')


def _check_memory(domain: Document) -> None:
    cells, memory = parts.cells(domain), domain.root.find('memory')
    if not cells or memory is None:
        return
    octets = sum(domain.octets(cell, 'memory', 'memory size') for cell in cells.values())
    modules = sum(domain.octets(size, None, 'size') for size in domain.root.iterfind('devices/memory/target/size'))
    found = domain.octets(memory, None, 'memory size')
    if found not in (octets, octets + modules):
        of_modules = f', or with the memory modules {octets + modules}' if modules else ''
        raise domain.fault(memory, f'{found} bytes: expected the {octets} of all cells{of_modules}')


def _check_distances(domain: Document) -> None:
    found = {
        (number, domain.whole(sibling, 'id', 'cell number', parts.MAX_CELLS)): sibling
        for number, cell in parts.cells(domain).items()
        for sibling in cell.iterfind('distances/sibling')
    }
    for (one, other), sibling in found.items():
        if (other, one) not in found:
            raise domain.fault(sibling, f'cell {other} has no distance to cell {one}: expected both, or none')


def _check_pages(domain: Document, host: Host) -> None:
    bound = _bound(domain)
    for page in domain.root.iterfind('memoryBacking/hugepages/page'):
        size_kib = domain.octets(page, 'size', 'page size') // 1024
        named = domain.cpus(page, 'nodeset')
        for number, nodes in bound.items():
            if page.get('nodeset') is not None and not named >> number & 1:
                continue
            for cell in host.cells:
                sizes = [pages.size_kib for pages in cell.pages]
                if nodes >> cell.id & 1 and sizes and size_kib not in sizes:
                    raise domain.fault(
                        page,
                        f'node {cell.id} of the host has no pages of {size_kib} KiB: expected one of '
                        f'{", ".join(map(str, sizes))}',
                        'size',
                    )


def is_preallocated(root: Element) -> bool:
    """Return whether a domain has all its memory before it starts: on request, or because its pages are huge."""
    allocation = root.find('memoryBacking/allocation')
    immediate = allocation is not None and allocation.get('mode') == 'immediate'
    return immediate or root.find('memoryBacking/hugepages') is not None


def _check_emulator(domain: Document, host: Host) -> None:
    for path in ('cputune/emulatorpin', 'vcpu'):
        element = domain.root.find(path)
        if element is not None and element.get('cpuset') is not None:
            break
    else:
        return
    allowed = domain.cpus(element, 'cpuset')
    for nodes in _bound(domain).values():
        cpus = _cpus_of(host, nodes)
        if cpus and not allowed & cpus:
            raise domain.fault(
                element,
                f'the emulator has no CPU of node {cpuset.text(nodes)}, whose memory is preallocated: expected one of '
                f'{cpuset.text(cpus)} too',
                'cpuset',
            )
