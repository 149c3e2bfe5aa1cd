# SPDX-License-Identifier: Apache-2.0
"""Hosts that change under their servers, and usage that is not what the servers hold."""

import json
import sqlite3
from contextlib import closing

import pytest

from numaplace.db import api
from numaplace.tests import samples


@pytest.fixture
def pinned(prepared):
    """The program with two pinned servers of one vCPU on a host, and an idle host beside."""
    prepared('flavor create --ram 256 --vcpus 1 --property hw:cpu_policy=dedicated m1.pinned')
    prepared('server create --flavor m1.pinned --max 2 db')
    prepared(f'host import other --capabilities {prepared.fixture("seed3")}')
    return prepared


COLUMNS = '-c code -c host -c cell -c found'


def change(program, statement, *values):
    """Write to the database behind the program's back."""
    with closing(sqlite3.connect(program.database)) as connection, connection:
        connection.execute(statement, values)


def edit_topology(program, table, where, edit):
    """Change the JSON of a topology behind the program's back."""
    with closing(sqlite3.connect(program.database)) as connection:
        (text,) = connection.execute(f'SELECT numa_topology FROM {table} WHERE {where}').fetchone()
    topology = json.loads(text)
    edit(topology['nova_object.data']['cells'])
    change(program, f'UPDATE {table} SET numa_topology = ? WHERE {where}', json.dumps(topology))


def unpin(cells):
    cells[0]['nova_object.data']['pinned_cpus'] = []


def test_an_audit_of_hosts_that_are_right_is_silent(pinned):
    assert '' == pinned('host audit -f value')
    pinned('server delete db-1')
    assert '' == pinned('host audit -f value seed3')


def test_an_audit_tells_each_figure_that_is_wrong_and_goes_on_to_the_next_host(pinned):
    edit_topology(pinned, 'compute_nodes', "host = 'seed3'", unpin)
    change(pinned, "UPDATE compute_nodes SET vcpus_used = 7 WHERE host = 'other'")
    done = pinned.run('host', 'audit', '-f', 'json')
    assert (1, '') == (done.returncode, done.stderr)
    assert [
        ('usage.host', 'other', None, '7', '0'),
        ('cpus.uncounted', 'seed3', 0, '0-1', ''),
    ] == [
        tuple(found[key] for key in ('code', 'host', 'cell', 'found', 'expected')) for found in json.loads(done.stdout)
    ]


def test_an_audit_of_hosts_finds_what_that_of_the_fleet_finds(pinned):
    edit_topology(pinned, 'compute_nodes', "host = 'seed3'", unpin)
    change(pinned, "UPDATE compute_nodes SET vcpus_used = 7 WHERE host = 'other'")
    of_hosts, of_fleet = (json.loads(pinned.run(noun, 'audit', '-f', 'json').stdout) for noun in ('host', 'fleet'))
    assert of_hosts == [found for found in of_fleet if found['severity'] == 'error']


def test_a_repair_stores_what_was_counted(pinned):
    right = pinned.json('host show seed3')
    edit_topology(pinned, 'compute_nodes', "host = 'seed3'", unpin)
    assert pinned.json('host show seed3') != right
    assert 'cpus.uncounted seed3 0 0-1\n' == pinned(f'host audit --repair -f value {COLUMNS}')
    assert pinned.json('host show seed3') == right
    assert '' == pinned('host audit -f value')


def test_a_host_on_which_two_servers_hold_a_cpu_is_told_and_not_repaired(pinned):
    def take_the_same(cells):
        cells[0]['nova_object.data']['cpu_pinning_raw'] = {'0': 0}

    second = 'instance_uuid = (SELECT uuid FROM instances WHERE display_name = "db-2")'
    edit_topology(pinned, 'instance_extra', second, take_the_same)
    before = pinned.digest()
    done = pinned.run('host', 'audit', '--repair', '-f', 'json', 'seed3', 'other')
    assert (1, '') == (done.returncode, done.stderr)
    found = json.loads(done.stdout)
    assert ['cpus.twice', 'cpus.twice', 'cpus.leaked'] == [finding['code'] for finding in found]
    assert {row['ID'] for row in pinned.json('server list')} == {finding['server'] for finding in found[:2]}
    assert before == pinned.digest()


