# SPDX-License-Identifier: Apache-2.0
"""Moves by commands: the walk of a server through all of them, refusals with reasons, and wrong states in one line."""

import pytest


@pytest.fixture
def fleet(prepared):
    """The program with two hosts of three cells, compute1 and seed3, pinned flavors, and the server db1."""
    prepared(f'host import compute1 --capabilities {prepared.fixture("seed3")}')
    prepared('flavor create --ram 512 --vcpus 2 --property hw:cpu_policy=dedicated m1.pinned')
    prepared('flavor create --ram 512 --vcpus 4 --property hw:cpu_policy=dedicated m1.large')
    prepared('flavor create --ram 512 --vcpus 6 --property hw:cpu_policy=dedicated m1.wide')
    prepared('server create --flavor m1.pinned --host compute1 db1')
    return prepared


def told(program, words, status=1):
    """Run a command that must fail and change nothing; return what it told."""
    before = program.json('server list'), program.json('host list'), program.json('server migration list')
    result = program.run(*words.split())
    assert (status, '') == (result.returncode, result.stdout)
    assert before == (program.json('server list'), program.json('host list'), program.json('server migration list'))
    return result.stderr


def used(program):
    return {
        name: [cpu for cell in program.json(f'host show {name}')['cells'] for cpu in cell['pinned_cpus']]
        for name in ('compute1', 'seed3')
    }


def test_a_resize_is_confirmed(fleet):
    shown = fleet.json('server resize --flavor m1.large db1')
    assert ('VERIFY_RESIZE', 'seed3', 'm1.large') == (shown['status'], shown['host'], shown['flavor'])
    assert ('resize', 'finished') == (shown['migration']['type'], shown['migration']['status'])
    assert [0, 1] == sorted(shown['migration']['old']['cells'][0]['pins'].values())
    assert {'compute1': [0, 1], 'seed3': [0, 1, 2, 3]} == used(fleet)
    assert 'VERIFY_RESIZE' == fleet.json('server list')[0]['Status']
    assert '1: resize from compute1 to seed3, finished; both places are held' in fleet('server show db1')
    assert 'db1: cell 0: 2 pinned vCPUs' in fleet('host show compute1 --picture')
    assert '' == fleet('server resize confirm db1')
    assert {'compute1': [], 'seed3': [0, 1, 2, 3]} == used(fleet)
    shown = fleet.json('server show db1')
    assert ('ACTIVE', 'seed3', None) == (shown['status'], shown['host'], shown['migration'])


@pytest.mark.parametrize('revert', ['server resize revert db1', 'server resize --revert db1'])
def test_a_resize_is_reverted(fleet, revert):
    before = fleet.json('server show db1')
    fleet('server resize --flavor m1.large db1')
    fleet(revert)
    assert before == fleet.json('server show db1')
    assert {'compute1': [0, 1], 'seed3': []} == used(fleet)


def test_the_older_spelling_confirms(fleet):
    fleet('server migrate db1')
    assert 'ACTIVE' == fleet.json('server resize --confirm db1')['status']


def test_a_resize_stays_where_the_configuration_lets_it(fleet):
    """Else the only other host must take it, and where that does not, nobody does."""
    fleet('host set --disable seed3')
    refused = told(fleet, 'server resize --flavor m1.large db1', 3)
    assert "numaplace: no valid host for server 'db1':\n" in refused
    assert '  compute1 (move):\n    the server is on this host\n' in refused
    assert '  seed3 (ComputeFilter):\n' in refused
    fleet.configure(more='[DEFAULT]\nallow_resize_to_same_host = true')
    refused = told(fleet, 'server resize --flavor m1.large db1', 3)
    assert 'host cell 0 has 2 (2 short)' in refused
    fleet('flavor create --ram 512 --vcpus 1 --property hw:cpu_policy=dedicated m1.one')
    assert 'compute1' == fleet.json('server resize --flavor m1.one db1')['host']
    assert 3 == len(used(fleet)['compute1'])
    assert ['db1'] == fleet.json('host show compute1')['servers']
    fleet('server resize confirm db1')
    assert 1 == len(used(fleet)['compute1'])


def test_a_live_migration_tells_the_new_pins(fleet):
    fleet('server create --flavor m1.pinned --host seed3 neighbour')
    shown = fleet.json('server migrate --live-migration --host seed3 db1')
    assert ('ACTIVE', 'seed3', None) == (shown['status'], shown['host'], shown['migration'])
    info = shown['numa_info']
    assert ('LibvirtLiveMigrateNUMAInfo', '1.0') == (info['nova_object.name'], info['nova_object.version'])
    pins = {vcpu: [cpu] for vcpu, cpu in shown['cells'][0]['pins'].items()}
    assert pins == info['nova_object.data']['cpu_pins']
    assert {'0': [shown['cells'][0]['host_cell']]} == info['nova_object.data']['cell_pins']
    assert 4 == len(used(fleet)['seed3'])
    back = fleet('server migrate --live-migration db1')
    assert 'vCPU 0 to 0' in back
    assert 'emulator to 0-1' in back


def test_a_guest_that_floats_has_no_pins_to_tell(fleet):
    fleet('server create --flavor m1.tiny tiny')
    assert {} == fleet.json('server migrate --live-migration tiny')['numa_info']['nova_object.data']


