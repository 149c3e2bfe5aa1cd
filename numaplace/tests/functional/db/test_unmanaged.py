# SPDX-License-Identifier: Apache-2.0
"""Domains that numaplace does not manage, on each database: held until they are adopted or gone, whoever claims."""

from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context

import pytest
import sqlalchemy as sa

from numaplace.compute import audit, claims, hotplug_claims, migration, resource_tracker, unmanaged
from numaplace.db import api, engine
from numaplace.db.migrations import VERSION_TABLE
from numaplace.db.records import InstanceRequest
from numaplace.model import Flavor, Refusal
from numaplace.model.held import hold
from numaplace.model.holding import Holding
from numaplace.tests import samples

URI = 'qemu:///system'
#: What holds half of host cell 0, which has CPUs 0 to 7.
STRANGER = Holding(
    'stranger', 'uuid-of-stranger', 4, dedicated=frozenset({0, 1, 2, 3}), memory=((frozenset({0, 1}), 64),)
)


@pytest.fixture
def held(database):
    """A database with two hosts, the first with a domain that numaplace does not manage."""
    for name, domains in (('a', (STRANGER,)), ('b', ())):
        record = replace(samples.host_record(name), libvirt_uri=URI, unmanaged=domains)
        resource_tracker.register(database, record)
    return database


def claim(database, name='one', host='a', **keys):
    asked = samples.guest(**{'memory_mib': 64, **keys})
    return claims.instance_claim(database, samples.instance_request(asked, name), host)


def taken(database, host='a'):
    return [cpu for server in database.instances(host) for cell in server.placement.cells for _vcpu, cpu in cell.pins]


def test_no_claim_takes_what_a_domain_holds(held):
    while claim(held, f'server {len(taken(held))}'):
        pass
    assert sorted(taken(held)) == [4, 5, 6, 7, *range(8, 16)]
    assert audit.audit(held, 'a').differences == ()
    assert held.host('a').unmanaged == (STRANGER,)


@contextmanager
def statements(database):
    """Yield a list that collects the statements that a database is given."""
    found = []

    def add(_connection, _cursor, statement, *_rest):
        found.append(statement)

    sa.event.listen(database._engine, 'before_cursor_execute', add)
    yield found
    sa.event.remove(database._engine, 'before_cursor_execute', add)


def asks(database, host):
    """Claim, and return whether the claim looked for domains."""
    with statements(database) as found:
        assert claim(database, f'on {host}', host)
    return any('unmanaged_domains' in statement for statement in found)


def test_a_claim_looks_for_domains_only_where_there_are_some(held):
    assert (asks(held, 'a'), asks(held, 'b')) == (True, False)
    server = held.instances('b')[0]
    unmanaged.update(held, 'a', URI, [], ())
    claims.release(held, server.uuid, is_left=True)
    assert (asks(held, 'a'), asks(held, 'b')) == (False, True)


def test_an_upgrade_counts_the_domains(held, database_url):
    with held._engine.connect() as connection, engine.begin(connection):
        connection.execute(sa.text('ALTER TABLE compute_nodes DROP COLUMN unmanaged_count'))
        connection.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '0008'"))
    api.upgrade(database_url)
    assert (asks(held, 'a'), asks(held, 'b')) == (True, False)


def test_a_wrong_number_of_domains_is_found_and_repaired(held):
    with held._engine.connect() as connection, engine.begin(connection):
        connection.execute(sa.text('UPDATE compute_nodes SET unmanaged_count = 0'))
    assert [host.old_format != '' for host in held.fleet().hosts] == [True, False]
    audit.repair(held, 'a')
    assert asks(held, 'a')


def test_what_is_gone_is_free_and_what_is_new_is_held(held):
    other = replace(STRANGER, name='other', uuid='other', dedicated=frozenset({8}))
    assert unmanaged.update(held, 'a', 'other:///', [other], ()) == (other,)
    record = held.host('a')
    assert (record.unmanaged, record.libvirt_uri) == ((other,), URI)
    assert record.host == hold(samples.host(), [other])
    generation = record.generation
    unmanaged.update(held, 'a', URI, [other], ())
    assert held.host('a').generation == generation, 'nothing changed'


def test_servers_are_no_strangers_even_if_they_have_left_since_their_domains_were_read(held):
    server = claim(held).instance
    domain = Holding('instance-00000001', server.uuid, dedicated=frozenset({9}))
    assert unmanaged.update(held, 'a', URI, [STRANGER, domain], ()) == (STRANGER,)
    claims.release(held, server.uuid)
    assert unmanaged.update(held, 'a', URI, [STRANGER, domain], {server.uuid}) == (STRANGER,)
    assert unmanaged.update(held, 'a', URI, [STRANGER, domain], ()) == (domain, STRANGER)


def test_a_cpu_that_a_server_had_before_is_not_free_before_both_are_gone(held):
    server = claim(held).instance
    cpus = frozenset(taken(held))
    rival = replace(STRANGER, name='rival', uuid='rival', dedicated=cpus)
    unmanaged.update(held, 'a', URI, [rival], ())
    assert audit.audit(held, 'a').differences == ()
    claims.release(held, server.uuid)
    assert claim(held)
    assert cpus.isdisjoint(taken(held))


