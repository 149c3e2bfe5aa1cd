# SPDX-License-Identifier: Apache-2.0
"""Real parts that a test needs: skip with a reason where one is missing, fail where all have to be there."""

import importlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import NoReturn

import pytest
import sqlalchemy

__all__ = ['REQUIRED', 'require_module', 'require_program', 'scratch_database', 'server_url']

#: The variable that turns a missing part from a skip into a failure.
REQUIRED = 'NUMAPLACE_REQUIRE_REAL'

#: Servers by kind: the variable that names another one, and where it is otherwise. Without TLS, for which PyMySQL would
#: read all certificates of the machine at each connection, in 36 ms.
_SERVERS = {
    'mysql': ('NUMAPLACE_TEST_MYSQL', 'mysql+pymysql://root@127.0.0.1:3306/?ssl_disabled=true'),
    'postgresql': ('NUMAPLACE_TEST_POSTGRESQL', 'postgresql+psycopg2://postgres@127.0.0.1:5432/postgres'),
}


def missing(part: str) -> NoReturn:
    """End the test: a real part is not there."""
    reason = f'missing real part: {part}'
    if os.environ.get(REQUIRED):
        pytest.fail(f'{reason} ({REQUIRED} is set)', pytrace=False)
    pytest.skip(reason)


def require_program(name: str) -> str:
    """Return the path of a program; the test ends if there is none.

    ``virt-xml-validate`` is a script around ``xmllint``, which Debian packages apart: it needs both.
    """
    for needed in ('xmllint', name) if name == 'virt-xml-validate' else (name,):
        path = shutil.which(needed)
        if path is None:
            missing(f'the program {needed}')
    return path


def require_module(name: str) -> ModuleType:
    """Return an imported module; the test ends if it cannot be imported."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        missing(f'the module {name} ({error})')


def server_url(kind: str) -> str:
    """Return the URL of a server, without a database."""
    variable, default = _SERVERS[kind]
    return os.environ.get(variable, default)


@contextmanager
def scratch_database(kind: str, options: str = '') -> Iterator[str]:
    """Yield the URL of an empty database on a real server, and drop it afterwards.

    :param kind: ``mysql`` (which MariaDB speaks too) or ``postgresql``
    :param options: of ``CREATE DATABASE``
    """
    url = sqlalchemy.make_url(server_url(kind))
    server = sqlalchemy.create_engine(
        url, isolation_level='AUTOCOMMIT', poolclass=sqlalchemy.NullPool, connect_args={'connect_timeout': 5}
    )
    name = f'numaplace_test_{uuid.uuid4().hex}'
    try:
        with server.connect() as connection:
            connection.execute(sqlalchemy.text(f'CREATE DATABASE {name} {options}'))
    except (ImportError, sqlalchemy.exc.OperationalError) as error:
        missing(f'{kind} at {url.host}:{url.port} ({_SERVERS[kind][0]} names another): {error}')
    try:
        yield url.set(database=name).render_as_string(hide_password=False)
    finally:
        force = ' WITH (FORCE)' if kind == 'postgresql' else ''
        with server.connect() as connection:
            connection.execute(sqlalchemy.text(f'DROP DATABASE {name}{force}'))
