# SPDX-License-Identifier: Apache-2.0
"""The number of PCI devices of each host: without any, nobody looks for them."""

import sqlalchemy as sa

from numaplace.db.migrations import steps

revision = '0007'
down_revision = '0006'


def upgrade() -> None:
    """Add the column."""
    steps.add_column('compute_nodes', sa.Column('pci_device_count', sa.Integer, nullable=False, server_default='0'))
