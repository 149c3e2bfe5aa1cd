# SPDX-License-Identifier: Apache-2.0
"""Columns by which hosts are chosen: how queries use their indexes, and how they stay right."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from numaplace import conf, fit
from numaplace.compute import audit, claims, migration
from numaplace.db import api, changes, engine
from numaplace.db.candidates import Candidate, page
from numaplace.db.capacity import ORDERS, ROOMS, capacity
from numaplace.scheduler import direct
from numaplace.scheduler.filters import Request
from numaplace.scheduler.select import Policy, select
from numaplace.tests import real, samples
from numaplace.tests.functional.db import moving
from numaplace.tests.functional.db.test_schema import upgrade_to
from numaplace.tests.property.test_index import FewVcpus

HOSTS = 100
NEEDS = {'status': 'enabled', 'state': 'up', 'room_cell_cpus': 2, 'room_cpus': 4}
EXPLAIN = {'sqlite': 'EXPLAIN QUERY PLAN ', 'mysql': 'EXPLAIN ', 'postgresql': 'EXPLAIN '}


@pytest.fixture
def database(database_url, make_tables):
    make_tables(database_url)
    with api.connect(database_url) as opened:
        opened.create_host(samples.host_record('a'))
        opened.create_host(samples.host_record('b'))
        yield opened


def execute(url, statement, **values):
    opened = engine.create(engine.open_url(url))
    with opened.connect() as connection, engine.begin(connection):
        result = connection.execute(sa.text(statement), values)
        found = result.all() if result.returns_rows else []
    opened.dispose()
    return found


def stored(url, name):
    columns = ', '.join((*ORDERS, *ROOMS))
    (row,) = execute(url, f'SELECT {columns} FROM compute_nodes WHERE host = :name', name=name)
    return dict(zip((*ORDERS, *ROOMS), row, strict=True))


def test_hosts_are_read_with_the_servers_on_the_way_to_them_and_from_them(database):
    server = moving.place(database, moving.SMALL_GUEST)
    other = moving.place(database, moving.SMALL_GUEST, 'b', 'guest2')
    moving.resize(database, server)
    for of in (server, None):
        expected = {'a': frozenset({of} - {None}), 'b': frozenset({server, other})}
        for name, servers in expected.items():
            ((alone,), _group) = database.candidates(None, name)
            assert servers == alone.servers == database.named_candidates([name], {})[name].servers
        assert expected == {host.name: host.servers for host in database.candidates(None)[0]}
        assert expected == {host.name: host.servers for host in database.named_candidates(['a', 'b'], {}).values()}
        if of is not None:
            migration.finish(database, server)
            migration.confirm(database, server)


@pytest.mark.parametrize('after', [None, Candidate('a', (-1000.0, -10.0))], ids=['first page', 'next page'])
@pytest.mark.parametrize('order', ORDERS)
def test_a_page_is_read_from_an_index_in_its_order(database, database_url, order, after):
    for number in range(HOSTS):
        database.create_host(samples.host_record(f'h{number}'))
    opened = engine.create(engine.open_url(database_url))
    name = opened.dialect.name
    if name != 'sqlite':
        execute(database_url, 'ANALYZE TABLE compute_nodes' if name == 'mysql' else 'ANALYZE compute_nodes')
    query = page(NEEDS, order, after, 16).compile(opened, compile_kwargs={'literal_binds': True})
    opened.dispose()
    plan = ' '.join(str(row) for row in execute(database_url, EXPLAIN[name] + str(query).replace(':', '\\:')))
    assert f'ix_compute_nodes_{order}' in plan
    assert 'sort' not in plan.lower()
    assert 'TEMP B-TREE' not in plan


@pytest.mark.parametrize('url', ['sqlite_url', 'mysql_url'])
def test_what_has_changed_is_summed_up_in_an_index(url, request):
    """Rows have topologies of many kilobytes; PostgreSQL reads the index alone where it was vacuumed."""
    url = request.getfixturevalue(url)
    api.upgrade(url)
    opened = engine.create(engine.open_url(url))
    query = str(changes.SUMS.compile(opened, compile_kwargs={'literal_binds': True})).replace('%%', '%')
    plan = ' '.join(str(row) for row in execute(url, EXPLAIN[opened.dialect.name] + query))
    opened.dispose()
    assert 'ix_compute_nodes_changes' in plan
    assert 'COVERING INDEX' in plan or 'Using index' in plan


def test_a_claim_and_a_release_keep_the_columns(database, database_url):
    request = samples.instance_request(samples.guest())
    server = claims.instance_claim(database, request, 'a').instance
    assert stored(database_url, 'a') == capacity(database.host('a')) != stored(database_url, 'b')
    claims.release(database, server.uuid)
    assert stored(database_url, 'a') == capacity(database.host('a')) == stored(database_url, 'b')


def test_wrong_columns_are_found_and_repaired(database, database_url):
    right = stored(database_url, 'a')
    execute(database_url, "UPDATE compute_nodes SET room_cpus = 0, memory_order = NULL WHERE host = 'a'")
    assert ['what the host is chosen by', ''] == [host.old_format for host in database.fleet().hosts]
    audit.repair(database, 'a')
    assert stored(database_url, 'a') == right
    assert ['', ''] == [host.old_format for host in database.fleet().hosts]


def test_a_host_with_wrong_columns_still_takes_the_last_server(database, database_url):
    """That no host takes a server is only said after all are read."""
    execute(database_url, 'UPDATE compute_nodes SET room_cpus = 0, room_cell_cpus = 0')
    request = Request(samples.instance_request(samples.guest()), strategy=fit.SPREAD)
    assert select(database, request, Policy.of(conf.load([]))).host == 'a'


def test_the_best_host_is_found_without_reading_all(database, monkeypatch):
    request = Request(samples.instance_request(samples.guest()), strategy=fit.SPREAD)
    monkeypatch.setattr(database, 'candidates', None)
    assert [
        select(database, replace(request, instance=replace(request.instance, uuid=uuid)), Policy.of(conf.load([]))).host
        for uuid in ('1', '2')
    ] == ['a', 'b']


def test_a_weigher_without_a_column_makes_all_hosts_be_read_and_the_log_says_so(database, caplog):
    caplog.set_level('DEBUG')
    policy = replace(Policy.of(conf.load([])), weighers=((FewVcpus(), 1.0),))
    request = Request(samples.instance_request(samples.guest()), strategy=fit.SPREAD)
    assert direct.heaviest(database, request, policy, 1) == []
    assert 'all hosts are read: the database cannot sort by FewVcpus' in caplog.messages
    assert select(database, request, policy).host == 'a'


def test_a_row_without_a_measure_makes_all_hosts_be_read_and_the_log_says_so(database, database_url, caplog):
    caplog.set_level('DEBUG')
    execute(database_url, f"UPDATE compute_nodes SET {ORDERS[1]} = NULL WHERE host = 'b'")
    request = Request(samples.instance_request(samples.guest()), strategy=fit.SPREAD)
    assert select(database, request, Policy.of(conf.load([]))).host == 'a'
    assert any('a row does not say what its host is chosen by' in message for message in caplog.messages)


#: As Python sorts them; a dictionary has them in another order.
NAMES = ['A-1', 'B', 'Z9', '_b', 'a', 'a-2', 'a1', 'b', '\xc4']


@pytest.fixture
def english_url():
    """URL of a PostgreSQL database that sorts as a dictionary does."""
    with real.scratch_database('postgresql', "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en'") as url:
        yield url


def test_hosts_that_are_alike_come_by_code_point_whatever_the_collation(english_url):
    """Pages of any size, the policy's choice and the reading of all hosts agree; references survive the change."""
    upgrade_to(english_url, '0008')
    assert ['a', 'B'] == [name for (name,) in execute(english_url, "VALUES ('B'), ('a') ORDER BY 1")]
    api.upgrade(english_url)
    with api.connect(english_url) as database:
        for name in reversed(NAMES):
            database.create_host(samples.host_record(name))
        assert NAMES == [host.name for host in database.hosts()]
        for order in ORDERS:
            pages, last = [], None
            for _ in NAMES:
                (last,) = database.find_candidates({}, lambda found, order=order, last=last: found.page(order, last, 1))
                pages.append(last.name)
            assert NAMES == pages
        request = Request(samples.instance_request(samples.guest()))
        assert NAMES[0] == select(database, request, Policy.of(conf.load([]))).host
    texts = execute(
        english_url,
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' "
        "AND data_type = 'character varying' AND collation_name IS DISTINCT FROM 'C'",
    )
    assert [] == texts
