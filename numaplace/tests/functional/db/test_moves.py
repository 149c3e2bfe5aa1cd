# SPDX-License-Identifier: Apache-2.0
"""Moves on real databases: what is held at each step, and what each state allows."""

import json
from dataclasses import replace

import pytest
import sqlalchemy as sa

from numaplace import exception, fit, request
from numaplace.compute import claims, migration, resource_tracker
from numaplace.db import api, engine
from numaplace.db.records import InstanceRequest
from numaplace.model import Flavor, Guest, Refusal
from numaplace.model.records import DOWN, ENABLED, RESIZED
from numaplace.request import own_devices
from numaplace.scheduler.filters import Request
from numaplace.scheduler.filters.numa_topology import NUMATopologyFilter
from numaplace.tests import samples
from numaplace.tests.functional.db.moving import (
    BIG,
    IDLE,
    LARGE,
    LARGE_GUEST,
    SMALL,
    SMALL_GUEST,
    check,
    place,
    read,
    resize,
    statuses,
    used,
)


def test_a_resize_holds_both_places_until_it_is_confirmed(hosts, server):
    claim = resize(hosts, server)
    assert (claim.instance.status, claim.instance.host) == ('RESIZE', 'a')
    assert used(hosts) == {'a': SMALL, 'b': BIG}
    assert hosts.instance(server) == claim.instance
    arrived = migration.finish(hosts, server)
    assert (arrived.status, arrived.host, arrived.flavor) == ('VERIFY_RESIZE', 'b', LARGE)
    assert used(hosts) == {'a': SMALL, 'b': BIG}
    assert hosts.instance(server) == arrived
    confirmed = migration.confirm(hosts, server)
    assert (confirmed.status, confirmed.host, confirmed.move) == ('ACTIVE', 'b', None)
    assert used(hosts) == {'a': IDLE, 'b': BIG}
    assert hosts.instance(server) == confirmed
    assert statuses(hosts) == [('resize', 'confirmed')]


def test_a_revert_brings_back_the_very_server(hosts, server):
    """Flavor, host, CPUs; other servers could not take them in the meantime."""
    before = hosts.instance(server)
    resize(hosts, server)
    migration.finish(hosts, server)
    place(hosts, samples.guest(vcpus=6), name='other')
    reverted = migration.revert(hosts, server)
    assert reverted == replace(before, generation=reverted.generation) == hosts.instance(server)
    assert used(hosts)['b'] == IDLE
    assert statuses(hosts) == [('resize', 'reverted')]


@pytest.mark.parametrize(
    ('end', 'left'),
    [(migration.confirm, ('2-5', 1024)), (migration.revert, SMALL)],
    ids=['confirm', 'revert'],
)
def test_a_resize_that_stays_holds_both_sizes(hosts, server, end, left):
    """On one host, in one row: the new CPUs are others than the old."""
    resize(hosts, server, 'a', strategy=fit.LINEAR)
    assert used(hosts)['a'] == ('0-5', 1536)
    migration.finish(hosts, server)
    assert used(hosts)['a'] == ('0-5', 1536)
    assert [instance.uuid for instance in hosts.instances('a')] == [server]
    end(hosts, server)
    assert used(hosts)['a'] == left


def test_two_floating_guests_of_one_server_count_twice(hosts):
    """Both sides are equal values, and still two."""
    server = place(hosts, Guest(2, 512))
    equal = replace(LARGE, vcpus=2, memory_mib=512)
    claims.resize_claim(hosts, server, 'a', flavor=equal, read=lambda *_: Guest(2, 512))
    assert hosts.host('a').host.memory_used_mib == 1024
    check(hosts)
    migration.finish(hosts, server)
    check(hosts)
    migration.confirm(hosts, server)
    assert hosts.host('a').host.memory_used_mib == 512
    assert hosts.host('a').host.floating_vcpus == 2


def test_a_floating_guest_keeps_the_size_of_both_sides(hosts):
    """No topology reports it; it comes back from the columns of ours."""
    server = place(hosts, Guest(2, 512))
    claims.resize_claim(hosts, server, 'b', flavor=LARGE, read=lambda *_: Guest(4, 1024, locked_memory=True))
    migration.finish(hosts, server)
    with api.connect(str(hosts._engine.url.render_as_string(hide_password=False))) as other:
        move = other.instance(server).move
    assert (move.old.placement.guest, move.new.placement.guest) == (Guest(2, 512), Guest(4, 1024, locked_memory=True))
    assert (hosts.host('a').host.vcpus_used, hosts.host('b').host.vcpus_used) == (2, 4)
    migration.revert(hosts, server)
    assert (hosts.host('a').host.vcpus_used, hosts.host('b').host.vcpus_used) == (2, 0)


