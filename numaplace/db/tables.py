# SPDX-License-Identifier: Apache-2.0
"""The tables, and the fields of records that their columns hold. Column names are Nova's where Nova has the column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from numaplace import cpuset, exception
from numaplace.db.capacity import ORDERS, ROOMS
from numaplace.db.columns import (
    COUNT,
    FLAG,
    LONG_TEXT,
    MANY_CPUS,
    MEASURE,
    NAME,
    RATIO,
    ROOM,
    SIZE,
    TEXTS,
    TIME,
    TOPOLOGY,
    UUID,
    Fields,
    column,
    json_object,
    now,
    text,
    word,
)
from numaplace.db.consistency import expect
from numaplace.model import Devices, Flavor, grouping, records
from numaplace.model.host_devices import STATUSES
from numaplace.wire.holdings import read_holding, write_holding

__all__ = [
    'AGGREGATES',
    'AGGREGATE_HOSTS',
    'CARRIED_OUT',
    'FLAVOR',
    'FLAVORS',
    'HOSTS',
    'INSTANCES',
    'INSTANCE_EXTRAS',
    'METADATA',
    'MIGRATIONS',
    'PCI_DEVICES',
    'SERVER_GROUPS',
    'UNMANAGED_DOMAINS',
]

METADATA = sa.MetaData(
    naming_convention={
        'ix': 'ix_%(table_name)s_%(column_0_name)s',
        'uq': 'uq_%(table_name)s_%(column_0_name)s',
        'fk': 'fk_%(table_name)s_%(column_0_name)s',
        'pk': 'pk_%(table_name)s',
    }
)


def _table(noun: str, name: str, *columns: sa.Column[Any]) -> sa.Table:
    """Return a table with a number for each row.

    :param noun: what a row is, for messages
    """
    # The migrations create the tables; options that are named after MariaDB would load its dialect here.
    number = column('id', COUNT, field='number', is_written=False, primary_key=True)
    return sa.Table(name, METADATA, number, *columns, info={'noun': noun})


def _created() -> sa.Column[Any]:
    return column('created_at', TIME, is_written=False, default=now)


def _updated() -> sa.Column[Any]:
    return column('updated_at', TIME, is_written=False, nullable=True, onupdate=now)


def _read_facts(source: dict[str, Any]) -> dict[str, Any]:
    """Read what the filters use of a host."""
    for key in ('architecture', 'cpu_model', 'cpu_vendor', 'host_ip'):
        expect(key, isinstance(source.get(key, ''), str), source.get(key), 'a text')
    domains, machines = source.get('domains', []), source.get('machines', {})
    are_triples = isinstance(domains, list) and all(map(_is_domain, domains))
    expect('domains', are_triples, domains, 'lists of architecture, type and mode')
    are_limits = isinstance(machines, dict) and all(map(_are_limits, machines.values()))
    expect('machines', are_limits, machines, 'numbers of vCPUs by machine type, by architecture')
    return source


def _is_domain(found: object) -> bool:
    return isinstance(found, list) and len(found) == 3 and all(isinstance(each, str) for each in found)


def _are_limits(found: object) -> bool:
    return isinstance(found, dict) and all(
        type(number) is int and 0 < number <= cpuset.MAX_CPU + 1 for number in found.values()
    )


#: Hosts; `generation` counts the changes of a row, and the usage in it is derived from the instances.
HOSTS = _table(
    'host',
    'compute_nodes',
    column('uuid', UUID, unique=True),
    column('host', NAME, field='name', unique=True),
    column('hypervisor_hostname', NAME, field='name', is_derived=True),
    column('vcpus', COUNT, field='host.cpu_count'),
    column('memory_mb', COUNT, field='host.memory_mib'),
    column('vcpus_used', COUNT, field='host.vcpus_used'),
    column('floating_vcpus', COUNT, field='host.floating_vcpus'),
    column('memory_mb_used', COUNT, field='host.memory_used_mib'),
    column('cpu_allocation_ratio', RATIO, nullable=True),
    column('ram_allocation_ratio', RATIO, nullable=True),
    # JSON as text: see numaplace.db.topology_json.
    column('numa_topology', LONG_TEXT, field='host.cells', is_written=False, nullable=True),
    column('host_details', LONG_TEXT, field='host.cells', is_written=False, nullable=True),
    column('facts', json_object(_read_facts)),
    column('availability_zone', NAME),
    column('status', word(16, records.ENABLED, records.DISABLED)),
    column('state', word(16, records.UP, records.DOWN)),
    column('libvirt_uri', NAME, nullable=True),
    # Said by its agent; NULL for a host without one, whose state is as stored.
    column('up_until', TIME, is_written=False, nullable=True),
    column('pci_device_count', COUNT, field='host.devices.count', server_default='0'),
    # Rows of UNMANAGED_DOMAINS: a claim reads them only where there are some.
    column('unmanaged_count', COUNT, is_written=False, is_derived=True, server_default='0'),
    column('host_resources', LONG_TEXT, field='host.resources', is_written=False, nullable=True),
    column('generation', COUNT, is_written=False),
    _created(),
    _updated(),
    # See numaplace.db.capacity; NULL where the row could not be read when the columns were added.
    *(column(name, MEASURE, is_written=False, nullable=True) for name in ORDERS),
    *(column(name, ROOM, is_written=False, nullable=True) for name in ROOMS),
)
#: What hosts are chosen by, without their names: an index that has it all needs no look at the rows.
_CHOSEN_BY = ('status', 'state', *ROOMS)
for _first, _second in (ORDERS, ORDERS[::-1]):
    sa.Index(f'ix_compute_nodes_{_first}', *(HOSTS.c[_name] for _name in (_first, 'host', _second, *_CHOSEN_BY)))
# What has changed is found in this index alone: see numaplace.db.changes.
sa.Index('ix_compute_nodes_changes', *(HOSTS.c[_name] for _name in ('id', 'generation', 'host')))

#: Domains of hosts that numaplace does not manage. Whoever changes these rows locks the row of the host first.
UNMANAGED_DOMAINS = _table(
    'domain',
    'unmanaged_domains',
    column('host', NAME, sa.ForeignKey('compute_nodes.host', ondelete='CASCADE'), index=True),
    column('uuid', UUID, field='holding.uuid'),
    column('name', NAME, field='holding.name'),
    column('holding', json_object(read_holding, write_holding)),
    _created(),
)

FLAVORS = _table(
    'flavor',
    'flavors',
    column('flavorid', NAME, field='id', unique=True),
    column('name', NAME, unique=True),
    column('memory_mb', SIZE, field='memory_mib'),
    column('vcpus', MANY_CPUS),
    column('root_gb', COUNT, field='disk_gib'),
    column('swap', COUNT, field='swap_mib'),
    column('ephemeral_gb', COUNT, field='ephemeral_gib'),
    column('is_public', FLAG),
    column('extra_specs', TEXTS),
    _created(),
    _updated(),
)

_WRITTEN = [each for each in FLAVORS.c if each.info['is_written']]
FLAVOR = Fields(_WRITTEN)
#: The copy of a flavor that a server keeps.
_FLAVOR_COPY = Fields(_WRITTEN, in_json=True)


def _read_copy(source: dict[str, Any]) -> Flavor:
    return _FLAVOR_COPY.make(Flavor, _FLAVOR_COPY.read_object(source))


def _read_devices(source: dict[str, Any]) -> Devices:
    from numaplace.request import own_devices  # noqa: PLC0415 - most commands read no devices, and need none of it

    nics, disks = source.get('nics'), source.get('disks')
    if not (isinstance(nics, list) and isinstance(disks, list) and all(isinstance(each, str) for each in nics + disks)):
        raise ValueError("an object with lists of texts, 'nics' and 'disks'")
    try:
        return own_devices(nics, disks)
    except exception.InvalidRequest as error:
        raise exception.InvalidObject(str(error)) from None


def _write_devices(found: Devices) -> dict[str, Any] | None:
    """Write the devices of a server, each in the form that users write."""
    if not (found.nics or found.disks):
        return None
    return {'nics': list(map(str, found.nics)), 'disks': list(map(str, found.disks))}


_FLAVOR_KIND = json_object(_read_copy, _FLAVOR_COPY.write)


def _read_tags(source: dict[str, Any]) -> dict[str, str]:
    tags = source.get('tags', {})
    if not (isinstance(tags, dict) and all(isinstance(value, str) for value in tags.values())):
        raise ValueError("an object with texts by name in 'tags'")
    return tags


def _write_tags(tags: Mapping[str, str | None]) -> dict[str, Any] | None:
    given = {name: value for name, value in tags.items() if value is not None}
    return {'tags': given} if given else None


def _read_hints(source: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    for values in source.values():
        if not (isinstance(values, list) and all(isinstance(value, str) for value in values)):
            raise ValueError('an object with lists of texts')
    return {name: tuple(values) for name, values in source.items()}


def _write_hints(hints: Mapping[str, tuple[str, ...]]) -> dict[str, Any] | None:
    return {name: list(values) for name, values in hints.items()} or None


#: Servers; `generation` counts the changes of a row. The rows of this table, of `instance_extra` and of `migrations`
#: are the source of truth for what a host's guests hold.
INSTANCES = _table(
    'server',
    'instances',
    column('uuid', UUID, unique=True),
    column('display_name', NAME, field='name', index=True),
    column('host', NAME, sa.ForeignKey('compute_nodes.host'), nullable=True, index=True),
    column('vm_state', word(32, records.ACTIVE, records.RESIZED, records.SHELVED_OFFLOADED)),
    column('vcpus', MANY_CPUS, field='placement.guest.vcpus'),
    column('memory_mb', SIZE, field='placement.guest.memory_mib'),
    column('root_gb', COUNT, field='flavor.disk_gib'),
    column('flavor', _FLAVOR_KIND),
    column('image_properties', TEXTS),
    column('devices', json_object(_read_devices, _write_devices), nullable=True),
    # Of a domain that was there before the server.
    column('domain_name', NAME, field='adopted_name', nullable=True, index=True),
    column('availability_zone', NAME, nullable=True),
    column('generation', COUNT, is_written=False, default=0, server_default='0'),
    column('project_id', NAME, field='project', nullable=True),
    column('scheduler_hints', json_object(_read_hints, _write_hints), field='hints', nullable=True),
    column('server_group_uuid', UUID, field='group', nullable=True, index=True),
    column('created_at', TIME),
    _updated(),
)

#: The larger parts of servers; `numa_topology` is NULL for a guest that floats, or has no host. `migration_context`
#: and `move_details` are NULL unless a move is in progress.
INSTANCE_EXTRAS = _table(
    'server',
    'instance_extra',
    column('instance_uuid', UUID, sa.ForeignKey('instances.uuid', ondelete='CASCADE'), unique=True),
    *(
        column(name, kind, nullable=True)
        for name, kind in (
            ('numa_topology', TOPOLOGY),
            ('guest_details', json_object()),
            ('migration_context', TOPOLOGY),
            ('move_details', json_object()),
        )
    ),
)

#: Moves of servers, from one host to another or to another flavor; in progress or over.
MIGRATIONS = _table(
    'migration',
    'migrations',
    column('uuid', UUID, unique=True),
    column('instance_uuid', UUID, sa.ForeignKey('instances.uuid', ondelete='CASCADE'), index=True),
    column('source_compute', NAME, field='source', index=True),
    column('dest_compute', NAME, field='dest', index=True),
    column('status', word(32, *records.IN_PROGRESS, *records.ENDED)),
    column('migration_type', word(32, *records.KINDS), field='kind'),
    column('old_flavor', _FLAVOR_KIND, nullable=True),
    column('new_flavor', _FLAVOR_KIND, nullable=True),
    _created(),
    _updated(),
)

#: PCI devices of hosts, with their usage as it follows from the servers, and which server holds each. Whoever changes
#: these rows locks the row of the host first.
PCI_DEVICES = _table(
    'PCI device',
    'pci_devices',
    column('uuid', UUID, unique=True),
    column('compute_node_id', COUNT, sa.ForeignKey('compute_nodes.id', ondelete='CASCADE'), index=True),
    *(column(name, text(length)) for name, length in (('address', 12), ('vendor_id', 4), ('product_id', 4))),
    column('dev_type', text(8)),
    column('parent_addr', text(12), field='parent', nullable=True),
    column('numa_node', COUNT, nullable=True),
    column('status', word(32, *STATUSES)),
    column('instance_uuid', UUID, sa.ForeignKey('instances.uuid', ondelete='SET NULL'), nullable=True, index=True),
    column('extra_info', json_object(_read_tags, _write_tags), field='tags', nullable=True),
)

#: Groups of hosts, and which hosts they have; `generation` counts the changes of both.
AGGREGATES = _table(
    'aggregate',
    'aggregates',
    column('name', NAME, unique=True),
    column('metadata', TEXTS),
    column('generation', COUNT, is_written=False, default=0, server_default='0'),
    _created(),
    _updated(),
)
AGGREGATE_HOSTS = _table(
    'host of an aggregate',
    'aggregate_hosts',
    column('aggregate_id', COUNT, sa.ForeignKey('aggregates.id', ondelete='CASCADE'), index=True),
    column('compute_node_id', COUNT, sa.ForeignKey('compute_nodes.id', ondelete='CASCADE'), index=True),
)

#: Groups of servers with a policy; `instances.server_group_uuid` names that of a server.
SERVER_GROUPS = _table(
    'server group',
    'server_groups',
    column('uuid', UUID, unique=True),
    column('name', NAME, unique=True),
    column('policy', word(32, *grouping.POLICIES)),
    column('max_server_per_host', SIZE, nullable=True),
    _created(),
)

#: What schedulers have done of the requests on the bus: a message may be delivered twice. A row is written in the
#: transaction that does it; its UUID is made from those of the request and of the server.
CARRIED_OUT = _table(
    'request',
    'carried_out',
    column('uuid', UUID, unique=True),
    column('created_at', TIME, is_written=False, default=now, index=True),
)
