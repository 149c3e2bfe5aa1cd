# SPDX-License-Identifier: Apache-2.0
"""Databases with their tables."""

from collections.abc import Iterator

import pytest

from numaplace.db import api


@pytest.fixture
def database(database_url: str) -> Iterator[api.Database]:
    """Yield an open database without rows, of each kind in turn."""
    api.upgrade(database_url)
    with api.connect(database_url) as opened:
        yield opened
