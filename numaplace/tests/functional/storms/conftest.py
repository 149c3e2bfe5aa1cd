# SPDX-License-Identifier: Apache-2.0
"""Databases with the hosts of the storms."""

from collections.abc import Callable

import pytest

from numaplace.db import api
from numaplace.tests.functional.storms import world


@pytest.fixture
def world_url(database_url: str, make_tables: Callable[[str], None]) -> str:
    """URL of a database with four hosts that nobody uses, of each kind in turn."""
    make_tables(database_url)
    with api.connect(database_url) as database:
        world.fill(database)
    return database_url