def test_a_server_keeps_its_devices(hosts):
    """They are read as they were stored, on every side of every move."""
    devices = own_devices(['bridge=br0', 'network=ä,node=1'], ['path=/srv/\'ü".img,format=qcow2,node=0'])
    asked = replace(samples.instance_request(samples.guest()), devices=devices)
    server = claims.instance_claim(hosts, asked, 'a').instance
    assert server.devices == devices
    claims.resize_claim(hosts, server.uuid, 'b', read=read)
    assert migration.finish(hosts, server.uuid).devices == devices
    migration.confirm(hosts, server.uuid)
    migration.shelve(hosts, server.uuid)
    assert hosts.instance(server.uuid).devices == devices
    claims.unshelve_claim(hosts, server.uuid, 'a', read=read)
    claims.rebuild(hosts, server.uuid, {}, read=read)
    assert hosts.instance(server.uuid).devices == devices


def test_a_server_without_devices_has_nothing_in_their_column(hosts, server, database_url):
    opened = engine.create(engine.open_url(database_url))
    with opened.connect() as connection, engine.begin(connection):
        assert connection.scalar(sa.text('SELECT devices FROM instances')) is None
        connection.execute(sa.text("UPDATE instances SET devices = '{}'"))
    opened.dispose()
    with pytest.raises(exception.InvalidObject, match=r"'devices' is .*: expected an object with lists of texts"):
        hosts.instance(server)


def test_a_cold_migration_keeps_the_flavor(hosts, server):
    claims.resize_claim(hosts, server, 'b', read=read)
    assert used(hosts) == {'a': SMALL, 'b': SMALL}
    migration.finish(hosts, server)
    migration.confirm(hosts, server)
    assert used(hosts) == {'a': IDLE, 'b': SMALL}
    assert statuses(hosts) == [('migration', 'confirmed')]


def test_a_live_migration_leaves_the_cores_free_that_the_flavor_keeps(hosts):
    specs = {'numaplace:vnuma': 'auto', 'numaplace:vnuma_keep': '1', 'hw:cpu_policy': 'dedicated'}
    flavor = Flavor('divided', 12, 1024, 1, specs, 'divided')
    asked = InstanceRequest('divided', flavor, request.read(flavor, {}))
    server = claims.instance_claim(hosts, asked, 'a').instance
    assert used(hosts)['a'] == ('2-7,10-15', 1024)
    wanted = Request(replace(asked, guest=claims.running_guest(server)), fit.LINEAR)
    seen = NUMATopologyFilter().admit(hosts.host('b'), wanted)
    claim = claims.live_migration_claim(hosts, server.uuid, 'b', strategy=fit.LINEAR)
    assert used(hosts)['b'] == ('2-7,10-15', 1024)
    assert (seen.guest.wish, claim.side.placement.cells) == (None, seen.cells)
    migration.finish(hosts, server.uuid)


def test_a_live_migration_is_over_when_the_guest_arrives(hosts, server):
    claim = claims.live_migration_claim(hosts, server, 'b')
    assert claim.instance.status == 'MIGRATING'
    assert used(hosts) == {'a': SMALL, 'b': SMALL}
    arrived = migration.finish(hosts, server)
    assert (arrived.status, arrived.host, arrived.move) == ('ACTIVE', 'b', None)
    assert used(hosts) == {'a': IDLE, 'b': SMALL}
    assert statuses(hosts) == [('live-migration', 'completed')]


def test_cells_that_share_a_host_cell_go_on_sharing_it(hosts):
    """Which no search would find; a destination without those host cells refuses."""
    shared = fit.place(samples.host(), samples.guest(cells=3, vcpus=2), host_cell_ids=(0, 0, 1))
    request = samples.instance_request(shared.guest)
    server = hosts.claim(request, 'a', lambda _host: shared).uuid
    place(hosts, SMALL_GUEST, 'b', 'neighbour')
    resource_tracker.register(hosts, samples.host_record('small', cells=1))
    refusal = claims.live_migration_claim(hosts, server, 'small')
    assert {reason.code for reason in refusal.reasons} == {'cells.unknown'}
    claims.live_migration_claim(hosts, server, 'b')
    arrived = migration.finish(hosts, server)
    assert [cell.host_cell for cell in arrived.placement.cells] == [0, 0, 1]
    assert used(hosts)['b'] == ('0-5,8-9', 2048)


