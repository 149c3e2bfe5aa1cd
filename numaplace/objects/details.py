# SPDX-License-Identifier: Apache-2.0
"""What Nova's objects have no place for: objects of our own, stored beside them."""

from __future__ import annotations

from dataclasses import replace
from typing import Self

from numaplace import cpuset
from numaplace.model import CpuTopology, Guest, Host, intern_shape
from numaplace.objects import base, fields

__all__ = ['CellDetails', 'GuestDetails', 'HostDetails']


@base.register
class CellDetails(base.NumaplaceObject):
    """More of a host cell: its distances to the others by their ids."""

    # 1.0: first version
    VERSION = '1.0'

    fields = {
        'id': fields.IntegerField(),
        'distances': fields.DictOfIntegersField(),
    }

    id: int
    distances: dict[str, int]


@base.register
class HostDetails(base.NumaplaceObject):
    """More of a host."""

    # 1.0: first version
    VERSION = '1.0'

    fields = {
        'cells': fields.ListOfObjectsField('CellDetails'),
    }

    cells: list[CellDetails]

    @classmethod
    def from_model(cls, host: Host) -> Self:
        """Return the object of a host."""
        cells = [
            CellDetails(id=cell.id, distances={str(cell_id): distance for cell_id, distance in cell.shape.distances})
            for cell in host.cells
        ]
        return cls(cells=cells)

    def apply(self, host: Host) -> Host:
        """Return a host with these details."""
        known = {cell.id: tuple((int(key), value) for key, value in cell.distances.items()) for cell in self.cells}
        cells = [
            replace(cell, shape=intern_shape(replace(cell.shape, distances=known.get(cell.id, ()))))
            for cell in host.cells
        ]
        return replace(host, cells=tuple(cells))


@base.register
class GuestDetails(base.NumaplaceObject):
    """More of a guest."""

    # 1.0: first version
    VERSION = '1.0'

    fields = {
        'cpu_topology': fields.DictOfIntegersField(nullable=True),
        'realtime_vcpus': fields.SetOfIntegersField(),
        'locked_memory': fields.BooleanField(),
    }

    cpu_topology: dict[str, int] | None
    realtime_vcpus: set[int]
    locked_memory: bool

    @classmethod
    def from_model(cls, guest: Guest) -> Self:
        """Return the object of a guest."""
        topology = guest.cpu_topology
        return cls(
            cpu_topology=topology
            and {'sockets': topology.sockets, 'cores': topology.cores, 'threads': topology.threads},
            realtime_vcpus=set(cpuset.ids(guest.realtime_vcpus)),
            locked_memory=guest.locked_memory,
        )

    def apply(self, guest: Guest) -> Guest:
        """Return a guest with these details."""
        return replace(
            guest,
            cpu_topology=CpuTopology(**self.cpu_topology) if self.cpu_topology else None,
            realtime_vcpus=cpuset.mask(self.realtime_vcpus),
            locked_memory=self.locked_memory,
        )
