# SPDX-License-Identifier: Apache-2.0
"""The number of domains of each host that numaplace does not manage: without any, no claim looks for them."""

import sqlalchemy as sa
from alembic import op

from numaplace.db.migrations import steps

revision = '0009'
down_revision = '0008'

_HOSTS = sa.table('compute_nodes', sa.column('host'), sa.column('unmanaged_count'))
_DOMAINS = sa.table('unmanaged_domains', sa.column('host'))


def upgrade() -> None:
    """Add the column, and count."""
    steps.add_column('compute_nodes', sa.Column('unmanaged_count', sa.Integer, nullable=False, server_default='0'))
    number = sa.select(sa.func.count()).select_from(_DOMAINS).where(_DOMAINS.c.host == _HOSTS.c.host)
    op.execute(sa.update(_HOSTS).values(unmanaged_count=number.scalar_subquery()))
