# SPDX-License-Identifier: Apache-2.0
"""The audit of a whole Nova from outside: nothing where all is well, and each fault by its code and place."""

import contextlib
import json
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from numaplace import novadb
from numaplace.fleet import audit as fleet_audit
from numaplace.tests.nova.stack import clients

NOBODY = '00000000-0000-4000-8000-000000000001'


@pytest.fixture(scope='module')
def audit(stack):
    """Return a function that returns the findings: code, host, server and host cell."""

    def audit(patience=fleet_audit.PATIENCE):
        fleet = novadb.read(*map(stack.database, ('nova_api', 'nova_cell1', 'placement')))
        found = fleet_audit.audit(fleet, now=datetime.now(UTC), patience=patience)
        return [(finding.code, finding.host, finding.server, finding.cell) for finding in found]

    return audit


@pytest.fixture(scope='module')
def guests(connection, stack, audit):
    """Servers of several kinds by name, one of them resized and not confirmed."""
    if audit():
        # What other tests have left is corrected by the audit of a start.
        stack.restart(*stack.hosts)
    cloud = clients.Cloud(connection)
    flavors = {
        'uneven': cloud.cells('uneven', 1, 3),
        'paged': cloud.cells('paged', 1, ram=1024, mem_page_size='large'),
        'mixed': cloud.flavor('mixed', 3, 512, numa_nodes=1, cpu_policy='mixed', cpu_dedicated_mask='1-2'),
        'isolated': cloud.cells('isolated', 1, cpu_thread_policy='isolate', emulator_threads_policy='isolate'),
        'floating': cloud.flavor('floating', 2, 256),
    }
    # One after the other, so that each is always on the same CPUs.
    guests = {name: cloud.boot(flavor, name, host='cmp1') for name, flavor in flavors.items()}
    assert {('ACTIVE', None)} == {(server.status, server.fault) for server in guests.values()}
    with cloud.only('cmp2'):
        cloud.resize(guests['mixed'], cloud.cells('wider', 3, 2, 1))
        assert 'cmp2' == cloud.reaches(guests['mixed'], 'VERIFY_RESIZE').compute_host
    yield {name: server.id for name, server in guests.items()}
    cloud.revert(guests['mixed'])
    cloud.clean()
    stack.restart('cmp1', 'cmp2')


@pytest.fixture
def damage(stack, guests):
    """Return a function that executes a statement on some rows, which are as before after the test."""
    with contextlib.ExitStack() as undo:

        def damage(rows_of, statement):
            database, table, where = rows_of
            engine = sa.create_engine(stack.database(database), poolclass=sa.NullPool)
            keys = guests | {'nobody': NOBODY}
            rows = sa.Table(table, sa.MetaData(), autoload_with=engine)
            with engine.begin() as connection:
                concerned = connection.execute(sa.select(rows).where(sa.text(where)), keys).mappings().all()
                connection.execute(sa.text(f'{statement} WHERE {where}'), keys)
            undo.callback(restore, engine, rows, where, keys, concerned)

        def restore(engine, rows, where, keys, concerned):
            with engine.begin() as connection:
                connection.execute(sa.delete(rows).where(sa.text(where)), keys)
                if concerned:
                    connection.execute(sa.insert(rows), [dict(row) for row in concerned])

        yield damage


@pytest.fixture
def plain_nova(stack, guests):
    """A host on which Nova decides without numaplace."""
    services = ('nova-scheduler', 'cmp2')
    stack.restart(*services, plain=True)
    yield 'cmp2'
    stack.restart(*services)


def test_a_healthy_nova_has_no_findings_and_an_old_move_is_one(audit, guests):
    assert [] == audit()
    assert [('move.stuck', 'cmp1', guests['mixed'], None)] == audit(patience=timedelta(0))


#: Faults made by hand: the database and the table, the rows and what is done to them, and the findings.
FAULTS = {
    'server-truncated': (
        ('nova_cell1', 'instance_extra', 'instance_uuid = :uneven'),
        'UPDATE instance_extra SET numa_topology = LEFT(numa_topology, 40)',
        [('row.unreadable', 'cmp1', 'uneven', None)],
    ),
    'move-truncated': (
        ('nova_cell1', 'instance_extra', 'instance_uuid = :mixed'),
        'UPDATE instance_extra SET migration_context = LEFT(migration_context, 40)',
        [('row.unreadable', 'cmp1', 'mixed', None), ('row.unreadable', 'cmp2', 'mixed', None)],
    ),
    'host-truncated': (
        ('nova_cell1', 'compute_nodes', "host = 'cmp2'"),
        'UPDATE compute_nodes SET numa_topology = LEFT(numa_topology, 40)',
        [('row.unreadable', 'cmp2', None, None)],
    ),
    'host-counts-no-pins': (
        ('nova_cell1', 'compute_nodes', "host = 'cmp2'"),
        """UPDATE compute_nodes
        SET numa_topology = REGEXP_REPLACE(numa_topology, '"pinned_cpus": [^]]*]', '"pinned_cpus": []')""",
        [('cpus.uncounted', 'cmp2', None, cell) for cell in (0, 1, 2)],
    ),
    'host-without-two-cpus': (
        ('nova_cell1', 'compute_nodes', "host = 'cmp1'"),
        """UPDATE compute_nodes
        SET numa_topology = REPLACE(numa_topology, '"pcpuset": [2, 3, 4, 5]', '"pcpuset": [4, 5]')""",
        [
            ('inventory.pcpu', 'cmp1', None, None),
            ('cpus.missing', 'cmp1', 'uneven', 0),
            ('cpus.missing', 'cmp1', 'paged', 0),
        ],
    ),
    'host-shares-two-cpus': (
        ('nova_cell1', 'compute_nodes', "host = 'cmp1'"),
        """UPDATE compute_nodes SET numa_topology = REPLACE(REPLACE(
            numa_topology, '"pcpuset": [2, 3, 4, 5]', '"pcpuset": [4, 5]'), '"cpuset": [0, 1]', '"cpuset": [0, 1, 2, 3]'
        )""",
        [
            ('inventory.pcpu', 'cmp1', None, None),
            ('cpus.outside', 'cmp1', 'uneven', 0),
            ('cpus.outside', 'cmp1', 'paged', 0),
            ('cpus.floating', 'cmp1', 'floating', None),
            ('cpus.floating', 'cmp1', 'mixed', None),
        ],
    ),
    'host-deleted': (
        ('nova_cell1', 'compute_nodes', "host = 'cmp2'"),
        'UPDATE compute_nodes SET deleted = id',
        [('server.host', 'cmp2', 'mixed', None)],
    ),
    'allocation-deleted': (
        ('placement', 'allocations', 'consumer_id = :paged'),
        'DELETE FROM allocations',
        [('allocation.missing', 'cmp1', 'paged', None)],
    ),
    'allocation-of-another': (
        ('placement', 'allocations', 'consumer_id IN (:paged, :nobody)'),
        'UPDATE allocations SET consumer_id = :nobody',
        [('allocation.orphan', 'cmp1', None, None), ('allocation.missing', 'cmp1', 'paged', None)],
    ),
}


