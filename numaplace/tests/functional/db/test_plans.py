# SPDX-License-Identifier: Apache-2.0
"""Plans are made by the claims on every kind of database, move by move as they were planned."""

import random

import pytest

from numaplace.db import api
from numaplace.tests.property import plan_judge, planned


@pytest.mark.parametrize('check', plan_judge.CHECKS, ids=lambda check: check.__name__)
def test_the_claims_make_each_move_of_a_plan(database_url, make_tables, check):
    make_tables(database_url)
    with api.connect(database_url) as database:
        planned.fill(random.Random(3), database, **plan_judge.CROWDS.get(check, {}))
        check(database)
