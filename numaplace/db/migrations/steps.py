# SPDX-License-Identifier: Apache-2.0
"""Steps of migrations that are skipped where they were done already.

MariaDB ends the transaction with every table that it makes or changes. An upgrade that dies there leaves the steps that
it made, but not its revision: the next one runs the same script again, and has to finish it.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

__all__ = ['add_column', 'create_index', 'create_table']


def create_table(name: str, *items: sa.schema.SchemaItem, **options: Any) -> None:
    """Create a table without its indexes."""
    if not sa.inspect(op.get_bind()).has_table(name):
        op.create_table(name, *items, **options)


def create_index(name: str, table: str, column: str) -> None:
    """Create an index of one column."""
    if not sa.inspect(op.get_bind()).has_index(table, name):
        op.create_index(name, table, [column])


def add_column(table: str, column: sa.Column[Any]) -> None:
    """Add a column to a table."""
    if column.name not in {known['name'] for known in sa.inspect(op.get_bind()).get_columns(table)}:
        op.add_column(table, column)
