# SPDX-License-Identifier: Apache-2.0
"""Read the parts of a domain that several modules look at."""

from __future__ import annotations

from collections.abc import Iterator

from numaplace import cpuset
from numaplace.libvirt.document import Document
from numaplace.libvirt.xmltext import Element

__all__ = ['MAX_CELLS', 'MAX_VCPUS', 'bound', 'cells', 'enabled', 'host_devices', 'number_of_vcpus', 'pins']

#: libvirt supports no more.
MAX_VCPUS = 65536
MAX_CELLS = 1024


def number_of_vcpus(domain: Document) -> int:
    """Return how many vCPUs may be on."""
    vcpu = domain.root.find('vcpu')
    return 1 if vcpu is None else domain.whole(vcpu, None, 'number of vCPUs', MAX_VCPUS)


def enabled(domain: Document) -> int:
    """Return the mask of the vCPUs that are on."""
    if listed := domain.root.findall('vcpus/vcpu'):
        on = (vcpu for vcpu in listed if vcpu.get('enabled') == 'yes')
        return cpuset.mask(domain.whole(vcpu, 'id', 'vCPU', MAX_VCPUS - 1) for vcpu in on)
    vcpu = domain.root.find('vcpu')
    if vcpu is None:
        return 1
    attribute = 'current' if vcpu.get('current') else None
    return (1 << domain.whole(vcpu, attribute, 'number of vCPUs', MAX_VCPUS)) - 1


def pins(domain: Document) -> dict[int, int]:
    """Return the masks of the CPUs that vCPUs are pinned to, by vCPU, including vCPUs that are off."""
    found: dict[int, int] = {}
    for pin in domain.root.iterfind('cputune/vcpupin'):
        for vcpu in cpuset.ids(domain.cpus(pin, 'vcpu')):
            found[vcpu] = found.get(vcpu, 0) | domain.cpus(pin, 'cpuset')
    return found


def cells(domain: Document) -> dict[int, Element]:
    """Return the guest cells by number."""
    found = {}
    for index, cell in enumerate(domain.root.iterfind('cpu/numa/cell')):
        number = index if cell.get('id') is None else domain.whole(cell, 'id', 'cell number', MAX_CELLS)
        found[number] = cell
    return found


def bound(domain: Document) -> dict[int, Element]:
    """Return the elements that bind the memory of guest cells, by cell number.

    A guest that sees no cells has one; a cell without an element of its own is not in it.
    """
    if not cells(domain):
        memory = domain.root.find('numatune/memory')
        return {} if memory is None else {0: memory}
    return {
        domain.whole(element, 'cellid', 'cell number', MAX_CELLS): element
        for element in domain.root.iterfind('numatune/memnode')
    }


def host_devices(domain: Document) -> Iterator[tuple[Element, str]]:
    """Yield the devices that are PCI devices of the host, each with its address there.

    :raises: :meth:`~numaplace.libvirt.document.Document.fault` for an address of no numbers
    """
    for path in ("hostdev[@type='pci']", "interface[@type='hostdev']", "disk[@type='nvme']"):
        for device in domain.root.iterfind(f'devices/{path}'):
            for address in device.iterfind('source/address'):
                yield device, _address(domain, address)


def _address(domain: Document, address: Element) -> str:
    numbers = [_hexadecimal(domain, address, name) for name in ('domain', 'bus', 'slot', 'function')]
    return '{:04x}:{:02x}:{:02x}.{:x}'.format(*numbers)


def _hexadecimal(domain: Document, address: Element, name: str) -> int:
    text = address.get(name, '0').strip()
    try:
        return int(text, 16 if text.lower().startswith('0x') else 10)
    except ValueError:
        raise domain.fault(address, f'{text[:20]!r} is no number: expected one such as 0x1f', name) from None
