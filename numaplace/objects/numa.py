# SPDX-License-Identifier: Apache-2.0
"""Hosts, their cells, pages and networks, and the limits of a guest."""

from __future__ import annotations

from typing import Any, Self

from numaplace import wire
from numaplace.model import Host, Limits, Networks
from numaplace.objects import base, fields

__all__ = ['NUMACell', 'NUMAPagesTopology', 'NUMATopology', 'NUMATopologyLimits', 'NetworkMetadata', 'make']


def make(name: str, data: dict[str, Any]) -> base.Object:
    """Return one of Nova's objects."""
    return base.REGISTRY['nova', name](**data)


#: Lets :mod:`numaplace.wire` write objects.
TARGET = wire.Target(make, set)


@base.register
class NUMAPagesTopology(base.NovaObject):
    """Memory pages of one size in a host cell."""

    # 1.0: first version
    # 1.1: reserved
    VERSION = '1.1'

    fields = {
        'size_kb': fields.IntegerField(),
        'total': fields.IntegerField(),
        'used': fields.IntegerField(default=0),
        'reserved': fields.IntegerField(default=0),
    }

    def obj_make_compatible(self, primitive: dict[str, Any], target_version: str) -> None:
        """Leave out what an older version does not have."""
        super().obj_make_compatible(primitive, target_version)
        if base.version_tuple(target_version) < (1, 1):
            primitive.pop('reserved', None)

    def _bring_up(self, version: tuple[int, int]) -> None:
        if version < (1, 1):
            self.reserved = 0


@base.register
class NetworkMetadata(base.NovaObject):
    """Networks: those near a host cell, or those of a guest."""

    # 1.0: first version
    VERSION = '1.0'

    fields = {
        'physnets': fields.SetOfStringsField(),
        'tunneled': fields.BooleanField(),
    }


@base.register
class NUMACell(base.NovaObject):
    """A host cell and its usage."""

    # 1.0: first version
    # 1.1: pinned_cpus, siblings
    # 1.2: mempages
    # 1.3: network_metadata
    # 1.4: pcpuset
    # 1.5: socket
    VERSION = '1.5'
    OLDEST = 4

    fields = {
        'id': fields.IntegerField(read_only=True),
        'cpuset': fields.SetOfIntegersField(),
        'pcpuset': fields.SetOfIntegersField(),
        'memory': fields.IntegerField(),
        'cpu_usage': fields.IntegerField(default=0),
        'memory_usage': fields.IntegerField(default=0),
        'pinned_cpus': fields.SetOfIntegersField(),
        'siblings': fields.ListOfSetsOfIntegersField(),
        'mempages': fields.ListOfObjectsField('NUMAPagesTopology'),
        'network_metadata': fields.ObjectField('NetworkMetadata'),
        'socket': fields.IntegerField(nullable=True),
    }

    def obj_make_compatible(self, primitive: dict[str, Any], target_version: str) -> None:
        """Leave out what an older version does not have."""
        super().obj_make_compatible(primitive, target_version)
        version = base.version_tuple(target_version)
        for since, field in (((1, 5), 'socket'), ((1, 4), 'pcpuset'), ((1, 3), 'network_metadata')):
            if version < since:
                primitive.pop(field, None)

    def _bring_up(self, version: tuple[int, int]) -> None:
        if version < (1, 5):
            self.socket = None


@base.register
class NUMATopology(base.NovaObject):
    """A host."""

    # 1.0: first version
    # 1.1: NUMACell 1.1
    # 1.2: NUMACell 1.2; later versions of the cell did not change this one
    VERSION = '1.2'

    fields = {
        'cells': fields.ListOfObjectsField('NUMACell'),
    }

    @classmethod
    def from_model(cls, host: Host) -> Self:
        """Return the object of a host; the counters of the whole host and the distances have no place in it."""
        topology: Self = wire.write_host(host, TARGET)
        return topology

    def to_model(self) -> Host:
        """Return the host.

        :raises: :class:`~numaplace.exception.InvalidObject` if a field is missing or holds nonsense
        """
        return wire.read_host(self)


@base.register
class NUMATopologyLimits(base.NovaObject):
    """How far a host may be overcommitted for a guest, and the networks of the guest."""

    # 1.0: first version
    # 1.1: network_metadata
    VERSION = '1.1'

    fields = {
        'cpu_allocation_ratio': fields.FloatField(),
        'ram_allocation_ratio': fields.FloatField(),
        'network_metadata': fields.ObjectField('NetworkMetadata'),
    }

    @classmethod
    def from_model(cls, limits: Limits, networks: Networks | None = None) -> Self:
        """Return the object of limits and networks."""
        stored: Self = wire.write_limits(limits, networks, TARGET)
        return stored

    def to_model(self) -> tuple[Limits, Networks | None]:
        """Return limits and networks.

        :raises: :class:`~numaplace.exception.InvalidObject` if a field is missing or holds nonsense
        """
        return wire.read_limits(self)

    def obj_make_compatible(self, primitive: dict[str, Any], target_version: str) -> None:
        """Leave out what an older version does not have."""
        super().obj_make_compatible(primitive, target_version)
        if base.version_tuple(target_version) < (1, 1):
            primitive.pop('network_metadata', None)
