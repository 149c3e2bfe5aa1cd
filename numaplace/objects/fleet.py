# SPDX-License-Identifier: Apache-2.0
"""A fleet as it is exported; :mod:`numaplace.wire.fleet` reads and writes it."""

from __future__ import annotations

from numaplace.objects.base import Object

__all__ = [
    'Fleet',
    'FleetAggregate',
    'FleetAllocation',
    'FleetDisk',
    'FleetFlavor',
    'FleetHost',
    'FleetInventory',
    'FleetMove',
    'FleetNic',
    'FleetPlacement',
    'FleetProvider',
    'FleetRemark',
    'FleetRequestSpec',
    'FleetServer',
    'FleetSide',
    'FleetUnread',
]


class FleetFlavor(Object):
    """A flavor."""


class FleetNic(Object):
    """A network interface of a server."""


class FleetDisk(Object):
    """A disk of a server."""


class FleetPlacement(Object):
    """Where a server is on its host, and its size."""


class FleetSide(Object):
    """One side of a move."""


class FleetMove(Object):
    """A move of a server."""


class FleetRequestSpec(Object):
    """What a scheduler was asked for a server."""


class FleetServer(Object):
    """A server."""


class FleetHost(Object):
    """A host with its usage."""


class FleetAggregate(Object):
    """A group of hosts."""


class FleetInventory(Object):
    """How much of a resource class placement has of a host."""


class FleetAllocation(Object):
    """What a consumer has allocated of a host."""


class FleetProvider(Object):
    """A host in the placement service."""


class FleetUnread(Object):
    """A row that could not be read."""


class FleetRemark(Object):
    """A finding of the source."""


class Fleet(Object):
    """Hosts with their servers."""
