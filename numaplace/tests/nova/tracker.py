# SPDX-License-Identifier: Apache-2.0
"""Nova's resource tracker on a database, which lives through a case with Nova's own functions or with numaplace's."""

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from nova import context, objects
from nova.compute import provider_tree, resource_tracker, task_states, vm_states
from nova.db.main import api as database
from nova.db.main import models
from nova.scheduler.client import report
from nova.virt import fake, hardware
from oslo_db.sqlalchemy import enginefacade

from numaplace import wire
from numaplace.tests import audit
from numaplace.tests.nova.tracker_cases import Case

__all__ = ['Node', 'Record', 'topology', 'written']

HOST, NODE, OTHER = 'host', 'node', 'other'
_NODES = {HOST: NODE, OTHER: OTHER}
_COMPUTE_IDS = {HOST: 1, OTHER: 2}


class Record(NamedTuple):
    """What is seen after a step.

    :param error: the exception that the tracker raised
    :param cpus: the CPUs that it names as requested
    :param usage: the topology that the tracker holds, in JSON
    :param node: the topology in the row of the compute node
    :param guests: the topology and the context of a move in the row of each guest
    """

    step: str
    error: str | None
    cpus: list[int]
    usage: Any
    node: Any
    guests: list[tuple[Any, Any]]


def topology(case: Case, config: dict[str, Any]) -> Any:
    """Return the NUMATopology of a node without guests, as Nova's driver for libvirt reports it."""
    shared, dedicated = set(config['shared']), set(config['dedicated'])
    cells = []
    for cell in case['cells']:
        if cell['id'] in config['gone']:
            continue
        cpus = {cpu for core in cell['cores'] for cpu in core}
        known = (shared | dedicated) - set(config['lone'])
        cells.append(
            objects.NUMACell(
                id=cell['id'],
                cpuset=cpus & shared,
                pcpuset=cpus & dedicated,
                memory=cell['memory'],
                cpu_usage=0,
                memory_usage=0,
                pinned_cpus=set(),
                siblings=[core for core in (set(core) & known for core in cell['cores']) if core],
                mempages=[
                    objects.NUMAPagesTopology(
                        size_kb=pages['size'], total=pages['total'], used=0, reserved=pages['reserved']
                    )
                    for pages in config['pages'][str(cell['id'])]
                ],
                network_metadata=objects.NetworkMetadata(physnets=set(), tunneled=False),
                socket=0,
            )
        )
    return objects.NUMATopology(cells=cells)


# --- guests as releases have stored them -------------------------------------------------


def _written_cell(guest: dict[str, Any], cell: dict[str, Any], version: str) -> dict[str, Any]:
    minor = int(version.partition('.')[2])
    data = {'id': cell['host_cell'], 'cpuset': cell['shared'], 'memory': cell['memory']}
    if minor >= 5:
        data['pcpuset'] = cell['dedicated']
    elif guest['policy'] == 'mixed':  # of a release that knew the policy and not yet a version for it
        data |= {'pcpuset': cell['dedicated']}
    else:
        data['cpuset'] = cell['shared'] + cell['dedicated']
    since = {
        'pagesize': (1, guest['pagesize']),
        'cpu_pinning_raw': (2, cell['pins']),
        'cpu_topology': (2, None),
        'cpu_policy': (3, guest['policy']),
        'cpu_thread_policy': (3, guest['threads']),
        'cpuset_reserved': (4, cell['reserved']),
    }
    data |= {name: value for name, (first, value) in since.items() if minor >= first}
    return {**wire.JSON.make('InstanceNUMACell', data), 'nova_object.version': version}


def written(guest: dict[str, Any], instance_uuid: str) -> dict[str, Any]:
    """Return the JSON of a guest that runs, in the form of the release that stored it."""
    version = guest['version']
    if version is None:
        cells = [
            {
                'id': cell['host_cell'],
                'cpus': ','.join(map(str, cell['shared'] + cell['dedicated'])),
                'mem': {'total': cell['memory']},
                'pagesize': guest['pagesize'],
            }
            for cell in guest['cells']
        ]
        return {'cells': cells}
    cells = [_written_cell(guest, cell, version) for cell in guest['cells']]
    data = {'instance_uuid': instance_uuid, 'cells': cells}
    if version >= '1.4':
        data['emulator_threads_policy'] = guest['emulator']
    return wire.JSON.make('InstanceNUMATopology', data)


