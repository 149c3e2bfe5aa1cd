# SPDX-License-Identifier: Apache-2.0
"""Moves: servers without a host, generations of servers, and what a move holds on its other side."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from numaplace.db.migrations import steps

revision = '0002'
down_revision = '0001'


def _json(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text().with_variant(mysql.MEDIUMTEXT(), 'mysql'))


def upgrade() -> None:
    """Add the columns, and allow servers without a host."""
    steps.add_column('instances', sa.Column('generation', sa.Integer, nullable=False, server_default='0'))
    steps.add_column('instance_extra', _json('move_details'))
    steps.add_column('migrations', _json('old_flavor'))
    steps.add_column('migrations', _json('new_flavor'))
    for column in ('source_compute', 'dest_compute'):
        steps.create_index(f'ix_migrations_{column}', 'migrations', column)
    if op.get_bind().dialect.name == 'sqlite':
        _let_hosts_be_null(op.get_bind())
    else:
        op.alter_column('instances', 'host', existing_type=sa.String(255), nullable=True)


def _let_hosts_be_null(connection: sa.Connection) -> None:
    """Remove the constraint in SQLite's own table, as its documentation of ALTER TABLE describes for such changes.

    Replacing the table with a copy would delete the rows that refer to it, and forget which numbers were used.
    """
    (version,) = connection.exec_driver_sql('PRAGMA schema_version').one()
    connection.exec_driver_sql('PRAGMA writable_schema = ON')
    connection.exec_driver_sql(
        "UPDATE sqlite_master SET sql = replace(sql, 'host VARCHAR(255) NOT NULL', 'host VARCHAR(255)') "
        "WHERE type = 'table' AND name = 'instances'"
    )
    connection.exec_driver_sql(f'PRAGMA schema_version = {version + 1}')
    connection.exec_driver_sql('PRAGMA writable_schema = OFF')
