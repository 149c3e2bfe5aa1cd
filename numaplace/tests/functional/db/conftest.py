# SPDX-License-Identifier: Apache-2.0
"""Databases with their tables."""

from collections.abc import Callable, Iterator

import pytest

from numaplace.compute import resource_tracker
from numaplace.db import api
from numaplace.tests import samples
from numaplace.tests.functional.db import moving


@pytest.fixture
def database(database_url: str, make_tables: Callable[[str], None]) -> Iterator[api.Database]:
    """Yield an open database without rows, of each kind in turn."""
    make_tables(database_url)
    with api.connect(database_url) as opened:
        yield opened


@pytest.fixture
def hosts(database: api.Database) -> api.Database:
    """Two idle hosts."""
    for name in ('a', 'b'):
        resource_tracker.register(database, samples.host_record(name))
    return database


@pytest.fixture
def server(hosts: api.Database) -> str:
    """The UUID of a server on host a, with two pinned vCPUs."""
    return moving.place(hosts, moving.SMALL_GUEST)
