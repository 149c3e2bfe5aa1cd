# SPDX-License-Identifier: Apache-2.0
"""Memory encryption and persistent memory of hosts, as JSON; NULL for a host without any."""

import sqlalchemy as sa

from numaplace.db.columns import LONG_TEXT
from numaplace.db.migrations import steps

revision = '0010'
down_revision = '0009'


def upgrade() -> None:
    """Add the column."""
    steps.add_column('compute_nodes', sa.Column('host_resources', LONG_TEXT.type))
