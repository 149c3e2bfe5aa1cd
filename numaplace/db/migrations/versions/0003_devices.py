# SPDX-License-Identifier: Apache-2.0
"""Devices of servers."""

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from numaplace.db.migrations import steps

revision = '0003'
down_revision = '0002'


def upgrade() -> None:
    """Add the column."""
    steps.add_column('instances', sa.Column('devices', sa.Text().with_variant(mysql.MEDIUMTEXT(), 'mysql')))
