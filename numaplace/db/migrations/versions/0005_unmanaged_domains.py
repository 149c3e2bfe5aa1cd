# SPDX-License-Identifier: Apache-2.0
"""Domains that numaplace does not manage, and the libvirt of each host."""

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from numaplace.db.migrations import steps

revision = '0005'
down_revision = '0004'


def upgrade() -> None:
    """Add the column and the table."""
    steps.add_column('compute_nodes', sa.Column('libvirt_uri', sa.String(255)))
    steps.create_table(
        'unmanaged_domains',
        sa.Column('id', sa.Integer, nullable=False),
        sa.Column('host', sa.String(255), nullable=False),
        sa.Column('uuid', sa.String(36), nullable=False),
        sa.Column('name', sa.String(255), nullable=False),
        sa.Column('holding', sa.Text().with_variant(mysql.MEDIUMTEXT(), 'mysql'), nullable=False),
        sa.Column('created_at', sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint('id', name='pk_unmanaged_domains'),
        sa.ForeignKeyConstraint(['host'], ['compute_nodes.host'], name='fk_unmanaged_domains_host', ondelete='CASCADE'),
    )
    steps.create_index('ix_unmanaged_domains_host', 'unmanaged_domains', 'host')
