# SPDX-License-Identifier: Apache-2.0
"""Objects for data that Nova's objects have no field for, stored next to them."""

from __future__ import annotations

from typing import Self

from numaplace.model import Guest, Host, Placement
from numaplace.objects.base import TARGET, Object
from numaplace.wire import details

__all__ = [
    'AccessDetails',
    'CacheDetails',
    'CellDetails',
    'DeviceDetails',
    'EncryptionDetails',
    'GuestDetails',
    'HeldMemory',
    'HeldPages',
    'Holding',
    'HoldingNote',
    'HostDetails',
    'HostResources',
    'ModuleDetails',
    'MoveDetails',
    'NamespaceDetails',
    'OfflineDetails',
    'SideDetails',
]


class CacheDetails(Object):
    """A bank of a cache, and the CPUs that share it."""


class AccessDetails(Object):
    """How fast the CPUs of a cell reach the memory of a cell."""


class CellDetails(Object):
    """Details of a host cell: distances to others by their ids, online CPUs, dies, clusters, caches and memory."""


class HostDetails(Object):
    """Details of a host."""

    @classmethod
    def from_model(cls, host: Host) -> Self:
        """Return the object of a host."""
        stored: Self = details.write_host(host, TARGET)
        return stored

    def apply(self, host: Host) -> Host:
        """Return a host with these details.

        :raises: :class:`~numaplace.exception.InvalidObject` if a field is missing or has a wrong value
        """
        return details.read_host(self, host)


class OfflineDetails(Object):
    """The vCPUs of a guest cell that are off."""


class ModuleDetails(Object):
    """Memory that was plugged into a guest."""


class DeviceDetails(Object):
    """A PCI device, and the request for which a guest got it."""


class EncryptionDetails(Object):
    """Memory encryption of a host."""


class NamespaceDetails(Object):
    """A namespace of persistent memory of a host."""


class HostResources(Object):
    """Memory encryption and persistent memory of a host, and what servers hold of them."""


class GuestDetails(Object):
    """Details of a guest."""

    @classmethod
    def from_model(cls, guest: Guest) -> Self:
        """Return the object of a guest."""
        stored: Self = details.write_guest(guest, TARGET)
        return stored

    def apply(self, guest: Guest) -> Guest:
        """Return a guest with these details.

        :raises: :class:`~numaplace.exception.InvalidObject` if a field is missing or has a wrong value
        """
        return details.read_guest(self, guest)


class SideDetails(Object):
    """Details of a guest on one side of a move; for one that floats, all its data."""


class MoveDetails(Object):
    """Details of both sides of a move that a MigrationContext does not hold."""

    @classmethod
    def from_model(cls, old: Guest, new: Guest) -> Self:
        """Return the object of a guest as it was and as it will be."""
        stored: Self = details.write_move(Placement(old), Placement(new), TARGET)
        return stored

    def to_model(self) -> tuple[Guest, Guest]:
        """Return the guest as it was and as it will be, without its cells.

        :raises: :class:`~numaplace.exception.InvalidObject` if a field is missing or has a wrong value
        """
        old, new = details.read_move(self)
        return old.guest, new.guest


class HeldMemory(Object):
    """Memory that a domain has in some host cells."""


class HeldPages(Object):
    """Huge pages that a domain has in some host cells."""


class HoldingNote(Object):
    """What is told about a domain."""


class Holding(Object):
    """What a domain holds that numaplace does not manage."""
