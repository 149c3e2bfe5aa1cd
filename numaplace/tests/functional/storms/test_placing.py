# SPDX-License-Identifier: Apache-2.0
"""Eight processes place servers by indexes of their own, which others outdate: nothing is handed out twice."""

from functools import partial

import pytest
import sqlalchemy as sa

from numaplace.tests.functional.storms import amount, crew, journal, judge, ledger, placing
from numaplace.tests.functional.storms.worker import Worker
from numaplace.tests.summary import RACES

PROCESSES = 8
#: Each of these operations reads more than one of the other storms.
OPERATIONS = amount.OPERATIONS // (5 if amount.IS_LONG else 10)


@pytest.mark.parametrize(
    'by_index',
    [
        True,
        pytest.param(
            False, marks=pytest.mark.skipif(not amount.IS_LONG, reason='NUMAPLACE_STORM asks for a comparison')
        ),
    ],
    ids=['index', 'all hosts'],
)
def test_eight_schedulers_hand_nothing_out_twice(world_url, tmp_path, record_property, by_index):
    """Usage is the sum of what is held, every fault has a reason, and claims that others were faster on are counted."""
    paths = [tmp_path / f'journal{number}' for number in range(PROCESSES)]
    share = OPERATIONS // PROCESSES
    work = partial(placing.run, by_index=by_index)
    processes = [
        crew.start(work, Worker(world_url, amount.SEED, number, path), share) for number, path in enumerate(paths)
    ]
    codes = crew.join(processes)
    found = journal.entries(paths)
    story = f'seed {amount.SEED}: {journal.summary(found)}'
    counts = placing.counts(paths)
    place = f'{sa.make_url(world_url).get_backend_name()}, placing by {"index" if by_index else "all hosts"}'
    record_property(RACES, {f'{place}: claims {what}': number for what, number in counts.items()})
    assert not judge.faults(found, ledger.at(world_url)), story
    assert codes == [0] * PROCESSES, story
    assert len(found) == share * PROCESSES
    assert counts['won'] >= PROCESSES // 2, story
