# SPDX-License-Identifier: Apache-2.0
"""What Nova's objects have no place for: objects of our own, stored beside them."""

from __future__ import annotations

from dataclasses import replace
from typing import Self

from numaplace import cpuset
from numaplace.model import CpuTopology, Guest, Host, HostCell, intern_shape
from numaplace.objects import base, fields

__all__ = ['CellDetails', 'GuestDetails', 'HostDetails', 'MoveDetails', 'SideDetails']


@base.register
class CellDetails(base.NumaplaceObject):
    """More of a host cell: its distances to the others by their ids, and all its CPUs."""

    # 1.0: first version
    VERSION = '1.0'

    fields = {
        'id': fields.IntegerField(),
        'distances': fields.DictOfIntegersField(),
        'online_cpus': fields.SetOfIntegersField(),
    }

    id: int
    distances: dict[str, int]
    online_cpus: set[int]

    def apply(self, cell: HostCell) -> HostCell:
        """Return a host cell with these details."""
        distances = tuple((int(key), value) for key, value in self.distances.items())
        shape = replace(cell.shape, distances=distances, online_cpus=cpuset.mask(self.online_cpus))
        return replace(cell, shape=intern_shape(shape))


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
            CellDetails(
                id=cell.id,
                distances={str(cell_id): distance for cell_id, distance in cell.shape.distances},
                online_cpus=set(cpuset.ids(cell.shape.online_cpus)),
            )
            for cell in host.cells
        ]
        return cls(cells=cells)

    def apply(self, host: Host) -> Host:
        """Return a host with these details."""
        known = {cell.id: cell for cell in self.cells}
        return replace(
            host, cells=tuple(known[cell.id].apply(cell) if cell.id in known else cell for cell in host.cells)
        )


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


@base.register
class SideDetails(base.NumaplaceObject):
    """More of a guest on one side of a move: of one that floats, all that there is."""

    # 1.0: first version
    VERSION = '1.0'

    fields = {
        'vcpus': fields.IntegerField(),
        'memory_mib': fields.IntegerField(),
        'guest': fields.ObjectField('GuestDetails'),
    }

    vcpus: int
    memory_mib: int
    guest: GuestDetails

    @classmethod
    def from_model(cls, guest: Guest) -> Self:
        """Return the object of a guest."""
        return cls(vcpus=guest.vcpus, memory_mib=guest.memory_mib, guest=GuestDetails.from_model(guest))


@base.register
class MoveDetails(base.NumaplaceObject):
    """More of both sides of a move than a MigrationContext holds."""

    # 1.0: first version
    VERSION = '1.0'

    fields = {
        'old': fields.ObjectField('SideDetails'),
        'new': fields.ObjectField('SideDetails'),
    }

    old: SideDetails
    new: SideDetails

    @classmethod
    def from_model(cls, old: Guest, new: Guest) -> Self:
        """Return the object of a guest as it was and as it will be."""
        return cls(old=SideDetails.from_model(old), new=SideDetails.from_model(new))
