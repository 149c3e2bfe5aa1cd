# SPDX-License-Identifier: Apache-2.0
"""The one table of what is stored and sent: the objects, their fields, their versions, and what each version changed.

Names, fields, versions and JSON of the namespace ``nova`` are those of Nova 34.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from numaplace import exception
from numaplace.model import DEDICATED, ISOLATE, MIXED, PREFER, REQUIRE, SHARE, SHARED
from numaplace.model.fleet import MOST_UNITS
from numaplace.wire import kinds
from numaplace.wire.kinds import Kind

__all__ = ['MISSING', 'SPECS', 'Change', 'Field', 'Spec']

#: No value, where None is a value.
MISSING: Final[Any] = object()


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an object.

    :param since: the minor version that introduced it
    :param nullable: an object may hold None
    :param default: what a new object holds
    :param absent: what JSON without the field means, where that is not the default, or None if it is nullable;
        if this is None, null is read as well
    :param read_only: it is set once
    """

    kind: Kind
    since: int = 0
    nullable: bool = False
    default: Any = MISSING
    absent: Any = MISSING
    read_only: bool = False

    @property
    def stand_in(self) -> Any:
        """What JSON without the field means, as JSON value; MISSING if the field is required."""
        if self.absent is not MISSING:
            return self.absent
        return None if self.default is MISSING and self.nullable else self.default


@dataclass(frozen=True, slots=True)
class Change:
    """What a minor version changed in addition to new fields.

    :param up: upgrades the data of an older version; may be None
    :param down: downgrades data to an older version, whose name and version it receives; may be None
    """

    minor: int
    up: Callable[[dict[str, Any]], None] | None = None
    down: Callable[[dict[str, Any], str], None] | None = None


@dataclass(frozen=True, slots=True)
class Spec:
    """An object.

    :param version: the version that is written
    :param oldest: the oldest minor version that is read
    :param lacks: why those before it cannot be read, as what they do
    :param changes: the oldest version first
    :param namespace: owner of the object: ``nova`` or ``numaplace``
    """

    version: str
    fields: Mapping[str, Field]
    oldest: int = 0
    lacks: str = ''
    changes: tuple[Change, ...] = ()
    namespace: str = 'nova'

    @property
    def newest(self) -> int:
        """The minor version that is written."""
        return int(self.version.partition('.')[2])


def _strings(*names: str) -> dict[str, Field]:
    return {name: Field(kinds.STRING) for name in names}


def _own(version: str, fields: Mapping[str, Field]) -> Spec:
    return Spec(version, fields, namespace='numaplace')


# --- what versions changed


def _name_policy(data: dict[str, Any]) -> None:
    """Name the CPU policy of a cell that is older than the field: there, pins are what makes it dedicated."""
    if data.get('cpu_pinning_raw'):
        data['cpu_policy'] = DEDICATED


def _part_pinned(data: dict[str, Any]) -> None:
    """Move pinned vCPUs to pcpuset; some rows of an older version already have them there."""
    if data.get('pcpuset') or 'cpuset' not in data:
        return
    pinned = data.get('cpu_policy') == DEDICATED
    data['cpuset'], data['pcpuset'] = ([], data['cpuset']) if pinned else (data['cpuset'], [])


def _join_pinned(data: dict[str, Any], _target: str) -> None:
    if data.get('cpu_policy') == DEDICATED:
        data['cpuset'] = data.get('pcpuset', ())


def _refuse_mixed(data: dict[str, Any], target: str) -> None:
    if data.get('cpu_policy') == MIXED:
        raise exception.IncompatibleObjectVersion(f'{target} has no CPU policy mixed')


# --- Nova's

