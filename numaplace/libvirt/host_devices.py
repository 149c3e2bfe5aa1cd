# SPDX-License-Identifier: Apache-2.0
"""PCI devices of the host that a guest gets, as domain elements."""

from __future__ import annotations

from numaplace.libvirt.xmltext import Element, element
from numaplace.model import GrantedDevice, Placement
from numaplace.model.pci import NETWORK, VF

__all__ = ['hostdev', 'is_nic', 'nic', 'node_of']


def is_nic(granted: GrantedDevice) -> bool:
    """Return whether a device is a NIC for libvirt: a VF that was taken for its physical network.

    libvirt sets MAC address and VLAN only of VFs, and refuses other devices as interfaces.
    """
    device = granted.device
    network = device.tags.get('physical_network')
    return device.dev_type == VF and network is not None and granted.request == f'{NETWORK}{network}'


def node_of(granted: GrantedDevice, placement: Placement) -> int | None:
    """Return the first guest cell on the host cell of a device, or None if it is near none."""
    return next(
        (number for number, cell in enumerate(placement.cells) if cell.host_cell == granted.device.numa_node), None
    )


def hostdev(granted: GrantedDevice) -> Element:
    """Return a device as it is passed through."""
    source = element('source', None, _address(granted))
    return element('hostdev', {'mode': 'subsystem', 'type': 'pci'} | _managed(granted), source)


def nic(granted: GrantedDevice, mac: str) -> Element:
    """Return a VF as a NIC."""
    source = element('source', None, _address(granted, type='pci'))
    return element('interface', {'type': 'hostdev'} | _managed(granted), element('mac', {'address': mac}), source)


def _managed(granted: GrantedDevice) -> dict[str, str]:
    """Return whether libvirt binds the device to vfio-pci and back: not where the operator does (``managed``)."""
    return {'managed': 'no' if granted.device.tags.get('managed') == 'false' else 'yes'}


def _address(granted: GrantedDevice, **attributes: str) -> Element:
    domain, bus, rest = granted.device.address.split(':')
    slot, function = rest.split('.')
    place = {'domain': f'0x{domain}', 'bus': f'0x{bus}', 'slot': f'0x{slot}', 'function': f'0x{function}'}
    return element('address', attributes | place)
