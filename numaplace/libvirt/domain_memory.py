# SPDX-License-Identifier: Apache-2.0
"""Read where the memory of a domain comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from numaplace import cpuset
from numaplace.fleet.findings import Finding
from numaplace.libvirt import domain_parts as parts
from numaplace.libvirt.document import Document
from numaplace.libvirt.domain_threads import Threads, all_cpus, cells_of
from numaplace.libvirt.xmltext import Element
from numaplace.model import Host
from numaplace.units import KIB_PER_MIB

__all__ = ['Part', 'modules_kib', 'read']


@dataclass(frozen=True, slots=True)
class Part:
    """A guest cell, or the whole of a guest that sees no cells.

    :param vcpus: mask of its vCPUs, including those that are off
    :param memory_kib: with the modules that were plugged in
    :param cells: the host cells that its memory may come from
    :param pagesize_kib: size of its huge pages, or 0 for ordinary ones
    :param is_free: whether nothing binds it to fewer host cells than a guest that floats
    """

    vcpus: int
    memory_kib: int
    cells: frozenset[int]
    pagesize_kib: int = 0
    is_free: bool = False

    @property
    def memory_mib(self) -> int:
        """Its memory, rounded up."""
        return -(-self.memory_kib // KIB_PER_MIB)


def read(domain: Document, host: Host, threads: Threads) -> tuple[list[Part], list[Finding]]:
    """Read the guest cells of a domain; a guest that sees none is one part.

    :param threads: what its pins are decides where memory is that nothing binds
    :raises: :meth:`~numaplace.libvirt.document.Document.fault` for what is no number or no list
    """
    findings: list[Finding] = []
    found: list[Part] = []
    bound, sizes = parts.bound(domain), _page_sizes(domain, host)
    for number, (vcpus, memory_kib) in enumerate(_sizes(domain)):
        element = bound.get(number, domain.root.find('numatune/memory'))
        size_kib = sizes.get(number, sizes.get(-1, 0))
        cells, is_free, told = _cells(domain, host, threads, element, is_huge=size_kib > 0)
        findings += told
        found.append(Part(vcpus, memory_kib, cells, size_kib, is_free))
    if len({part.is_free for part in found}) > 1:
        findings.append(Finding('memory.spread', found=_text([part for part in found if part.is_free])))
    findings += _check_nodes(host, threads, found)
    return found, list(dict.fromkeys(findings))


def _text(found: list[Part]) -> str:
    return cpuset.text(cpuset.mask(cell for part in found for cell in part.cells))


def modules_kib(domain: Document) -> Iterator[tuple[Element, int, int]]:
    """Yield the memory modules, each with its guest cell and its size in KiB."""
    for module in domain.root.iterfind('devices/memory'):
        size, node = module.find('target/size'), module.find('target/node')
        if size is not None:
            cell = 0 if node is None else domain.whole(node, None, 'cell number', parts.MAX_CELLS)
            yield module, cell, -(-domain.octets(size, None, 'size') // 1024)


def _sizes(domain: Document) -> list[tuple[int, int]]:
    """Return vCPUs and KiB of each guest cell."""
    every = (1 << parts.number_of_vcpus(domain)) - 1
    plugged = [
        (cell, size_kib) for module, cell, size_kib in modules_kib(domain) if module.findtext('source/path') is None
    ]
    stored = [size_kib for module, _, size_kib in modules_kib(domain) if module.findtext('source/path') is not None]
    cells = parts.cells(domain)
    if not cells:
        memory = domain.root.find('memory')
        total = 0 if memory is None else -(-domain.octets(memory, None, 'memory size') // 1024)
        return [(every, total - sum(stored))]
    loose = every & ~cpuset.union(domain.cpus(cell, 'cpus') for cell in cells.values())
    found: list[tuple[int, int]] = []
    for number, cell in sorted(cells.items()):
        own = domain.cpus(cell, 'cpus') & every | (0 if found else loose)  # libvirt puts the others into the first
        memory_kib = -(-domain.octets(cell, 'memory', 'memory size') // 1024)
        found.append((own, memory_kib + sum(size for node, size in plugged if node == number)))
    return found


def _page_sizes(domain: Document, host: Host) -> dict[int, int]:
    """Return the sizes of huge pages by guest cell; -1 stands for all cells that have no own."""
    backing = domain.root.find('memoryBacking/hugepages')
    if backing is None:
        return {}
    sizes: dict[int, int] = {}
    for page in backing.iterfind('page'):
        size_kib = domain.octets(page, 'size', 'page size') // 1024
        cells = [-1] if page.get('nodeset') is None else list(cpuset.ids(domain.cpus(page, 'nodeset')))
        sizes |= dict.fromkeys(cells, size_kib if size_kib > _base_kib(host) else 0)
    return sizes or {-1: _default_kib(host)}


def _base_kib(host: Host) -> int:
    return min([cell.smallest_pages.size_kib for cell in host.cells if cell.smallest_pages], default=4)


def _default_kib(host: Host) -> int:
    """Return the kernel's default size: that of an entry of the page table one level up, where the host has it."""
    base = _base_kib(host)
    known = {pages.size_kib for cell in host.cells for pages in cell.pages if pages.size_kib > base}
    usual = base * base * 1024 // 8 // 1024
    return usual if usual in known or not known else min(known)


