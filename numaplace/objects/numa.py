# SPDX-License-Identifier: Apache-2.0
"""Hosts, their cells, pages and networks, and the limits of a guest."""

from __future__ import annotations

from typing import Self

from numaplace import wire
from numaplace.model import Host, Limits, Networks
from numaplace.objects.base import TARGET, Object

__all__ = ['NUMACell', 'NUMAPagesTopology', 'NUMATopology', 'NUMATopologyLimits', 'NetworkMetadata']


class NUMAPagesTopology(Object):
    """Memory pages of one size in a host cell."""


class NetworkMetadata(Object):
    """Networks: those near a host cell, or those of a guest."""


class NUMACell(Object):
    """A host cell and its usage."""


class NUMATopology(Object):
    """A host."""

    @classmethod
    def from_model(cls, host: Host) -> Self:
        """Return the object of a host; it has no fields for the distances or the counters of the whole host."""
        topology: Self = wire.write_host(host, TARGET)
        return topology

    def to_model(self) -> Host:
        """Return the host.

        :raises: :class:`~numaplace.exception.InvalidObject` if a field is missing or has a wrong value
        """
        return wire.read_host(self)


class NUMATopologyLimits(Object):
    """How far a host may be overcommitted for a guest, and the networks of the guest."""

    def to_model(self) -> tuple[Limits, Networks | None]:
        """Return limits and networks.

        :raises: :class:`~numaplace.exception.InvalidObject` if a field is missing or has a wrong value
        """
        return wire.read_limits(self)
