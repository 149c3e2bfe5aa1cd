# SPDX-License-Identifier: Apache-2.0
"""Scratch databases on every server that numaplace supports."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from numaplace.tests import real
from numaplace.tests.functional.tables import Templates


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """URL of an SQLite file that does not exist yet."""
    return f'sqlite:///{tmp_path / "numaplace.sqlite"}'


@pytest.fixture
def mysql_url() -> Iterator[str]:
    """URL of an empty MariaDB database."""
    with real.scratch_database('mysql') as url:
        yield url


@pytest.fixture
def postgresql_url() -> Iterator[str]:
    """URL of an empty PostgreSQL database."""
    with real.scratch_database('postgresql') as url:
        yield url


@pytest.fixture(params=['sqlite', 'mysql', 'postgresql'])
def database_url(request: pytest.FixtureRequest) -> str:
    """URL of an empty database, for each kind in turn."""
    return request.getfixturevalue(f'{request.param}_url')


@pytest.fixture(scope='session')
def make_tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], None]]:
    """Yield a function that gives an empty database the tables of this release."""
    with ExitStack() as stack:
        yield Templates(tmp_path_factory.mktemp('tables'), stack).copy_to
