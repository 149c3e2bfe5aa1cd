# SPDX-License-Identifier: Apache-2.0
"""Store a fleet as a Nova would: in the tables that are there, with the JSON of its objects."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from numaplace import wire
from numaplace.model import Flavor
from numaplace.model.fleet import Aggregate, Fleet
from numaplace.model.records import DISABLED, UP, HostRecord, InstanceRecord, Move, RequestSpec

__all__ = ['Tables', 'compute_node', 'instance_extra', 'store_allocation', 'store_api', 'store_cell', 'store_placement']


class Tables:
    """The tables of a database, as they are."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._metadata = sa.MetaData()

    def insert(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Insert rows into a table."""
        found = list(rows)
        if found:
            self._connection.execute(sa.insert(self._table(name)), found)

    def update(self, name: str, values: Mapping[str, Any]) -> None:
        """Change columns of all rows of a table."""
        self._connection.execute(sa.update(self._table(name)).values(**values))

    def _table(self, name: str) -> sa.Table:
        # The foreign keys of a table bring others with it, under their own names.
        return sa.Table(name, self._metadata, autoload_with=self._connection)


def store_api(connection: sa.Connection, fleet: Fleet, cells: Mapping[str, str]) -> None:
    """Fill the API database.

    :param cells: URLs by name
    """
    tables = Tables(connection)
    tables.insert(
        'cell_mappings',
        [
            {'uuid': f'{number:036}', 'name': name, 'transport_url': 'none:///', 'database_connection': url}
            for number, (name, url) in enumerate(cells.items())
        ],
    )
    tables.insert('flavors', [_api_flavor(number, flavor) for number, flavor in enumerate(fleet.flavors, 1)])
    tables.insert(
        'flavor_extra_specs',
        [
            {'flavor_id': number, 'key': key, 'value': value}
            for number, flavor in enumerate(fleet.flavors, 1)
            for key, value in flavor.extra_specs.items()
        ],
    )
    tables.insert(
        'request_specs', [_request_spec(server, server.request_spec) for server in fleet.servers if server.request_spec]
    )
    for number, aggregate in enumerate(fleet.aggregates, 1):
        _store_aggregate(tables, number, aggregate)


def _api_flavor(number: int, flavor: Flavor) -> dict[str, Any]:
    return {
        'id': number,
        'name': flavor.name,
        'flavorid': flavor.id,
        'vcpus': flavor.vcpus,
        'memory_mb': flavor.memory_mib,
        'root_gb': flavor.disk_gib,
        'ephemeral_gb': flavor.ephemeral_gib,
        'swap': flavor.swap_mib,
        'is_public': flavor.is_public,
    }


def _request_spec(server: InstanceRecord, spec: RequestSpec) -> dict[str, Any]:
    data = {
        'instance_uuid': server.uuid,
        'flavor': _flavor(spec.flavor),
        'availability_zone': spec.availability_zone,
        'force_hosts': list(spec.hosts) or None,
        'is_bfv': spec.boots_from_volume,
    }
    written = {
        'nova_object.name': 'RequestSpec',
        'nova_object.namespace': 'nova',
        'nova_object.version': '1.14',
        'nova_object.data': data,
    }
    return {'instance_uuid': server.uuid, 'spec': json.dumps(written)}


def _store_aggregate(tables: Tables, number: int, aggregate: Aggregate) -> None:
    tables.insert('aggregates', [{'id': number, 'uuid': f'{number:036}', 'name': aggregate.name}])
    tables.insert('aggregate_hosts', [{'aggregate_id': number, 'host': name} for name in aggregate.hosts])
    tables.insert(
        'aggregate_metadata',
        [{'aggregate_id': number, 'key': key, 'value': value} for key, value in aggregate.metadata.items()],
    )


def store_cell(connection: sa.Connection, fleet: Fleet) -> None:
    """Fill the database of a cell."""
    tables = Tables(connection)
    tables.insert('services', map(_service, fleet.hosts))
    tables.insert('compute_nodes', map(compute_node, fleet.hosts))
    for number, record in enumerate(fleet.hosts, 1):
        if free := record.facts.get('pci_devices'):
            statuses = ['available'] * free + ['allocated']
            devices = [_pci_device(number, slot, status) for slot, status in enumerate(statuses)]
            tables.insert('pci_devices', devices)
    tables.insert('instances', map(_instance, fleet.servers))
    tables.insert('instance_extra', map(instance_extra, fleet.servers))
    moves = [(server, server.move) for server in fleet.servers if server.move is not None]
    tables.insert('migrations', [_migration(server, move) for server, move in moves])
    for table, of, prefix in (
        ('instance_system_metadata', 'image_properties', 'image_'),
        ('instance_metadata', 'metadata', ''),
    ):
        tables.insert(
            table,
            [
                {'instance_uuid': server.uuid, 'key': f'{prefix}{key}', 'value': value, 'deleted': 0}
                for server in fleet.servers
                for key, value in getattr(server, of).items()
            ],
        )


def _service(record: HostRecord) -> dict[str, Any]:
    return {
        'host': record.name,
        'binary': 'nova-compute',
        'topic': 'compute',
        'report_count': 1,
        'disabled': record.status == DISABLED,
        'forced_down': record.state != UP,
        'last_seen_up': record.updated_at and record.updated_at.replace(tzinfo=None),
        'deleted': 0,
    }


def compute_node(record: HostRecord) -> dict[str, Any]:
    """Return the row of a host."""
    facts = record.facts
    cpu = {
        'arch': facts.get('architecture'),
        'model': facts.get('cpu_model'),
        'vendor': facts.get('cpu_vendor'),
        'topology': {'cells': 1, 'sockets': 1, 'cores': facts.get('cpus', 0), 'threads': 1},
    }
    return {
        'host': record.name,
        'hypervisor_hostname': record.name,
        'uuid': record.uuid,
        'hypervisor_type': 'QEMU',
        'hypervisor_version': 7002000,
        'numa_topology': wire.dumps(wire.write_host(record.host)),
        'cpu_info': json.dumps(cpu),
        'supported_instances': json.dumps(facts.get('domains', [])),
        'cpu_allocation_ratio': record.cpu_allocation_ratio,
        'ram_allocation_ratio': record.ram_allocation_ratio,
        'memory_mb': record.host.memory_mib,
        'deleted': 0,
        # Its own totals, which include what is reserved for the host.
        **dict.fromkeys(('vcpus', 'local_gb', 'vcpus_used', 'memory_mb_used', 'local_gb_used'), 0),
    }


def _pci_device(node: int, slot: int, status: str) -> dict[str, Any]:
    return {
        'compute_node_id': node,
        'address': f'0000:00:{slot:02x}.0',
        'vendor_id': '8086',
        'product_id': '154d',
        'dev_type': 'type-PCI',
        'label': 'label_8086_154d',
        'status': status,
        'deleted': 0,
    }


def _instance(server: InstanceRecord) -> dict[str, Any]:
    guest = server.placement.guest
    return {
        'id': server.number,
        'uuid': server.uuid,
        'display_name': server.name,
        'host': server.host,
        'node': server.host,
        'vm_state': server.vm_state,
        'task_state': None if server.move is None or server.vm_state == 'resized' else 'migrating',
        'vcpus': guest.vcpus,
        'memory_mb': guest.memory_mib,
        'availability_zone': server.availability_zone,
        'created_at': server.created_at.replace(tzinfo=None),
        'instance_type_id': 2 if server.vm_state == 'resized' else 1,
        'deleted': 0,
        'hidden': False,
    }


def _flavor(flavor: Flavor) -> dict[str, Any]:
    data = _api_flavor(1, flavor) | {'extra_specs': dict(flavor.extra_specs)}
    return {
        'nova_object.name': 'Flavor',
        'nova_object.namespace': 'nova',
        'nova_object.version': '1.2',
        'nova_object.data': data,
    }


def instance_extra(server: InstanceRecord) -> dict[str, Any]:
    """Return the row beside that of an instance."""
    move, topology = server.move, None
    if server.placement.cells:
        topology = wire.dumps(wire.write_placement(server.placement))
    flavors = {'cur': _flavor(server.flavor), 'old': None, 'new': None}
    if move is not None and move.kind == 'resize':
        flavors['old'] = _flavor(move.old.flavor)
    return {
        'instance_uuid': server.uuid,
        'numa_topology': topology,
        'flavor': json.dumps(flavors),
        'migration_context': None if move is None else wire.dumps(_context(server, move)),
        'deleted': 0,
    }


def _context(server: InstanceRecord, move: Move) -> Any:
    places = [side.placement if side.placement.cells else None for side in (move.old, move.new)]
    return wire.write_context(wire.Context(server.uuid, move.number or 0, *places))


def _migration(server: InstanceRecord, move: Move) -> dict[str, Any]:
    resized = move.kind == 'resize'
    return {
        'id': move.number,
        'uuid': move.uuid,
        'instance_uuid': server.uuid,
        'source_compute': move.old.host,
        'dest_compute': move.new.host,
        'source_node': move.old.host,
        'dest_node': move.new.host,
        'status': move.status,
        'migration_type': move.kind,
        'old_instance_type_id': 1,
        'new_instance_type_id': 2 if resized else 1,
        'updated_at': move.updated_at and move.updated_at.replace(tzinfo=None),
        'deleted': 0,
        'hidden': False,
    }


def store_placement(connection: sa.Connection, fleet: Fleet) -> None:
    """Fill the database of placement."""
    tables = Tables(connection)
    held = [amounts for provider in fleet.providers for amounts in provider.allocations.values()]
    classes = {name for amounts in (*held, *(provider.inventories for provider in fleet.providers)) for name in amounts}
    traits = {name for provider in fleet.providers for name in provider.traits}
    for table, names in (('resource_classes', classes), ('traits', traits)):
        known = set(connection.scalars(sa.text(f'SELECT name FROM {table}')))
        tables.insert(table, [{'name': name} for name in sorted(names - known)])
    ids = {table: _ids(connection, table) for table in ('resource_classes', 'traits')}
    for number, provider in enumerate(fleet.providers, 1):
        tables.insert(
            'resource_providers', [{'id': number, 'uuid': provider.uuid, 'name': provider.host, 'generation': 1}]
        )
        tables.insert(
            'inventories',
            [
                {
                    'resource_provider_id': number,
                    'resource_class_id': ids['resource_classes'][name],
                    **asdict(inventory),
                }
                for name, inventory in provider.inventories.items()
            ],
        )
        tables.insert(
            'resource_provider_traits',
            [{'resource_provider_id': number, 'trait_id': ids['traits'][name]} for name in sorted(provider.traits)],
        )
        for consumer, amounts in provider.allocations.items():
            store_allocation(connection, number, consumer, amounts)


def _ids(connection: sa.Connection, table: str) -> dict[str, int]:
    return {row.name: row.id for row in connection.execute(sa.text(f'SELECT id, name FROM {table}'))}


def store_allocation(connection: sa.Connection, provider: int, consumer: str, amounts: Mapping[str, int]) -> None:
    """Store what a consumer has of a provider."""
    classes = _ids(connection, 'resource_classes')
    Tables(connection).insert(
        'allocations',
        [
            {
                'resource_provider_id': provider,
                'consumer_id': consumer,
                'resource_class_id': classes[name],
                'used': amount,
            }
            for name, amount in amounts.items()
        ],
    )