# Later versions of an inner object did not change the version of the object that contains it.
_NOVA = {
    'NUMAPagesTopology': Spec(
        '1.1',
        {
            'size_kb': Field(kinds.INTEGER),
            'total': Field(kinds.INTEGER),
            'used': Field(kinds.INTEGER, default=0),
            'reserved': Field(kinds.INTEGER, since=1, default=0),
        },
    ),
    'NetworkMetadata': Spec(
        '1.0',
        {'physnets': Field(kinds.NAMES, absent=()), 'tunneled': Field(kinds.BOOLEAN, absent=False)},
    ),
    'NUMACell': Spec(
        '1.5',
        {
            'id': Field(kinds.INTEGER, read_only=True),
            'cpuset': Field(kinds.CPUS),
            'pcpuset': Field(kinds.CPUS, since=4),
            'memory': Field(kinds.INTEGER),
            'cpu_usage': Field(kinds.INTEGER, default=0),
            'memory_usage': Field(kinds.INTEGER, default=0),
            'pinned_cpus': Field(kinds.CPUS, since=1, absent=()),
            'siblings': Field(kinds.CORES, since=1, absent=()),
            'mempages': Field(kinds.list_of('NUMAPagesTopology'), since=2, absent=()),
            'network_metadata': Field(kinds.object_of('NetworkMetadata'), since=3, absent=None),
            'socket': Field(kinds.INTEGER, since=5, nullable=True),
        },
        oldest=4,
        lacks='does not name the dedicated CPUs',
    ),
    'NUMATopology': Spec('1.2', {'cells': Field(kinds.list_of('NUMACell'))}),
    'NUMATopologyLimits': Spec(
        '1.1',
        {
            'cpu_allocation_ratio': Field(kinds.NUMBER),
            'ram_allocation_ratio': Field(kinds.NUMBER),
            'network_metadata': Field(kinds.object_of('NetworkMetadata'), since=1, absent=None),
        },
    ),
    'VirtCPUTopology': Spec(
        '1.0',
        {name: Field(kinds.INTEGER, nullable=True, default=1) for name in ('sockets', 'cores', 'threads')},
    ),
    'InstanceNUMACell': Spec(
        '1.6',
        {
            'id': Field(kinds.INTEGER),
            'cpuset': Field(kinds.CPUS),
            'pcpuset': Field(kinds.CPUS, since=5, absent=()),
            'cpuset_reserved': Field(kinds.CPUS, since=4, nullable=True, default=None),
            'memory': Field(kinds.INTEGER),
            'pagesize': Field(kinds.INTEGER, since=1, nullable=True, default=None),
            'cpu_topology': Field(kinds.object_of('VirtCPUTopology'), since=2, nullable=True),
            'cpu_pinning_raw': Field(kinds.PINS, since=2, nullable=True, default=None),
            'cpu_policy': Field(
                kinds.words('CPUAllocationPolicy', DEDICATED, SHARED, MIXED), since=3, nullable=True, default=None
            ),
            'cpu_thread_policy': Field(
                kinds.words('CPUThreadAllocationPolicy', PREFER, ISOLATE, REQUIRE),
                since=3,
                nullable=True,
                default=None,
            ),
        },
        # Pinned vCPUs moved with 1.5, but 1.5 was also written for cells that had not been moved.
        changes=(
            Change(3, up=_name_policy),
            Change(5, down=_join_pinned),
            Change(6, up=_part_pinned, down=_refuse_mixed),
        ),
    ),
    'InstanceNUMATopology': Spec(
        '1.3',
        {
            'id': Field(kinds.INTEGER, absent=None),
            'instance_uuid': Field(kinds.UUID, absent=None),
            'cells': Field(kinds.list_of('InstanceNUMACell')),
            'emulator_threads_policy': Field(
                kinds.words('CPUEmulatorThreadsPolicy', SHARE, ISOLATE), since=3, nullable=True
            ),
        },
    ),
    # There are no objects for PCI devices and resources here: those fields are written as null and not read.
    'MigrationContext': Spec(
        '1.2',
        {
            'created_at': Field(kinds.DATETIME, nullable=True),
            'updated_at': Field(kinds.DATETIME, nullable=True),
            'deleted_at': Field(kinds.DATETIME, nullable=True),
            'deleted': Field(kinds.BOOLEAN, default=False),
            'instance_uuid': Field(kinds.UUID),
            'migration_id': Field(kinds.INTEGER),
            **{
                f'{side}_{name}': Field(kinds.object_of(of), since=since, nullable=True)
                for name, of, since in (
                    ('numa_topology', 'InstanceNUMATopology', 0),
                    ('pci_devices', 'PciDeviceList', 1),
                    ('pci_requests', 'InstancePCIRequests', 1),
                    ('resources', 'ResourceList', 2),
                )
                for side in ('new', 'old')
            },
        },
    ),
    'LibvirtLiveMigrateNUMAInfo': Spec(
        '1.0',
        {
            'cpu_pins': Field(kinds.SETS),
            'cell_pins': Field(kinds.SETS),
            'emulator_pins': Field(kinds.CPUS),
            'sched_vcpus': Field(kinds.CPUS),
            'sched_priority': Field(kinds.INTEGER),
        },
    ),
}

# --- numaplace's own: what Nova's objects have no field for, stored next to them

