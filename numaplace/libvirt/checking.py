# SPDX-License-Identifier: Apache-2.0
"""Differences between a domain in libvirt and its server: where it runs, where its memory is, and what it sees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from numaplace import cpuset, exception
from numaplace.libvirt import document, expander
from numaplace.libvirt.domain_parts import enabled, host_devices
from numaplace.libvirt.xmltext import Element
from numaplace.model import Placement
from numaplace.units import KIB_PER_MIB

__all__ = ['Difference', 'compare', 'compare_placements']

_SOURCE = 'the output of `virsh dumpxml`'


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference; a side without a value is empty.

    :param part: what differs, in words
    """

    part: str
    expected: str
    found: str


def compare(expected: str, found: str, *, place: str) -> list[Difference]:
    """Compare a domain with what it should be, in everything that numaplace decides.

    :param expected: the XML that numaplace writes
    :param found: the XML that libvirt prints
    :param place: where `found` came from, for the errors
    :raises: :class:`~numaplace.exception.InvalidDomain` if that is not a domain
    """
    wanted, had = _parts(expected, 'numaplace'), _parts(found, place)
    return _differences(wanted, had)


def _differences(wanted: Mapping[str, str], had: Mapping[str, str]) -> list[Difference]:
    return [
        Difference(part, wanted.get(part, ''), had.get(part, ''))
        for part in {**wanted, **had}
        if wanted.get(part, '') != had.get(part, '')
    ]


def compare_placements(expected: Placement, found: Placement) -> list[Difference]:
    """Compare where a domain of another tool is with where its server is, in everything that a claim holds.

    :param found: as :mod:`numaplace.libvirt.domain_reading` reads it
    """
    return _differences(dict(_places(expected)), dict(_places(found)))


def _places(placement: Placement) -> Iterator[tuple[str, str]]:
    guest = placement.guest
    yield 'vCPUs', str(guest.most_vcpus)
    yield 'vCPUs that are on', cpuset.text((1 << guest.most_vcpus) - 1 & ~guest.offline_vcpus)
    yield 'memory in MiB', str(guest.memory_mib)
    for number, placed in enumerate(placement.cells):
        cell = f'cell {number}'
        yield f'vCPUs of {cell}', cpuset.text(guest.cell_vcpus[number])
        yield f'memory of {cell} in MiB', str(placed.guest_cell.memory_mib)
        yield f'node of {cell}', str(placed.host_cell)
        yield f'pages of {cell} in KiB', str(placed.pagesize_kib or '')
        yield f'CPUs of the emulator in {cell}', cpuset.text(placed.emulator_cpus)
        for vcpu, cpu in placed.pins:
            yield f'CPUs of vCPU {vcpu}', str(cpu)
    for number, module in enumerate(guest.modules):
        yield f'memory module {number}', f'{module.model} of {module.size_mib} MiB in cell {module.cell}'


def _parts(xml: str, place: str) -> dict[str, str]:
    """Return the values of a domain by part; CPU lists in one format, sizes in MiB."""
    source = document.parse(xml.encode(), place, 'domain', _SOURCE, exception.InvalidDomain)
    parts: dict[str, str] = {}
    for read in (_sizes, _times, _pins, _nodes, _cells, _backing, _modules, _devices):
        parts |= read(source)
    return {part: value for part, value in parts.items() if value}


def _sizes(source: document.Document) -> dict[str, str]:
    root, topology = source.root, source.root.find('cpu/topology')
    return {
        'vCPUs': (root.findtext('vcpu') or '').strip(),
        'vCPUs that are on': cpuset.text(enabled(source)),
        'memory in MiB': _mebibytes(source, root.find('memory'), None),
        'most memory in MiB': _mebibytes(source, root.find('maxMemory'), None),
        'performance counters': '' if (pmu := root.find('features/pmu')) is None else pmu.get('state', ''),
        'I/O threads': (root.findtext('iothreads') or '').strip(),
        'sockets, dies, cores and threads': ''
        if topology is None
        else ':'.join(topology.get(name, '1') for name in ('sockets', 'dies', 'cores', 'threads')),
    }


def _times(source: document.Document) -> dict[str, str]:
    tags = {'shares': 'weight', 'period': 'period in microseconds', 'quota': 'quota in microseconds'}
    parts = {words: (source.root.findtext(f'cputune/{tag}') or '').strip() for tag, words in tags.items()}
    for one in source.root.iterfind('cputune/vcpusched'):
        for vcpu in cpuset.ids(source.cpus(one, 'vcpus') & enabled(source)):
            parts[f'scheduling of vCPU {vcpu}'] = f'{one.get("scheduler")} {one.get("priority", "")}'.strip()
    return parts


