# SPDX-License-Identifier: Apache-2.0
"""Hosts of which schedulers choose."""

import pytest

from numaplace.compute import resource_tracker
from numaplace.db import api
from numaplace.tests import samples


@pytest.fixture
def database(database_url, make_tables, request):
    """Yield a database with as many idle hosts as the HOSTS of the module, all alike."""
    make_tables(database_url)
    with api.connect(database_url) as opened:
        for number in range(request.module.HOSTS):
            resource_tracker.register(opened, samples.host_record(f'host{number}'))
        yield opened
