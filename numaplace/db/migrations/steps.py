# SPDX-License-Identifier: Apache-2.0
"""Steps of migrations, which are skipped if they were done already.

MariaDB commits the transaction with every table that it creates or changes. An upgrade that dies there leaves its steps
done, but not its revision stored: the next one runs the same script again, and has to finish it.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

__all__ = ['add_column', 'compare_by_code_point', 'create_index', 'create_table', 'table_options']


def table_options(dialect: sa.Dialect) -> dict[str, Any]:
    """Return the options of a table.

    Names compare as SQLite and PostgreSQL compare them: by code point, spaces at the end included. The collation that
    does so has one name in MariaDB and another in MySQL.
    """
    is_mariadb = getattr(dialect, 'is_mariadb', False)
    return {
        'mysql_engine': 'InnoDB',
        'mysql_charset': 'utf8mb4',
        'mysql_collate': 'utf8mb4_nopad_bin' if is_mariadb else 'utf8mb4_0900_bin',
        # A number once given to a server is never given to another one.
        'sqlite_autoincrement': True,
    }


def create_table(name: str, *items: sa.schema.SchemaItem) -> None:
    """Create a table without its indexes."""
    bind = op.get_bind()
    if not sa.inspect(bind).has_table(name):
        op.create_table(name, *items, **table_options(bind.dialect))


def create_index(name: str, table: str, *columns: str) -> None:
    """Create an index."""
    if not sa.inspect(op.get_bind()).has_index(table, name):
        op.create_index(name, table, list(columns))


def add_column(table: str, column: sa.Column[Any]) -> None:
    """Add a column to a table."""
    if column.name not in {known['name'] for known in sa.inspect(op.get_bind()).get_columns(table)}:
        op.add_column(table, column)


def compare_by_code_point() -> None:
    """Let all short texts compare by code point, whatever the collation of the database, as Python sorts them.

    Only PostgreSQL needs it: SQLite does so, and the tables of MariaDB have such a collation.
    """
    bind = op.get_bind()
    if bind.dialect.name != 'postgresql':
        return
    known = sa.inspect(bind)
    for table in known.get_table_names():
        for column in known.get_columns(table):
            kind = column['type']
            if isinstance(kind, sa.VARCHAR) and kind.collation != 'C':
                op.alter_column(table, column['name'], type_=sa.VARCHAR(kind.length, collation='C'))
