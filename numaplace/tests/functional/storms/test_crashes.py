# SPDX-License-Identifier: Apache-2.0
"""Processes that are killed by SIGKILL in the middle of claims and moves leave the whole of each, or nothing."""

import random
import signal
import time

from numaplace.tests.functional.storms import crew, journal, judge, ledger, worker
from numaplace.tests.functional.storms.worker import Worker

#: On each database; with those of the upgrades more than two hundred.
KILLS = 50
#: Two or three claims or moves have so many moments.
MOMENTS = 40
#: Longest time that one that is killed from outside has, in seconds.
LONGEST_S = 0.03


def die(victim, dice):
    """Let a process do what it likes until it is killed: at a moment of its own work, or from outside."""
    by_fuse = victim.number % 2 == 0
    process = crew.start(worker.run_until_killed, victim, dice.randrange(MOMENTS) if by_fuse else None)
    if not by_fuse:
        while not victim.path.exists():
            time.sleep(0.001)
        time.sleep(dice.uniform(0, LONGEST_S))
        process.kill()
    assert crew.join([process]) == [-signal.SIGKILL]


def test_whoever_dies_leaves_the_state_before_or_after(world_url, tmp_path):
    """After each death the database opens, the usage is the sum of what is held, and somebody else can claim."""
    dice, paths = random.Random(world_url.partition(':')[0]), []
    for number in range(KILLS):
        paths += [tmp_path / f'killed{number}', tmp_path / f'next{number}']
        die(Worker(world_url, 'killed', number, paths[-2]), dice)
        assert crew.join([crew.start(worker.claim, Worker(world_url, 'next', number, paths[-1]))]) == [0]
        (entry,) = journal.entries(paths[-1:])
        assert entry.outcome in (journal.DONE, journal.REFUSED), entry
        assert ledger.at(world_url).faults() == []
    found = journal.entries(paths)
    assert not judge.faults(found, ledger.at(world_url), cut_off=True), journal.summary(found)
    killed = {entry.verb for entry in found if entry.outcome == journal.KILLED}
    assert 'claim' in killed, journal.summary(found)
    assert len(killed) > 4, journal.summary(found)