def test_servers_leave_a_host_that_is_down(fleet):
    assert "host 'compute1' is up" in told(fleet, 'server evacuate db1')
    fleet('host set --down compute1')
    assert "host 'compute1' is down" in told(fleet, 'server migrate db1')
    assert "host 'compute1' is down" in told(fleet, 'server migrate --live-migration db1')
    assert "host 'compute1' is down" in told(fleet, 'server resize --flavor m1.large db1')
    assert "host 'compute1' is down" in told(fleet, 'server shelve db1')
    assert "host 'compute1' is down" in told(fleet, 'server rebuild db1')
    assert "host 'compute1' is down" in told(fleet, 'server set-vcpus db1 1')
    assert 'seed3' == fleet.json('server evacuate db1')['host']
    fleet('host set --up --disable compute1')
    shown = fleet.json('host show compute1')
    assert ('disabled', 'up') == (shown['status'], shown['state'])
    assert [] == used(fleet)['compute1']


def test_a_shelved_server_is_on_no_host(fleet):
    fleet('server shelve db1')
    shown = fleet.json('server show db1')
    assert ('SHELVED_OFFLOADED', None, []) == (shown['status'], shown['host'], shown['cells'])
    assert 'none: on no host' in fleet('server show db1')
    assert {'compute1': [], 'seed3': []} == used(fleet)
    assert 'is on no host: it is SHELVED_OFFLOADED' in told(fleet, 'server dumpxml db1')
    fleet('host delete compute1')
    fleet('host set --disable seed3')
    assert 3 == fleet.run('server', 'unshelve', 'db1').returncode
    fleet('host set --enable seed3')
    fleet('server unshelve --host seed3 db1')
    assert ('ACTIVE', 'seed3') == tuple(fleet.json('server show db1')[key] for key in ('status', 'host'))


def test_a_rebuild_takes_another_image_of_the_same_shape(fleet):
    before = fleet.json('server show db1')
    assert 'the image changes its NUMA topology' in told(fleet, 'server rebuild --image-property hw_numa_nodes=2 db1')
    after = fleet.json('server rebuild --image cirros db1')
    assert {**before, 'image': 'cirros'} == after
    assert after == fleet.json('server rebuild db1')


def test_moves_are_listed_shown_and_given_up(fleet):
    fleet('server resize --flavor m1.large db1')
    (row,) = fleet.json('server migration list')
    assert ('compute1', 'seed3', 'finished', 'm1.pinned', 'm1.large', 'resize') == tuple(
        row[key] for key in ('Source Compute', 'Dest Compute', 'Status', 'Old Flavor', 'New Flavor', 'Type')
    )
    assert (
        row
        == fleet.json(f'server migration show db1 {row["ID"]}')
        == fleet.json(f'server migration show db1 {row["UUID"]}')
    )
    assert [row] == fleet.json('server migration list --server db1 --host seed3 --status finished')
    assert [] == fleet.json('server migration list --status running')
    assert 'its status is VERIFY_RESIZE; expected RESIZE' in told(fleet, f'server migration abort db1 {row["ID"]}')
    assert "there is no migration '7' of the server; known migrations: 1" in told(fleet, 'server migration abort db1 7')


def test_a_move_that_was_cut_off_is_given_up(fleet):
    """A process that is killed between the claim and the arrival leaves both places held."""
    from numaplace.compute import claims  # noqa: PLC0415
    from numaplace.db import api  # noqa: PLC0415

    with api.connect(f'sqlite:///{fleet.database}') as database:
        claims.live_migration_claim(database, database.instance('db1').uuid, 'seed3')
    assert 'MIGRATING' == fleet.json('server show db1')['status']
    assert {'compute1': [0, 1], 'seed3': [0, 1]} == used(fleet)
    fleet('server migration abort db1 1')
    assert {'compute1': [0, 1], 'seed3': []} == used(fleet)
    assert 'failed' == fleet.json('server migration show db1 1')['Status']


@pytest.mark.parametrize(
    ('words', 'line'),
    [
        ('server resize confirm db1', "cannot confirm the resize of server 'db1'"),
        ('server resize revert db1', "cannot revert the resize of server 'db1'"),
        ('server resize --confirm db1', 'its status is ACTIVE; expected VERIFY_RESIZE'),
        ('server unshelve db1', 'its status is ACTIVE; expected SHELVED_OFFLOADED'),
        ('server resize --flavor m1.pinned db1', "server 'db1' has the flavor 'm1.pinned' already"),
        ('server resize --flavor nothing db1', "--flavor 'nothing': there is no such flavor; known flavors: "),
        ('server migrate --host compute1 db1', "server 'db1' is on host 'compute1' already"),
        ('server migrate --host nowhere db1', "there is no host 'nowhere'"),
        ('server shelve nobody', "there is no server 'nobody'"),
        ('host set --down nowhere', "there is no host 'nowhere'"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(fleet, words, line):
    error = told(fleet, words)
    assert line in error
    assert 1 == error.count('\n')


def test_a_resize_wants_one_of_its_options(fleet):
    assert 2 == fleet.run('server', 'resize', 'db1').returncode
    assert 2 == fleet.run('server', 'resize', '--confirm', '--revert', 'db1').returncode


def test_a_guest_that_fits_nowhere_else_stays(fleet):
    refused = told(fleet, 'server resize --flavor m1.wide db1', 3)
    assert 'host cell 0 has 4 (2 short)' in refused
    assert 'ACTIVE' == fleet.json('server show db1')['status']
