# SPDX-License-Identifier: Apache-2.0
"""Switch off the thread contexts in which QEMU preallocates memory, where they would be on a node without CPUs."""

from __future__ import annotations

from collections.abc import Iterable

from lxml import etree

from numaplace.libvirt.xmltext import Element
from numaplace.model import Host

__all__ = ['are_refused', 'switch_off']

_NAMESPACE = 'http://libvirt.org/schemas/domain/qemu/1.0'


def are_refused(host: Host, host_cells: Iterable[int]) -> bool:
    """Return whether QEMU refuses the thread contexts of a guest.

    :param host_cells: ids of the host cells whose memory is preallocated
    """
    shapes = (host.cell(host_cell).shape for host_cell in host_cells)
    return any(not shape.online_cpus | shape.shared_cpus | shape.dedicated_cpus for shape in shapes)


def switch_off() -> Element:
    """Return ``<qemu:capabilities>`` of a domain without thread contexts."""
    capabilities = etree.Element(f'{{{_NAMESPACE}}}capabilities', nsmap={'qemu': _NAMESPACE})
    etree.SubElement(capabilities, f'{{{_NAMESPACE}}}del', {'capability': 'thread-context'})
    return capabilities
