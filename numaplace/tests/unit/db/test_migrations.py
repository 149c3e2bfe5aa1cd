# SPDX-License-Identifier: Apache-2.0
"""The statements that create the tables on each kind of server."""

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.schema import CreateTable

from numaplace.db import tables
from numaplace.db.migrations import steps

COLLATIONS = {'MariaDB': (True, 'utf8mb4_nopad_bin'), 'MySQL': (False, 'utf8mb4_0900_bin')}


def ddl(dialect):
    """Return the statement of each table."""
    copies = sa.MetaData()
    for table in tables.METADATA.sorted_tables:
        table.to_metadata(copies).dialect_kwargs.update(steps.table_options(dialect))
    return [str(CreateTable(table).compile(dialect=dialect)) for table in copies.sorted_tables]


@pytest.mark.parametrize(('is_mariadb', 'collation'), COLLATIONS.values(), ids=COLLATIONS)
def test_each_server_gets_its_own_collation_by_code_point(is_mariadb, collation):
    for statement in ddl(mysql.dialect(is_mariadb=is_mariadb)):
        assert f'CHARSET=utf8mb4 COLLATE {collation}' in statement.replace('DEFAULT ', '')
        assert 'ENGINE=InnoDB' in statement


@pytest.mark.parametrize('dialect', [sqlite.dialect(), postgresql.dialect()], ids=['SQLite', 'PostgreSQL'])
def test_the_others_compare_by_code_point_anyway(dialect):
    for statement in ddl(dialect):
        assert 'COLLATE' not in statement