def test_an_evacuation_frees_the_dead_host_when_the_guest_is_up(hosts, server):
    with pytest.raises(exception.ComputeServiceInUse, match="host 'a' is up"):
        claims.rebuild_claim(hosts, server, 'b', read=read)
    resource_tracker.switch(hosts, 'a', state=DOWN)
    assert claims.rebuild_claim(hosts, server, 'b', read=read).instance.status == 'REBUILD'
    assert used(hosts) == {'a': SMALL, 'b': SMALL}
    migration.finish(hosts, server)
    assert used(hosts) == {'a': IDLE, 'b': SMALL}
    assert statuses(hosts) == [('evacuation', 'done')]


@pytest.mark.parametrize('kind', ['resize', 'live-migration', 'evacuation'])
def test_a_move_that_is_given_up_leaves_the_server_where_it_was(hosts, server, kind):
    before = hosts.instance(server)
    begin(hosts, server, kind)
    migration.drop_move_claim(hosts, server)
    after = hosts.instance(server)
    assert after == replace(before, generation=after.generation)
    assert used(hosts) == {'a': SMALL, 'b': IDLE}
    assert statuses(hosts) == [(kind, 'error' if kind == 'resize' else 'failed')]


def begin(database, server, kind):
    if kind == 'resize':
        return resize(database, server)
    if kind == 'live-migration':
        return claims.live_migration_claim(database, server, 'b')
    resource_tracker.switch(database, 'a', state=DOWN)
    return claims.rebuild_claim(database, server, 'b', read=read)


@pytest.mark.parametrize('kind', ['resize', 'live-migration', 'evacuation'])
def test_a_body_that_raises_gives_the_move_up(hosts, server, kind):
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error, match='gives up'), begin(hosts, server, kind):
            raise error('gives up')
        assert used(hosts) == {'a': SMALL, 'b': IDLE}
        assert hosts.instance(server).status == 'ACTIVE'


def test_a_claim_gives_up_its_own_move_only(hosts, server):
    """Another one that began in the meantime stays."""
    first = resize(hosts, server)
    migration.drop_move_claim(hosts, server)
    second = claims.live_migration_claim(hosts, server, 'b')
    first.abort()
    assert hosts.instance(server) == second.instance


def test_a_refused_move_changes_nothing(hosts, server):
    before = [hosts.instances(), hosts.hosts()]
    answer = claims.resize_claim(hosts, server, 'b', flavor=LARGE, read=lambda *_: samples.guest(vcpus=9))
    assert isinstance(answer, Refusal)
    assert answer.reasons
    assert [hosts.instances(), hosts.hosts()] == before
    assert statuses(hosts) == []


def test_a_shelved_server_holds_nothing_and_comes_back_anew(hosts, server):
    shelved = migration.shelve(hosts, server)
    assert (shelved.status, shelved.host, shelved.placement.cells) == ('SHELVED_OFFLOADED', None, ())
    assert hosts.instance(server) == shelved
    assert used(hosts) == {'a': IDLE, 'b': IDLE}
    claim = claims.unshelve_claim(hosts, server, 'b', read=read)
    assert hosts.instance(server) == claim.instance
    assert used(hosts) == {'a': IDLE, 'b': SMALL}
    claim.abort()
    assert hosts.instance(server).status == 'SHELVED_OFFLOADED'
    assert used(hosts) == {'a': IDLE, 'b': IDLE}


def test_a_host_of_shelved_servers_can_go(hosts, server):
    migration.shelve(hosts, server)
    hosts.delete_host('a')
    assert [record.name for record in hosts.hosts()] == ['b']
    assert hosts.instance(server).host is None
    assert claims.release(hosts, server).uuid == server


def test_a_host_to_which_a_server_moves_stays(hosts, server):
    resize(hosts, server)
    for name in ('a', 'b'):
        with pytest.raises(exception.Conflict, match=f'host {name!r} has 1 server: delete it first'):
            hosts.delete_host(name)


@pytest.mark.parametrize('kind', ['resize', 'live-migration', 'evacuation'])
def test_a_server_deleted_on_its_way_frees_both_places(hosts, server, kind):
    begin(hosts, server, kind)
    claims.release(hosts, server)
    assert used(hosts) == {'a': IDLE, 'b': IDLE}
    assert hosts.migrations() == []


