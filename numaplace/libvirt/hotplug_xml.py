# SPDX-License-Identifier: Apache-2.0
"""Domain elements for what may change while a guest runs: vCPUs that are off, and memory modules."""

from __future__ import annotations

from numaplace import exception
from numaplace.libvirt import document
from numaplace.libvirt.xmltext import Element, element
from numaplace.model import Guest, MemoryModule
from numaplace.request import Hotplug
from numaplace.units import KIB_PER_MIB

__all__ = ['count', 'max_memory', 'module', 'total_mib', 'vcpus']


def vcpus(number: int, off: int) -> Element:
    """Return ``<vcpus>``, which lists the vCPUs that are on; all but the first can be switched off.

    :param number: number of all vCPUs
    :param off: mask of those that are off
    """
    lines = (
        element(
            'vcpu',
            {
                'id': str(vcpu),
                'enabled': 'no' if off >> vcpu & 1 else 'yes',
                'hotpluggable': 'yes' if vcpu else 'no',
            },
        )
        for vcpu in range(number)
    )
    return element('vcpus', None, *lines)


def max_memory(hotplug: Hotplug) -> Element:
    """Return ``<maxMemory>``."""
    attributes = {'slots': str(hotplug.slots), 'unit': 'KiB'}
    return element('maxMemory', attributes, text=str(hotplug.max_memory_mib * KIB_PER_MIB))


def total_mib(guest: Guest) -> int:
    """Return the memory of a guest with all modules, as libvirt counts it."""
    return guest.memory_mib + sum(module.size_mib - module.claimed_mib for module in guest.modules)


def module(plugged: MemoryModule) -> Element:
    """Return ``<memory>`` of a module; without a path it uses the pages and the node that its cell is bound to."""
    source = None
    if plugged.path is not None:
        source = element(
            'source',
            None,
            element('path', text=plugged.path),
            None if plugged.align_kib is None else _kib('alignsize', plugged.align_kib),
            element('pmem') if plugged.pmem else None,
        )
    target = element(
        'target',
        None,
        _kib('size', plugged.size_mib * KIB_PER_MIB),
        element('node', text=str(plugged.cell)),
        None if plugged.label_kib is None else element('label', None, _kib('size', plugged.label_kib)),
    )
    # Writes must reach the file behind it.
    access = {} if plugged.path is None else {'access': 'shared'}
    return element('memory', {'model': plugged.model, **access}, source, target)


def count(xml: str, plugged: MemoryModule) -> int:
    """Return how many modules like this one a domain has: of its model, size, cell and path.

    :param xml: of the domain, as libvirt prints it
    :raises: :class:`~numaplace.exception.InvalidDomain`
    """
    domain = document.parse(xml.encode(), 'libvirt', 'domain', 'the XML of a domain', exception.InvalidDomain)
    wanted = (plugged.model, plugged.size_mib, str(plugged.cell), plugged.path)
    return sum(1 for memory in domain.root.iterfind('devices/memory') if wanted == _read(domain, memory))


def _read(domain: document.Document, memory: Element) -> tuple[str | None, int, str | None, str | None]:
    size = memory.find('target/size')
    size_mib = 0 if size is None else domain.octets(size, None, 'size') // 1024**2
    return memory.get('model'), size_mib, memory.findtext('target/node'), memory.findtext('source/path')


def _kib(tag: str, size_kib: int) -> Element:
    return element(tag, {'unit': 'KiB'}, text=str(size_kib))
