# SPDX-License-Identifier: Apache-2.0
"""Judges the plans for a fleet in a database: no sequence of moves does better, and the claims make each move."""

from numaplace.compute import migration
from numaplace.model.records import MIGRATION
from numaplace.operations.servers import MOVES, Direct
from numaplace.planning import goals, surviving
from numaplace.tests.property import planned

__all__ = ['CHECKS', 'CROWDS', 'consolidate', 'defragment', 'drain', 'rebalance', 'survive']

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


def drain(database):
    fleet = database.fleet()
    start = planned.state(fleet, closed=('h0',))
    plan = goals.drain(start, ('h0',), _SECONDS)
    _at_once(plan)
    _judge(plan, len(plan.stuck), start, lambda state: len(state.on(['h0'])['h0']))
    _replay(database, plan)
    left = database.instances('h0')
    assert sorted(one.server for one in plan.stuck) == sorted(server.uuid for server in left)


def consolidate(database):
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


def rebalance(database):
    start = planned.state(database.fleet())
    plan = goals.rebalance(start, _SECONDS, 1.0, 'vcpus')
    _at_once(plan)

    def largest(state):
        return max(10 * goals.share(state, host, 'vcpus') for host in state.open_hosts())

    ((_before, after, best),) = plan.measures.values()
    assert best <= after
    _judge(plan, 10 * after, start, largest)
    _replay(database, plan)


def _new(number):
    """Return new servers of the flavor that needs most of a cell; they are on no host."""
    flavor = next(flavor for flavor in planned.FLAVORS if flavor.name == 'four')
    return planned.new(flavor, number)


def defragment(database):
    start = planned.state(database.fleet())
    uuids = list(start.servers)
    wanted = _new(planned.room(start, _new(4)) + 1)
    plan = goals.defragment(start.copy(), wanted, _SECONDS)
    _at_once(plan)
    ((_before, after, most),) = plan.measures.values()
    assert after <= most <= len(wanted)
    best, moves = planned.fewest(start, lambda state: len(wanted) - planned.room(state, wanted), uuids)
    assert (len(wanted) - after, len(plan.steps)) <= (best, moves)
    if len(wanted) - after == best:
        assert plan.fewest_moves <= moves
    _replay(database, plan)
    assert after == planned.room(planned.state(database.fleet()), wanted)


def survive(database):
    """No way to place the servers of a dead host leaves fewer of them, and the claims evacuate as many."""
    start = planned.state(database.fleet())
    for death in surviving.survive(start.copy(), 1, _SECONDS):
        (host,) = death.hosts
        there = [server.uuid for server in start.on([host])[host]]
        assert death.servers == len(there)
        least = planned.homeless(start, host, there)
        found = sum(number for _flavor, number in death.homeless)
        assert found == least if death.is_sure else found >= least


#: What is drawn for a check beside the defaults of :func:`numaplace.tests.property.planned.fill`: little is left free.
CROWDS = {defragment: {'hosts': 2, 'least': 4, 'most': 6}, survive: {'least': 7, 'most': 10}}
CHECKS = (drain, consolidate, rebalance, defragment, survive)
