# SPDX-License-Identifier: Apache-2.0
"""The NICs and disks of a server."""

from __future__ import annotations

from dataclasses import dataclass, field

from numaplace.model.limits import Networks
from numaplace.model.pci import NETWORK

__all__ = ['DIRECT', 'DIRECT_PHYSICAL', 'MACVTAP', 'VNIC_TYPES', 'VNIC_VDPA', 'Devices', 'Disk', 'Nic']

#: How a guest gets a device of a physical network, in Nova's words: the VF itself, the PF itself, a macvtap on the VF,
#: the vDPA device of the VF.
VNIC_TYPES = DIRECT, DIRECT_PHYSICAL, MACVTAP, VNIC_VDPA = 'direct', 'direct-physical', 'macvtap', 'vdpa'

#: Placeholder for the guest's own UUID in a path.
_UUID = '{uuid}'


@dataclass(frozen=True, slots=True)
class Nic:
    """A network interface.

    :param network: the libvirt network that it is in, or None
    :param bridge: the bridge of the host that it is in, if it is in no network
    :param node: the guest cell that it is near, or None
    :param physnet: the physical network of the PCI device that it is on, if it is in no network and no bridge
    :param vnic: one of VNIC_TYPES for such a device
    :param policy: NUMA affinity policy of its own for that device
    :param mac: address with six octets; None for one made of the UUID of the guest
    :param vlan: from 1 to 4094
    :param place: where it was requested, for the errors
    """

    network: str | None = None
    bridge: str | None = None
    model: str = 'virtio'
    node: int | None = None
    physnet: str | None = None
    vnic: str | None = None
    policy: str | None = None
    mac: str | None = None
    vlan: int | None = None
    place: str = field(default='', compare=False)

    def __str__(self) -> str:
        return _write(
            network=self.network,
            bridge=self.bridge,
            model=self.model if self.physnet is None else None,
            node=self.node,
            physnet=self.physnet,
            vnic=self.vnic,
            policy=self.policy,
            mac=self.mac,
            vlan=self.vlan,
        )

    @property
    def request(self) -> str | None:
        """The name of its request for a PCI device; None without one."""
        return None if self.physnet is None else f'{NETWORK}{self.physnet}'


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk.

    :param path: a file of the host, or a block device; ``{uuid}`` in it stands for the UUID of the guest
    :param node: as in :class:`Nic`
    :param place: as in :class:`Nic`
    """

    path: str
    format: str = 'raw'
    node: int | None = None
    place: str = field(default='', compare=False)

    def __str__(self) -> str:
        return _write(path=self.path, format=self.format, node=self.node)

    @property
    def is_shared(self) -> bool:
        """Whether all guests with this disk use the same file."""
        return _UUID not in self.path

    def path_of(self, uuid: str) -> str:
        """Return its path for a guest."""
        return self.path.replace(_UUID, uuid)


@dataclass(frozen=True, slots=True)
class Devices:
    """The devices of a guest, in order."""

    nics: tuple[Nic, ...] = ()
    disks: tuple[Disk, ...] = ()

    def __add__(self, others: Devices) -> Devices:
        return Devices(self.nics + others.nics, self.disks + others.disks)

    @property
    def near(self) -> tuple[Nic | Disk, ...]:
        """Those that name a guest cell."""
        return tuple(device for device in self.disks + self.nics if device.node is not None)

    @property
    def on_pci(self) -> tuple[Nic, ...]:
        """The NICs that are on PCI devices of the host, in order."""
        return tuple(nic for nic in self.nics if nic.physnet is not None)

    @property
    def networks(self) -> Networks | None:
        """The networks of the NICs; the fit considers those that are physical networks with affinity on a host."""
        names = frozenset(name for nic in self.nics if (name := nic.network or nic.physnet) is not None)
        return Networks(names) if names else None

    @property
    def near_place(self) -> str:
        """Where the first of those was requested; empty without one."""
        return next((device.place for device in self.near), '')


def _write(**values: object) -> str:
    return ','.join(f'{key}={value}' for key, value in values.items() if value is not None)