def test_an_audit_of_an_unknown_host_says_so(refused):
    assert "there is no host 'nowhere'" in refused(1, 'host', 'audit', 'nowhere')


def test_a_refreshed_host_has_what_it_has_now_and_its_servers_keep_what_they_hold(pinned):
    capabilities = pinned.fixture('seed3')
    before = pinned.json('host show seed3')
    pinned.configure(more='[compute]\ncpu_dedicated_set = 0-1,4\ncpu_shared_set = 2-3,5-7\n')
    pinned('host set --disable seed3')
    pinned(f'host import --refresh seed3 --capabilities {capabilities}')
    after = pinned.json('host show seed3')
    assert [0, 1] == after['cells'][0]['dedicated_cpus'] == after['cells'][0]['pinned_cpus']
    assert before['cells'][0]['pinned_by'] == after['cells'][0]['pinned_by']
    assert ('disabled', before['uuid']) == (after['status'], after['uuid'])
    assert '' == pinned('host audit -f value')


def test_the_initial_ratios_are_for_new_hosts_only(prepared):
    """A registered host keeps its ratios until they are configured."""
    shown = 'host show seed3 -f value -c cpu_allocation_ratio -c ram_allocation_ratio'
    refresh = f'host import --refresh seed3 --capabilities {prepared.fixture("seed3")}'
    prepared.configure(more='[DEFAULT]\ninitial_cpu_allocation_ratio = 8\ninitial_ram_allocation_ratio = 1.5\n')
    prepared(refresh)
    assert '4.0\n1.0\n' == prepared(shown)
    prepared(f'host import new --capabilities {prepared.fixture("seed3")}')
    assert '8.0\n1.5\n' == prepared(shown.replace('seed3', 'new'))
    prepared.configure(more='[DEFAULT]\ncpu_allocation_ratio = 16\n')
    prepared(refresh)
    assert '16.0\n1.0\n' == prepared(shown)


def test_a_host_is_not_refreshed_where_a_server_holds_what_it_has_no_more(pinned, refused):
    pinned.configure(more='[compute]\ncpu_dedicated_set = 1,4\n')
    before = pinned.digest()
    told = refused(1, 'host', 'import', '--refresh', 'seed3', '--capabilities', pinned.fixture('seed3'))
    assert "server 'db-1' (" in told
    assert 'host cell 0: CPUs 0 to pin are not among its dedicated CPUs 1' in told
    assert before == pinned.digest()


def test_a_host_is_refreshed_by_force_and_names_the_servers_that_hold_what_it_has_no_more(pinned):
    pinned.configure(more='[compute]\ncpu_dedicated_set = 1,4\n')
    capabilities = pinned.fixture('seed3')
    done = pinned.run(*f'host import --refresh --force seed3 --capabilities {capabilities}'.split())
    assert 0 == done.returncode
    shown = pinned.json('host show seed3')
    assert ([1], [1]) == (shown['cells'][0]['dedicated_cpus'], shown['cells'][0]['pinned_cpus'])
    found = json.loads(pinned.run('host', 'audit', '-f', 'json').stdout)
    (server,) = {finding['server'] for finding in found if finding['server']}
    assert f'numaplace: warning: server {server}: ' in done.stderr
    told = pinned.run(*f'host import --force seed3 --capabilities {capabilities}'.split())
    assert (2, 1) == (told.returncode, told.stderr.count('--refresh'))


