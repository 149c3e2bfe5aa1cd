# SPDX-License-Identifier: Apache-2.0
"""Sixteen processes claim and release on one host, and an operator changes it: everybody waits, and nobody gives up."""

from dataclasses import asdict

import pytest
import sqlalchemy as sa

from numaplace.db import api
from numaplace.tests.functional.storms import ledger, load
from numaplace.tests.summary import RACES

#: Changes by the operator; the benchmark does any number.
CALLS = 60


@pytest.fixture
def loaded_url(database_url, make_tables):
    """URL of a database with the host, of each kind in turn."""
    make_tables(database_url)
    with api.connect(database_url) as database:
        load.prepare(database)
    return database_url


def test_claims_on_one_host_wait_for_each_other_and_an_operator_is_served(loaded_url, tmp_path, record_property):
    """No deadlock, no transaction that is repeated, and no change of the host that gives up; its time is reported."""
    with api.connect(loaded_url) as database, load.running(loaded_url, tmp_path) as done:
        found = load.operate(database, lambda number: number == CALLS)
    name = sa.make_url(loaded_url).get_backend_name()
    slowest_ms = {f'slowest {what} in ms': round(each.slowest_s * 1000) for what, each in found.items()}
    counts = asdict(done) | slowest_ms
    record_property(RACES, {f'{name}, one host: {what}': count for what, count in counts.items()})
    assert (0, 0, 0) == (done.deadlocks, done.retries, done.given_up)
    assert done.claims >= load.PROCESSES
    assert [] == [what for what, each in found.items() if each.given_up]
    assert ledger.at(loaded_url).faults() == []
