# SPDX-License-Identifier: Apache-2.0
"""Read the databases of a Nova: its own schema, on each kind of database, by a user who may only SELECT."""

import contextlib
import json
import subprocess
import sys
import uuid
from dataclasses import replace
from datetime import datetime
from importlib import resources

import pytest
import sqlalchemy as sa

from numaplace import exception, novadb
from numaplace.fleet.audit import audit
from numaplace.fleet.configuration import Settings
from numaplace.model.allocations import held_on
from numaplace.model.fleet import candidates
from numaplace.tests import nova_rows
from numaplace.tests.nova.databases import KINDS, Databases, healthy, scratch, uuid_of
from numaplace.tests.unit.fleet import fleets

#: All servers, one of which is in a move and so may hold something on two hosts.
SERVERS = ['s1', 's2', 's3', 's4', 's4', 's5']


@pytest.fixture(params=KINDS)
def databases(request, tmp_path):
    """The three databases, on each kind in turn."""
    with scratch(request.param, tmp_path) as urls:
        yield Databases(urls)


@pytest.fixture
def file(tmp_path):
    """The three databases, as files."""
    with scratch('sqlite', tmp_path) as urls:
        yield Databases(urls)


def _stored(fleet):
    """Return what Nova's rows hold of a fleet: no distances of cells, no topology of a guest's CPUs."""
    hosts = []
    for record in fleet.hosts:
        cells = [replace(cell, shape=replace(cell.shape, distances=())) for cell in record.host.cells]
        hosts.append(replace(record, host=replace(record.host, cells=tuple(cells)), created_at=None, updated_at=None))
    return replace(fleet, hosts=tuple(hosts), servers=tuple(map(_stored_server, fleet.servers)))


def _stored_server(server):
    move = server.move
    if move is not None:
        sides = {
            name: replace(getattr(move, name), placement=_plain(getattr(move, name).placement))
            for name in ('old', 'new')
        }
        sides['new'] = replace(sides['new'], flavor=server.flavor)
        move = replace(move, **sides)
    return replace(server, placement=_plain(server.placement), move=move)


def _plain(placement):
    return replace(placement, guest=replace(placement.guest, cpu_topology=None))


def test_a_fleet_is_read_as_nova_has_stored_it(databases):
    known = healthy()
    databases.store(known)
    found = databases.read()
    assert fleets.seen(found) == fleets.seen(databases.read(lists_servers=False))
    assert _stored(known) == replace(found, hosts=tuple([replace(record, created_at=None) for record in found.hosts]))
    assert [] == audit(found, now=fleets.NOW)


def test_cells_are_found_by_templates_and_one_that_does_not_answer_stops_no_other(databases):
    url = databases.cell1.url
    template = f'{{scheme}}://{url.render_as_string(False).partition("://")[2]}'
    databases.store(healthy(), cell0='mysql+pymysql://nobody:secret@127.0.0.1:1/none', cell1=template)
    found = databases.read()
    assert ['h1', 'h2'] == [record.name for record in found.hosts]
    (row,) = found.unread
    assert ('cell.unreachable', 'cell0') == (row.code, row.key)
    assert 'secret' not in row.fault
    assert ['cell.unreachable'] == [finding.code for finding in audit(found)]


@pytest.mark.parametrize('kind', ['mysql', 'postgresql'])
def test_a_user_with_no_right_but_select_is_enough(kind, tmp_path):
    with scratch(kind, tmp_path) as urls:
        databases = Databases(urls)
        name = f'reader_{uuid.uuid4().hex[:8]}'
        with _reader(databases, kind, name):
            as_reader = [engine.url.set(username=name, password='read') for engine in (databases.api, databases.cell1)]
            api, cell = (url.render_as_string(False) for url in as_reader)
            databases.store(healthy(), cell0=cell, cell1=cell)
            with pytest.raises(sa.exc.DBAPIError, match='denied'), sa.create_engine(cell).begin() as connection:
                connection.exec_driver_sql('DELETE FROM instances')
            found = novadb.read(api, cell)
    assert {'host.twice'} == {row.code for row in found.unread}
    assert 5 == len({server.uuid for server in found.servers})


