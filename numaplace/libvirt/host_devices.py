# SPDX-License-Identifier: Apache-2.0
"""PCI devices of the host that a guest gets, as domain elements."""

from __future__ import annotations

from numaplace import exception
from numaplace.libvirt.xmltext import Element, element
from numaplace.model import GrantedDevice, Nic
from numaplace.model.devices import DIRECT, MACVTAP, VNIC_VDPA
from numaplace.model.pci import INTERFACE, VDPA_DEVICE, VF

__all__ = ['check_nic', 'hostdev', 'nic']

#: How a guest is attached to a network device of the host: type of the interface, and the tag that has its name.
_ATTACHED = {MACVTAP: ('direct', INTERFACE), VNIC_VDPA: ('vdpa', VDPA_DEVICE)}


def check_nic(granted: GrantedDevice, nic: Nic) -> None:
    """Make sure that a device has what a NIC needs of it.

    :raises: :class:`~numaplace.exception.InvalidRequest`
    """
    _, tag = _ATTACHED.get(nic.vnic or '', ('', None))
    if tag is not None and not granted.device.tags.get(tag):
        raise exception.InvalidRequest(
            f'{nic.place}: PCI device {granted.device.address} has no known {tag.replace("_", " ")}: expected a device '
            f'whose driver on the host makes one for vnic={nic.vnic}, as `numaplace host discover` finds it'
        )


def hostdev(granted: GrantedDevice) -> Element:
    """Return a device as it is passed through."""
    source = element('source', None, _address(granted))
    return element('hostdev', {'mode': 'subsystem', 'type': 'pci'} | _managed(granted), source)


def nic(granted: GrantedDevice, nic: Nic, mac: str) -> Element:
    """Return a device as a NIC, which is a device like others unless libvirt can set its MAC address and VLAN: of VFs.

    :param nic: one that passed :func:`check_nic`
    """
    address, vlan = element('mac', {'address': mac}), _vlan(nic)
    if nic.vnic in _ATTACHED:
        kind, tag = _ATTACHED[nic.vnic]
        source = {'dev': granted.device.tags[tag] or ''} | ({'mode': 'passthrough'} if nic.vnic == MACVTAP else {})
        model = element('model', {'type': 'virtio'})
        return element('interface', {'type': kind}, address, element('source', source), *vlan, model)
    if nic.vnic != DIRECT or granted.device.dev_type != VF:
        return hostdev(granted)
    source_address = element('source', None, _address(granted, type='pci'))
    return element('interface', {'type': 'hostdev'} | _managed(granted), address, source_address, *vlan)


def _vlan(nic: Nic) -> list[Element]:
    return [] if nic.vlan is None else [element('vlan', None, element('tag', {'id': str(nic.vlan)}))]


def _managed(granted: GrantedDevice) -> dict[str, str]:
    """Return whether libvirt binds the device to vfio-pci and back: not where the operator does (``managed``)."""
    return {'managed': 'no' if granted.device.tags.get('managed') == 'false' else 'yes'}


def _address(granted: GrantedDevice, **attributes: str) -> Element:
    domain, bus, rest = granted.device.address.split(':')
    slot, function = rest.split('.')
    place = {'domain': f'0x{domain}', 'bus': f'0x{bus}', 'slot': f'0x{slot}', 'function': f'0x{function}'}
    return element('address', attributes | place)
