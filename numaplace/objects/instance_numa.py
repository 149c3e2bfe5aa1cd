# SPDX-License-Identifier: Apache-2.0
"""Guests, their cells and vCPU topologies, and what they hold on both hosts of a move."""

from __future__ import annotations

from typing import Self

from numaplace import wire
from numaplace.model import CpuTopology, Guest, Host, Placement
from numaplace.objects.base import TARGET, Object

__all__ = [
    'InstanceNUMACell',
    'InstanceNUMATopology',
    'LibvirtLiveMigrateNUMAInfo',
    'MigrationContext',
    'VirtCPUTopology',
]


class VirtCPUTopology(Object):
    """The vCPU topology that a guest sees."""

    @classmethod
    def from_model(cls, topology: CpuTopology) -> Self:
        """Return the object of a vCPU topology."""
        return cls(sockets=topology.sockets, cores=topology.cores, threads=topology.threads)

    def to_model(self) -> CpuTopology:
        """Return the vCPU topology; what is not set is 1."""
        values = [getattr(self, name) if name in self else None for name in ('sockets', 'cores', 'threads')]
        return CpuTopology(*(value or 1 for value in values))


class InstanceNUMACell(Object):
    """A guest cell; once claimed, its id is that of the host cell."""


class InstanceNUMATopology(Object):
    """The cells of a guest: what it requests, or where it is."""

    @classmethod
    def from_model(cls, placement: Placement) -> Self:
        """Return the object of where a guest is."""
        placed: Self = wire.write_placement(placement, TARGET)
        return placed

    def to_model(self) -> Guest:
        """Return what a guest requests.

        :raises: :class:`~numaplace.exception.InvalidObject` if a field is missing or has a wrong value
        """
        return wire.read_guest(self)

    def to_placement(self, host: Host | None = None) -> Placement:
        """Return where a guest is.

        :param host: the host that it is on, for the siblings of its CPUs
        :raises: as :meth:`to_model`
        """
        return wire.read_placement(self, host)


class MigrationContext(Object):
    """What a server held before a move, and what it holds after it.

    PCI devices, PCI requests and resources can only be null, because there are no objects for them here.
    """

    @classmethod
    def from_model(cls, context: wire.Context) -> Self:
        """Return the object of the topologies of a move."""
        stored: Self = wire.write_context(context, TARGET)
        return stored

    def to_model(self, old_host: Host, new_host: Host) -> wire.Context:
        """Return the topologies of a move.

        :param old_host: the host that the guest leaves, for the siblings of its CPUs
        :param new_host: the host that it goes to
        :raises: :class:`~numaplace.exception.InvalidObject` if a field is missing or has a wrong value
        """
        return wire.read_context(self, old_host, new_host)


class LibvirtLiveMigrateNUMAInfo(Object):
    """The pins of a guest at the destination of a live migration."""

    @classmethod
    def from_model(cls, info: wire.LiveMigrateNumaInfo | None) -> Self:
        """Return the object of pins; None for a guest that floats."""
        stored: Self = wire.write_live_migrate_numa_info(info, TARGET)
        return stored
