# SPDX-License-Identifier: Apache-2.0
"""What the tests of the services share."""

import pytest

from numaplace.compute import claims
from numaplace.tests import real, samples
from numaplace.tests.functional.cli.conftest import _prepared, make_program, numaplace, prepared

__all__ = ['_prepared', 'make_program', 'numaplace', 'prepared']


@pytest.fixture
def database_url_mysql():
    """URL of an empty database on MariaDB."""
    with real.scratch_database('mysql') as url:
        yield url


@pytest.fixture
def make_claim():
    """Return a function that claims a pinned server on a host and returns it."""

    def claim(database, host):
        guest = samples.guest(vcpus=2, memory_mib=64)
        return claims.instance_claim(database, samples.instance_request(guest), host).instance

    return claim
