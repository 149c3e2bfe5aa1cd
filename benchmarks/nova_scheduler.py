# SPDX-License-Identifier: Apache-2.0
"""nova-scheduler 34 with its own filter or ours: rows of a database, HostStates, a whole SchedulerManager."""

from __future__ import annotations

import datetime
import importlib
import logging
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from numaplace.model import Guest
from numaplace.tests import nova_requests

__all__ = ['NOVA', 'OURS', 'Fleet', 'Scheduler']

NOVA, OURS = 'Nova', 'numaplace'

_FILTERS = {NOVA: 'nova.scheduler.filters.numa_topology_filter', OURS: 'numaplace.nova.filter'}

_NOVA_CONF = """
[DEFAULT]
transport_url = fake:/
service_down_time = 1000000
[database]
connection = sqlite:///{directory}/main.sqlite
sqlite_synchronous = false
[api_database]
connection = sqlite:///{directory}/api.sqlite
sqlite_synchronous = false
[filter_scheduler]
available_filters = nova.scheduler.filters.all_filters
available_filters = numaplace.nova.filter.NUMATopologyFilter
enabled_filters = {filters}
"""

_ENABLED = (
    'ComputeFilter,ComputeCapabilitiesFilter,ImagePropertiesFilter,ServerGroupAntiAffinityFilter,'
    'ServerGroupAffinityFilter,NUMATopologyFilter'
)


def _module(name: str) -> Any:
    return importlib.import_module(name)


class Scheduler:
    """One process that runs nova-scheduler without the engine and with it, in turns.

    :param directory: where its configuration and its SQLite databases go
    """

    def __init__(self, directory: Path) -> None:
        # Not at the top: asv imports every file here, and its environments have no Nova.
        self.objects = _module('nova.objects')
        self.objects.register_all()
        path = directory / 'nova.conf'
        path.write_text(_NOVA_CONF.format(directory=directory, filters=_ENABLED), 'utf-8')
        _module('nova.config').parse_args(['nova-scheduler', '--config-file', str(path)])
        logging.disable(logging.CRITICAL)
        owners = self._owners()
        nova = {name: getattr(owner, name) for name, owner in owners.items()}
        _module(_FILTERS[OURS])
        ours = {name: getattr(owner, name) for name, owner in owners.items()}
        self._installed = {NOVA: nova, OURS: ours}

    @staticmethod
    def _owners() -> dict[str, Any]:
        hardware = _module('nova.virt.hardware')
        return {
            'numa_fit_instance_to_host': hardware,
            'numa_usage_from_instance_numa': hardware,
            '_locked_consume_from_request': _module('nova.scheduler.host_manager').HostState,
            'obj_from_db_obj': _module('nova.objects.numa').NUMATopology,
        }

    def become(self, side: str) -> None:
        """Install one side's functions."""
        for name, owner in self._owners().items():
            setattr(owner, name, self._installed[side][name])

    def numa_filter(self, side: str) -> Any:
        """Return one side's filter."""
        return _module(_FILTERS[side]).NUMATopologyFilter()


