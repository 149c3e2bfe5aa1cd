# SPDX-License-Identifier: Apache-2.0
"""The tables of this release in an empty database: copied from a template, which is several times faster."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path

import sqlalchemy as sa

from numaplace.db import api
from numaplace.db.migrations import VERSION_TABLE
from numaplace.tests import real

__all__ = ['Templates']


class Templates:
    """A database of each kind with tables and without rows, which is made when it is first asked for.

    :param directory: for the SQLite file
    :param stack: drops those on servers at its end
    """

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self._directory, self._stack = directory, stack
        self._known: dict[str, sa.URL] = {}

    def copy_to(self, url: str) -> None:
        """Give an empty database the tables, as :func:`numaplace.db.api.upgrade` does."""
        target = sa.make_url(url)
        kind = target.get_backend_name()
        if kind not in self._known:
            self._known[kind] = self._made(kind)
        _COPIES[kind](self._known[kind], target)

    def _made(self, kind: str) -> sa.URL:
        if kind == 'sqlite':
            url = f'sqlite:///{self._directory / "template.sqlite"}'
        else:
            url = self._stack.enter_context(real.scratch_database(kind))
        api.upgrade(url)
        return sa.make_url(url)


def _copy_file(template: sa.URL, target: sa.URL) -> None:
    shutil.copy(str(template.database), str(target.database))


def _copy_on_mariadb(template: sa.URL, target: sa.URL) -> None:
    engine = sa.create_engine(target, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql('SET FOREIGN_KEY_CHECKS = 0')  # they come in any order
        for (name,) in connection.exec_driver_sql(f'SHOW TABLES FROM {template.database}').all():
            _, statement = connection.exec_driver_sql(f'SHOW CREATE TABLE {template.database}.{name}').one()
            connection.exec_driver_sql(statement)
        rows = f'SELECT * FROM {template.database}.{VERSION_TABLE}'
        connection.exec_driver_sql(f'INSERT INTO {VERSION_TABLE} {rows}')


def _copy_on_postgresql(template: sa.URL, target: sa.URL) -> None:
    """Replace the empty database, as only a new one can be a copy."""
    engine = sa.create_engine(template.set(database='postgres'), isolation_level='AUTOCOMMIT', poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(f'DROP DATABASE {target.database}')
        connection.exec_driver_sql(f'CREATE DATABASE {target.database} TEMPLATE {template.database}')


_COPIES = {'sqlite': _copy_file, 'mysql': _copy_on_mariadb, 'postgresql': _copy_on_postgresql}
