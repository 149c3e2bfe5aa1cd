# SPDX-License-Identifier: Apache-2.0
"""The PCI devices of a host: which are free, which guests hold, and what follows for the other functions of a card."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, replace

from numaplace import exception
from numaplace.model.pci import VDPA, VF, GrantedDevice, PciDevice, PciPool

__all__ = ['ALLOCATED', 'AVAILABLE', 'CLAIMED', 'NO_DEVICES', 'STATUSES', 'UNAVAILABLE', 'UNCLAIMABLE', 'HostDevices']

#: Status of a device, in Nova's words. Held by a server, it is allocated; claimed is what a Nova may have stored for a
#: server on its way. A PF with a VF that is held is unavailable, and so is what a domain holds that numaplace does not
#: manage; a VF of a PF that is held is unclaimable.
STATUSES = AVAILABLE, CLAIMED, ALLOCATED, UNAVAILABLE, UNCLAIMABLE = (
    'available',
    'claimed',
    'allocated',
    'unavailable',
    'unclaimable',
)


@dataclass(frozen=True, slots=True)
class HostDevices:
    """The PCI devices that guests of a host may have.

    :param known: by address
    :param taken: addresses of those that servers hold
    :param held: addresses of those that domains hold which numaplace does not manage
    """

    known: tuple[PciDevice, ...] = ()
    taken: frozenset[str] = frozenset()
    held: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.known or self.taken)

    @property
    def count(self) -> int:
        """Number of the devices."""
        return len(self.known)

    @property
    def free(self) -> tuple[PciDevice, ...]:
        """Those that a guest may be given, by address: a PF only without its VFs, and a VF only without its PF."""
        statuses = self.statuses
        return tuple([device for device in self.known if statuses[device.address] == AVAILABLE])

    @property
    def pools(self) -> tuple[PciPool, ...]:
        """The free ones as pools of one device each, as the fit takes them."""
        return tuple(map(_pool, self.free))

    @property
    def statuses(self) -> dict[str, str]:
        """The status of each device by its address: AVAILABLE, ALLOCATED, UNAVAILABLE or UNCLAIMABLE."""
        used = self.taken | self.held
        broken = {device.parent for device in self.known if device.address in used}
        return {device.address: self._status(device, used, broken) for device in self.known}

    def _status(self, device: PciDevice, used: Container[str], broken: Container[str | None]) -> str:
        if device.address in self.taken:
            return ALLOCATED
        if device.address in self.held or device.address in broken:
            return UNAVAILABLE
        return UNCLAIMABLE if device.parent is not None and device.parent in used else AVAILABLE

    def with_held(self, addresses: Iterable[str]) -> HostDevices:
        """Return them with what domains hold that numaplace does not manage, and nothing else of that."""
        held = frozenset(addresses) & {device.address for device in self.known} if self.known else frozenset()
        return self if held == self.held else replace(self, held=held)

    def take(self, granted: Iterable[GrantedDevice]) -> HostDevices:
        """Return them with more that servers hold.

        :raises: :class:`~numaplace.exception.PciDeviceInvalid` if the host does not have a device as it was given, or
            servers do not leave it free
        """
        # What a domain is said to hold is no obstacle, as with CPUs: it may be off, or become this very server.
        now = replace(self, held=frozenset())
        for one in granted:
            device = now._find(one)
            if (status := now.statuses[device.address]) != AVAILABLE:
                raise exception.PciDeviceInvalid(f'PCI device {device.address} is {status}, not free')
            now = replace(now, taken=now.taken | {device.address})
        return replace(now, held=self.held)

    def give_back(self, granted: Iterable[GrantedDevice]) -> HostDevices:
        """Return them with fewer that servers hold: the inverse of :meth:`take`.

        :raises: :class:`~numaplace.exception.PciDeviceInvalid` if one was not held
        """
        addresses = frozenset([one.device.address for one in granted])
        if loose := addresses - self.taken:
            raise exception.PciDeviceInvalid(f'PCI device {min(loose)} to release is not held')
        return replace(self, taken=self.taken - addresses) if addresses else self

    def _find(self, granted: GrantedDevice) -> PciDevice:
        wanted = granted.device
        device = next((one for one in self.known if one.address == wanted.address), None)
        if device is None:
            raise exception.PciDeviceInvalid(f'PCI device {wanted.address} is not among those of the host')
        if (device.vendor_id, device.product_id, device.dev_type) != (
            wanted.vendor_id,
            wanted.product_id,
            wanted.dev_type,
        ):
            raise exception.PciDeviceInvalid(
                f'PCI device {wanted.address} is {device.vendor_id}:{device.product_id} ({device.dev_type}) now, and '
                f'was {wanted.vendor_id}:{wanted.product_id} ({wanted.dev_type})'
            )
        return device


NO_DEVICES = HostDevices()


def _pool(device: PciDevice) -> PciPool:
    tags = {key: value for key, value in device.tags.items() if key != 'physical_network'}
    return PciPool(
        device.vendor_id,
        device.product_id,
        device.dev_type,
        device.numa_node,
        address=device.address,
        parent=device.parent if device.dev_type in (VF, VDPA) else None,
        physical_network=device.tags.get('physical_network'),
        tags=tags,
    )