@pytest.mark.parametrize('name', FAULTS)
def test_faults_made_by_hand_are_found_and_nothing_else(audit, guests, damage, name):
    rows_of, statement, expected = FAULTS[name]
    damage(rows_of, statement)
    named = [(code, host, guests.get(server), cell) for code, host, server, cell in expected]
    assert sorted(map(str, named)) == sorted(map(str, audit()))


@pytest.fixture
def stopped(stack):
    """A host whose compute service has stopped; it starts again after the test."""
    stack.stop('cmp2')
    yield 'cmp2'
    stack.restart('cmp2')


def test_a_compute_service_that_is_deleted_while_its_node_remains_is_found(audit, guests, stopped, damage):
    rows_of = 'nova_cell1', 'services', f"host = '{stopped}'"
    damage(rows_of, 'UPDATE services SET deleted = id')
    assert [('host.service', stopped, None, None)] == audit()


def test_the_command_finds_the_same(guests, damage, fleet):
    damage(*FAULTS['allocation-deleted'][:2])
    done = fleet('audit', '-f', 'json')
    (finding,) = json.loads(done.stdout)
    assert (1, 'allocation.missing', guests['paged']) == (done.returncode, finding['code'], finding['server'])


def test_the_command_says_why_a_server_found_no_host(cloud, fleet):
    server = cloud.boot(cloud.cells('six', 1, 6), 'lost')
    assert 'ERROR' == server.status
    done = fleet('explain', '--server', server.id)
    assert done.stdout.startswith('0 of 4 hosts take it\n')
    assert 'guest cell 1 needs 6 dedicated CPUs' in done.stdout
    assert f'flavor {server.flavor.name} fits no host, even without any server' in done.stdout


def test_the_map_has_the_hosts_the_servers_and_the_places_of_both_sides_of_a_resize(guests, stack, fleet, tmp_path):
    """NUMAPLACE_SCREENSHOTS names a directory that keeps the map, for a picture of it."""
    path = Path(os.environ.get('NUMAPLACE_SCREENSHOTS', tmp_path)) / 'nova.html'
    assert 0 == fleet('map', '--output', str(path)).returncode
    plain = json.loads(re.search('<script type="application/json".*?>(.*?)</script>', path.read_text('utf-8'))[1])
    names = [host[0] for host in plain['hosts']]
    assert set(stack.hosts) == set(names)
    places = {guest[1]: [names[place[0]] for place in guest[6]] for guest in plain['guests']}
    assert {uuid: ['cmp1', 'cmp2'] if name == 'mixed' else ['cmp1'] for name, uuid in guests.items()} == places
    ours = novadb.read(*map(stack.database, ('nova_api', 'nova_cell1', 'placement')))
    pinned = {record.name: sum(cell.pinned_cpus.bit_count() for cell in record.host.cells) for record in ours.hosts}
    assert pinned == {host[0]: sum(cell[0].count('x') for cell in host[9]) for host in plain['hosts']}


def test_a_live_migration_is_no_finding_while_it_runs_and_after_it_is_aborted(audit, cloud):
    server = cloud.boot(cloud.cells('uneven', 1, 3), 'moving', host='virt1')
    migration = cloud.live_migrate(server, 'virt2')
    assert [] == audit()
    assert ('move.stuck', 'virt1', server.id, None) in audit(patience=timedelta(0))
    cloud.abort(server, migration)
    clients.await_that(audit, lambda found: not found, patience=20)


def test_vcpus_that_nova_itself_leaves_unpinned_are_found(audit, cloud, plain_nova, rows):
    server = cloud.boot(cloud.cells('one-one-six', 1, 1, 6), 'pinless', host=plain_nova)
    assert ('ACTIVE', None) == (server.status, server.fault)
    *_, pinless = rows.guest(server)
    assert [
        ('cpus.unpinned', plain_nova, server.id, pinless['id']),
        ('flavor.unplaceable', None, None, None),
    ] == audit()
