# SPDX-License-Identifier: Apache-2.0
"""Plans by commands: what they show, what they carry out, and where they stop."""

import json
import subprocess
import sys

import pytest


@pytest.fixture
def fleet(prepared):
    """The program with three hosts of three cells of two or four CPUs, and servers on two of them."""
    for name in ('compute1', 'compute2'):
        prepared(f'host import {name} --capabilities {prepared.fixture("seed3")}')
    for vcpus in (2, 4, 6):
        prepared(f'flavor create --ram 256 --vcpus {vcpus} --property hw:cpu_policy=dedicated m{vcpus}')
    prepared('flavor create --ram 256 --vcpus 4 --property hw:cpu_policy=dedicated --property hw:numa_nodes=2 wide')
    for name, flavor, host in (('db1', 'm2', 'compute1'), ('db2', 'm2', 'compute2'), ('web', 'wide', 'compute1')):
        prepared(f'server create --flavor {flavor} --host {host} {name}')
    return prepared


def _places(program):
    return {server['Name']: server['Host'] for server in program.json('server list')}


def _plan(program, words, status=0):
    result = program.run(*words.split(), '-f', 'json')
    assert (status, '') == (result.returncode, result.stderr)
    return json.loads(result.stdout)


def _fill(program, host):
    """Create servers of two vCPUs until the host is full."""
    told = program.run('server', 'create', '--flavor', 'm2', '--host', host, '--max', '9', 'fill')
    assert 0 == told.returncode


def test_a_drain_is_planned_and_nothing_is_written(fleet):
    before = fleet.digest()
    plan = _plan(fleet, 'fleet drain compute1')
    assert before == fleet.digest()
    assert {'db1', 'web'} == {step['name'] for step in plan['steps']}
    assert {'live-migration'} == {step['kind'] for step in plan['steps']}
    assert (2, 2, []) == (plan['moves'], plan['fewest_moves'], plan['stuck'])
    assert all(step['cells'][0]['cpus'] for step in plan['steps'])
    text = fleet('fleet drain compute1')
    assert text.startswith('drain compute1: 2 moves in 1 group, the fewest\ngroup 1:\n  live ')


@pytest.mark.parametrize('moves', ['any', 'cold'])
def test_a_drain_is_carried_out_as_planned(fleet, moves):
    plan = _plan(fleet, f'fleet drain compute1 --moves {moves}')
    fleet(f'fleet drain compute1 --moves {moves} --apply')
    places = _places(fleet)
    assert {step['name']: step['destination'] for step in plan['steps']}.items() <= places.items()
    assert 'compute1' not in places.values()
    assert {'ACTIVE'} == {server['Status'] for server in fleet.json('server list')}
    for step in plan['steps']:
        pins = sorted(
            cpu for cell in fleet.json(f'server show {step["name"]}')['cells'] for cpu in cell['pins'].values()
        )
        assert pins == sorted(cpu for cell in step['cells'] for cpu in cell['cpus'])


def test_servers_of_a_host_that_is_down_are_evacuated(fleet):
    fleet('host set --down compute1')
    assert {'evacuation'} == {step['kind'] for step in _plan(fleet, 'fleet drain compute1')['steps']}
    fleet('fleet drain compute1 --apply')
    assert 'compute1' not in _places(fleet).values()


def test_a_server_that_cannot_go_is_named_with_the_reasons(fleet):
    fleet('server resize --flavor m4 db2')
    plan = _plan(fleet, 'fleet drain compute2', 3)
    assert [('db2', 'compute2')] == [(one['name'], one['host']) for one in plan['stuck']]
    assert ['its status is VERIFY_RESIZE: expected ACTIVE, with its last move over'] == plan['stuck'][0]['reasons']
    fleet('server resize revert db2')
    fleet('host set --disable seed3')
    _fill(fleet, 'compute2')
    plan = _plan(fleet, 'fleet drain compute1', 3)
    assert plan['stuck']
    assert 'compute2 (NUMATopologyFilter):' in plan['stuck'][0]['reasons']
    result = fleet.run('fleet', 'drain', 'compute1')
    assert 'cannot leave compute1:\n' in result.stdout