def _pins(source: document.Document) -> dict[str, str]:
    root, on, parts = source.root, enabled(source), {}
    for vcpu in root.iterfind('vcpu'):
        parts['CPUs of a guest that floats'] = _list(vcpu.get('cpuset'))
    for pin in root.iterfind('cputune/vcpupin'):
        # libvirt keeps the pins of vCPUs that are off.
        if on & cpuset.parse(pin.get('vcpu', '')):
            parts[f'CPUs of vCPU {pin.get("vcpu")}'] = _list(pin.get('cpuset'))
    for tag, words in (('emulatorpin', 'the emulator'), ('iothreadpin', 'the I/O thread')):
        for pin in root.iterfind(f'cputune/{tag}'):
            parts[f'CPUs of {words}'] = _list(pin.get('cpuset'))
    return parts


def _nodes(source: document.Document) -> dict[str, str]:
    parts = {}
    for memory in source.root.iterfind('numatune/memory'):
        parts['nodes of the memory'] = _bound(memory)
    for memory in source.root.iterfind('numatune/memnode'):
        parts[f'node of cell {memory.get("cellid")}'] = _bound(memory)
    return parts


def _bound(memory: Element) -> str:
    """Return a list of nodes, with the mode of the memory binding unless it is strict."""
    mode = memory.get('mode', 'strict')
    return _list(memory.get('nodeset')) + ('' if mode == 'strict' else f' ({mode})')


def _cells(source: document.Document) -> dict[str, str]:
    parts = {}
    for cell in source.root.iterfind('cpu/numa/cell'):
        words = f'cell {cell.get("id")}'
        parts[f'vCPUs of {words}'] = _list(cell.get('cpus'))
        parts[f'memory of {words} in MiB'] = _mebibytes(source, cell, 'memory')
        parts[f'access to the memory of {words}'] = cell.get('memAccess', '')
        siblings = sorted(cell.iterfind('distances/sibling'), key=lambda one: source.whole(one, 'id', 'cell number'))
        parts[f'distances of {words}'] = ' '.join(one.get('value', '') for one in siblings)
    return parts


def _backing(source: document.Document) -> dict[str, str]:
    backing = 'memoryBacking'
    parts = {
        words: 'yes'
        for tag, words in (('locked', 'locked memory'), ('nosharepages', 'pages that are never merged'))
        if source.root.find(f'{backing}/{tag}') is not None
    }
    for page in source.root.iterfind(f'{backing}/hugepages/page'):
        parts[f'cells with pages of {page.get("size")} {page.get("unit", "KiB")}'] = _list(page.get('nodeset')) or 'all'
    return parts


def _modules(source: document.Document) -> dict[str, str]:
    parts = {}
    for number, module in enumerate(source.root.iterfind('devices/memory')):
        size_mib = _mebibytes(source, module.find('target/size'), None)
        path = module.findtext('source/path')
        words = f'{module.get("model")} of {size_mib} MiB in cell {module.findtext("target/node")}'
        parts[f'memory module {number}'] = words + (f' from {path}' if path else '')
    return parts


def _devices(source: document.Document) -> dict[str, str]:
    """Return the source of each disk and NIC, the PCI devices, and the guest cells that they are near."""
    parts = {}
    for kind, path, name, keys in (
        ('disk', 'target', 'dev', ('file', 'dev')),
        ('interface', 'mac', 'address', ('network', 'bridge', 'dev')),
    ):
        for device in source.root.iterfind(f'devices/{kind}'):
            named, origin = device.find(path), device.find('source')
            if named is None or origin is None:
                continue
            words = f'{kind} {named.get(name)}'
            parts[f'source of {words}'] = next((origin.get(key, '') for key in keys if origin.get(key)), '')
            parts[f'cell of {words}'] = expander.node_of(source.root, device)
            if (vlan := device.find('vlan/tag')) is not None:
                parts[f'VLAN of {words}'] = vlan.get('id', '')
    for device, address in host_devices(source):
        parts[f'PCI device {address}'] = str(device.tag)
        parts[f'cell of PCI device {address}'] = expander.node_of(source.root, device)
    return parts


def _list(text: str | None) -> str:
    return cpuset.text(cpuset.parse(text or ''))


def _mebibytes(source: document.Document, element: Element | None, attribute: str | None) -> str:
    if element is None:
        return ''
    return str(source.octets(element, attribute, 'memory size') // 1024 // KIB_PER_MIB)
