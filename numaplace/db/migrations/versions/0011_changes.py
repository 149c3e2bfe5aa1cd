# SPDX-License-Identifier: Apache-2.0
"""What tells which hosts and aggregates have changed, and names that compare by code point on PostgreSQL too."""

import sqlalchemy as sa

from numaplace.db.migrations import steps

revision = '0011'
down_revision = '0010'


def upgrade() -> None:
    """Add the generations of aggregates and the index of those of hosts; change the collation of texts."""
    steps.add_column('aggregates', sa.Column('generation', sa.Integer, nullable=False, server_default='0'))
    steps.create_index('ix_compute_nodes_changes', 'compute_nodes', 'id', 'generation', 'host')
    steps.compare_by_code_point()