def test_a_saved_plan_goes_on_after_an_interruption_and_is_done_once(fleet):
    plan = fleet.directory / 'plan.json'
    plan.write_text(fleet('fleet drain compute1 -f json'))
    first = json.loads(plan.read_text())['steps'][0]
    fleet(f'server migrate --live-migration --host {first["destination"]} {first["name"]}')
    assert '' == fleet('fleet apply plan.json')
    done = _places(fleet)
    assert 'compute1' not in done.values()
    fleet('fleet apply plan.json')
    assert done == _places(fleet)


def test_a_cold_move_that_waits_for_its_confirmation_is_confirmed(fleet):
    (fleet.directory / 'plan.json').write_text(fleet('fleet drain compute2 --moves cold -f json'))
    (step,) = json.loads((fleet.directory / 'plan.json').read_text())['steps']
    fleet(f'server migrate --host {step["destination"]} db2')
    fleet('fleet apply plan.json')
    assert ('ACTIVE', step['destination']) == tuple(fleet.json('server show db2')[key] for key in ('status', 'host'))


def test_the_first_surprise_ends_a_plan_in_one_line_and_what_is_made_stays(fleet):
    (fleet.directory / 'plan.json').write_text(fleet('fleet drain compute1 compute2 -f json'))
    steps = json.loads((fleet.directory / 'plan.json').read_text())['steps']
    last = steps[-1]['name']
    fleet(f'server delete {last}')
    result = fleet.run('fleet', 'apply', 'plan.json')
    assert (1, '', 1) == (result.returncode, result.stdout, result.stderr.count('\n'))
    assert f'move 3 of 3, server {last!r} from ' in result.stderr
    assert '2 moves are made and stay' in result.stderr
    assert {step['name']: step['destination'] for step in steps[:-1]} == _places(fleet)


def test_a_host_that_has_no_room_any_more_ends_a_plan(fleet):
    (fleet.directory / 'plan.json').write_text(fleet('fleet drain compute2 -f json'))
    (step,) = json.loads((fleet.directory / 'plan.json').read_text())['steps']
    _fill(fleet, step['destination'])
    before = fleet.digest()
    result = fleet.run('fleet', 'apply', 'plan.json')
    assert (1, 1) == (result.returncode, result.stderr.count('\n'))
    assert "no valid host for server 'db2'" in result.stderr
    assert before == fleet.digest()


@pytest.mark.parametrize(
    ('text', 'told'),
    [
        ('x', 'is not JSON'),
        ('[]', "expected a plan: an object with a list of 'steps'"),
        ('{"steps": [{}]}', 'step 0: group is None: expected a whole number'),
        (
            '{"steps": [{"group": 1, "server": "a", "name": "a", "kind": "x", "source": "a", "destination": "b"}]}',
            "step 0: kind is 'x': expected one of migration, live-migration, evacuation",
        ),
    ],
)
def test_a_file_that_is_no_plan_is_refused(fleet, text, told):
    (fleet.directory / 'plan.json').write_text(text)
    result = fleet.run('fleet', 'apply', 'plan.json')
    assert (1, 1) == (result.returncode, result.stderr.count('\n'))
    assert told in result.stderr


@pytest.mark.parametrize(
    ('words', 'status', 'told'),
    [
        ('fleet drain nowhere', 1, "there is no host 'nowhere'"),
        ('fleet defragment --for m2:0', 2, "'m2:0': expected FLAVOR or FLAVOR:NUMBER"),
        ('fleet defragment --for none', 1, "--for 'none': there is no such flavor"),
        ('fleet consolidate --max-moves 2', 2, "'2': expected a share, such as 24% or 0.24"),
        ('fleet drain compute1 --from nova --apply', 2, '--apply: expected --from own'),
        ('fleet apply nowhere.json', 1, 'No such file'),
    ],
)
def test_what_makes_no_sense_is_refused(fleet, words, status, told):
    result = fleet.run(*words.split())
    assert (status, 1) == (result.returncode, result.stderr.count('\n'))
    assert told in result.stderr


def test_room_is_made_for_a_large_guest_with_the_fewest_moves(fleet):
    """Four CPUs of a cell are free nowhere until a guest of two leaves its cell."""
    fleet('host set --disable seed3')
    assert [0, 1] == [
        _plan(fleet, f'fleet defragment --seconds 60 --for m{n}', s)['moves'] for n, s in ((2, 0), (4, 0))
    ]