@contextlib.contextmanager
def _reader(databases, kind, name):
    """Make a user who may only SELECT."""
    engines = (databases.api, databases.cell1)
    with contextlib.ExitStack() as stack:
        for number, engine in enumerate(engines):
            connection = stack.enter_context(engine.connect().execution_options(isolation_level='AUTOCOMMIT'))
            if kind == 'mysql':
                if not number:
                    connection.exec_driver_sql(f"CREATE USER {name}@'%%' IDENTIFIED BY 'read'")
                connection.exec_driver_sql(f"GRANT SELECT ON `{engine.url.database}`.* TO {name}@'%%'")
                continue
            if not number:
                connection.exec_driver_sql(f"CREATE ROLE {name} LOGIN PASSWORD 'read'")
            connection.exec_driver_sql(f'GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}')
        try:
            yield
        finally:
            if kind == 'mysql':
                connection.exec_driver_sql(f"DROP USER {name}@'%%'")
            else:
                for engine in engines:
                    with engine.connect().execution_options(isolation_level='AUTOCOMMIT') as owner:
                        owner.exec_driver_sql(f'DROP OWNED BY {name}')
                connection.exec_driver_sql(f'DROP ROLE {name}')


def _deep(depth=100_000):
    return '[' * depth


NEWER = json.dumps(
    {
        'nova_object.name': 'NUMATopology',
        'nova_object.namespace': 'nova',
        'nova_object.version': '1.9',
        'nova_object.data': {'cells': []},
    }
)


@pytest.mark.parametrize(
    ('table', 'column', 'value', 'unread'),
    [
        ('request_specs', 'spec', '{', ['s2', 's3', 's4', 's5']),
        ('request_specs', 'spec', '{"nova_object.data": {"force_hosts": [1]}}', ['s2', 's3', 's4', 's5']),
        ('request_specs', 'spec', _deep(), ['s2', 's3', 's4', 's5']),
        ('compute_nodes', 'numa_topology', '{"cells": [', ['h1', 'h2']),
        ('compute_nodes', 'numa_topology', '[]', ['h1', 'h2']),
        ('compute_nodes', 'numa_topology', NEWER, ['h1', 'h2']),
        ('compute_nodes', 'numa_topology', _deep(), ['h1', 'h2']),
        ('compute_nodes', 'numa_topology', _deep(10_000_000), ['h1', 'h2']),
        ('compute_nodes', 'cpu_allocation_ratio', -1, ['h1', 'h2']),
        ('instances', 'vcpus', None, SERVERS),
        ('instances', 'memory_mb', -512, SERVERS),
        ('instances', 'created_at', None, SERVERS),
        ('instance_extra', 'numa_topology', '{"nova_object.name": 1', SERVERS),
        ('instance_extra', 'numa_topology', _deep(), SERVERS),
        ('instance_extra', 'numa_topology', _deep(10_000_000), SERVERS),
        ('instance_extra', 'flavor', None, SERVERS),
        ('instance_extra', 'flavor', '{"cur": {"nova_object.data": {"vcpus": "x"}}}', SERVERS),
        ('instance_extra', 'migration_context', '{}', ['s4', 's4']),
    ],
)
def test_damaged_rows_are_named_and_everything_else_is_read(file, table, column, value, unread):
    known = healthy()
    file.store(known)
    file.damage(table, **{column: value})
    found = file.read()
    names = {record.uuid: record.name for record in (*known.hosts, *known.servers)}
    assert unread == [names.get(row.key, row.key) for row in found.unread]
    assert {'row.unreadable'} == {row.code for row in found.unread}
    assert all(len(row.fault) < 300 for row in found.unread)
    left = {names[record.uuid] for record in (*found.hosts, *found.servers)}
    assert set(names.values()) - (set() if table == 'request_specs' else set(unread)) == left
    assert audit(found, now=fleets.NOW)