_OWN = {
    'CacheDetails': _own(
        '1.0', {'level': Field(kinds.INTEGER), 'size_kib': Field(kinds.INTEGER), 'cpus': Field(kinds.CPUS)}
    ),
    'AccessDetails': _own(
        '1.0',
        {
            'initiator': Field(kinds.INTEGER),
            'read_latency_ns': Field(kinds.INTEGER, nullable=True),
            'write_latency_ns': Field(kinds.INTEGER, nullable=True),
            'read_bandwidth_mib_s': Field(kinds.INTEGER, nullable=True),
            'write_bandwidth_mib_s': Field(kinds.INTEGER, nullable=True),
        },
    ),
    'CellDetails': _own(
        '1.2',
        {
            'id': Field(kinds.INTEGER),
            'distances': Field(kinds.INTEGERS_BY_NUMBER),
            'online_cpus': Field(kinds.CPUS),
            'dies': Field(kinds.CORES, since=1, absent=()),
            'clusters': Field(kinds.CORES, since=1, absent=()),
            'caches': Field(kinds.list_of('CacheDetails'), since=1, absent=()),
            'accesses': Field(kinds.list_of('AccessDetails'), since=1, absent=()),
            'memory_kind': Field(kinds.MEMORY_KIND, since=2, nullable=True),
            'counts_as_general': Field(kinds.BOOLEAN, since=2, absent=False),
        },
    ),
    'HostDetails': _own('1.0', {'cells': Field(kinds.list_of('CellDetails'))}),
    'OfflineDetails': _own('1.0', {'shared': Field(kinds.CPUS), 'dedicated': Field(kinds.CPUS)}),
    'ModuleDetails': _own(
        '1.0',
        {
            'size_mib': Field(kinds.INTEGER),
            'cell': Field(kinds.INTEGER),
            'path': Field(kinds.STRING, nullable=True),
            'align_kib': Field(kinds.INTEGER, nullable=True),
            'label_kib': Field(kinds.INTEGER, nullable=True),
            'pmem': Field(kinds.BOOLEAN),
        },
    ),
    'DeviceDetails': _own(
        '1.0',
        {
            **_strings('address', 'vendor_id', 'product_id', 'dev_type'),
            'numa_node': Field(kinds.INTEGER, nullable=True),
            'parent': Field(kinds.STRING, nullable=True),
            'tags': Field(kinds.STRINGS_BY_NAME),
            'request': Field(kinds.STRING),
        },
    ),
    'EncryptionDetails': _own(
        '1.0',
        {
            'model': Field(kinds.STRING),
            **{name: Field(kinds.INTEGER, nullable=True) for name in ('most', 'cbitpos', 'reduced_phys_bits')},
        },
    ),
    'NamespaceDetails': _own(
        '1.0',
        {
            **_strings('name', 'label', 'path'),
            'size_kib': Field(kinds.INTEGER),
            'align_kib': Field(kinds.INTEGER),
            'numa_node': Field(kinds.INTEGER, nullable=True),
        },
    ),
    'HostResources': _own(
        '1.0',
        {
            'encryption': Field(kinds.list_of('EncryptionDetails')),
            'namespaces': Field(kinds.list_of('NamespaceDetails')),
            'used': Field(kinds.STRINGS),
        },
    ),
    'GuestDetails': _own(
        '1.3',
        {
            'cpu_topology': Field(kinds.INTEGERS_BY_NAME, nullable=True),
            'realtime_vcpus': Field(kinds.CPUS),
            'locked_memory': Field(kinds.BOOLEAN),
            'offline': Field(kinds.list_of('OfflineDetails'), since=1, absent=()),
            'modules': Field(kinds.list_of('ModuleDetails'), since=1, absent=()),
            'devices': Field(kinds.list_of('DeviceDetails'), since=2, absent=()),
            'resources': Field(kinds.STRINGS, since=3, absent=()),
        },
    ),
    'SideDetails': _own(
        '1.0',
        {
            'vcpus': Field(kinds.INTEGER),
            'memory_mib': Field(kinds.INTEGER),
            'guest': Field(kinds.object_of('GuestDetails')),
        },
    ),
    'MoveDetails': _own(
        '1.0', {'old': Field(kinds.object_of('SideDetails')), 'new': Field(kinds.object_of('SideDetails'))}
    ),
    'HeldMemory': _own('1.0', {'cells': Field(kinds.CPUS), 'memory_mib': Field(kinds.INTEGER)}),
    'HeldPages': _own(
        '1.0', {'cells': Field(kinds.CPUS), 'size_kib': Field(kinds.INTEGER), 'number': Field(kinds.INTEGER)}
    ),
    'HoldingNote': _own('1.0', {'code': Field(kinds.STRING), 'text': Field(kinds.STRING)}),
    'Holding': _own(
        '1.1',
        {
            'name': Field(kinds.STRING),
            'uuid': Field(kinds.STRING),
            'vcpus': Field(kinds.INTEGER),
            'online': Field(kinds.CPUS),
            'dedicated': Field(kinds.CPUS),
            'floating': Field(kinds.INTEGER),
            'memory': Field(kinds.list_of('HeldMemory')),
            'pages': Field(kinds.list_of('HeldPages')),
            'devices': Field(kinds.STRINGS),
            'notes': Field(kinds.list_of('HoldingNote')),
            'resources': Field(kinds.STRINGS, since=1, absent=()),
        },
    ),
}