def test_two_hosts_become_one_and_the_limit_of_moves_holds(fleet):
    plan = _plan(fleet, 'fleet consolidate --seconds 60 --max-moves 100%')
    assert (2, 1, 1) == tuple(plan['measures']['hosts with servers'].values())
    assert ['db2'] == [step['name'] for step in plan['steps']]
    assert 0 == _plan(fleet, 'fleet consolidate --max-moves 0')['moves']
    fleet('fleet consolidate --seconds 60 --max-moves 100% --apply')
    assert {'compute1'} == set(_places(fleet).values())


def test_hosts_are_used_alike(fleet):
    plan = _plan(fleet, 'fleet rebalance --objective vcpus --seconds 60 --max-moves 100%')
    before, after, best = plan['measures']['largest use of vcpus in %'].values()
    assert before > after == best
    fleet('fleet rebalance --objective vcpus --seconds 60 --max-moves 100% --apply')
    places = _places(fleet)
    assert places['web'] not in {places['db1'], places['db2']}


def test_every_host_may_die_until_the_others_are_full(fleet):
    assert [] == _plan(fleet, 'fleet survive')
    assert '3 of 3 survive' in fleet('fleet survive')
    fleet('host set --disable seed3')
    _fill(fleet, 'compute2')
    (death,) = [one for one in _plan(fleet, 'fleet survive', 3) if one['hosts'] == ['compute1']]
    assert (2, {'m2': 1, 'wide': 1}, True) == (death['servers'], death['flavors'], death['sure'])
    assert 'compute1: 2 of 2 servers without a place: m2 (1), wide (1)\n' in fleet.run('fleet', 'survive').stdout


def test_two_hosts_may_die_at_once(fleet):
    assert [['compute1', 'compute2', 'seed3']] == [one['hosts'] for one in _plan(fleet, 'fleet survive --hosts 3', 3)]


def test_the_script_makes_each_move_once_and_stops_where_a_server_is_elsewhere(fleet):
    """It runs with a stand-in for the client, which keeps where servers are in files."""
    script = fleet('fleet drain compute1 --script')
    steps = _plan(fleet, 'fleet drain compute1')['steps']
    directory = fleet.directory
    client = directory / 'openstack'
    client.write_text(
        f'#!{sys.executable}\n'
        'import pathlib, sys\n'
        'words = sys.argv[1:]\n'
        'place = pathlib.Path(words[-1])\n'
        'if \'show\' in words: print(f\'os_ext_srv_attr_host="{place.read_text()}"\\nstatus="ACTIVE"\')\n'
        "else: place.write_text(words[words.index('--host') + 1]); open('made', 'a').write('x')\n"
    )
    client.chmod(0o755)
    for step in steps:
        (directory / step['server']).write_text(step['source'])

    def run():
        return subprocess.run(
            ['sh', '-s'],
            input=script,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=directory,
            env={'PATH': f'{directory}:/usr/bin:/bin'},
        )

    done = run()
    assert (0, '') == (done.returncode, done.stderr)
    assert [step['destination'] for step in steps] == [(directory / step['server']).read_text() for step in steps]
    assert 0 == run().returncode
    assert 'x' * len(steps) == (directory / 'made').read_text()
    (directory / steps[0]['server']).write_text('elsewhere')
    done = run()
    assert (1, f'{steps[0]["server"]} is not on compute1\n') == (done.returncode, done.stderr)


def test_without_the_solver_one_line_names_the_extra(fleet, monkeypatch):
    monkeypatch.setitem(sys.modules, 'ortools.sat.python', None)
    result = fleet.run('fleet', 'consolidate')
    assert (1, 1) == (result.returncode, result.stderr.count('\n'))
    assert "expected the extra 'planning'" in result.stderr
    assert 2 == _plan(fleet, 'fleet drain compute1')['moves'], 'one after the other needs no solver'


def test_a_drain_is_carried_out_on_every_database(numaplace, database_url, make_tables):
    make_tables(database_url)
    numaplace.configure(connection=database_url)
    for name in ('a', 'b'):
        numaplace(f'host import {name} --capabilities {numaplace.fixture("seed3")}')
    numaplace('flavor create --ram 256 --vcpus 2 --property hw:cpu_policy=dedicated m2')
    numaplace('server create --flavor m2 --host a --min 3 --max 3 db')
    numaplace('fleet drain a --apply')
    assert ['b'] * 3 == [server['Host'] for server in numaplace.json('server list')]
