# SPDX-License-Identifier: Apache-2.0
"""Read a domain, whoever wrote it: what it holds on its host, and its guest and placement where the model has them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from numaplace import cpuset
from numaplace.fleet.findings import Finding
from numaplace.libvirt import domain_memory, domain_parts, domain_threads, encryption
from numaplace.libvirt.document import Document
from numaplace.libvirt.domain_checks import is_preallocated
from numaplace.libvirt.domain_memory import Part
from numaplace.libvirt.domain_threads import Affinities, Threads
from numaplace.libvirt.pinning import configured_shared_cpus
from numaplace.libvirt.xmltext import Element
from numaplace.model import (
    DEDICATED,
    ISOLATE,
    MIXED,
    SHARE,
    SHARED,
    CellPlacement,
    CpuTopology,
    Guest,
    GuestCell,
    Host,
    MemoryModule,
    Offline,
    Placement,
)
from numaplace.model.holding import Holding, Note
from numaplace.model.host_resources import pmem
from numaplace.units import KIB_PER_MIB

__all__ = ['REFUSED', 'Reading', 'read']

#: Findings that say what no guest of ours can be.
_UNSAYABLE = frozenset(
    (
        'cpus.floating',
        'cpus.missing',
        'cpus.node',
        'cpus.outside',
        'cpus.twice',
        'emulator.node',
        'memory.spread',
        'placement.auto',
        'server.cell',
    )
)
#: Findings of a domain that is not adopted.
REFUSED = _UNSAYABLE | {'domain.type'}

_TYPES = ('kvm', 'qemu')


@dataclass(frozen=True, slots=True)
class Reading:
    """What a domain says.

    :param placement: its guest and where it is; None where the model cannot say it, and a note of the holding says why
    :param findings: the notes of the holding, with their fields
    """

    holding: Holding
    placement: Placement | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def guest(self) -> Guest | None:
        """Its guest, where the model can say it."""
        return None if self.placement is None else self.placement.guest


def read(domain: Document, host: Host, affinities: Affinities | None = None) -> Reading:
    """Read a domain, live or from a file.

    :param domain: a document with the root ``domain``
    :param host: its host, with the dedicated and the shared CPUs; usage does not matter
    :param affinities: where the threads may run, if the domain runs; this decides what numad chose
    :raises: :meth:`~numaplace.libvirt.document.Document.fault` for a value that is no number, size or list
    """
    threads = domain_threads.read(domain, host, affinities)
    found, told = domain_memory.read(domain, host, threads)
    findings = list(dict.fromkeys([*threads.findings, *told]))
    if domain.root.get('type') not in _TYPES:
        findings.append(Finding('domain.type', found=domain.root.get('type', '')))
    reserved = _reserved(host, threads, found)
    if lost := threads.kept & ~cpuset.union(reserved):
        findings.append(Finding('emulator.node', found=cpuset.text(lost)))
    holding = _holding(domain, threads, found, findings)
    if _UNSAYABLE & {finding.code for finding in findings}:
        return Reading(holding, None, tuple(findings))
    return Reading(holding, _placement(domain, host, threads, found, reserved), tuple(findings))


def _holding(domain: Document, threads: Threads, found: Sequence[Part], findings: Sequence[Finding]) -> Holding:
    memory: Counter[frozenset[int]] = Counter()
    pages: Counter[tuple[frozenset[int], int]] = Counter()
    for part in found:
        memory[part.cells] += part.memory_kib
        if part.pagesize_kib:
            pages[part.cells, part.pagesize_kib] += -(-part.memory_kib // part.pagesize_kib)
    return Holding(
        name=domain.root.findtext('name') or '',
        uuid=(domain.root.findtext('uuid') or '').strip(),
        vcpus=domain_parts.number_of_vcpus(domain),
        online=frozenset([*threads.pins, *threads.floats]),
        dedicated=frozenset(cpuset.ids(threads.dedicated)),
        floating=len(threads.floats),
        memory=tuple((cells, -(-memory[cells] // KIB_PER_MIB)) for cells in sorted(memory, key=sorted)),
        pages=tuple((cells, size, pages[cells, size]) for cells, size in sorted(pages, key=_in_order)),
        devices=tuple(_addresses(domain)),
        resources=(*encryption.names(domain), *_persistent(domain)),
        notes=tuple(Note(finding.code, finding.text) for finding in findings),
    )


def _in_order(key: tuple[frozenset[int], int]) -> tuple[list[int], int]:
    return sorted(key[0]), key[1]


def _persistent(domain: Document) -> list[str]:
    paths = (memory.findtext('source/path') for memory in domain.root.iterfind("devices/memory[@model='nvdimm']"))
    return [pmem(path) for path in paths if path]


def _addresses(domain: Document) -> list[str]:
    """Return the PCI addresses of the host's devices that the domain has."""
    return sorted({address for _, address in domain_parts.host_devices(domain)})


# --- the guest and its placement


def _reserved(host: Host, threads: Threads, found: Sequence[Part]) -> list[int]:
    """Return the CPUs that emulator and I/O threads keep for themselves in each guest cell."""
    by_cell, left = domain_threads.all_cpus(host), threads.kept
    reserved = []
    for part in found:
        near = 0 if part.is_free or len(part.cells) > 1 else by_cell.get(min(part.cells), 0)
        reserved.append(left & near)
        left &= ~near
    return reserved


