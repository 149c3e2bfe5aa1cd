# SPDX-License-Identifier: Apache-2.0
"""Place devices near a guest cell, behind a PCIe expander bus that shows the guest their node.

A device of the domain names its guest cell with a child, ``<vnuma node='1'/>``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from numaplace.libvirt import editing
from numaplace.libvirt.document import Document, show
from numaplace.libvirt.xmltext import Element, element
from numaplace.model import Placement
from numaplace.request import Machine, machines

__all__ = ['MAX_PORTS', 'buses', 'connect', 'node_of', 'overfull']

TAG = 'vnuma'
#: Buses are numbered from the top: a bus for the expander and one for each root port behind it.
_BUSES = 256
#: Root ports that one expander bus has slots for.
MAX_PORTS = 32

#: The devices near each guest cell, by cell number.
Near = Mapping[int, Sequence[Element]]


def overfull(near: Mapping[int, Sequence[object]], *, bus: int = _BUSES) -> int | None:
    """Return the node that has more devices than there are buses for, or None.

    :param bus: the lowest bus number that is taken
    """
    for node, devices in sorted(near.items()):
        bus -= len(devices) + 1
        if bus < 1 or len(devices) > MAX_PORTS:
            return node
    return None


def buses(near: Near, *, index: int = 1, bus: int = _BUSES) -> Iterator[Element]:
    """Yield the expander bus and root ports of each node, and give the devices addresses behind them.

    :param near: devices without an address that :func:`overfull` accepted
    :param index: the first free index of a PCI controller
    :param bus: as for :func:`overfull`
    """
    for node, devices in sorted(near.items()):
        bus -= len(devices) + 1
        yield _bus(index, bus, node)
        for slot, device in enumerate(devices):
            port = index + 1 + slot
            yield _port(port, index, slot)
            editing.append(device, _pci_address(port, 0))
        index += len(devices) + 1


def connect(document: Document, placement: Placement) -> None:
    """Put each device that names a guest cell behind an expander bus of that cell.

    :raises: :meth:`~numaplace.libvirt.document.Document.fault` for a node that the guest does not have, a device that
        already has an address, a machine without such buses, or more devices than there are buses
    """
    devices = document.root.find('devices')
    if devices is None:
        return
    near: dict[int, list[Element]] = {}
    for mark in devices.findall(f'*/{TAG}'):
        near.setdefault(_node(document, mark, len(placement.cells)), []).append(_marked(mark))
    if not near:
        return
    _check_machine(document, devices)
    index = _next_index(document, devices)
    bus = _lowest_bus(document, devices)
    if (node := overfull(near, bus=bus)) is not None:
        raise document.fault(near[node][-1], f'too many devices on node {node}: expected at most {MAX_PORTS}')
    for controller in list(buses(near, index=index, bus=bus)):
        editing.append(devices, controller)


def node_of(root: Element, device: Element) -> str:
    """Return the guest cell that a device of a domain is near, or an empty string."""
    controllers = {_number(one.get('index')): one for one in root.iterfind("devices/controller[@type='pci']")}
    for _ in range(_BUSES):  # a bus behind itself would loop forever
        address = device.find("address[@type='pci']")
        behind = None if address is None else controllers.get(_number(address.get('bus')))
        if behind is None:
            break
        if node := (behind.findtext('target/node') or '').strip():
            return node
        device = behind
    return ''


def _number(text: str | None) -> int | None:
    try:
        return int(text or '', 0)
    except ValueError:
        return None


def _node(document: Document, mark: Element, cells: int) -> int:
    device = mark.getparent()
    assert device is not None  # noqa: S101 - found below it
    if device.find('address') is not None:
        raise document.fault(mark, f'the <{device.tag}> has an <address>: expected one of the two')
    return document.whole(mark, 'node', 'guest cell', cells - 1)


def _marked(mark: Element) -> Element:
    """Remove a mark and return its device."""
    device = mark.getparent()
    assert device is not None  # noqa: S101 - found below it
    editing.remove(mark)
    return device


def _check_machine(document: Document, devices: Element) -> None:
    kind = document.root.find('os/type')
    machine = '' if kind is None else kind.get('machine', '')
    archs = machines.DEFAULTS if kind is None or kind.get('arch') is None else (kind.get('arch', ''),)
    if not any(machines.has_expanders(Machine(arch, machine)) for arch in archs):
        raise document.fault(
            devices if kind is None else kind,
            f'machine {show(machine)} has no PCIe expander bus, which a device with a node needs: expected q35',
        )


def _next_index(document: Document, devices: Element) -> int:
    """Return the first free index of a PCI controller; 0 is the root's."""
    taken = [
        document.whole(controller, 'index', 'controller index', _BUSES - 1)
        for controller in devices.findall("controller[@type='pci']")
        if controller.get('index') is not None
    ]
    return max(taken, default=0) + 1


def _lowest_bus(document: Document, devices: Element) -> int:
    taken = [
        document.whole(target, 'busNr', 'bus number', _BUSES - 1)
        for target in devices.findall('controller/target')
        if target.get('busNr') is not None
    ]
    return min(taken, default=_BUSES)


def _bus(index: int, bus: int, node: int) -> Element:
    return element(
        'controller',
        {'type': 'pci', 'index': str(index), 'model': 'pcie-expander-bus'},
        element('model', {'name': 'pxb-pcie'}),
        element('target', {'busNr': str(bus)}, element('node', text=str(node))),
    )


def _port(index: int, bus: int, slot: int) -> Element:
    return element(
        'controller', {'type': 'pci', 'index': str(index), 'model': 'pcie-root-port'}, _pci_address(bus, slot)
    )


def _pci_address(bus: int, slot: int) -> Element:
    return element(
        'address',
        {'type': 'pci', 'domain': '0x0000', 'bus': f'0x{bus:02x}', 'slot': f'0x{slot:02x}', 'function': '0x0'},
    )