def test_a_server_deleted_before_the_confirmation_frees_both_places(hosts, server):
    resize(hosts, server)
    migration.finish(hosts, server)
    claims.release(hosts, server)
    assert used(hosts) == {'a': IDLE, 'b': IDLE}


def test_a_rebuild_changes_the_image_and_holds_what_it_held(hosts, server):
    before = hosts.instance(server)

    def read(_flavor, image):
        return replace(SMALL_GUEST, locked_memory='locked' in image)

    after = claims.rebuild(hosts, server, {'locked': 'true'}, read=read)
    assert after.image_properties == {'locked': 'true'}
    assert after.placement.cells == before.placement.cells
    assert after.placement.guest == replace(before.placement.guest, locked_memory=True)
    assert hosts.instance(server) == after
    assert used(hosts)['a'] == SMALL


OTHER_GUESTS = {
    'larger': LARGE_GUEST,
    'two cells': samples.guest(vcpus=1, cells=2, memory_mib=256),
    'huge pages': samples.guest(vcpus=2, pagesize_kib=2048),
    'not pinned': samples.guest(vcpus=2, policy=None),
    'emulator': replace(SMALL_GUEST, emulator_policy='isolate'),
    'no topology': Guest(2, 512),
}


def test_a_rebuild_to_another_topology_is_refused(hosts, server):
    before = hosts.instance(server)
    for name in OTHER_GUESTS:
        with pytest.raises(exception.ImageNUMATopologyRebuildConflict, match='the image changes its NUMA topology'):
            claims.rebuild(
                hosts, server, {name: '1'}, read=lambda _, image: OTHER_GUESTS.get(next(iter(image)), SMALL_GUEST)
            )
    assert hosts.instance(server) == before


WRONG = {
    'confirm': migration.confirm,
    'revert': migration.revert,
    'finish': migration.finish,
    'abort': migration.drop_move_claim,
    'shelve': migration.shelve,
    'resize': resize,
    'live': lambda database, server: claims.live_migration_claim(database, server, 'b'),
    'evacuate': lambda database, server: claims.rebuild_claim(database, server, 'b', read=read),
    'unshelve': lambda database, server: claims.unshelve_claim(database, server, 'b', read=read),
    'rebuild': lambda database, server: claims.rebuild(database, server, {}, read=read),
}
#: What each state allows; all else is refused.
ALLOWED = {
    'ACTIVE': {'shelve', 'resize', 'live', 'rebuild'},
    'RESIZE': {'finish', 'abort'},
    'MIGRATING': {'finish', 'abort'},
    'VERIFY_RESIZE': {'confirm', 'revert'},
    'SHELVED_OFFLOADED': {'unshelve'},
}


def bring(database, server, status):
    if status == 'RESIZE':
        resize(database, server)
    elif status == 'MIGRATING':
        claims.live_migration_claim(database, server, 'b')
    elif status == 'VERIFY_RESIZE':
        resize(database, server)
        migration.finish(database, server)
    elif status == 'SHELVED_OFFLOADED':
        migration.shelve(database, server)


@pytest.mark.parametrize('status', ALLOWED)
def test_each_state_allows_what_it_allows(hosts, server, status):
    """All else is a conflict in one line that names the state, and changes nothing."""
    bring(hosts, server, status)
    before = hosts.instance(server), hosts.hosts(), hosts.migrations()
    assert before[0].status == status
    for name in WRONG.keys() - ALLOWED[status]:
        with pytest.raises(exception.Conflict, match=r'; expected |is up: ') as caught:
            WRONG[name](hosts, server)
        assert '\n' not in str(caught.value)
        if not isinstance(caught.value, exception.ComputeServiceInUse):
            assert isinstance(caught.value, exception.InstanceInvalidState)
            assert f'its status is {status}; expected ' in str(caught.value)
    assert (hosts.instance(server), hosts.hosts(), hosts.migrations()) == before


def test_a_server_does_not_move_to_its_own_host(hosts, server):
    with pytest.raises(exception.UnableToMigrateToSelf, match="is on 'a' already"):
        claims.live_migration_claim(hosts, server, 'a')
    with pytest.raises(exception.UnableToMigrateToSelf, match="is on 'a' already"):
        claims.resize_claim(hosts, server, 'a', read=read)
    resource_tracker.switch(hosts, 'a', state=DOWN)
    with pytest.raises(exception.UnableToMigrateToSelf, match="is on 'a' already"):
        claims.rebuild_claim(hosts, server, 'a', read=read)


