# SPDX-License-Identifier: Apache-2.0
"""Domain elements that let interrupts reach all vCPUs of a guest: IOMMU, I/O APIC and GIC."""

from __future__ import annotations

from collections.abc import Iterator

from numaplace.libvirt.xmltext import Element, element
from numaplace.request.viommu import INTEL

__all__ = ['device', 'features']

#: QEMU accepts 39 or 48; the wider one reaches more memory.
_ADDRESS_BITS = '48'


def features(model: str | None, *, gic: bool) -> Iterator[Element]:
    """Yield the features, in libvirt's order.

    :param model: of the IOMMU, or None for none
    :param gic: whether the guest needs a GICv3, as with more than eight vCPUs
    """
    if gic:
        yield element('gic', {'version': '3'})
    if model == INTEL:
        yield element('ioapic', {'driver': 'qemu'})  # interrupts are not remapped otherwise


def device(model: str, *, asked: bool, eim: bool) -> Element:
    """Return the IOMMU.

    Nova 34, `_guest_add_iommu_device`, which gives the other models attributes too; libvirt refuses these.

    :param asked: whether it was requested, so that it translates addresses of devices too
    :param eim: whether interrupts reach vCPUs with APIC IDs above 254; QEMU before 9.0 needs KVM for it
    """
    if model != INTEL:
        return element('iommu', {'model': model})
    driver = {'intremap': 'on', 'caching_mode': 'on', 'eim': 'on', 'iotlb': 'on', 'aw_bits': _ADDRESS_BITS}
    if not eim:
        driver['eim'] = 'off'
    if not asked:
        driver = {key: driver[key] for key in ('intremap', 'eim')}
    return element('iommu', {'model': model}, element('driver', driver))
