# SPDX-License-Identifier: Apache-2.0
"""Consolidation of fleets that are too large for the exact solver, with made-up problems."""

import time
from dataclasses import replace

import pytest

from numaplace import conf
from numaplace.cli.fleet_asking import asking
from numaplace.fleet.plan import Plan
from numaplace.model import CellShape, HostCell
from numaplace.planning import goals, packing, solver
from numaplace.planning.classes import Classes
from numaplace.planning.emptying import empty
from numaplace.planning.parts import pack_parts
from numaplace.planning.relaxation import choose
from numaplace.planning.search import Outcome
from numaplace.planning.state import State
from numaplace.tests import problems
from numaplace.tests.unit.planning.moves import moved, replay

_SECONDS = 60


@pytest.fixture(scope='module')
def settings():
    """The default configuration."""
    return conf.load([])


def _state(settings, problem, cells=0):
    fleet = problems.read(problem, cells)
    return State.of(fleet, asking(settings, fleet))


def _alternating():
    """Return hosts that are full: by turns of the memory and of the CPUs, but for the last one."""
    problem = {'hosts': [{'cpu': 32, 'mem': 65536}] * 13, 'vms': [], 'mapping': []}
    for host in range(12):
        vm, number = ({'cpu': 1, 'mem': 4096}, 16) if host % 2 else ({'cpu': 2, 'mem': 2048}, 16)
        problem['vms'] += [vm] * number
        problem['mapping'] += [host] * number
    problem['vms'].append({'cpu': 1, 'mem': 1024})
    problem['mapping'].append(12)
    return problem


def test_hosts_with_room_are_left_down_to_the_bound(settings):
    state = _state(settings, problems.make(30, 1500))
    plan = goals.consolidate(state, _SECONDS, 0.45)
    ((before, after, best),) = plan.measures.values()
    assert (30, best) == (before, after)
    assert after == len(replay(state, plan).active())
    assert plan.fewest_moves <= moved(plan) <= 0.45 * 1500


def test_full_hosts_exchange_servers_by_way_of_the_one_with_room(settings):
    """Nine hosts have all servers: 12 full ones, whose CPUs or memory are half free, become nine that are full."""
    state = _state(settings, _alternating())
    plan = goals.consolidate(state, _SECONDS, 1.0)
    ((before, after, best),) = plan.measures.values()
    assert (13, best) == (before, after)
    assert after == len(replay(state, plan).active())


@pytest.mark.parametrize('most', [0.0, 0.05, 0.15])
def test_no_more_servers_move_than_may(settings, most):
    state = _state(settings, problems.make(20, 600))
    plan = goals.consolidate(state, _SECONDS, most)
    ((before, after, best),) = plan.measures.values()
    assert best <= after <= before
    assert moved(plan) <= most * 600
    assert after == len(replay(state, plan).active())


@pytest.mark.parametrize('cells', [2, 4])
def test_guests_of_hosts_with_cells_go_where_the_fit_has_them(settings, cells):
    state = _state(settings, problems.make(12, 400), cells)
    plan = goals.consolidate(state, 20, 0.45)
    ((before, after, best),) = plan.measures.values()
    assert best <= after < before
    assert after == len(replay(state, plan).active())


@pytest.mark.parametrize('most', [60, 1000])
def test_parts_of_a_fleet_are_packed_by_themselves(settings, most):
    state = _state(settings, problems.make(40, 1000), 8)
    plan = pack_parts(Outcome((), state, 40, 0, 0), most, time.monotonic() + _SECONDS)
    after = replay(state, Plan('consolidate', plan.steps))
    assert plan.reached == len(after.active()) < 40
    assert len({step.server for step in plan.steps}) <= most
    assert list(plan.steps) == sorted(plan.steps, key=lambda step: step.group)


@pytest.mark.parametrize('seed', range(4))
def test_the_bounds_are_none_that_the_exact_solver_passes(settings, seed):
    state = _state(settings, problems.make(4 + seed, 16 + seed), seed % 3)
    question = packing.question_of(Classes(state), 6)
    exact = solver.solve(question.problem, _SECONDS)
    least = packing.least_hosts(question.problem)
    choice = choose(question.problem.merged(), least)
    assert least <= choice.hosts <= exact.reached
    if choice.hosts == exact.reached:
        assert choice.moves <= sum(exact.departures.values())


def _without_a_cell(state):
    """Return a fleet in which a host with servers on two cells has lost one of them, as after a refresh by force."""
    name = sorted(state.hosts)[0]
    record = state.hosts[name]
    state.hosts[name] = replace(record, host=replace(record.host, cells=record.host.cells[:1]))
    return state


@pytest.mark.parametrize('most', [0.0, 0.5])
def test_servers_on_a_cell_that_there_is_no_longer_do_not_end_a_plan(settings, most):
    state = _without_a_cell(_state(settings, problems.make(3, 60), 2))
    plan = goals.consolidate(state, 5, most)
    ((before, after, _best),) = plan.measures.values()
    assert after == len(replay(state, plan).active()) <= before


def _with_a_cell_of_memory(state):
    """Return a fleet in which each host has one more cell, of memory of another kind."""
    for name, record in state.hosts.items():
        shape = CellShape(9, 0, 0, 4096, siblings=(), socket=None, physnets=frozenset(), tunneled=False)
        more = HostCell(replace(shape, memory_kind='cxl'))
        state.hosts[name] = replace(record, host=replace(record.host, cells=(*record.host.cells, more)))
    return state


def test_guests_that_float_leave_hosts_with_a_cell_whose_memory_is_not_general(settings):
    state = _with_a_cell_of_memory(_state(settings, problems.make(6, 20)))
    steps, after = empty(Classes(state), 20, time.monotonic() + _SECONDS)
    assert steps
    assert len(after.active()) < len(state.active())


@pytest.mark.filterwarnings('error')
def test_hosts_that_have_none_of_a_resource_are_not_levelled(settings):
    """The row of such a host has no topology yet, and servers that float are there."""
    state = _state(settings, problems.make(6, 40))
    name = sorted(state.hosts)[0]
    record = state.hosts[name]
    state.hosts[name] = replace(record, host=replace(record.host, cells=()))
    plan = goals.rebalance(state, 2, 1.0, 'memory')
    ((before, after, best),) = plan.measures.values()
    assert best <= after <= before
    assert name not in {step.source for step in plan.steps}