def test_what_runs_on_a_dead_host_is_not_moved(hosts, server):
    assert resource_tracker.switch(hosts, 'a', state=DOWN).status == ENABLED
    for claim in (resize, lambda *args: claims.live_migration_claim(*args, 'b')):
        with pytest.raises(exception.ComputeServiceUnavailable, match="host 'a' is down"):
            claim(hosts, server)


def test_unknown_servers_and_hosts_are_named(hosts, server):
    with pytest.raises(exception.NotFound, match="there is no host 'c'"):
        resize(hosts, server, 'c')
    for verb in WRONG.values():
        with pytest.raises(exception.InstanceNotFound, match="there is no server 'nobody'"):
            verb(hosts, 'nobody')


def test_the_context_of_a_move_is_novas(hosts, server, database_url):
    """MigrationContext 1.2, there while the move is in progress and NULL before and after."""
    opened = engine.create(engine.open_url(database_url))

    def context():
        with opened.connect() as connection, engine.begin(connection, reads=True):
            return connection.scalar(sa.text('SELECT migration_context FROM instance_extra'))

    assert context() is None
    resize(hosts, server)
    written = json.loads(context())
    assert (written['nova_object.name'], written['nova_object.version']) == ('MigrationContext', '1.2')
    data = written['nova_object.data']
    (record,) = hosts.migrations()
    assert (data['instance_uuid'], data['migration_id']) == (server, record.number)
    pins = {
        side: [
            cell['nova_object.data']['cpu_pinning_raw']
            for cell in data[f'{side}_numa_topology']['nova_object.data']['cells']
        ]
        for side in ('old', 'new')
    }
    assert pins == {'old': [{'0': 0, '1': 1}], 'new': [{'0': 0, '1': 1, '2': 2, '3': 3}]}
    assert data['old_pci_devices'] is data['new_resources'] is None
    migration.finish(hosts, server)
    assert json.loads(context()) == written
    migration.confirm(hosts, server)
    assert context() is None
    opened.dispose()


def test_a_move_whose_context_is_lost_is_a_fault(hosts, server, database_url):
    """Nothing guesses what it held."""
    resize(hosts, server)
    opened = engine.create(engine.open_url(database_url))
    with opened.connect() as connection, engine.begin(connection):
        connection.execute(sa.text('UPDATE instance_extra SET migration_context = NULL'))
    opened.dispose()
    with pytest.raises(exception.InvalidObject, match='is pre-migrating, but the server has no context of it'):
        hosts.instances()


def test_moves_are_remembered(hosts, server):
    resize(hosts, server)
    migration.drop_move_claim(hosts, server)
    claims.live_migration_claim(hosts, server, 'b')
    first, second = hosts.migrations(instance_uuid=server)
    assert (first.source, first.dest, first.old_flavor.name, first.new_flavor.name) == ('a', 'b', 'm1.sample', 'large')
    assert first.updated_at is not None
    assert hosts.migrations(status='running') == [second]
    assert hosts.migrations(host='b') == [first, second]
    assert hosts.migrations(host='c') == hosts.migrations(instance_uuid='nobody') == []


def test_a_claim_returns_a_floating_guest_as_it_is_stored(hosts):
    """A policy for its emulator has no place without a topology."""
    guest = Guest(2, 512, emulator_policy='share')
    server = claims.instance_claim(hosts, samples.instance_request(guest), 'a').instance
    assert hosts.instance(server.uuid) == server
    moved = claims.resize_claim(hosts, server.uuid, 'b', flavor=LARGE, read=lambda *_: guest).instance
    assert hosts.instance(server.uuid) == moved


@pytest.mark.parametrize('end', [migration.finish, migration.drop_move_claim, migration.confirm, migration.revert])
def test_the_end_of_a_move_does_not_end_another_one(hosts, server, end):
    """The first one was aborted or reverted when its end was reported, and a second one began."""

    def begin():
        move = resize(hosts, server).instance.move
        if end in (migration.confirm, migration.revert):
            migration.finish(hosts, server, move.uuid)
        return move

    first = begin()
    (migration.revert if hosts.instance(server).vm_state == RESIZED else migration.drop_move_claim)(hosts, server)
    second, before = begin(), hosts.instance(server)
    with pytest.raises(exception.InstanceInvalidState, match=f'is in another move than {first.uuid}'):
        end(hosts, server, first.uuid)
    assert before == hosts.instance(server)
    assert second.uuid == before.move.uuid
    assert end(hosts, server, second.uuid)