# --- what is around the tracker ------------------------------------------------------------


class _Driver(fake.FakeDriver):
    """Nova's driver without a hypervisor, on a host with a topology."""

    topology: Any = None

    def __init__(self) -> None:
        super().__init__(None)

    def get_available_nodes(self, refresh: bool = False) -> list[str]:
        return [NODE]

    def get_available_resource(self, nodename: str) -> dict[str, Any]:
        return super().get_available_resource(nodename) | {'numa_topology': self.topology._to_json()}

    def update_provider_tree(self, provider_tree: Any, nodename: str, allocations: Any = None) -> None:
        pass

    def capabilities_as_traits(self) -> dict[str, bool]:
        return {}


class _Placement:
    """A placement service that takes whatever it is given: nothing of it depends on cells."""

    def get_provider_subtree_and_ensure_root(self, _context: Any, rp_uuid: str, name: str, **_more: Any) -> Any:
        tree = provider_tree.ProviderTree()
        tree.new_root(name, rp_uuid)
        return tree

    def get_allocations_for_provider_tree(self, _context: Any, _nodename: str) -> dict[str, Any]:
        return {}

    def update_from_provider_tree(self, _context: Any, _tree: Any, allocations: Any = None) -> None:
        pass

    def get_allocations_for_resource_provider(self, _context: Any, _uuid: str) -> Any:
        return report.ProviderAllocInfo(allocations={})


# --- the node -------------------------------------------------------------------------------


_FIELDS = [
    'numa_topology',
    'flavor',
    'migration_context',
    'resources',
    'pci_requests',
    'pci_devices',
    'system_metadata',
]

#: The tables that hold instances.
_INSTANCES = [table.name for table in reversed(models.BASE.metadata.sorted_tables) if 'instance' in table.name]


