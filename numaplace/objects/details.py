# SPDX-License-Identifier: Apache-2.0
"""What Nova's objects have no place for: objects of our own, stored beside them."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Self

from numaplace import cpuset
from numaplace.model import (
    Cache,
    CpuTopology,
    Guest,
    Host,
    HostCell,
    MemoryAccess,
    MemoryModule,
    Offline,
    intern_shape,
)
from numaplace.objects import base, fields

__all__ = [
    'AccessDetails',
    'CacheDetails',
    'CellDetails',
    'GuestDetails',
    'HostDetails',
    'ModuleDetails',
    'MoveDetails',
    'OfflineDetails',
    'SideDetails',
]


@base.register
class CacheDetails(base.NumaplaceObject):
    """A bank of a cache, and the CPUs that share it."""

    # 1.0: first version
    VERSION = '1.0'

    fields = {
        'level': fields.IntegerField(),
        'size_kib': fields.IntegerField(),
        'cpus': fields.SetOfIntegersField(),
    }

    level: int
    size_kib: int
    cpus: set[int]


@base.register
class AccessDetails(base.NumaplaceObject):
    """How the CPUs of a cell reach the memory of a cell."""

    # 1.0: first version
    VERSION = '1.0'

    fields = {
        'initiator': fields.IntegerField(),
        'read_latency_ns': fields.IntegerField(nullable=True),
        'write_latency_ns': fields.IntegerField(nullable=True),
        'read_bandwidth_mib_s': fields.IntegerField(nullable=True),
        'write_bandwidth_mib_s': fields.IntegerField(nullable=True),
    }

    initiator: int
    read_latency_ns: int | None
    write_latency_ns: int | None
    read_bandwidth_mib_s: int | None
    write_bandwidth_mib_s: int | None


@base.register
class CellDetails(base.NumaplaceObject):
    """More of a host cell: its distances to the others by their ids, all its CPUs, and what lies around them."""

    # 1.0: first version
    # 1.1: dies, clusters, caches, accesses
    VERSION = '1.1'

    fields = {
        'id': fields.IntegerField(),
        'distances': fields.DictOfIntegersField(),
        'online_cpus': fields.SetOfIntegersField(),
        'dies': fields.ListOfSetsOfIntegersField(),
        'clusters': fields.ListOfSetsOfIntegersField(),
        'caches': fields.ListOfObjectsField('CacheDetails'),
        'accesses': fields.ListOfObjectsField('AccessDetails'),
    }

    id: int
    distances: dict[str, int]
    online_cpus: set[int]
    dies: list[set[int]]
    clusters: list[set[int]]
    caches: list[CacheDetails]
    accesses: list[AccessDetails]

    def _bring_up(self, version: tuple[int, int]) -> None:
        if version < (1, 1):
            self.dies, self.clusters, self.caches, self.accesses = [], [], [], []

    @classmethod
    def from_model(cls, cell: HostCell) -> Self:
        """Return the object of a host cell."""
        shape = cell.shape
        return cls(
            id=shape.id,
            distances={str(cell_id): distance for cell_id, distance in shape.distances},
            online_cpus=set(cpuset.ids(shape.online_cpus)),
            dies=[set(cpuset.ids(die)) for die in shape.dies],
            clusters=[set(cpuset.ids(cluster)) for cluster in shape.clusters],
            caches=[
                CacheDetails(level=bank.level, size_kib=bank.size_kib, cpus=set(cpuset.ids(bank.cpus)))
                for bank in shape.caches
            ],
            accesses=[AccessDetails(**asdict(access)) for access in shape.accesses],
        )

    def apply(self, cell: HostCell) -> HostCell:
        """Return a host cell with these details."""
        shape = replace(
            cell.shape,
            distances=tuple((int(key), value) for key, value in self.distances.items()),
            online_cpus=cpuset.mask(self.online_cpus),
            dies=tuple(map(cpuset.mask, self.dies)),
            clusters=tuple(map(cpuset.mask, self.clusters)),
            caches=tuple(Cache(bank.level, bank.size_kib, cpuset.mask(bank.cpus)) for bank in self.caches),
            accesses=tuple(
                MemoryAccess(**{name: getattr(access, name) for name in AccessDetails.fields})
                for access in self.accesses
            ),
        )
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
        return cls(cells=[CellDetails.from_model(cell) for cell in host.cells])

    def apply(self, host: Host) -> Host:
        """Return a host with these details."""
        known = {cell.id: cell for cell in self.cells}
        return replace(
            host, cells=tuple(known[cell.id].apply(cell) if cell.id in known else cell for cell in host.cells)
        )


@base.register
class OfflineDetails(base.NumaplaceObject):
    """The vCPUs of a guest cell that are off."""

    # 1.0: first version
    VERSION = '1.0'

    fields = {
        'shared': fields.SetOfIntegersField(),
        'dedicated': fields.SetOfIntegersField(),
    }

    shared: set[int]
    dedicated: set[int]


@base.register
class ModuleDetails(base.NumaplaceObject):
    """Memory that was plugged into a guest."""

    # 1.0: first version
    VERSION = '1.0'

    fields = {
        'size_mib': fields.IntegerField(),
        'cell': fields.IntegerField(),
        'path': fields.StringField(nullable=True),
        'align_kib': fields.IntegerField(nullable=True),
        'label_kib': fields.IntegerField(nullable=True),
        'pmem': fields.BooleanField(),
    }

    size_mib: int
    cell: int
    path: str | None
    align_kib: int | None
    label_kib: int | None
    pmem: bool


@base.register
class GuestDetails(base.NumaplaceObject):
    """More of a guest."""

    # 1.0: first version
    # 1.1: offline, modules
    VERSION = '1.1'

    fields = {
        'cpu_topology': fields.DictOfIntegersField(nullable=True),
        'realtime_vcpus': fields.SetOfIntegersField(),
        'locked_memory': fields.BooleanField(),
        'offline': fields.ListOfObjectsField('OfflineDetails'),
        'modules': fields.ListOfObjectsField('ModuleDetails'),
    }

    cpu_topology: dict[str, int] | None
    realtime_vcpus: set[int]
    locked_memory: bool
    offline: list[OfflineDetails]
    modules: list[ModuleDetails]

    def _bring_up(self, version: tuple[int, int]) -> None:
        if version < (1, 1):
            self.offline, self.modules = [], []

    @classmethod
    def from_model(cls, guest: Guest) -> Self:
        """Return the object of a guest."""
        topology = guest.cpu_topology
        return cls(
            cpu_topology=topology
            and {'sockets': topology.sockets, 'cores': topology.cores, 'threads': topology.threads},
            realtime_vcpus=set(cpuset.ids(guest.realtime_vcpus)),
            locked_memory=guest.locked_memory,
            offline=[
                OfflineDetails(shared=set(cpuset.ids(off.shared)), dedicated=set(cpuset.ids(off.dedicated)))
                for off in guest.offline
            ],
            modules=[ModuleDetails(**asdict(module)) for module in guest.modules],
        )

    def apply(self, guest: Guest) -> Guest:
        """Return a guest with these details."""
        return replace(
            guest,
            cpu_topology=CpuTopology(**self.cpu_topology) if self.cpu_topology else None,
            realtime_vcpus=cpuset.mask(self.realtime_vcpus),
            locked_memory=self.locked_memory,
            offline=tuple(Offline(cpuset.mask(off.shared), cpuset.mask(off.dedicated)) for off in self.offline),
            modules=tuple(
                MemoryModule(**{name: getattr(module, name) for name in ModuleDetails.fields})
                for module in self.modules
            ),
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