@pytest.mark.parametrize(
    ('table', 'column', 'value', 'unread'),
    [
        ('compute_nodes', 'numa_topology', '[]', ['h1', 'h2']),
        ('instances', 'vcpus', None, SERVERS),
        ('instances', 'memory_mb', -512, SERVERS),
        # Only the server in a move is counted by its longer columns.
        ('instances', 'created_at', None, ['s4', 's4']),
        ('instance_extra', 'numa_topology', '{"nova_object.name": 1', ['s4', 's4']),
        ('instance_extra', 'flavor', None, ['s4', 's4']),
        ('instance_extra', 'migration_context', '{}', ['s4', 's4']),
        ('request_specs', 'spec', '{', []),
    ],
)
def test_without_a_list_of_servers_those_are_named_whose_usage_is_not_known(file, table, column, value, unread):
    known = healthy()
    file.store(known)
    sound = file.read()
    file.damage(table, **{column: value})
    found = file.read(lists_servers=False)
    names = {record.uuid: record.name for record in (*known.hosts, *known.servers)}
    assert unread == [names.get(row.key, row.key) for row in found.unread]
    assert {'row.unreadable'} >= {row.code for row in found.unread}
    if table == 'compute_nodes':
        assert ((), 5) == (found.hosts, found.unlisted)
        return
    lost = {uuid for uuid, name in names.items() if name in unread}
    left = replace(sound, servers=tuple([server for server in sound.servers if server.uuid not in lost]))
    totals = [
        (sum([place.guest.vcpus for place in places]), sum([place.guest.memory_mib for place in places]))
        for places in [held_on(record.name, left.servers) for record in sound.hosts]
    ]
    assert totals == [(record.host.vcpus_used, record.host.memory_used_mib) for record in found.hosts]
    assert [record.servers for record in candidates(left).hosts] == [record.servers for record in found.hosts]
    assert len(left.servers) == found.unlisted


def test_usage_below_zero_is_read_and_found(file):
    file.store(fleets.with_cell(healthy(), 'h2', 1, cpu_usage=-2))
    assert [('cpus.shared', 'h2', '-2'), ('usage.negative', 'h2', '-2 shared vCPUs')] == [
        (finding.code, finding.host, finding.found) for finding in audit(file.read(), now=fleets.NOW)
    ]


def test_a_host_and_a_server_with_two_rows_are_one_finding_each(file):
    known = healthy()
    file.store(known)
    node = {**nova_rows.compute_node(known.hosts[1]), 'uuid': uuid_of('again'), 'hypervisor_hostname': 'again'}
    with file.cell1.begin() as connection:
        nova_rows.Tables(connection).insert('compute_nodes', [node])
        nova_rows.Tables(connection).insert('instance_extra', [nova_rows.instance_extra(known.servers[0])])
    found = file.read()
    assert [('row.unreadable', 'h1', uuid_of('s1')), ('host.twice', 'h2', None)] == [
        (finding.code, finding.host, finding.server) for finding in audit(found, now=fleets.NOW)
    ]
    assert fleets.seen(found) == fleets.seen(file.read(lists_servers=False))


def _seed(name):
    return resources.files('numaplace.tests.data.seed').joinpath(f'{name}.json').read_text('utf-8')


JUNO = '{"cells": [{"id": 0, "cpus": "0,1", "mem": {"total": 256}, "pagesize": null}]}'


@pytest.mark.parametrize(
    ('table', 'text', 'found', 'keys'),
    [
        ('compute_nodes', _seed('three-cell-host'), 'NUMACell 1.4', ['h1', 'h2']),
        ('instance_extra', _seed('two-cell-guest'), 'InstanceNUMACell 1.4', ['s1', 's2', 's3', 's4', 's5']),
        (
            'instance_extra',
            _seed('older-two-cell-guest'),
            'InstanceNUMATopology without a version',
            ['s1', 's2', 's3', 's4', 's5'],
        ),
        ('instance_extra', JUNO, 'InstanceNUMATopology without a version', ['s1', 's2', 's3', 's4', 's5']),
    ],
    ids=['host', 'guest', 'older guest', 'juno'],
)
def test_rows_in_old_formats_are_read_and_named(file, table, text, found, keys):
    known = healthy()
    file.store(known)
    file.damage(table, numa_topology=text)
    read = file.read()
    assert () == read.unread
    names = {record.uuid: record.name for record in known.servers}
    assert [(found, key) for key in keys] == sorted(
        (finding.found, names.get(finding.server, finding.host))
        for finding in audit(read, now=fleets.NOW)
        if finding.code == 'row.old'
    )


