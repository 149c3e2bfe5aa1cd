# SPDX-License-Identifier: Apache-2.0
"""Plans for fleets with too many hosts, cells and classes for numbers, and their bounds beside the exact solver."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from numaplace import conf, fit, request
from numaplace.cli.fleet_asking import asking
from numaplace.model import Flavor, Placement
from numaplace.model.records import ACTIVE, DISABLED, InstanceRecord
from numaplace.planning import demand, goals, solver
from numaplace.planning.classes import Classes, Question
from numaplace.planning.clearing import pooled
from numaplace.planning.emptying import empty
from numaplace.planning.pooling import pool
from numaplace.planning.rooms import Rooms
from numaplace.planning.state import NEW, State
from numaplace.planning.vacating import Vacancies
from numaplace.tests import problems
from numaplace.tests.unit.planning.moves import moved, replay

_HOSTS, _SERVERS = 260, 2600


@pytest.fixture(scope='module')
def settings():
    """The default configuration."""
    return conf.load([])


def _state(settings, fleet):
    return State.of(fleet, asking(settings, fleet))


@pytest.fixture(scope='module')
def many(settings):
    """Hosts of eight cells, one of which is disabled, with too many numbers for the solver."""
    fleet = problems.read(problems.make(_HOSTS, _SERVERS), 8)
    first, *others = fleet.hosts
    state = _state(settings, replace(fleet, hosts=(replace(first, status=DISABLED), *others)))
    classes = Classes(state)
    pooled(classes, 0)
    assert classes.size() > goals._MOST_NUMBERS
    return state


def _new(vcpus, number):
    """Return new guests of one cell with so many vCPUs."""
    flavor = Flavor('new', vcpus, 1024 * vcpus, 1, {'hw:cpu_policy': 'dedicated', 'hw:numa_nodes': '1'}, 'new')
    placed, now = Placement(request.read(flavor, {})), datetime.now(UTC)
    return [
        InstanceRecord(f'new {one}', f'new {one}', 0, None, flavor, {}, placed, None, ACTIVE, now)
        for one in range(number)
    ]


@pytest.mark.parametrize('most', [0.24, 0.05])
def test_many_hosts_are_consolidated_within_the_share_of_servers(many, most):
    plan = goals.consolidate(many, 0.0, most)
    ((before, after, best),) = plan.measures.values()
    assert best <= after < before
    assert moved(plan) == len(plan.steps) <= most * len(many.servers)
    assert before - after > most * before * 0.7  # those with the fewest servers are among them
    assert after == len(replay(many, plan).active())


@pytest.mark.parametrize('load', goals.LOADS)
def test_many_hosts_are_levelled(many, load):
    plan = goals.rebalance(many, 120.0, 0.24, load)  # the first plans may gain nothing; it ends before
    ((before, after, best),) = plan.measures.values()
    assert best <= after < before
    assert plan.fewest_moves <= moved(plan) == len(plan.steps) <= 0.24 * len(many.servers)
    left = replay(many, plan)
    assert after == max(goals.share(left, name, load) for name in left.open_hosts())


def test_more_time_levels_no_less(many):
    (first,), (later,) = (goals.rebalance(many, seconds, 0.24, 'cpus').measures.values() for seconds in (0, 5))
    assert later[1] <= first[1]


def test_cells_of_many_hosts_are_vacated_for_new_guests(many):
    state, new = many.copy(), _new(4, 900)
    plan = goals.defragment(state, new, 0.0)
    ((before, after, most),) = plan.measures.values()
    assert before < after <= most <= len(new)
    assert plan.fewest_moves <= len(plan.steps)
    left = replay(many, plan)
    left.servers[new[0].uuid] = new[0]
    assert after <= _fit(left, new)


def _fit(state, new):
    """Return how many new guests find a host, one after the other."""
    number = 0
    for server in new:
        state.servers[server.uuid] = server
        for host in state.open_hosts():
            answer = state.offer(server.uuid, (NEW,), host)
            if isinstance(answer, tuple):
                state.claim(server.uuid, NEW, host, answer[1])
                number += 1
                break
    return number


def test_a_host_whose_servers_do_not_all_fit_keeps_them(settings):
    """Each of two full hosts would need the other; the third one takes what one server holds."""
    vm, small = {'cpu': 4, 'mem': 1024}, {'cpu': 8, 'mem': 2048}
    problem = {'hosts': [{'cpu': 16, 'mem': 65536}] * 3, 'vms': [vm] * 4 + [small, small] + [vm] * 3, 'mapping': []}
    problem['mapping'] = [0] * 4 + [1] * 2 + [2] * 3
    state = _state(settings, problems.read(problem, 2))
    steps, after = empty(Classes(state), 9, 1e12)
    assert [] == steps
    assert state.hosts == after.hosts
    assert state.servers == after.servers


def test_arrays_say_the_same_of_room_as_a_look_at_each_host(many):
    state = many.copy()
    rooms = Rooms(state.hosts.values())
    for uuid in list(state.servers)[::7]:
        host = state.servers[uuid].host
        state.remove(uuid)
        rooms.update(state.hosts[host])
    for server in list(state.servers.values())[::50]:
        needs = demand.needed(server.placement.guest)
        may = rooms.may(needs)
        if len(needs) == 2:  # one guest cell
            left = {name: demand.room(record) for name, record in state.hosts.items()}
            assert [demand.has_room(left[name], needs) for name in rooms.names] == may.tolist()


@pytest.mark.parametrize('seed', range(4))
def test_no_bound_is_passed_by_the_exact_solver(settings, seed):
    fleet = problems.read(problems.make(3 + seed, 12 + 2 * seed, 0.5), 2)
    state = _state(settings, fleet)
    classes = Classes(state)
    question = pooled(classes, 5)
    choice = pool(question.problem)
    question.pair(classes)
    exact = solver.solve(question.problem, 60)
    assert choice.hosts <= exact.reached
    if choice.hosts == exact.reached:
        assert choice.moves <= sum(exact.departures.values())


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('load', goals.LOADS)
def test_no_bound_of_a_share_is_passed_by_the_exact_solver(settings, load, seed):
    state = _state(settings, problems.read(problems.make(3 + seed, 12 + 2 * seed, 0.5), 2))
    classes = Classes(state)
    loads = goals._loads(classes, load, 4)
    exact = solver.solve(goals._of_loads(classes, loads, load).problem, 60)
    assert loads.least() <= exact.reached
    assert loads.fewest(exact.reached) <= sum(exact.departures.values())


def test_the_exact_solver_counts_the_cpus_of_isolated_emulators(settings):
    """Three guests with three CPUs each on one of two hosts with 16: two of them there is the best."""
    fleet = problems.read({'hosts': [{'cpu': 16, 'mem': 65536}] * 2, 'vms': [], 'mapping': []}, 2)
    first, second = fleet.hosts
    servers = []
    for server in _new(2, 3):
        specs = {**server.flavor.extra_specs, 'hw:emulator_threads_policy': 'isolate'}
        flavor = replace(server.flavor, extra_specs=specs)
        placed = fit.place(first.host, request.read(flavor, {}))
        first = replace(first, host=first.host.consume(placed), servers=first.servers | {server.uuid})
        servers.append(replace(server, flavor=flavor, placement=placed, host=first.name))
    state = _state(settings, replace(fleet, hosts=(first, second), servers=tuple(servers)))
    ((before, after, best),) = goals.rebalance(state, 30.0, 1.0, 'cpus').measures.values()
    assert (56.3, 37.5, 37.5) == (before, after, best)
    classes = Classes(state)
    loads = goals._loads(classes, 'cpus', 3)
    assert 375 == solver.solve(goals._of_loads(classes, loads, 'cpus').problem, 60).reached


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('vcpus', [4, 8])
def test_no_bound_of_new_guests_is_passed_by_the_exact_solver(settings, vcpus, seed):
    state = _state(settings, problems.read(problems.make(3 + seed, 16 + 2 * seed, 0.6), 2))
    new = _new(vcpus, 4)
    state.servers.update({server.uuid: server for server in new})
    classes = Classes(state)
    (number,) = {classes.of(server, (NEW,)) for server in new}
    vacancies, hosts = Vacancies(classes, number), set(state.hosts)
    exact = solver.solve(Question.of(classes, solver.ROOM, hosts, sources=hosts, wanted=(number, 4)).problem, 60)
    guests = 4 - exact.reached
    assert guests <= vacancies.most(4)
    assert vacancies.fewest(guests) <= sum(exact.departures.values())