# --- numaplace's own: a fleet, as it is exported


_FLEET = {
    'FleetFlavor': _own(
        '1.0',
        {
            **_strings('id', 'name'),
            **{name: Field(kinds.INTEGER) for name in ('vcpus', 'memory_mib', 'disk_gib', 'swap_mib', 'ephemeral_gib')},
            'is_public': Field(kinds.BOOLEAN),
            'extra_specs': Field(kinds.STRINGS_BY_NAME),
        },
    ),
    'FleetNic': _own(
        '1.1',
        {
            'network': Field(kinds.STRING, nullable=True),
            'bridge': Field(kinds.STRING, nullable=True),
            'model': Field(kinds.STRING),
            'node': Field(kinds.INTEGER, nullable=True),
            **{name: Field(kinds.STRING, since=1, nullable=True) for name in ('physnet', 'vnic', 'policy', 'mac')},
            'vlan': Field(kinds.INTEGER, since=1, nullable=True),
        },
    ),
    'FleetDisk': _own('1.0', {**_strings('path', 'format'), 'node': Field(kinds.INTEGER, nullable=True)}),
    'FleetPlacement': _own(
        '1.0',
        {
            'size': Field(kinds.object_of('SideDetails')),
            'numa_topology': Field(kinds.object_of('InstanceNUMATopology'), nullable=True),
        },
    ),
    'FleetSide': _own(
        '1.0',
        {
            'host': Field(kinds.STRING),
            'flavor': Field(kinds.object_of('FleetFlavor')),
            'placement': Field(kinds.object_of('FleetPlacement')),
        },
    ),
    'FleetMove': _own(
        '1.0',
        {
            **_strings('uuid', 'kind', 'status'),
            'number': Field(kinds.INTEGER, nullable=True),
            'updated_at': Field(kinds.STRING, nullable=True),
            'old': Field(kinds.object_of('FleetSide')),
            'new': Field(kinds.object_of('FleetSide')),
        },
    ),
    'FleetRequestSpec': _own(
        '1.0',
        {
            'flavor': Field(kinds.object_of('FleetFlavor')),
            'availability_zone': Field(kinds.STRING, nullable=True),
            'hosts': Field(kinds.STRINGS),
            'boots_from_volume': Field(kinds.BOOLEAN),
        },
    ),
    'FleetServer': _own(
        '1.3',
        {
            **_strings('uuid', 'name', 'vm_state', 'created_at'),
            'number': Field(kinds.INTEGER),
            'host': Field(kinds.STRING, nullable=True),
            'availability_zone': Field(kinds.STRING, nullable=True),
            'flavor': Field(kinds.object_of('FleetFlavor')),
            'image_properties': Field(kinds.STRINGS_BY_NAME),
            'metadata': Field(kinds.STRINGS_BY_NAME),
            'placement': Field(kinds.object_of('FleetPlacement')),
            'move': Field(kinds.object_of('FleetMove'), nullable=True),
            'nics': Field(kinds.list_of('FleetNic')),
            'disks': Field(kinds.list_of('FleetDisk')),
            'old_format': Field(kinds.STRING, since=1, absent=''),
            'request_spec': Field(kinds.object_of('FleetRequestSpec'), since=2, nullable=True),
            'adopted_name': Field(kinds.STRING, since=3, nullable=True),
        },
    ),
    'FleetHost': _own(
        '1.4',
        {
            # Facts are JSON of any form, as text.
            **_strings('name', 'uuid', 'availability_zone', 'status', 'state', 'facts'),
            **{f'{resource}_allocation_ratio': Field(kinds.NUMBER, nullable=True) for resource in ('cpu', 'ram')},
            **{name: Field(kinds.INTEGER) for name in ('vcpus_used', 'memory_used_mib', 'floating_vcpus')},
            'numa_topology': Field(kinds.object_of('NUMATopology')),
            'details': Field(kinds.object_of('HostDetails')),
            'old_format': Field(kinds.STRING, since=1, absent=''),
            'unmanaged': Field(kinds.list_of('Holding'), since=2, absent=()),
            'devices': Field(kinds.list_of('DeviceDetails'), since=3, absent=()),
            'devices_taken': Field(kinds.STRINGS, since=3, absent=()),
            'resources': Field(kinds.object_of('HostResources'), since=4, nullable=True),
        },
    ),
    'FleetAggregate': _own(
        '1.0',
        {
            'name': Field(kinds.STRING),
            'metadata': Field(kinds.STRINGS_BY_NAME),
            'hosts': Field(kinds.STRINGS),
        },
    ),
    'FleetInventory': _own(
        '1.1',
        {
            'resource_class': Field(kinds.STRING),
            'total': Field(kinds.INTEGER),
            'reserved': Field(kinds.INTEGER),
            'allocation_ratio': Field(kinds.NUMBER),
            'min_unit': Field(kinds.INTEGER, since=1, absent=1),
            'max_unit': Field(kinds.INTEGER, since=1, absent=MOST_UNITS),
            'step_size': Field(kinds.INTEGER, since=1, absent=1),
        },
    ),
    'FleetAllocation': _own('1.0', {'consumer': Field(kinds.STRING), 'resources': Field(kinds.INTEGERS_BY_NAME)}),
    'FleetProvider': _own(
        '1.0',
        {
            **_strings('host', 'uuid'),
            'inventories': Field(kinds.list_of('FleetInventory')),
            'allocations': Field(kinds.list_of('FleetAllocation')),
            'traits': Field(kinds.NAMES),
        },
    ),
    'FleetUnread': _own(
        '1.0',
        {
            **_strings('code', 'place', 'key', 'fault'),
            'host': Field(kinds.STRING, nullable=True),
            'server': Field(kinds.STRING, nullable=True),
        },
    ),
    'FleetRemark': _own(
        '1.0',
        {
            **_strings('code', 'found', 'expected', 'subject'),
            'host': Field(kinds.STRING, nullable=True),
            'server': Field(kinds.STRING, nullable=True),
            'cell': Field(kinds.INTEGER, nullable=True),
        },
    ),
    'Fleet': _own(
        '1.1',
        {
            'hosts': Field(kinds.list_of('FleetHost')),
            'servers': Field(kinds.list_of('FleetServer')),
            'flavors': Field(kinds.list_of('FleetFlavor')),
            'aggregates': Field(kinds.list_of('FleetAggregate')),
            'providers': Field(kinds.list_of('FleetProvider')),
            'unread': Field(kinds.list_of('FleetUnread')),
            'remarks': Field(kinds.list_of('FleetRemark'), since=1, absent=()),
        },
    ),
}

