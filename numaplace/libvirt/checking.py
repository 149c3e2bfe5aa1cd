# SPDX-License-Identifier: Apache-2.0
"""What a domain in libvirt has otherwise than it should: where it runs, where its memory is, and what it sees."""

from __future__ import annotations

from dataclasses import dataclass

from lxml import etree

from numaplace import cpuset, exception
from numaplace.libvirt import document
from numaplace.units import KIB_PER_MIB

__all__ = ['Difference', 'compare']

_SOURCE = 'the output of `virsh dumpxml`'
_MOST_VCPUS = 65535


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that differs; a side that has nothing there is empty.

    :param part: what it is, in words
    """

    part: str
    expected: str
    found: str


def compare(expected: str, found: str, *, place: str) -> list[Difference]:
    """Compare what a domain should be with what it is, in all that numaplace decides.

    :param expected: the XML that numaplace writes
    :param found: the XML that libvirt prints
    :param place: where the latter came from, for the errors
    :raises: :class:`~numaplace.exception.InvalidDomain` if that is no domain
    """
    wanted, had = _parts(expected, 'numaplace'), _parts(found, place)
    return [
        Difference(part, wanted.get(part, ''), had.get(part, ''))
        for part in {**wanted, **had}
        if wanted.get(part, '') != had.get(part, '')
    ]


def _parts(xml: str, place: str) -> dict[str, str]:
    """Return what a domain says, by part; CPU lists in one form, sizes in MiB."""
    source = document.parse(xml.encode(), place, 'domain', _SOURCE, exception.InvalidDomain)
    root = source.root
    on = _enabled(source)
    parts = {
        'vCPUs': (root.findtext('vcpu') or '').strip(),
        'vCPUs that are on': cpuset.text(on),
        'memory in MiB': _mebibytes(source, root.find('memory'), None),
        'most memory in MiB': _mebibytes(source, root.find('maxMemory'), None),
    }
    for pin in root.iterfind('cputune/vcpupin'):
        # libvirt remembers where those that are off would run.
        if on & cpuset.parse(pin.get('vcpu', '')):
            parts[f'CPUs of vCPU {pin.get("vcpu")}'] = _list(pin.get('cpuset'))
    for tag, words in (('emulatorpin', 'the emulator'), ('iothreadpin', 'the I/O thread')):
        for pin in root.iterfind(f'cputune/{tag}'):
            parts[f'CPUs of {words}'] = _list(pin.get('cpuset'))
    for memory in root.iterfind('numatune/memory'):
        parts['nodes of the memory'] = _list(memory.get('nodeset'))
    for memory in root.iterfind('numatune/memnode'):
        parts[f'node of cell {memory.get("cellid")}'] = _list(memory.get('nodeset'))
    for cell in root.iterfind('cpu/numa/cell'):
        parts[f'vCPUs of cell {cell.get("id")}'] = _list(cell.get('cpus'))
        parts[f'memory of cell {cell.get("id")} in MiB'] = _mebibytes(source, cell, 'memory')
    for page in root.iterfind('memoryBacking/hugepages/page'):
        parts[f'cells with pages of {page.get("size")} {page.get("unit", "KiB")}'] = _list(page.get('nodeset'))
    for number, module in enumerate(root.iterfind('devices/memory')):
        size_mib = _mebibytes(source, module.find('target/size'), None)
        path = module.findtext('source/path')
        words = f'{module.get("model")} of {size_mib} MiB in cell {module.findtext("target/node")}'
        parts[f'memory module {number}'] = words + (f' from {path}' if path else '')
    return {part: value for part, value in parts.items() if value}


def _enabled(source: document.Document) -> int:
    """Return the mask of the vCPUs that are on."""
    if listed := source.root.findall('vcpus/vcpu'):
        on = (vcpu for vcpu in listed if vcpu.get('enabled') == 'yes')
        return cpuset.mask(source.whole(vcpu, 'id', 'vCPU', _MOST_VCPUS) for vcpu in on)
    vcpu = source.root.find('vcpu')
    if vcpu is None:
        return 0
    attribute = 'current' if vcpu.get('current') else None
    return (1 << source.whole(vcpu, attribute, 'number of vCPUs', _MOST_VCPUS)) - 1


def _list(text: str | None) -> str:
    return cpuset.text(cpuset.parse(text or ''))


def _mebibytes(source: document.Document, element: etree._Element | None, attribute: str | None) -> str:
    if element is None:
        return ''
    return str(source.octets(element, attribute, 'memory size') // 1024 // KIB_PER_MIB)
