# SPDX-License-Identifier: Apache-2.0
"""Devices near to a guest cell: behind a PCIe expander bus that tells the guest its node.

A device of the domain names its guest cell by a child, ``<vnuma node='1'/>``.
"""

from __future__ import annotations

import re

from lxml import etree

from numaplace.libvirt import editing
from numaplace.libvirt.document import Document, show
from numaplace.libvirt.xmltext import element
from numaplace.model import Placement

__all__ = ['connect']

TAG = 'vnuma'
#: Buses are numbered from the top: a bus for the expander and one for each root port behind it.
_BUSES = 256
#: Root ports that one expander bus has slots for.
_MAX_PORTS = 32
_MACHINES = re.compile(r'(pc-)?q35|virt(-|$)')


def connect(document: Document, placement: Placement) -> None:
    """Put each device that names a guest cell behind an expander bus of that cell.

    :raises: :meth:`~numaplace.libvirt.document.Document.fault` for a node that the guest does not have, a device that
        has an address, a machine without such buses, or more devices than there are buses
    """
    devices = document.root.find('devices')
    if devices is None:
        return
    by_node: dict[int, list[etree._Element]] = {}
    for mark in devices.findall(f'*/{TAG}'):
        by_node.setdefault(_node(document, mark, len(placement.cells)), []).append(_marked(mark))
    if not by_node:
        return
    _check_machine(document, devices)
    index = _next_index(document, devices)
    bus = _lowest_bus(document, devices)
    for node, near in sorted(by_node.items()):
        bus -= len(near) + 1
        if bus < 1 or len(near) > _MAX_PORTS:
            raise document.fault(near[-1], f'too many devices on node {node}: expected at most {_MAX_PORTS}')
        editing.append(devices, _bus(index, bus, node))
        for slot, device in enumerate(near):
            port = index + 1 + slot
            editing.append(devices, _port(port, index, slot))
            editing.append(device, _pci_address(port, 0))
        index += len(near) + 1


def _node(document: Document, mark: etree._Element, cells: int) -> int:
    device = mark.getparent()
    assert device is not None  # noqa: S101 - found below it
    if device.find('address') is not None:
        raise document.fault(mark, f'the <{device.tag}> has an <address>: expected one of the two')
    return document.whole(mark, 'node', 'guest cell', cells - 1)


def _marked(mark: etree._Element) -> etree._Element:
    """Return the device of a mark, from which the mark is taken."""
    device = mark.getparent()
    assert device is not None  # noqa: S101 - found below it
    editing.remove(mark)
    return device


def _check_machine(document: Document, devices: etree._Element) -> None:
    kind = document.root.find('os/type')
    machine = '' if kind is None else kind.get('machine', '')
    if not _MACHINES.match(machine):
        raise document.fault(
            devices if kind is None else kind,
            f'machine {show(machine)} has no PCIe expander bus, which a device with a node needs: expected q35',
        )


def _next_index(document: Document, devices: etree._Element) -> int:
    """Return the first free index of a PCI controller; 0 is the root's."""
    taken = [
        document.whole(controller, 'index', 'controller index', _BUSES - 1)
        for controller in devices.findall("controller[@type='pci']")
        if controller.get('index') is not None
    ]
    return max(taken, default=0) + 1


def _lowest_bus(document: Document, devices: etree._Element) -> int:
    taken = [
        document.whole(target, 'busNr', 'bus number', _BUSES - 1)
        for target in devices.findall('controller/target')
        if target.get('busNr') is not None
    ]
    return min(taken, default=_BUSES)


def _bus(index: int, bus: int, node: int) -> etree._Element:
    return element(
        'controller',
        {'type': 'pci', 'index': str(index), 'model': 'pcie-expander-bus'},
        element('model', {'name': 'pxb-pcie'}),
        element('target', {'busNr': str(bus)}, element('node', text=str(node))),
    )


def _port(index: int, bus: int, slot: int) -> etree._Element:
    return element(
        'controller', {'type': 'pci', 'index': str(index), 'model': 'pcie-root-port'}, _pci_address(bus, slot)
    )


def _pci_address(bus: int, slot: int) -> etree._Element:
    return element(
        'address',
        {'type': 'pci', 'domain': '0x0000', 'bus': f'0x{bus:02x}', 'slot': f'0x{slot:02x}', 'function': '0x0'},
    )