def test_a_number_whose_domain_name_is_there_is_skipped(held):
    names = [f'instance-{number:08x}' for number in (1, 2, 4)]
    there = [Holding(name, name) for name in names]
    unmanaged.update(held, 'a', URI, there, ())
    assert [claim(held, str(number), vcpus=1).instance.domain_name for number in range(2)] == [
        'instance-00000003',
        'instance-00000005',
    ]
    assert len(held.instances()) == 2
    refusal = claim(held, names[0])
    assert [reason.code for reason in refusal.reasons] == ['domain.name']


def test_a_server_moves_to_no_host_where_its_name_is_there(held):
    server = claim(held, host='b').instance
    unmanaged.update(held, 'a', URI, [Holding(server.domain_name, 'other')], ())
    refusal = claims.live_migration_claim(held, server.uuid, 'a')
    assert isinstance(refusal, Refusal)
    assert [reason.subject for reason in refusal.reasons] == [server.domain_name]
    unmanaged.update(held, 'a', URI, [Holding(server.domain_name, server.uuid)], ())
    assert claims.live_migration_claim(held, server.uuid, 'a'), 'its own domain, which was left there'


def test_moves_repairs_and_refreshes_keep_what_is_held(held):
    server = claim(held, host='b').instance
    claims.live_migration_claim(held, server.uuid, 'a')
    migration.finish(held, server.uuid)
    assert {0, 1, 2, 3}.isdisjoint(taken(held))
    audit.repair(held, 'a')
    resource_tracker.refresh(held, 'a', samples.host())
    resource_tracker.switch(held, 'a', status='disabled')
    record = held.host('a')
    assert (record.unmanaged, record.libvirt_uri) == ((STRANGER,), URI)
    assert record.host.cells[0].held_cpus == 0b1111


def test_a_server_that_is_released_is_held_as_a_domain_and_one_that_is_adopted_is_no_longer(held):
    server = claim(held, pagesize_kib=2048).instance
    cpus = frozenset(taken(held))
    claims.release(held, server.uuid, is_left=True)
    (domain, _stranger) = held.host('a').unmanaged
    assert (domain.name, domain.uuid, domain.dedicated) == (server.domain_name, server.uuid, cpus)
    assert domain.pages == ((frozenset({server.placement.cells[0].host_cell}), 2048, 32),)
    asked = replace(samples.instance_request(server.placement.guest, 'one'), uuid=server.uuid, adopted_name=domain.name)
    adopted = held.claim(asked, 'a', lambda _host: server.placement)
    assert (adopted.uuid, adopted.domain_name) == (server.uuid, domain.name)
    assert held.host('a').unmanaged == (STRANGER,)


def test_what_a_released_server_had_is_held_where_no_libvirt_is_known_until_somebody_looks(database):
    for name in ('a', 'b'):
        resource_tracker.register(database, samples.host_record(name))
    server = claim(database, pagesize_kib=2048).instance
    assert claims.live_migration_claim(database, server.uuid, 'b')
    before = {name: database.host(name).host for name in ('a', 'b')}
    claims.release(database, server.uuid, is_left=True)
    resource_tracker.refresh(database, 'a', samples.host())
    for name, used in before.items():
        record = database.host(name)
        assert (record.libvirt_uri, [one.uuid for one in record.unmanaged]) == (None, [server.uuid])
        assert record.host.vcpus_used == 0
        for cell, old in zip(record.host.cells, used.cells, strict=True):
            assert (cell.pinned_cpus, cell.held_cpus, cell.held_mib) == (0, old.pinned_cpus, old.memory_usage_mib)
            assert [pages.held for pages in cell.pages[1:]] == [pages.used for pages in old.pages[1:]]
    unmanaged.update(database, 'a', URI, [], ())
    assert (database.host('a').unmanaged, len(database.host('b').unmanaged)) == ((), 1)


def test_a_released_server_holds_what_was_on(database):
    resource_tracker.register(database, samples.host_record('a'))
    asked = samples.guest(2, 4, 64)
    flavor = Flavor('hot', 8, 128, 1, {'numaplace:vcpu_hotplug': 'true'}, 'hot')
    server = claims.instance_claim(database, InstanceRequest('one', flavor, asked), 'a').instance
    hotplug_claims.set_vcpus(database, server.uuid, 4)
    cpus = frozenset(taken(database))
    claims.release(database, server.uuid, is_left=True)
    (domain,) = database.host('a').unmanaged
    assert (domain.vcpus, domain.online, domain.dedicated) == (8, frozenset({0, 1, 4, 5}), cpus)


def test_a_host_is_deleted_with_them(held):
    held.delete_host('a')
    resource_tracker.register(held, replace(samples.host_record('a'), libvirt_uri=URI))
    assert held.host('a').unmanaged == ()


def _crowd(url, number):
    with api.connect(url) as database:
        for turn in range(4):
            stranger = replace(STRANGER, vcpus=turn + 1)
            unmanaged.update(database, 'a', URI, [stranger], ())
            claim(database, f'{number}-{turn}', vcpus=1)


def test_sixteen_processes_that_look_and_claim_give_nothing_out_twice(database_url, held):
    context = get_context('spawn')
    crowd = [context.Process(target=_crowd, args=(database_url, number)) for number in range(16)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join(120)
    assert [0] * 16 == [one.exitcode for one in crowd]
    assert sorted(taken(held)) == list(range(4, 16))
    assert audit.audit(held, 'a').differences == ()
