# SPDX-License-Identifier: Apache-2.0
"""PCI devices of a host, which are free, what a guest requests of them, and what it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from numaplace.pci_specs import POLICIES, TYPES

__all__ = [
    'INTERFACE',
    'LEGACY',
    'NETWORK',
    'PCI',
    'PF',
    'PREFERRED',
    'REQUIRED',
    'SOCKET',
    'VDPA',
    'VDPA_DEVICE',
    'VF',
    'GrantedDevice',
    'PciDevice',
    'PciPool',
    'PciRequest',
]

#: NUMA affinity policies.
REQUIRED, LEGACY, PREFERRED, SOCKET = POLICIES
#: Types of devices: without SR-IOV, physical function, virtual function, vDPA.
PCI, PF, VF = TYPES
VDPA = 'vdpa'

#: Before the name of a physical network for which a device is requested. The aliases of flavors have no colon.
NETWORK = 'network:'

#: Tags that are found, not configured: the network interface of a VF, and the path of the vDPA device of one.
INTERFACE, VDPA_DEVICE = 'interface', 'vdpa_device'

#: What placement matches, not the host, and what no alias may name.
_IGNORED = frozenset({'address', 'resource_class', 'rp_uuids', 'traits'})
_TRUE = frozenset({'1', 't', 'true', 'on', 'y', 'yes'})


def _is_true(value: str | None) -> bool:
    return value is not None and value.strip().lower() in _TRUE


@dataclass(frozen=True, slots=True)
class PciPool:
    """Free devices of a host that are alike, or a single one.

    :param address: address of a single device; None for several
    :param parent: address of the PF of VFs; None where it is not known, or there is none
    :param numa_node: id of the host cell, or None where it is not known
    :param tags: further properties that a request may name, such as ``remote_managed``
    """

    vendor_id: str
    product_id: str
    dev_type: str = PCI
    numa_node: int | None = None
    count: int = 1
    address: str | None = None
    parent: str | None = None
    physical_network: str | None = None
    tags: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def properties(self) -> Mapping[str, str | None]:
        """What a request may name, by its key."""
        return {
            **self.tags,
            'vendor_id': self.vendor_id,
            'product_id': self.product_id,
            'dev_type': self.dev_type,
            'physical_network': self.physical_network,
        }


@dataclass(frozen=True, slots=True)
class PciDevice:
    """A PCI device of a host that guests may have.

    :param address: ``domain:bus:slot.function`` in hexadecimal digits, such as ``0000:0a:00.1``
    :param dev_type: PCI, PF, VF or VDPA
    :param numa_node: id of the host cell, or None where it is not known
    :param parent: address of the PF of a VF, or None
    :param tags: what the ``device_spec`` that it matches says of it, such as ``physical_network`` and ``managed``
    """

    address: str
    vendor_id: str
    product_id: str
    dev_type: str = PCI
    numa_node: int | None = None
    parent: str | None = None
    tags: Mapping[str, str | None] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class GrantedDevice:
    """A PCI device that a guest holds.

    :param request: name of the request that it was taken for: of the alias, or NETWORK and that of a physical network
    """

    device: PciDevice
    request: str = ''


@dataclass(frozen=True, slots=True)
class PciRequest:
    """Devices that a guest requests together.

    :param alternatives: properties by key; a device has all of one of them, whatever the case of letters
    :param policy: LEGACY, PREFERRED, REQUIRED or SOCKET
    :param name: the alias, the port, or NETWORK and the physical network
    """

    count: int
    alternatives: tuple[Mapping[str, str | None], ...]
    policy: str = LEGACY
    name: str = ''

    def __str__(self) -> str:
        return f'{self.name or "devices"} (policy {self.policy})'

    def names(self, pool: PciPool) -> bool:
        """Return whether the devices of a pool have what one of the alternatives asks for."""
        known = pool.properties
        return any(
            all(_same(known.get(key), value) for key, value in wanted.items() if key not in _IGNORED)
            for wanted in self.alternatives
        )

    def matches(self, pool: PciPool) -> bool:
        """Return whether the devices of a pool suit, wherever they are.

        PFs, vDPA devices and remotely managed ones go only to a request that names them (Nova 34, `_filter_pools`).
        """
        if pool.dev_type in (PF, VDPA) and not any(
            wanted.get('dev_type') == pool.dev_type for wanted in self.alternatives
        ):
            return False
        if _is_true(pool.tags.get('remote_managed')) and not any(
            _is_true(wanted.get('remote_managed')) for wanted in self.alternatives
        ):
            return False
        return self.names(pool)


def _same(one: str | None, other: str | None) -> bool:
    return one == other if one is None or other is None else one.lower() == other.lower()
