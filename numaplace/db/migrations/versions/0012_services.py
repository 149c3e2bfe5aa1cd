# SPDX-License-Identifier: Apache-2.0
"""Until when the agent of a host says that it is up, and which requests the schedulers have carried out."""

import sqlalchemy as sa

from numaplace.db.migrations import steps

revision = '0012'
down_revision = '0011'


def upgrade() -> None:
    """Add the column and the table."""
    steps.add_column('compute_nodes', sa.Column('up_until', sa.DateTime))
    steps.create_table(
        'carried_out',
        sa.Column('id', sa.Integer, nullable=False),
        sa.Column('uuid', sa.String(36), nullable=False),
        sa.Column('created_at', sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint('id', name='pk_carried_out'),
        sa.UniqueConstraint('uuid', name='uq_carried_out_uuid'),
    )
    steps.create_index('ix_carried_out_created_at', 'carried_out', 'created_at')
    steps.compare_by_code_point()