#: Commands that take a server away from a host, and the last of them the host that is free then.
AWAY = {
    'delete': ['server delete db-1'],
    'shelve': ['server shelve db-1'],
    'cold migration': ['server migrate db-1', 'server resize confirm db-1'],
    'live migration': ['server migrate --live-migration db-1'],
    'resize': ['server resize --flavor m1.less db-1', 'server resize confirm db-1'],
    'evacuation': ['host set --down seed3', 'server evacuate db-1'],
}


@pytest.mark.parametrize('verb', AWAY)
def test_servers_are_taken_away_from_a_host_whose_cpus_are_gone(pinned, verb):
    pinned('flavor create --ram 128 --vcpus 1 --property hw:cpu_policy=dedicated m1.less')
    pinned.configure(more='[compute]\ncpu_dedicated_set = 1,4\n')
    refresh = f'host import --refresh --force seed3 --capabilities {pinned.fixture("seed3")}'.split()
    assert 0 == pinned.run(*refresh).returncode
    pinned('host set --disable seed3')
    for command in AWAY[verb]:
        pinned(command)
    (seed3,) = [host for host in pinned.json('host list') if host['Name'] == 'seed3']
    assert 0 == pinned.run(*refresh).returncode
    assert [seed3] == [host for host in pinned.json('host list') if host['Name'] == 'seed3'], 'as counted anew'
    pinned('server delete db-2')
    assert not any(cell['pinned_cpus'] for cell in pinned.json('host show seed3')['cells'])
    assert 0 == pinned.run('host', 'audit').returncode


def test_only_a_known_host_is_refreshed_and_a_known_one_is_not_taken_in_twice(pinned, refused):
    capabilities = pinned.fixture('seed3')
    assert "there is no host 'new'" in refused(1, *f'host import --refresh new --capabilities {capabilities}'.split())
    assert '--refresh' in refused(1, *f'host import seed3 --capabilities {capabilities}'.split())


def test_pages_that_a_host_has_too_few_of_are_told(prepared):
    prepared('flavor create --ram 256 --vcpus 1 --property hw:mem_page_size=2MB m1.huge')
    prepared('server create --flavor m1.huge --max 1 big')
    prepared.configure(more='[DEFAULT]\nreserved_huge_pages = node:0,size:2048,count:200\n')
    words = f'host import --refresh seed3 --capabilities {prepared.fixture("seed3")}'.split()
    done = prepared.run(*words)
    assert 0 == done.returncode
    assert done.stderr.splitlines() == [
        'numaplace: warning: host cell 0: its servers hold 128 2M pages, but it has 256, and 200 of them are reserved'
    ]


@pytest.fixture
def spoiled(pinned):
    """The program with a host and a server whose rows cannot be read."""
    change(pinned, "UPDATE compute_nodes SET numa_topology = '{' WHERE host = 'other'")
    second = "(SELECT uuid FROM instances WHERE display_name = 'db-2')"
    change(pinned, f"UPDATE instance_extra SET numa_topology = '{{}}' WHERE instance_uuid = {second}")
    return pinned


HOST = "host 'other': its row cannot be read: not JSON: "
SERVER = "server 'db-2' ("


def test_rows_that_cannot_be_read_are_named_and_do_not_keep_an_audit_from_the_others(spoiled):
    before = spoiled.digest()
    done = spoiled.run('host', 'audit', '--repair', '-f', 'json')
    assert (1, '') == (done.returncode, done.stderr)
    host, server = json.loads(done.stdout)
    assert ('row.unreadable', 'other', None) == (host['code'], host['host'], host['server'])
    assert ('row.unreadable', 'seed3') == (server['code'], server['host'])
    assert server['found'].startswith('numa_topology: expected a InstanceNUMATopology')
    assert before == spoiled.digest(), 'nobody knows the right usage'


@pytest.mark.parametrize(('line', 'left', 'told'), [('host list', 'seed3', HOST), ('server list', 'db-1', SERVER)])
def test_a_list_tells_what_cannot_be_read_beside_all_that_can(spoiled, line, left, told):
    done = spoiled.run(*line.split(), '-f', 'value', '-c', 'Name')
    assert (1, f'{left}\n') == (done.returncode, done.stdout)
    assert done.stderr.startswith(f'numaplace: {told}')
    assert 1 == done.stderr.count('\n')


