# SPDX-License-Identifier: Apache-2.0
"""Hosts, servers, flavors, migrations and PCI devices."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from numaplace.db.migrations import steps

revision = '0001'
down_revision = None


def _json(name: str, *, nullable: bool = True) -> sa.Column[str]:
    return sa.Column(name, sa.Text().with_variant(mysql.MEDIUMTEXT(), 'mysql'), nullable=nullable)


def _text(name: str, length: int = 255, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=nullable)


def _integer(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=nullable)


def _times() -> list[sa.Column[datetime]]:
    return [sa.Column('created_at', sa.DateTime(), nullable=False), sa.Column('updated_at', sa.DateTime())]


def _create(table: str, *items: sa.Column[Any] | sa.Constraint) -> None:
    key = [sa.Column('id', sa.Integer, nullable=False), sa.PrimaryKeyConstraint('id', name=f'pk_{table}')]
    steps.create_table(table, *key, *items)


def _unique(table: str, column: str) -> sa.UniqueConstraint:
    return sa.UniqueConstraint(column, name=f'uq_{table}_{column}')


def _reference(table: str, column: str, target: str, ondelete: str | None = None) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target], name=f'fk_{table}_{column}', ondelete=ondelete)


def upgrade() -> None:
    """Create the tables."""
    _create_compute_nodes()
    _create_flavors()
    _create_instances()
    _create_migrations()
    _create_pci_devices()


def _create_compute_nodes() -> None:
    _create(
        'compute_nodes',
        _text('uuid', 36),
        _text('host'),
        _text('hypervisor_hostname'),
        _integer('vcpus'),
        _integer('memory_mb'),
        _integer('vcpus_used'),
        _integer('floating_vcpus'),
        _integer('memory_mb_used'),
        sa.Column('cpu_allocation_ratio', sa.Double),
        sa.Column('ram_allocation_ratio', sa.Double),
        _json('numa_topology'),
        _json('host_details'),
        _json('facts', nullable=False),
        _text('availability_zone'),
        _text('status', 16),
        _text('state', 16),
        _integer('generation'),
        *_times(),
        _unique('compute_nodes', 'uuid'),
        _unique('compute_nodes', 'host'),
    )


def _create_flavors() -> None:
    _create(
        'flavors',
        _text('flavorid'),
        _text('name'),
        _integer('memory_mb'),
        _integer('vcpus'),
        _integer('root_gb'),
        _integer('swap'),
        _integer('ephemeral_gb'),
        sa.Column('is_public', sa.Boolean, nullable=False),
        _json('extra_specs', nullable=False),
        *_times(),
        _unique('flavors', 'flavorid'),
        _unique('flavors', 'name'),
    )


def _create_instances() -> None:
    _create(
        'instances',
        _text('uuid', 36),
        _text('display_name'),
        _text('host'),
        _text('vm_state', 32),
        _integer('vcpus'),
        _integer('memory_mb'),
        _integer('root_gb'),
        _json('flavor', nullable=False),
        _json('image_properties', nullable=False),
        _text('availability_zone', nullable=True),
        *_times(),
        _unique('instances', 'uuid'),
        _reference('instances', 'host', 'compute_nodes.host'),
    )
    steps.create_index('ix_instances_display_name', 'instances', 'display_name')
    steps.create_index('ix_instances_host', 'instances', 'host')
    _create(
        'instance_extra',
        _text('instance_uuid', 36),
        _json('numa_topology'),
        _json('guest_details'),
        _json('migration_context'),
        _unique('instance_extra', 'instance_uuid'),
        _reference('instance_extra', 'instance_uuid', 'instances.uuid', 'CASCADE'),
    )


def _create_migrations() -> None:
    _create(
        'migrations',
        _text('uuid', 36),
        _text('instance_uuid', 36),
        _text('source_compute'),
        _text('dest_compute'),
        _text('status', 32),
        _text('migration_type', 32),
        *_times(),
        _unique('migrations', 'uuid'),
        _reference('migrations', 'instance_uuid', 'instances.uuid', 'CASCADE'),
    )
    steps.create_index('ix_migrations_instance_uuid', 'migrations', 'instance_uuid')


def _create_pci_devices() -> None:
    _create(
        'pci_devices',
        _text('uuid', 36),
        _integer('compute_node_id'),
        _text('address', 12),
        _text('vendor_id', 4),
        _text('product_id', 4),
        _text('dev_type', 8),
        _text('parent_addr', 12, nullable=True),
        _integer('numa_node', nullable=True),
        _text('status', 32),
        _text('instance_uuid', 36, nullable=True),
        _json('extra_info'),
        _unique('pci_devices', 'uuid'),
        _reference('pci_devices', 'compute_node_id', 'compute_nodes.id', 'CASCADE'),
        _reference('pci_devices', 'instance_uuid', 'instances.uuid', 'SET NULL'),
    )
    steps.create_index('ix_pci_devices_compute_node_id', 'pci_devices', 'compute_node_id')
    steps.create_index('ix_pci_devices_instance_uuid', 'pci_devices', 'instance_uuid')