def _cells(
    domain: Document, host: Host, threads: Threads, element: Element | None, *, is_huge: bool
) -> tuple[frozenset[int], bool, list[Finding]]:
    """Return the host cells of a guest cell's memory, whether it is free, and what is to be told."""
    every = frozenset(cell.id for cell in host.cells if cell.shape.memory_mib)
    is_auto = element is not None and element.get('placement') == 'auto'
    nodes = 0 if element is None or is_auto else domain.cpus(element, 'nodeset')
    if is_auto or (not nodes and threads.is_auto):
        chosen = cells_of(host, threads.chosen)
        return chosen or every, False, [Finding('placement.auto')]
    cells = frozenset(cpuset.ids(nodes))
    if missing := cells - {cell.id for cell in host.cells}:
        told = [Finding('server.cell', cell=cell, expected=_ids(host)) for cell in sorted(missing)]
        return cells - missing or cells, False, told
    general = frozenset(cell.id for cell in host.cells if cell.shape.is_general and cell.shape.memory_mib)
    if not cells or (cells == general < every and not threads.pins and not parts.pins(domain)):
        return _unbound(domain, host, threads, every, is_huge=is_huge)
    mode = element.get('mode', 'strict') if element is not None else 'strict'
    if len(cells) > 1:
        return cells, False, [Finding('memory.spread', found=cpuset.text(nodes))]
    return (
        cells,
        False,
        [] if mode == 'strict' else [Finding('memory.preferred', found=mode, subject=cpuset.text(nodes))],
    )


def _ids(host: Host) -> str:
    return ', '.join(str(cell.id) for cell in host.cells) or 'none'


def _unbound(
    domain: Document, host: Host, threads: Threads, every: frozenset[int], *, is_huge: bool
) -> tuple[frozenset[int], bool, list[Finding]]:
    on = parts.enabled(domain)
    home = cells_of(host, cpuset.union(cpus for vcpu, cpus in parts.pins(domain).items() if on >> vcpu & 1))
    if len(home) == 1:
        return home, False, [Finding('memory.unbound', cell=min(home))]
    if threads.pins or is_huge:
        return every, False, [Finding('memory.spread', found=cpuset.text(cpuset.mask(every)))]
    return every, True, []


def _check_nodes(host: Host, threads: Threads, found: list[Part]) -> Iterator[Finding]:
    """Find vCPUs that run on other host cells than their memory."""
    by_cell = all_cpus(host)
    known = cpuset.union(by_cell.values())
    for part in found:
        near = cpuset.union(by_cell.get(cell, 0) for cell in part.cells)
        own = [1 << cpu for vcpu, cpu in threads.pins.items() if part.vcpus >> vcpu & 1]
        own += [cpus & known for vcpu, cpus in threads.floats.items() if part.vcpus >> vcpu & 1]
        if part.cells <= set(by_cell) and (far := cpuset.union(cpus for cpus in own if not cpus & near)):
            yield Finding('cpus.node', cell=min(part.cells), found=cpuset.text(far))