def test_hosts_that_do_not_name_their_dedicated_cpus_are_named(file):
    file.store(healthy())
    file.damage('compute_nodes', numa_topology=_seed('older-three-cell-host'))
    assert ['it does not name the dedicated CPUs; expected 1.4 to 1.5'] * 2 == [
        row.fault.partition('read: ')[2] for row in file.read().unread
    ]


def test_a_host_without_a_topology_has_no_cells(file):
    file.store(healthy())
    file.damage('compute_nodes', numa_topology=None)
    assert [(), ()] == [record.host.cells for record in file.read().hosts]


def test_what_is_deleted_and_what_is_over_is_not_read(file):
    file.store(healthy())
    file.damage('migrations', status='confirmed')
    assert [None] * 5 == [server.move for server in file.read().servers]
    file.damage('instances', deleted=1)
    file.damage('compute_nodes', deleted=1)
    found = file.read()
    assert ((), ()) == (found.hosts, found.servers)


def test_of_a_server_that_is_resized_to_another_cell_the_hidden_row_is_not_read(databases):
    known = healthy()
    databases.store(known)
    with databases.cell1.begin() as connection:
        connection.execute(sa.text('UPDATE instances SET hidden = TRUE WHERE uuid = :uuid'), {'uuid': uuid_of('s1')})
    assert ['s2', 's3', 's4', 's5'] == [server.name for server in databases.read().servers]
    assert 4 == databases.read(lists_servers=False).unlisted
    databases.damage('instances', hidden=None)
    assert 5 == len(databases.read().servers)


def test_services_say_whether_a_host_is_up(file):
    file.store(healthy())
    assert [('enabled', 'up')] * 2 == [(record.status, record.state) for record in file.read().hosts]
    file.damage('services', disabled=True, last_seen_up=datetime(2020, 1, 1))
    assert [('disabled', 'down')] * 2 == [(record.status, record.state) for record in file.read().hosts]


def test_a_compute_node_whose_service_is_deleted_is_found(file):
    file.store(healthy())
    file.damage('services', deleted=1)
    found = file.read()
    assert [('disabled', 'gone')] * 2 == [(record.status, record.state) for record in found.hosts]
    assert [('host.service', 'h1'), ('host.service', 'h2')] == [
        (finding.code, finding.host) for finding in audit(found, now=fleets.NOW)
    ]


def test_a_dedicated_set_that_was_changed_while_the_rows_are_old_is_found_with_the_servers_outside(file):
    """The audit of its compute service fails with such a set, and so writes no row."""
    file.store(healthy())
    names = {record.uuid: record.name for record in file.read().servers}
    found = audit(file.read(), settings=Settings(0b1111 << 2), now=fleets.NOW)
    assert [
        ('cpus.outside', 'h1', 's1', '10-11'),
        ('cpus.outside', 'h1', 's4', '12'),
        ('host.sets', 'h1', None, '2-7,10-15'),
        ('host.sets', 'h2', None, '2-7,10-15'),
    ] == sorted((one.code, one.host, names.get(one.server), one.found) for one in found)


def test_reading_imports_nothing_of_nova():
    code = 'import sys, numaplace.novadb; print([name for name in sys.modules if name.partition(".")[0] == "nova"])'
    command = [sys.executable, '-W', 'ignore', '-c', code]
    assert '[]\n' == subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_an_api_database_that_cannot_be_read_is_named_without_its_password():
    with pytest.raises(exception.UnknownDatabase, match=r'nobody:\*\*\*@127\.0\.0\.1') as caught:
        novadb.read('mysql+pymysql://nobody:secret@127.0.0.1:1/nova_api')
    assert 'secret' not in str(caught.value)
    with pytest.raises(exception.UnknownDatabase, match='not the URL of a database'):
        novadb.read('nonsense')