class Node:
    """A compute node and its database, which live through one case after another."""

    def __init__(self) -> None:
        self._context = context.get_admin_context()
        connection = enginefacade.transaction_context()
        connection.configure(connection='sqlite://', thread_checkin=False)  # without a pause after each query
        self._context.db_connection = connection
        self._engine = database.get_engine(context=self._context)
        models.BASE.metadata.create_all(self._engine)
        database.service_create(
            self._context,
            {'host': HOST, 'binary': 'nova-compute', 'topic': 'compute', 'report_count': 0, 'disabled': False}
            | {'uuid': str(uuid.uuid4()), 'version': objects.service.SERVICE_VERSION},
        )
        self._service = objects.Service.get_by_compute_host(self._context, HOST)
        self._driver = _Driver()

    def live(self, case: Case) -> Iterator[Record]:
        """Live through a case on an empty database."""
        self._empty()
        self._case, self._count = case, 0
        self._guests = [self._store_running(guest, HOST) for guest in case['guests']]
        for step in case['steps']:
            yield self._seen(step)

    def _seen(self, step: dict[str, Any]) -> Record:
        error, cpus = None, []
        try:
            getattr(self, f'_{step["do"]}')(step)
        except Exception as found:  # noqa: BLE001 - compared
            error = type(found).__name__
            cpus = sorted(getattr(found, 'kwargs', {}).get('requested', ()))
        with self._engine.connect() as connection:
            rows = connection.exec_driver_sql('select numa_topology from compute_nodes').all()
            guests = connection.exec_driver_sql(
                'select numa_topology, migration_context from instance_extra order by id'
            ).all()
        usage = self._tracker.compute_nodes[NODE].numa_topology
        (node,) = rows
        return Record(
            step['do'], error, cpus, _plain(usage), _plain(*node), [(_plain(a), _plain(b)) for a, b in guests]
        )

    def _empty(self) -> None:
        with self._engine.begin() as connection:
            for name in ('compute_nodes', 'migrations', *_INSTANCES):
                connection.exec_driver_sql(f'delete from {name}')

    # --- rows

    def _flavor(self, number: int, wanted: dict[str, Any]) -> Any:
        return objects.Flavor(
            id=number,
            name='flavor',
            flavorid='flavor',
            vcpus=wanted['vcpus'],
            memory_mb=wanted['memory'],
            root_gb=0,
            ephemeral_gb=0,
            swap=0,
            rxtx_factor=1.0,
            vcpu_weight=0,
            is_public=True,
            disabled=False,
            description=None,
            extra_specs=wanted['specs'],
        )

    def _store(self, flavor: Any, topology: Callable[[str], Any], host: str | None) -> str:
        """Write the rows of an instance.

        :param topology: returns the JSON for a UUID
        :returns: the UUID
        """
        self._count += 1
        instance_uuid = str(uuid.UUID(int=self._count))
        flavors = {'cur': flavor.obj_to_primitive(), 'old': None, 'new': None}
        instance = {
            'uuid': instance_uuid,
            'project_id': 'project',
            'user_id': 'user',
            'instance_type_id': flavor.id,
            'vcpus': flavor.vcpus,
            'memory_mb': flavor.memory_mb,
            'root_gb': 0,
            'ephemeral_gb': 0,
            'image_ref': str(uuid.UUID(int=0)),
            'host': host,
            'node': _NODES.get(host),
            'compute_id': _COMPUTE_IDS.get(host),
            'vm_state': vm_states.ACTIVE,
            'deleted': 0,
        }
        extra = {
            'instance_uuid': instance_uuid,
            'flavor': json.dumps(flavors),
            'numa_topology': json.dumps(topology(instance_uuid)),
            'pci_requests': '[]',
            'deleted': 0,
        }
        with self._engine.begin() as connection:
            connection.execute(models.Instance.__table__.insert(), instance)
            connection.execute(models.InstanceExtra.__table__.insert(), extra)
        return instance_uuid

    def _store_running(self, guest: dict[str, Any], host: str, flavor: Any = None) -> str:
        """Write the rows of a guest that runs, as an earlier release has left them."""
        vcpus = sum(len(cell['shared'] + cell['dedicated']) for cell in guest['cells'])
        memory = sum(cell['memory'] for cell in guest['cells'])
        flavor = flavor or self._flavor(1, {'vcpus': vcpus, 'memory': memory, 'specs': {}})
        return self._store(flavor, lambda instance_uuid: written(guest, instance_uuid), host)

    def _read(self, instance_uuid: str) -> Any:
        return objects.Instance.get_by_uuid(self._context, instance_uuid, expected_attrs=_FIELDS)

    def _guest(self, number: int) -> Any:
        return self._read(self._guests[number % len(self._guests)])

    # --- steps

    def _restart(self, step: dict[str, Any]) -> None:
        self._driver.topology = topology(self._case, step['config'])
        self._tracker = resource_tracker.ResourceTracker(HOST, self._driver, _Placement())
        self._tracker.set_service_ref(self._service)
        self._tracker.update_available_resource(self._context, NODE, startup=True)

    def _audit(self, _step: dict[str, Any]) -> None:
        self._tracker.update_available_resource(self._context, NODE)

    def _limits(self, wanted: dict[str, Any]) -> Any:
        if not wanted['limits']:
            return None
        cpus, memory = wanted['limits']
        return {'numa_topology': objects.NUMATopologyLimits(cpu_allocation_ratio=cpus, ram_allocation_ratio=memory)}

    def _claimed(self, wanted: dict[str, Any]) -> Any:
        flavor = self._flavor(2, wanted)
        asked = hardware.numa_get_constraints(flavor, objects.ImageMeta.from_dict({'properties': {}}))
        instance = self._read(self._store(flavor, lambda _uuid: asked.obj_to_primitive(), None))
        return self._tracker.instance_claim(self._context, instance, NODE, {}, limits=self._limits(wanted))

    def _claim(self, step: dict[str, Any]) -> None:
        self._guests.append(self._claimed(step['flavor']).instance_ref.uuid)

    def _abort(self, step: dict[str, Any]) -> None:
        self._claimed(step['flavor']).abort()

    def _free(self, step: dict[str, Any]) -> None:
        instance = self._guest(step['guest'])
        instance.vm_state = vm_states.DELETED
        self._tracker.update_usage(self._context, instance, NODE)
        instance.save()

    def _uncounted(self, step: dict[str, Any]) -> None:
        """Free what was never counted."""
        instance = self._read(self._store_running(step['guest'], OTHER))
        if step['by'] == 'claim':
            self._tracker.tracked_instances.add(instance.uuid)
            self._tracker.abort_instance_claim(self._context, instance, NODE)
            return
        migration = self._migration(instance, instance.flavor, 'migration', 'out' if step['by'] == 'source' else 'in')
        self._keep(instance, migration, instance.numa_topology, instance.numa_topology)
        if step['by'] == 'source':
            instance.old_flavor = instance.flavor
            self._tracker.drop_move_claim_at_source(self._context, instance, migration)
        else:
            self._tracker.drop_move_claim(self._context, instance, NODE, flavor=instance.flavor)

    # --- moves

    def _migration(self, instance: Any, flavor: Any, kind: str, way: str) -> Any:
        source, target = {'here': (HOST, HOST), 'in': (OTHER, HOST), 'out': (HOST, OTHER)}[way]
        migration = objects.Migration(
            self._context,
            source_compute=source,
            source_node=_NODES[source],
            dest_compute=target,
            dest_node=_NODES[target],
            dest_compute_id=_COMPUTE_IDS[target],
            migration_type=kind,
            status='accepted',
            instance_uuid=instance.uuid,
            old_instance_type_id=instance.flavor.id,
            new_instance_type_id=flavor.id,
        )
        migration.create()
        return migration

    def _keep(self, instance: Any, migration: Any, old: Any, new: Any) -> None:
        """Write the context of a move, as the other host has written it."""
        instance.migration_context = objects.MigrationContext(
            instance_uuid=instance.uuid,
            migration_id=migration.id,
            old_numa_topology=old,
            new_numa_topology=new,
            **dict.fromkeys(
                f'{side}_{name}' for side in ('old', 'new') for name in ('pci_devices', 'pci_requests', 'resources')
            ),
        )
        instance.save()

    def _move(self, step: dict[str, Any]) -> None:
        kind, way = step['kind'], step['way']
        flavor = self._flavor(3, step['flavor'])
        if way == 'in':
            running = self._store_running(step['incoming'], OTHER, None if kind == 'resize' else flavor)
            instance = self._read(running)
        else:
            instance = self._guest(step['guest'])
        if kind != 'resize':
            flavor = instance.flavor
        live = kind == 'live-migration'
        instance.task_state = task_states.MIGRATING if live else task_states.RESIZE_PREP
        instance.new_flavor = flavor
        instance.save()
        migration = self._migration(instance, flavor, kind, way)
        if way == 'out':
            self._keep(instance, migration, instance.numa_topology, None)
        elif live:
            self._tracker.live_migration_claim(
                self._context, instance, NODE, migration, self._limits(step['flavor']), None
            )
        else:
            self._tracker.resize_claim(
                self._context, instance, flavor, NODE, migration, None, limits=self._limits(step['flavor'])
            )
        if step['audits'][0]:
            self._audit(step)
        if step['finish']:
            self._finish(instance, migration, flavor)
            if step['audits'][1]:
                self._audit(step)
        if step['end']:
            self._end(step, instance, migration)

    def _finish(self, instance: Any, migration: Any, flavor: Any) -> None:
        """Do what the destination does once the guest runs there."""
        instance.host, instance.node = migration.dest_compute, migration.dest_node
        instance.compute_id = migration.dest_compute_id
        instance.old_flavor, instance.flavor = instance.flavor, flavor
        instance.instance_type_id = flavor.id
        instance.apply_migration_context()
        instance.vm_state, instance.task_state = vm_states.RESIZED, None
        migration.status = 'finished'
        instance.save()
        migration.save()

    def _end(self, step: dict[str, Any], instance: Any, migration: Any) -> None:
        if step['end'] == 'confirm' and step['finish'] and step['way'] != 'in':
            self._tracker.drop_move_claim_at_source(self._context, instance, migration)
        elif step['end'] == 'revert' and step['way'] != 'out':
            if step['kind'] == 'live-migration':
                self._tracker.drop_move_claim(self._context, instance, NODE, flavor=instance.flavor)
            else:
                instance.task_state = task_states.RESIZE_REVERTING
                instance.save()
                self._tracker.drop_move_claim_at_dest(self._context, instance, migration)


def _plain(text: str | None) -> Any:
    return text and audit.canon(json.loads(text))
