# SPDX-License-Identifier: Apache-2.0
"""Plans on small fleets: no sequence of moves does better, and the real claims make every move as it was planned."""

import os
import random

import pytest

from numaplace.db import api
from numaplace.tests.property import plan_judge, planned

#: Drawn fleets, each with several plans; more by hand.
FLEETS = int(os.environ.get('NUMAPLACE_PLAN_FLEETS', '12'))
_SHARES = 4


@pytest.fixture
def empty(tmp_path):
    """A database file with its tables."""
    file = tmp_path / 'empty.sqlite'
    api.upgrade(f'sqlite:///{file}')
    return file


@pytest.mark.parametrize('share', range(_SHARES))
@pytest.mark.parametrize('check', plan_judge.CHECKS, ids=lambda check: check.__name__)
def test_no_sequence_of_moves_is_better_and_the_claims_make_each(share, check, empty):
    for seed in range(share * FLEETS // _SHARES, (share + 1) * FLEETS // _SHARES):
        with api.connect(f'sqlite:///{empty}') as database, database.rehearsal():
            planned.fill(random.Random(seed), database, **plan_judge.CROWDS.get(check, {}))
            try:
                check(database)
            except AssertionError as error:
                raise AssertionError(f'seed {seed}: {error}') from error
