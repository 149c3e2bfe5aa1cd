# SPDX-License-Identifier: Apache-2.0
"""Read PCI devices and requests as Nova keeps them: pools of a compute node, and specs of a request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from numaplace.model import PciPool, PciRequest
from numaplace.model.pci import LEGACY, VDPA, VF

__all__ = ['read_pci_pool', 'read_pci_request']

#: What is not a tag of a pool.
_FIELDS = frozenset(
    {'address', 'count', 'dev_type', 'devices', 'numa_node', 'physical_network', 'product_id', 'vendor_id'}
)


def read_pci_pool(pool: Mapping[str, Any]) -> PciPool:
    """Read a pool of Nova's ``PciDeviceStats``; the address of VFs is that of their PF."""
    address = pool.get('address')
    dev_type = pool.get('dev_type') or ''
    of_parent = dev_type in (VF, VDPA)
    return PciPool(
        vendor_id=pool.get('vendor_id') or '',
        product_id=pool.get('product_id') or '',
        dev_type=dev_type,
        numa_node=pool.get('numa_node'),
        count=pool['count'],
        address=None if of_parent else address,
        parent=address if of_parent else None,
        physical_network=pool.get('physical_network'),
        tags=_texts({key: value for key, value in pool.items() if key not in _FIELDS}),
    )


def read_pci_request(count: int, spec: Iterable[Mapping[str, Any]], policy: str | None, name: str = '') -> PciRequest:
    """Read the fields of Nova's ``InstancePCIRequest``; without a policy it is legacy."""
    return PciRequest(count, tuple(_texts(wanted) for wanted in spec), policy or LEGACY, name)


def _texts(values: Mapping[str, Any]) -> dict[str, str | None]:
    """Return what can be compared: Nova's tags are texts or None."""
    return {key: value for key, value in values.items() if value is None or isinstance(value, str)}