class Fleet:
    """Compute nodes with their topologies, and the requests for them."""

    def __init__(self, process: Scheduler, texts: Sequence[Callable[[], str]]) -> None:
        self._objects = process.objects
        self._process = process
        self._texts = texts
        self._state = _module('nova.scheduler.host_manager').HostState
        self._handler = _module('nova.scheduler.filters').HostFilterHandler()
        self.nodes = [self._node(number) for number in range(len(texts))]

    def _node(self, number: int) -> Any:
        objects = self._objects
        name = f'cn-{number}'
        return objects.ComputeNode(
            host=name,
            hypervisor_hostname=name,
            uuid=str(uuid.uuid4()),
            memory_mb=524288,
            memory_mb_used=0,
            free_ram_mb=524288,
            free_disk_gb=1000,
            local_gb=1000,
            local_gb_used=0,
            disk_available_least=1000,
            vcpus=128,
            vcpus_used=0,
            current_workload=0,
            running_vms=0,
            numa_topology=self._texts[number](),
            pci_device_pools=objects.PciDevicePoolList(objects=[]),
            host_ip='192.0.2.1',
            hypervisor_type='QEMU',
            hypervisor_version=8002000,
            cpu_info='{"arch": "x86_64", "model": "EPYC", "vendor": "AMD", "features": ["avx2", "svm"]}',
            supported_hv_specs=[objects.HVSpec.from_list([arch, 'kvm', 'hvm']) for arch in ('x86_64', 'i686')],
            stats={'num_instances': '0', 'io_workload': '0', 'failed_builds': '0'},
            metrics='[]',
            cpu_allocation_ratio=16.0,
            ram_allocation_ratio=1.5,
            disk_allocation_ratio=1.0,
            mapped=1,
        )

    def texts(self, *, changed: bool) -> list[str]:
        """Return the texts of all rows as a query returns them: new strings, equal to the last ones or not."""
        pairs = zip(self.nodes, self._texts, strict=True)
        return [read() if changed else ''.join(list(node.numa_topology)) for node, read in pairs]

    def renew(self, *, changed: bool) -> None:
        """Read the rows again."""
        for node, text in zip(self.nodes, self.texts(changed=changed), strict=True):
            node.numa_topology = text
            node.updated_at = None

    def request(self, guest: Guest) -> Any:
        """Return a request for a guest as the conductor sends it."""
        objects = self._objects
        topology = objects.InstanceNUMATopology.obj_from_primitive(nova_requests.write_guest(guest))
        flavor = objects.Flavor(
            id=1,
            flavorid='numa',
            name='numa',
            vcpus=guest.vcpus,
            memory_mb=guest.memory_mib,
            root_gb=1,
            ephemeral_gb=0,
            swap=0,
            is_public=True,
            disabled=False,
            rxtx_factor=1.0,
            description=None,
            extra_specs={
                'hw:numa_nodes': str(len(guest.cells)),
                'hw:cpu_policy': guest.cells[0].cpu_policy or 'shared',
            },
        )
        return objects.RequestSpec(
            instance_uuid=str(uuid.uuid4()),
            num_instances=1,
            numa_topology=topology,
            pci_requests=objects.InstancePCIRequests(requests=[]),
            flavor=flavor,
            image=objects.ImageMeta(properties=objects.ImageMetaProps()),
            project_id='project',
            user_id='user',
            availability_zone=None,
            scheduler_hints={},
            ignore_hosts=None,
            force_hosts=None,
            force_nodes=None,
            requested_destination=None,
            requested_resources=[],
            request_level_params=objects.RequestLevelParams(),
            security_groups=objects.SecurityGroupList(objects=[]),
            instance_group=None,
            limits=objects.SchedulerLimits(),
            retry=None,
            is_bfv=False,
        )

    def filtered(self, numa_filter: Any, request: Any) -> list[Any]:
        """Make a HostState from each row as the scheduler does, and filter them."""
        states = []
        for node in self.nodes:
            state = self._state(node.host, node.hypervisor_hostname, 'cell')
            state.update(node, {'host': node.host}, [], {})
            state.allocation_candidates = [{'allocations': {}, 'mappings': {'': [node.uuid]}}]
            states.append(state)
        found: list[Any] = self._handler.get_filtered_objects([numa_filter], states, request)
        return found

    # --- the whole scheduler ------------------------------------------------------------

    def store(self) -> None:
        """Write cells, services and compute nodes to the databases of the configuration."""
        objects, migration = self._objects, _module('nova.db.migration')
        context = _module('nova.context').get_admin_context()
        conf = _module('nova.conf').CONF
        for database in ('api', 'main'):
            migration.db_sync(database=database)
        for name, cell in (('cell0', objects.CellMapping.CELL0_UUID), ('cell1', str(uuid.uuid4()))):
            mapping = objects.CellMapping(
                context, uuid=cell, name=name, transport_url='none:///', database_connection=conf.database.connection
            )
            mapping.create()
        now = datetime.datetime.now(datetime.UTC)
        for node in self.nodes:
            service = objects.Service(context, host=node.host, binary='nova-compute', topic='compute', report_count=1)
            service.create()
            service.last_seen_up = now
            service.save()
            node._context = context
            node.create()
            objects.HostMapping(context, host=node.host, cell_mapping=mapping).create()

    def store_texts(self, *, changed: bool) -> None:
        """Write the topologies to the database, as the compute nodes do when their usage has changed."""
        if changed:
            api = _module('nova.db.main.api')
            models = _module('nova.db.main.models')
            texts = self.texts(changed=True)
            with api.get_engine().begin() as connection:
                table = models.ComputeNode.__table__
                for node, text in zip(self.nodes, texts, strict=True):
                    connection.execute(table.update().where(table.c.id == node.id).values(numa_topology=text))

    def scheduler(self, side: str) -> Any:
        """Return a SchedulerManager whose host manager reads the databases; placement's answers are fixed."""
        manager, report = _module('nova.scheduler.manager'), _Placement(self.nodes)
        made = type('_Scheduler', (manager.SchedulerManager,), {'placement_client': report})()
        hosts = made.host_manager
        for number, enabled in enumerate(hosts.enabled_filters):
            if type(enabled).__name__ == 'NUMATopologyFilter':
                hosts.enabled_filters[number] = self._process.numa_filter(side)
        context = _module('nova.context').get_admin_context()
        for node in self.nodes * 2:  # compute nodes report it every two minutes; the first report makes them known
            hosts.sync_instance_info(context, node.host, [])
        return made

    def select(self, scheduler: Any, request: Any) -> Any:
        """Ask a scheduler for a host as the conductor does."""
        context = _module('nova.context').get_admin_context()
        return scheduler.select_destinations(
            context,
            spec_obj=request,
            instance_uuids=[request.instance_uuid],
            return_objects=True,
            return_alternates=True,
        )


class _Placement:
    """A placement that answers that all compute nodes have room, and grants each claim."""

    def __init__(self, nodes: Iterable[Any]) -> None:
        self._requests = [
            {'allocations': {node.uuid: {'resources': {'PCPU': 16}}}, 'mappings': {'': [node.uuid]}} for node in nodes
        ]
        self._summaries = {node.uuid: {'resources': {}, 'traits': []} for node in nodes}

    def get_allocation_candidates(self, _context: Any, _resources: Any) -> tuple[list[Any], Mapping[str, Any], str]:
        return list(self._requests), dict(self._summaries), '1.36'

    def claim_resources(self, *_arguments: Any, **_named: Any) -> bool:
        return True
