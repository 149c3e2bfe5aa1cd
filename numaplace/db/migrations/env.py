# SPDX-License-Identifier: Apache-2.0
"""Run migrations on the connection, and within the transaction, that :func:`numaplace.db.api.upgrade` holds."""

from alembic import context

from numaplace.db import tables
from numaplace.db.migrations import VERSION_TABLE

context.configure(
    connection=context.config.attributes['connection'],
    target_metadata=tables.METADATA,
    version_table=VERSION_TABLE,
)
context.run_migrations()
