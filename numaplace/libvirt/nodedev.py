# SPDX-License-Identifier: Apache-2.0
"""Find the PCI devices of a machine in the node devices of its libvirt."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from numaplace.libvirt import connection, document
from numaplace.libvirt.document import Document, show
from numaplace.libvirt.found_device import FoundDevice
from numaplace.libvirt.xmltext import Element
from numaplace.model.pci import PCI, PF, VDPA, VF

__all__ = ['parse', 'read']

_SOURCE = 'the output of `virsh nodedev-dumpxml`'

#: Names of PCI devices, network interfaces and vDPA devices; `nodedev-list --cap` of older releases knows no vDPA.
_NAME = re.compile(r'(?:pci|net|vdpa)_\S+')
_ADDRESS = re.compile(r'[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]')
_ID = re.compile(r'0x[0-9a-fA-F]{1,4}')
_CLASS = re.compile(r'0x[0-9a-fA-F]{1,6}')

#: The largest numbers in an address, and of a node.
_PARTS = {'domain': 0xFFFFFFFF, 'bus': 0xFF, 'slot': 0x1F, 'function': 7}
_MAX_NODE = 65535


def read(uri: str) -> tuple[FoundDevice, ...]:
    """Return the devices of the machine at a URI, by address; one that is gone meanwhile is left out.

    :raises: :class:`~numaplace.exception.LibvirtError`, :class:`~numaplace.exception.InvalidCapabilities`
    """
    names = _NAME.findall(connection.ask('nodedev-list', uri))
    answers = connection.ask_each(uri, names, 'nodedev-dumpxml {name}')
    return parse([text.encode() for _, text in answers if '<device' in text], uri)


def parse(documents: Iterable[bytes], place: str) -> tuple[FoundDevice, ...]:
    """Return the devices that the XML of node devices describes, by address.

    :param documents: of PCI devices, and of their network interfaces and vDPA devices; others are ignored
    :param place: where they came from, for the errors
    :raises: :class:`~numaplace.exception.InvalidCapabilities`
    """
    devices: list[tuple[Document, Element]] = []
    interfaces: dict[str, list[str]] = defaultdict(list)
    vdpa: dict[str, str | None] = {}
    for xml in documents:
        source = document.parse(xml.strip(), place, 'device', _SOURCE)
        source = replace(source, place=f'{place}, {source.root.findtext("name")}')
        capability = source.root.find('capability')
        kind = None if capability is None else capability.get('type')
        owner = _owner(source)
        if capability is not None and kind == 'pci':
            devices.append((source, capability))
        elif capability is not None and kind == 'net' and owner:
            interfaces[owner].append((capability.findtext('interface') or '').strip())
        elif kind == 'vdpa' and owner:
            vdpa[owner] = None if capability is None else capability.findtext('chardev')
    found = [_device(source, capability, interfaces, vdpa) for source, capability in devices]
    return tuple(sorted(found, key=lambda device: device.address))


def _owner(source: Document) -> str | None:
    """Return the address of the PCI device that has a device: the last in its path, as virtio is between them."""
    addresses = [word for word in (source.root.findtext('path') or '').split('/') if _ADDRESS.fullmatch(word)]
    return addresses[-1] if addresses else None


def _device(
    source: Document, pci: Element, interfaces: dict[str, list[str]], vdpa: dict[str, str | None]
) -> FoundDevice:
    address = _address({part: str(_whole(source, pci, part)) for part in _PARTS}, source, pci)
    functions = {one.get('type'): one for one in pci.iterfind('capability')}
    parent = functions.get('phys_function')
    owner = None if parent is None else parent.find('address')
    node = pci.find('numa')
    return FoundDevice(
        address=address,
        vendor_id=_id(source, pci, 'vendor'),
        product_id=_id(source, pci, 'product'),
        dev_type=_type(functions.get('virt_functions'), owner, is_vdpa=address in vdpa),
        numa_node=None if node is None else source.whole(node, 'node', 'number of a node', _MAX_NODE),
        parent=None if owner is None else _address({part: owner.get(part, '0') for part in _PARTS}, source, owner),
        pci_class=_class(source, pci.find('class')),
        driver=source.root.findtext('driver/name'),
        interfaces=tuple(sorted(interfaces.get(address, ()))),
        vdpa_device=vdpa.get(address),
    )


def _type(functions: Element | None, owner: Element | None, *, is_vdpa: bool) -> str:
    """Return the type (Nova 34, `_get_device_type`); a PF may have no VF at the time."""
    if functions is not None:
        return PF
    if owner is None:
        return PCI
    return VDPA if is_vdpa else VF


def _whole(source: Document, pci: Element, part: str) -> int:
    found = pci.find(part)
    if found is None:
        raise source.fault(pci, f'there is no <{part}>: expected {_SOURCE}')
    return source.whole(found, None, part, _PARTS[part])


def _address(parts: dict[str, str], source: Document, element: Element) -> str:
    try:
        domain, bus, slot, function = (int(text, 0) for text in parts.values())
    except ValueError as error:
        raise source.fault(element, f'{show(str(parts))} is no PCI address: expected whole numbers') from error
    return f'{domain:04x}:{bus:02x}:{slot:02x}.{function:x}'


def _id(source: Document, pci: Element, tag: str) -> str:
    found = pci.find(tag)
    text = '' if found is None else found.get('id', '')
    if not _ID.fullmatch(text):
        where = pci if found is None else found
        raise source.fault(where, f"the {tag} is {show(text)}: expected an id such as '0x8086'")
    return f'{int(text, 16):04x}'


def _class(source: Document, found: Element | None) -> int | None:
    """Return the class; libvirt before 5.2 has none."""
    if found is None:
        return None
    text = (found.text or '').strip()
    if not _CLASS.fullmatch(text):
        raise source.fault(found, f"the class is {show(text)}: expected a number such as '0x020000'")
    return int(text, 16)