def test_a_host_that_cannot_be_read_does_not_keep_servers_from_the_others(spoiled):
    assert 'seed3' == spoiled.json('server create --flavor m1.tiny new')['host']
    done = spoiled.run('server', 'create', '--flavor', 'm1.pinned', '--max', '99', '--min', '99', 'more')
    assert 3 == done.returncode
    assert '  other (row):\n    the NUMA topology that the host has reported cannot be read: not JSON: ' in done.stderr


def test_what_concerns_a_row_that_cannot_be_read_names_it(spoiled, refused):
    assert HOST in refused(1, 'server', 'create', '--flavor', 'm1.tiny', '--host', 'other', 'new')
    assert SERVER in refused(1, 'server', 'delete', 'db-2')
    for noun in ('host', 'hypervisor'):
        done = spoiled.run(noun, 'show', 'seed3', '-f', 'value')
        assert (1, True, True) == (done.returncode, 'seed3' in done.stdout, SERVER in done.stderr)
    assert '' == spoiled('server delete db-1')


def test_a_server_that_cannot_be_read_is_deleted_by_force_and_its_host_counted_anew(spoiled):
    assert '' == spoiled('server delete --force db-2 db-1')
    assert [] == spoiled.json('server list')
    assert '' == spoiled('host audit seed3 -f value')


def test_where_another_one_cannot_be_read_either_force_tells_that_the_usage_stays(spoiled):
    change(spoiled, "UPDATE instances SET flavor = '{}' WHERE display_name = 'db-1'")
    done = spoiled.run('server', 'delete', '--force', 'db-2')
    assert (0, '') == (done.returncode, done.stdout)
    assert done.stderr.startswith('numaplace: warning: instances ')
    assert "flavor: 'flavorid' is None: expected 1 to 255 characters" in done.stderr
    assert '' == spoiled('server delete --force db-1')
    assert '' == spoiled('host audit seed3 -f value')


@pytest.mark.parametrize(
    ('column', 'text', 'told'),
    [
        ('flavor', '{}', "flavor: 'flavorid' is None: expected 1 to 255 characters"),
        ('image_properties', '{"a": 1}', "image_properties: 'a' is 1: expected a text"),
    ],
)
def test_copies_that_a_server_keeps_are_checked(pinned, refused, column, text, told):
    change(pinned, f"UPDATE instances SET {column} = '{text}' WHERE display_name = 'db-2'")
    for line in ('server show db-2', 'server delete db-2', 'server dumpxml db-2'):
        assert f'its row cannot be read: {told}' in refused(1, *line.split())
    done = pinned.run('host', 'audit', 'seed3', '-f', 'json')
    assert told in done.stdout
    assert 1 == done.returncode


def test_a_host_that_has_a_row_that_cannot_be_read_can_be_switched_off(spoiled):
    assert '' == spoiled('host set --down --disable seed3')
    assert ('disabled', 'down') == _states(spoiled, 'seed3')


def _states(program, host):
    with closing(sqlite3.connect(program.database)) as connection:
        return connection.execute('SELECT status, state FROM compute_nodes WHERE host = ?', [host]).fetchone()


def test_a_host_that_is_deleted_while_all_are_audited_is_left_out(pinned, monkeypatch):
    hosts = api.Database.hosts

    def stale(self, *arguments):
        return [*hosts(self, *arguments), samples.host_record('gone')]

    monkeypatch.setattr(api.Database, 'hosts', stale)
    assert '' == pinned('host audit -f value')
    done = pinned.run('host', 'audit', 'seed3', 'gone')
    assert (1, "numaplace: there is no host 'gone'\n") == (done.returncode, done.stderr)
