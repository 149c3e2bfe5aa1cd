# SPDX-License-Identifier: Apache-2.0
"""Domain elements of a guest whose memory is encrypted, and what a domain says of it."""

from __future__ import annotations

from numaplace.libvirt.document import Document
from numaplace.libvirt.xmltext import Element, element
from numaplace.model import HostResources, Placement
from numaplace.model.host_resources import AMD_SEV, AMD_SEV_ES, Encryption

__all__ = ['launch_security', 'model_of', 'names', 'with_iommu']

#: Bits of the policy of a guest: SEV-ES, and as Nova 34 has them no debugging, no shared key, no migration to another
#: domain or to a platform without SEV.
_ES = 0x04
_POLICY = 0x33
_POLICIES = {AMD_SEV: _POLICY, AMD_SEV_ES: _POLICY | _ES}


def model_of(placement: Placement) -> str | None:
    """Return the model of encryption that a placed guest has, or None."""
    return next((name for name in placement.resources if name in _POLICIES), None)


def launch_security(model: str, resources: HostResources) -> Element:
    """Return ``<launchSecurity>``; what its host does not say of itself, libvirt adds.

    :param model: AMD_SEV or AMD_SEV_ES
    :param resources: of its host
    """
    found = next((one for one in resources.encryption if one.model == model), Encryption(model))
    bits = {'cbitpos': found.cbitpos, 'reducedPhysBits': found.reduced_phys_bits}
    children = [element(tag, text=str(value)) for tag, value in bits.items() if value is not None]
    return element('launchSecurity', {'type': 'sev'}, *children, element('policy', text=f'0x{_POLICIES[model]:04x}'))


def with_iommu(devices: Element) -> None:
    """Let the virtio devices of an encrypted guest translate addresses: QEMU before 6.0 does so only on request.

    The balloon, which libvirt adds otherwise, is one of them.

    :param devices: ``<devices>``, which is changed
    """
    devices.append(element('memballoon', {'model': 'virtio'}))
    for one in devices:
        kind = one.get('model') or (_attribute(one, 'model', 'type') or _attribute(one, 'target', 'bus'))
        if one.tag in ('disk', 'interface', 'memballoon') and kind == 'virtio':
            driver = one.find('driver')
            if driver is None:
                driver = element('driver')
                one.append(driver)
            driver.set('iommu', 'on')


def _attribute(one: Element, tag: str, name: str) -> str | None:
    found = one.find(tag)
    return None if found is None else found.get(name)


def names(domain: Document) -> list[str]:
    """Return the resource that a domain holds with its memory encryption, as a list, which may be empty."""
    found = domain.root.find('launchSecurity')
    if found is None or found.get('type') != 'sev':
        return []
    try:
        policy = int((found.findtext('policy') or '0').strip(), 16)
    except ValueError:
        policy = 0
    return [AMD_SEV_ES if policy & _ES else AMD_SEV]
