# SPDX-License-Identifier: Apache-2.0
"""Aggregates, server groups, and the project, the hints and the group of servers."""

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from numaplace.db.migrations import steps

revision = '0006'
down_revision = '0005'

_LONG_TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), 'mysql')


def _reference(column: str, table: str) -> sa.ForeignKeyConstraint:
    name = f'fk_aggregate_hosts_{column}'
    return sa.ForeignKeyConstraint([column], [f'{table}.id'], name=name, ondelete='CASCADE')


def upgrade() -> None:
    """Create the tables, and add the columns."""
    steps.add_column('instances', sa.Column('project_id', sa.String(255)))
    steps.add_column('instances', sa.Column('scheduler_hints', _LONG_TEXT))
    steps.add_column('instances', sa.Column('server_group_uuid', sa.String(36)))
    steps.create_index('ix_instances_server_group_uuid', 'instances', 'server_group_uuid')
    steps.create_table(
        'aggregates',
        sa.Column('id', sa.Integer, nullable=False),
        sa.Column('name', sa.String(255), nullable=False),
        sa.Column('metadata', _LONG_TEXT, nullable=False),
        sa.Column('created_at', sa.DateTime(), nullable=False),
        sa.Column('updated_at', sa.DateTime()),
        sa.PrimaryKeyConstraint('id', name='pk_aggregates'),
        sa.UniqueConstraint('name', name='uq_aggregates_name'),
    )
    steps.create_table(
        'aggregate_hosts',
        sa.Column('id', sa.Integer, nullable=False),
        sa.Column('aggregate_id', sa.Integer, nullable=False),
        sa.Column('compute_node_id', sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint('id', name='pk_aggregate_hosts'),
        _reference('aggregate_id', 'aggregates'),
        _reference('compute_node_id', 'compute_nodes'),
    )
    for column in ('aggregate_id', 'compute_node_id'):
        steps.create_index(f'ix_aggregate_hosts_{column}', 'aggregate_hosts', column)
    steps.create_table(
        'server_groups',
        sa.Column('id', sa.Integer, nullable=False),
        sa.Column('uuid', sa.String(36), nullable=False),
        sa.Column('name', sa.String(255), nullable=False),
        sa.Column('policy', sa.String(32), nullable=False),
        sa.Column('max_server_per_host', sa.Integer),
        sa.Column('created_at', sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint('id', name='pk_server_groups'),
        sa.UniqueConstraint('uuid', name='uq_server_groups_uuid'),
        sa.UniqueConstraint('name', name='uq_server_groups_name'),
    )
