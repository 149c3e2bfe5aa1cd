# SPDX-License-Identifier: Apache-2.0
"""Guests, their cells and vCPU topologies."""

from __future__ import annotations

from typing import Any, Self

from numaplace import exception, wire
from numaplace.model import DEDICATED, MIXED, CpuTopology, Guest, Host, Placement
from numaplace.objects import base, fields
from numaplace.objects.numa import TARGET

__all__ = ['InstanceNUMACell', 'InstanceNUMATopology', 'VirtCPUTopology']


#: A field that is null where nobody sets it.
_NONE: Any = {'nullable': True, 'default': None}


@base.register
class VirtCPUTopology(base.NovaObject):
    """The vCPU topology that a guest sees."""

    # 1.0: first version
    VERSION = '1.0'

    fields = {
        'sockets': fields.IntegerField(nullable=True, default=1),
        'cores': fields.IntegerField(nullable=True, default=1),
        'threads': fields.IntegerField(nullable=True, default=1),
    }

    @classmethod
    def from_model(cls, topology: CpuTopology) -> Self:
        """Return the object of a vCPU topology."""
        return cls(sockets=topology.sockets, cores=topology.cores, threads=topology.threads)

    def to_model(self) -> CpuTopology:
        """Return the vCPU topology; what is not set is 1."""
        values = [getattr(self, name) if name in self else None for name in ('sockets', 'cores', 'threads')]
        return CpuTopology(*(value or 1 for value in values))


@base.register
class InstanceNUMACell(base.NovaObject):
    """A guest cell; once claimed, its id is that of the host cell."""

    # 1.0: first version
    # 1.1: pagesize
    # 1.2: cpu_pinning_raw, cpu_topology
    # 1.3: cpu_policy, cpu_thread_policy
    # 1.4: cpuset_reserved
    # 1.5: pcpuset, which holds the pinned vCPUs; cpuset holds the others
    # 1.6: cpu_policy mixed
    VERSION = '1.6'
    OLDEST = 4

    fields = {
        'id': fields.IntegerField(),
        'cpuset': fields.SetOfIntegersField(),
        'pcpuset': fields.SetOfIntegersField(),
        'cpuset_reserved': fields.SetOfIntegersField(**_NONE),
        'memory': fields.IntegerField(),
        'pagesize': fields.IntegerField(**_NONE),
        'cpu_topology': fields.ObjectField('VirtCPUTopology', nullable=True),
        'cpu_pinning_raw': fields.DictOfIntegersField(**_NONE),
        'cpu_policy': fields.CPUAllocationPolicyField(**_NONE),
        'cpu_thread_policy': fields.CPUThreadAllocationPolicyField(**_NONE),
    }

    cpuset: set[int]
    pcpuset: set[int]
    cpu_policy: str | None

    def obj_make_compatible(self, primitive: dict[str, Any], target_version: str) -> None:
        """Put it as an older version puts it.

        :raises: :class:`~numaplace.exception.IncompatibleObjectVersion` if that has no words for mixed
        """
        super().obj_make_compatible(primitive, target_version)
        version, policy = base.version_tuple(target_version), primitive.get('cpu_policy')
        if version < (1, 6) and policy == MIXED:
            raise exception.IncompatibleObjectVersion(f'InstanceNUMACell {target_version} has no CPU policy mixed')
        if version < (1, 5):
            pinned = primitive.pop('pcpuset', ())
            if policy == DEDICATED:
                primitive['cpuset'] = pinned
        for since, field in (((1, 4), 'cpuset_reserved'), ((1, 3), 'cpu_policy'), ((1, 3), 'cpu_thread_policy')):
            if version < since:
                primitive.pop(field, None)

    def _bring_up(self, version: tuple[int, int]) -> None:
        # Rows are known that hold the new form under an old version: those have pinned vCPUs in pcpuset.
        if version < (1, 6) and not ('pcpuset' in self and self.pcpuset):
            was_pinned = 'cpu_policy' in self and self.cpu_policy == DEDICATED
            self.pcpuset = self.cpuset if was_pinned else set()
            self.cpuset = set() if was_pinned else self.cpuset


@base.register
class InstanceNUMATopology(base.NovaObject):
    """A guest's cells: what it asks for, or where it is."""

    # 1.0: first version
    # 1.1: page sizes
    # 1.2: InstanceNUMACell 1.2
    # 1.3: emulator_threads_policy
    VERSION = '1.3'

    fields = {
        'id': fields.IntegerField(),
        'instance_uuid': fields.UUIDField(),
        'cells': fields.ListOfObjectsField('InstanceNUMACell'),
        'emulator_threads_policy': fields.CPUEmulatorThreadsPolicyField(nullable=True),
    }

    @classmethod
    def from_model(cls, guest: Guest | Placement) -> Self:
        """Return the object of what a guest asks for, or of where it is."""
        if isinstance(guest, Placement):
            placed: Self = wire.write_placement(guest, TARGET)
            return placed
        asked: Self = wire.write_guest(guest, TARGET)
        return asked

    def to_model(self) -> Guest:
        """Return what a guest asks for.

        :raises: :class:`~numaplace.exception.InvalidObject` if a field is missing or holds nonsense
        """
        return wire.read_guest(self)

    def to_placement(self, host: Host | None = None) -> Placement:
        """Return where a guest is.

        :param host: the host that it is on, which knows the siblings of its CPUs
        :raises: as :meth:`to_model`
        """
        return wire.read_placement(self, host)

    def obj_make_compatible(self, primitive: dict[str, Any], target_version: str) -> None:
        """Leave out what an older version does not have."""
        super().obj_make_compatible(primitive, target_version)
        if base.version_tuple(target_version) < (1, 3):
            primitive.pop('emulator_threads_policy', None)

    def _bring_up(self, version: tuple[int, int]) -> None:
        if version < (1, 3):
            self.emulator_threads_policy = None