def _placement(
    domain: Document, host: Host, threads: Threads, found: Sequence[Part], reserved: Sequence[int]
) -> Placement:
    guest = Guest(
        vcpus=len(threads.pins) + len(threads.floats),
        memory_mib=sum(part.memory_mib for part in found),
        cpu_topology=_topology(domain),
        realtime_vcpus=_realtime(domain),
        locked_memory=domain.root.find('memoryBacking/locked') is not None,
        offline=_offline(domain, host, threads, found),
        modules=tuple(_modules(domain)),
    )
    if all(part.is_free for part in found):
        off = cpuset.union(mask for pair in guest.offline for mask in pair)
        return Placement(replace(guest, offline=(Offline(off),) if off else ()))
    cells = [
        _cell(number, part, threads, emulator)
        for number, (part, emulator) in enumerate(zip(found, reserved, strict=True))
    ]
    policy = _emulator_policy(host, threads, guest.realtime_vcpus, found if is_preallocated(domain.root) else ())
    return Placement(
        replace(guest, cells=tuple(cell.guest_cell for cell in cells), emulator_policy=policy), tuple(cells)
    )


def _cell(number: int, part: Part, threads: Threads, emulator: int) -> CellPlacement:
    pins = tuple((vcpu, cpu) for vcpu, cpu in threads.pins.items() if part.vcpus >> vcpu & 1)
    policy = DEDICATED if not threads.floats else MIXED if threads.pins or threads.kept else SHARED
    size_kib = part.pagesize_kib or None
    cell = GuestCell(
        id=number,
        shared_vcpus=cpuset.mask(vcpu for vcpu in threads.floats if part.vcpus >> vcpu & 1),
        dedicated_vcpus=cpuset.mask(vcpu for vcpu, _cpu in pins),
        memory_mib=part.memory_mib,
        pagesize_kib=size_kib,
        cpu_policy=policy,
    )
    taken = cpuset.mask(cpu for _vcpu, cpu in pins) | emulator
    return CellPlacement(cell, min(part.cells), size_kib, pins, emulator, taken)


def _emulator_policy(host: Host, threads: Threads, realtime_vcpus: int, reached: Iterable[Part]) -> str | None:
    """Return ISOLATE for CPUs of their own, SHARE for the shared CPUs of the host, or None for those of the guest.

    :param reached: guest cells that the emulator reaches by their own CPUs, if by no others
    """
    if threads.kept:
        return ISOLATE
    masks = {vcpu: 1 << cpu for vcpu, cpu in threads.pins.items()} | dict(threads.floats)
    ordinary = cpuset.union(cpus for vcpu, cpus in masks.items() if not realtime_vcpus >> vcpu & 1)
    usual = emulator = ordinary or cpuset.union(masks.values())
    by_cell = domain_threads.all_cpus(host)
    for part in reached:
        if not usual & cpuset.union(by_cell.get(cell, 0) for cell in part.cells):
            emulator |= cpuset.union(cpus for vcpu, cpus in masks.items() if part.vcpus >> vcpu & 1)
    is_shared = threads.emulator & host.shared_cpus and configured_shared_cpus(host)
    return SHARE if is_shared and threads.emulator != emulator else None


def _topology(domain: Document) -> CpuTopology | None:
    """Return sockets, cores and threads, if they are those of all vCPUs; dies and clusters are cores."""
    found = domain.root.find('cpu/topology')
    if found is None:
        return None
    names = ('sockets', 'dies', 'clusters', 'cores', 'threads')
    sockets, dies, clusters, cores, threads = (
        1 if found.get(name) is None else domain.whole(found, name, f'number of {name}') for name in names
    )
    topology = CpuTopology(sockets, dies * clusters * cores, threads)
    is_whole = sockets * topology.cores * threads == domain_parts.number_of_vcpus(domain)
    return topology if is_whole else None


def _realtime(domain: Document) -> int:
    every = (1 << domain_parts.number_of_vcpus(domain)) - 1
    found = domain.root.iterfind('cputune/vcpusched')
    return cpuset.union(domain.cpus(one, 'vcpus') for one in found if one.get('scheduler') in ('fifo', 'rr')) & every


def _offline(domain: Document, host: Host, threads: Threads, found: Sequence[Part]) -> tuple[Offline, ...]:
    on = cpuset.mask([*threads.pins, *threads.floats])
    pinned = domain_parts.pins(domain)
    offline = [_off(part, on, pinned, threads, host) for part in found]
    return tuple(offline) if any(map(any, offline)) else ()


def _off(part: Part, on: int, pinned: Mapping[int, int], threads: Threads, host: Host) -> Offline:
    """Divide the vCPUs that are off: by their pins where they have some, else as those that are on are."""
    off, dedicated = part.vcpus & ~on, 0
    usual = bool(threads.pins) and not any(part.vcpus >> vcpu & 1 for vcpu in threads.floats)
    for vcpu in cpuset.ids(off):
        cpus = pinned.get(vcpu, 0)
        if usual if not cpus else cpus.bit_count() == 1 and cpus & host.dedicated_cpus:
            dedicated |= 1 << vcpu
    return Offline(off & ~dedicated, dedicated)


def _modules(domain: Document) -> list[MemoryModule]:
    return [
        MemoryModule(
            size_mib=size_kib // KIB_PER_MIB,
            cell=cell,
            path=module.findtext('source/path'),
            align_kib=_kib(domain, module.find('source/alignsize')),
            label_kib=_kib(domain, module.find('target/label/size')),
            pmem=module.find('source/pmem') is not None,
        )
        for module, cell, size_kib in domain_memory.modules_kib(domain)
    ]


def _kib(domain: Document, size: Element | None) -> int | None:
    return None if size is None else domain.octets(size, None, 'size') // 1024
