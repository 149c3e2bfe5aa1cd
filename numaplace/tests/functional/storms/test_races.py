# SPDX-License-Identifier: Apache-2.0
"""Eight processes claim, move and delete at random on four hosts: nothing is handed out twice."""

import sqlalchemy as sa

from numaplace.tests.functional.storms import amount, crew, journal, judge, ledger, worker
from numaplace.tests.functional.storms.worker import Worker
from numaplace.tests.summary import RACES

PROCESSES = 8


def test_eight_processes_hand_nothing_out_twice(world_url, tmp_path, record_property):
    """Usage is the sum of what is held, every generation of a host has one author, and every fault has a reason."""
    paths = [tmp_path / f'journal{number}' for number in range(PROCESSES)]
    share = amount.OPERATIONS // PROCESSES
    processes = [
        crew.start(worker.run, Worker(world_url, amount.SEED, number, path), share) for number, path in enumerate(paths)
    ]
    codes = crew.join(processes)
    found = journal.entries(paths)
    story = f'seed {amount.SEED}: {journal.summary(found)}'
    deadlocks = sum(entry.deadlocks for entry in found)
    record_property(RACES, {f'{sa.make_url(world_url).get_backend_name()}, four hosts: deadlocks': deadlocks})
    assert not judge.faults(found, ledger.at(world_url)), story
    assert codes == [0] * PROCESSES, story
    assert 0 == deadlocks, story
    assert len(found) == share * PROCESSES
    assert {entry.verb for entry in found if entry.outcome == journal.DONE} >= {'claim', 'finish', 'confirm'}, story
