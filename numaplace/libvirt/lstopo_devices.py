# SPDX-License-Identifier: Apache-2.0
"""Find PCI devices in the XML of ``lstopo --of xml``, which does not tell PFs and VFs."""

from __future__ import annotations

import re

from numaplace.libvirt import lstopo
from numaplace.libvirt.document import Document, show
from numaplace.libvirt.found_device import FoundDevice
from numaplace.libvirt.xmltext import Element
from numaplace.model import Host

__all__ = ['read']

_ADDRESS = re.compile(r'[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]')
#: Class, and vendor and product; more may follow.
_TYPE = re.compile(r'([0-9a-f]{4}) \[([0-9a-f]{4}):([0-9a-f]{4})\].*')


def read(xml: bytes, host: Host, *, place: str = 'lstopo') -> tuple[FoundDevice, ...]:
    """Return the devices by address, all of type PCI; a filter of lstopo may have left some out.

    :param host: what :func:`numaplace.libvirt.lstopo.read` returns of the same document
    :param place: where the document came from, for the errors
    :raises: :class:`~numaplace.exception.InvalidCapabilities`
    """
    source = lstopo.parse(xml, place)
    found = [_device(source, one, host) for one in source.root.iter('object') if one.get('type') == 'PCIDev']
    return tuple(sorted(found, key=lambda device: device.address))


def _device(source: Document, one: Element, host: Host) -> FoundDevice:
    address, kind = one.get('pci_busid', ''), _TYPE.fullmatch(one.get('pci_type', ''))
    if not _ADDRESS.fullmatch(address):
        raise source.fault(one, f"{show(address)} is not an address such as '0000:0a:00.1'", 'pci_busid')
    if kind is None:
        text = show(one.get('pci_type', ''))
        raise source.fault(one, f"{text} is not a type: expected one such as '0200 [8086:154c]'", 'pci_type')
    pci_class, vendor_id, product_id = kind.groups()
    names = [below.get('name', '') for below in one.iterdescendants('object') if below.get('type') == 'OSDev']
    return FoundDevice(
        address,
        vendor_id,
        product_id,
        numa_node=_node(source, one, host),
        pci_class=int(pci_class, 16) << 8,
        interfaces=tuple(sorted(names)),
    )


def _node(source: Document, one: Element, host: Host) -> int | None:
    """Return the only node with CPUs around a device; near all of several nodes it is near none."""
    around = next((above for above in one.iterancestors('object') if 'nodeset' in above.attrib), None)
    if around is None:
        return None
    mask = lstopo.bitmap(source, around, 'nodeset')
    near = [cell.id for cell in host.cells if mask >> cell.id & 1 and cell.shape.online_cpus]
    return near[0] if len(near) == 1 else None
