# SPDX-License-Identifier: Apache-2.0
"""Plans on small fleets: no sequence of moves does better, and the real claims make every move as it was planned."""

import os
import random

import pytest

from numaplace.compute import migration
from numaplace.db import api
from numaplace.model.records import MIGRATION
from numaplace.operations.servers import MOVES, Direct
from numaplace.planning import goals
from numaplace.tests.property import planned

#: Drawn fleets, each with several plans; more by hand.
FLEETS = int(os.environ.get('NUMAPLACE_PLAN_FLEETS', '12'))
_SHARES = 4
_SECONDS = 60


def _replay(database, plan):
    """Make the moves of a plan through the claims; each server gets what the plan says."""
    for step in plan.steps:
        server = database.instance(step.server)
        assert step.source == server.host
        moved = Direct(planned.CONF).do(database, MOVES[step.kind], server.uuid, host=step.destination)
        assert (step.destination, step.placement) == (moved.host, moved.placement)
        if step.kind == MIGRATION:
            migration.confirm(database, server.uuid, moved.move.uuid)


def _at_once(plan):
    """No host of a group both loses a server and gets one."""
    for group in {step.group for step in plan.steps}:
        steps = [step for step in plan.steps if step.group == group]
        assert not {step.source for step in steps} & {step.destination for step in steps}
        assert len({step.server for step in steps}) == len(steps)


def _judge(plan, measured, start, measure):
    """No sequence of moves reaches more, or as much with fewer moves; the bound is one."""
    best, moves = planned.fewest(start, measure, start.servers)
    assert (measured, len(plan.steps)) <= (best, moves)
    if measured == best:
        assert plan.fewest_moves <= moves


def _drain(database):
    fleet = database.fleet()
    start = planned.state(fleet, closed=('h0',))
    plan = goals.drain(start, ('h0',), _SECONDS)
    _at_once(plan)
    _judge(plan, len(plan.stuck), start, lambda state: len(state.on(['h0'])['h0']))
    _replay(database, plan)
    left = database.instances('h0')
    assert sorted(one.server for one in plan.stuck) == sorted(server.uuid for server in left)


def _consolidate(database):
    start = planned.state(database.fleet())
    plan = goals.consolidate(start, _SECONDS, 1.0)
    _at_once(plan)

    def active(state):
        return sum(bool(servers) for servers in state.on(state.hosts).values())

    ((_before, after, best),) = plan.measures.values()
    assert best <= after
    _judge(plan, after, start, active)
    _replay(database, plan)
    assert after == len({server.host for server in database.instances()})


def _rebalance(database):
    start = planned.state(database.fleet())
    plan = goals.rebalance(start, _SECONDS, 1.0, 'vcpus')
    _at_once(plan)

    def largest(state):
        return max(10 * goals.share(state, host, 'vcpus') for host in state.open_hosts())

    ((_before, after, best),) = plan.measures.values()
    assert best <= after
    _judge(plan, 10 * after, start, largest)
    _replay(database, plan)


@pytest.fixture
def empty(tmp_path):
    """A database file with its tables."""
    file = tmp_path / 'empty.sqlite'
    api.upgrade(f'sqlite:///{file}')
    return file


@pytest.mark.parametrize('share', range(_SHARES))
@pytest.mark.parametrize('check', [_drain, _consolidate, _rebalance], ids=lambda check: check.__name__[1:])
def test_no_sequence_of_moves_is_better_and_the_claims_make_each(share, check, empty):
    for seed in range(share * FLEETS // _SHARES, (share + 1) * FLEETS // _SHARES):
        with api.connect(f'sqlite:///{empty}') as database, database.rehearsal():
            planned.fill(random.Random(seed), database)
            try:
                check(database)
            except AssertionError as error:
                raise AssertionError(f'seed {seed}: {error}') from error
