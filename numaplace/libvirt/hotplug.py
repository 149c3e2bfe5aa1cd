# SPDX-License-Identifier: Apache-2.0
"""What may change while a guest runs, as elements of a domain: vCPUs that are off, and memory modules."""

from __future__ import annotations

from lxml import etree

from numaplace.libvirt.xmltext import element
from numaplace.model import Guest, MemoryModule
from numaplace.request import Hotplug
from numaplace.units import KIB_PER_MIB

__all__ = ['max_memory', 'module', 'total_mib', 'vcpus']


def vcpus(number: int, off: int) -> etree._Element:
    """Return ``<vcpus>``: which are on; all but the first can be switched off.

    :param number: of all vCPUs
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


def max_memory(hotplug: Hotplug) -> etree._Element:
    """Return ``<maxMemory>``."""
    attributes = {'slots': str(hotplug.slots), 'unit': 'KiB'}
    return element('maxMemory', attributes, text=str(hotplug.max_memory_mib * KIB_PER_MIB))


def total_mib(guest: Guest) -> int:
    """Return the memory of a guest with all modules, as libvirt counts it."""
    return guest.memory_mib + sum(module.size_mib - module.claimed_mib for module in guest.modules)


def module(plugged: MemoryModule) -> etree._Element:
    """Return ``<memory>`` of a module; without a path it is of the pages and the node that its cell is bound to."""
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
    # What is kept in a file must reach it.
    access = {} if plugged.path is None else {'access': 'shared'}
    return element('memory', {'model': plugged.model, **access}, source, target)


def _kib(tag: str, size_kib: int) -> etree._Element:
    return element(tag, {'unit': 'KiB'}, text=str(size_kib))
