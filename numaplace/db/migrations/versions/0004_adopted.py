# SPDX-License-Identifier: Apache-2.0
"""Servers that were domains before."""

import sqlalchemy as sa

from numaplace.db.migrations import steps

revision = '0004'
down_revision = '0003'


def upgrade() -> None:
    """Add the column, and the index that finds names which are in use."""
    steps.add_column('instances', sa.Column('domain_name', sa.String(255)))
    steps.create_index('ix_instances_domain_name', 'instances', 'domain_name')