# --- messages between the command and the scheduler

#: The version of Decision that the client reads: a scheduler answers a client of the release before as it expects.
_ANSWER_VERSION = Field(kinds.STRING, since=1, absent='1.0')

_MESSAGES = {
    'CreateRequest': _own(
        '1.1',
        {
            'uuid': Field(kinds.STRING),
            # Of the servers, in their order; hints are KEY=VALUE.
            **{name: Field(kinds.STRINGS) for name in ('uuids', 'names', 'nics', 'disks', 'hints')},
            'at_least': Field(kinds.INTEGER),
            'flavor': Field(kinds.object_of('FleetFlavor')),
            'image_properties': Field(kinds.STRINGS_BY_NAME),
            **{name: Field(kinds.STRING, nullable=True) for name in ('availability_zone', 'host', 'project', 'group')},
            'answer_version': _ANSWER_VERSION,
        },
    ),
    'ServerRequest': _own(
        '1.1',
        {
            **_strings('uuid', 'server_uuid', 'verb'),
            'flavor': Field(kinds.object_of('FleetFlavor'), nullable=True),
            'host': Field(kinds.STRING, nullable=True),
            'answer_version': _ANSWER_VERSION,
        },
    ),
    'Decision': _own(
        '1.1',
        {
            'worker': Field(kinds.STRING),
            'uuids': Field(kinds.STRINGS),
            'hosts': Field(kinds.STRINGS),
            # Name and text of the exception; the reasons of hosts are JSON.
            **{name: Field(kinds.STRING, nullable=True) for name in ('fault', 'text', 'refusals')},
            'took_ms': Field(kinds.INTEGER, since=1, absent=0),
            'counts': Field(kinds.STRING, nullable=True, since=1),
        },
    ),
}

#: Every object by its name; an object comes after those that it contains.
SPECS: Mapping[str, Spec] = _NOVA | _OWN | _FLEET | _MESSAGES
