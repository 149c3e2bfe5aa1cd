# SPDX-License-Identifier: Apache-2.0
"""The NICs and disks of a server."""

from __future__ import annotations

from dataclasses import dataclass, field

from numaplace.model.limits import Networks

__all__ = ['Devices', 'Disk', 'Nic']

#: Placeholder for the guest's own UUID in a path.
_UUID = '{uuid}'


@dataclass(frozen=True, slots=True)
class Nic:
    """A network interface.

    :param network: the libvirt network that it is in, or None
    :param bridge: the bridge of the host that it is in, if it is in no network
    :param node: the guest cell that it is near, or None
    :param place: where it was requested, for the errors
    """

    network: str | None = None
    bridge: str | None = None
    model: str = 'virtio'
    node: int | None = None
    place: str = field(default='', compare=False)

    def __str__(self) -> str:
        return _write(network=self.network, bridge=self.bridge, model=self.model, node=self.node)


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
    def networks(self) -> Networks | None:
        """The networks of the NICs; the fit considers those that are physical networks with affinity on a host."""
        names = frozenset(nic.network for nic in self.nics if nic.network is not None)
        return Networks(names) if names else None

    @property
    def near_place(self) -> str:
        """Where the first of those was requested; empty without one."""
        return next((device.place for device in self.near), '')


def _write(**values: object) -> str:
    return ','.join(f'{key}={value}' for key, value in values.items() if value is not None)
