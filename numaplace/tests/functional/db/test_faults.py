# SPDX-License-Identifier: Apache-2.0
"""Errors of drivers arrive as faults of numaplace: races and lost connections are distinguished from all else."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pymysql
import pytest
import sqlalchemy as sa

from numaplace import exception
from numaplace.compute import claims, resource_tracker
from numaplace.db import api, engine
from numaplace.model import Flavor
from numaplace.tests import samples

#: What Galera says when a transaction loses its certification, and while a node is not in its cluster.
GALERA = [
    pymysql.err.OperationalError(1213, 'Deadlock found when trying to get lock; try restarting transaction'),
    pymysql.err.OperationalError(1213, 'Deadlock: wsrep aborted transaction'),
    pymysql.err.InternalError(1213, 'WSREP detected deadlock/conflict and aborted the transaction. Try restarting'),
]
RACES = [
    *GALERA,
    pymysql.err.OperationalError(1205, 'Lock wait timeout exceeded; try restarting transaction'),
    pymysql.err.OperationalError(1020, "Record has changed since last read in table 'compute_nodes'"),
]
LOST = [
    pymysql.err.OperationalError(1047, 'WSREP has not yet prepared node for application use'),
    pymysql.err.OperationalError(1053, 'Server shutdown in progress'),
    pymysql.err.OperationalError(1040, 'Too many connections'),
    pymysql.err.OperationalError(2013, 'Lost connection to MySQL server during query'),
    pymysql.err.OperationalError(2006, 'MySQL server has gone away (BrokenPipeError)'),
    pymysql.err.InterfaceError(0, ''),
]


@pytest.fixture
def mysql(mysql_url, make_tables):
    """Yield a database on MariaDB with a host."""
    make_tables(mysql_url)
    with api.connect(mysql_url) as opened:
        resource_tracker.register(opened, samples.host_record())
        yield opened


class Raising:
    """Raises an error of a driver once, where a statement begins so."""

    def __init__(self, database, error, statement='UPDATE'):
        self.error, self.statement = error, statement
        sa.event.listen(database._engine, 'do_execute', self)

    def __call__(self, cursor, statement, parameters, context):
        if self.error is not None and statement.startswith(self.statement):
            error, self.error = self.error, None
            raise error


def claim(database):
    return claims.instance_claim(database, samples.instance_request(samples.guest()), 'host1')


@pytest.mark.parametrize('error', RACES, ids=lambda error: error.args[1])
def test_a_lost_race_is_fitted_anew(mysql, error):
    raising = Raising(mysql, error)
    assert claim(mysql)
    assert raising.error is None
    assert 1 == len(mysql.instances()) == mysql.host('host1').generation


@pytest.mark.parametrize('error', GALERA, ids=lambda error: error.args[1])
def test_a_certification_that_fails_at_the_commit_is_a_race(mysql, error, monkeypatch):
    """Galera certifies there, and reports it as a deadlock: nothing is stored."""
    commit, errors = mysql._engine.dialect.do_commit, [error]

    def certify(connection):
        if errors:
            connection.rollback()
            raise errors.pop()
        commit(connection)

    monkeypatch.setattr(mysql._engine.dialect, 'do_commit', certify)
    assert claim(mysql)
    assert not errors
    assert 1 == len(mysql.instances()) == mysql.host('host1').generation


@pytest.mark.parametrize('error', LOST, ids=lambda error: f'{error.args[0]} {error.args[1]}')
def test_a_lost_connection_is_made_again(mysql, error):
    raising = Raising(mysql, error, 'INSERT INTO instances ')
    assert claim(mysql)
    assert raising.error is None
    assert 1 == len(mysql.instances()) == mysql.host('host1').generation


def test_a_serialization_failure_is_a_race(postgresql_url, make_tables):
    """A writer that sees the database at one moment cannot update what was updated since."""
    make_tables(postgresql_url)
    with api.connect(postgresql_url) as database:
        resource_tracker.register(database, samples.host_record())

        def overtaken():
            with database._transaction() as connection:
                connection.execute(sa.text('SET TRANSACTION ISOLATION LEVEL SERIALIZABLE'))
                connection.execute(sa.text('SELECT * FROM compute_nodes'))
                database.change_host('host1', lambda record, _instances: record)
                connection.execute(sa.text('UPDATE compute_nodes SET generation = 7'))

        with pytest.raises(exception.ConcurrentUpdate, match='database') as caught:
            overtaken()
        assert '40001' == caught.value.__cause__.orig.pgcode


@pytest.mark.parametrize('kind', ['mysql', 'postgresql'])
def test_of_two_that_wait_for_each_other_one_loses_a_race(request, kind):
    url = request.getfixturevalue(f'{kind}_url')
    api.upgrade(url)
    with api.connect(url) as database:
        for name in ('first', 'second'):
            resource_tracker.register(database, samples.host_record(name))
        both = threading.Barrier(2)

        def change(*names):
            with database._transaction() as connection:
                for name in names:
                    connection.execute(sa.text('UPDATE compute_nodes SET vcpus = 1 WHERE host = :name'), {'name': name})
                    if name == names[0]:
                        both.wait(timeout=30)

        with ThreadPoolExecutor(2) as pool:
            running = [pool.submit(change, 'first', 'second'), pool.submit(change, 'second', 'first')]
        assert {exception.ConcurrentUpdate, type(None)} == {type(each.exception()) for each in running}


def test_a_locked_file_is_a_race(sqlite_url, monkeypatch):
    monkeypatch.setattr(engine, '_LOCK_TIMEOUT', 0)
    with api.connect(sqlite_url) as database, api.connect(sqlite_url) as other:
        with other._transaction() as connection:
            connection.execute(sa.text('SELECT 1'))
            with pytest.raises(exception.ConcurrentUpdate, match='another transaction was in the way'):
                database.create_flavor(Flavor('m1', 1, 512))
        assert database.create_flavor(Flavor('m1', 1, 512))


def test_bad_input_leaves_no_traceback_in_the_log(database, caplog):
    """Not even that of oslo.db, for errors that it does not know."""
    with caplog.at_level(logging.WARNING), pytest.raises(exception.Invalid, match='flavor vcpus is 118059'):
        database.create_flavor(Flavor('huge', 2**70, 512))
    assert [] == caplog.records
