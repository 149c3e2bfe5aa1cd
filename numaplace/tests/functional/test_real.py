# SPDX-License-Identifier: Apache-2.0
"""The real parts themselves: fresh, separate, and never skipped where they have to be there."""

import pytest
import sqlalchemy

from numaplace.tests import real


def _tables(url: str) -> list[str]:
    engine = sqlalchemy.create_engine(url)
    try:
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text('CREATE TABLE probe (id INTEGER)'))
            return sqlalchemy.inspect(connection).get_table_names()
    finally:
        engine.dispose()


@pytest.mark.parametrize('time', ['first', 'second'])
def test_a_database_is_fresh_each_time(database_url, time):
    assert ['probe'] == _tables(database_url)


@pytest.mark.parametrize('kind', ['mysql', 'postgresql'])
def test_a_scratch_database_is_gone_afterwards(kind):
    with real.scratch_database(kind) as url:
        _tables(url)
    with pytest.raises(sqlalchemy.exc.OperationalError, match=r'Unknown database|does not exist'):
        _tables(url)


@pytest.mark.parametrize(
    ('required', 'outcome'),
    [('', pytest.skip.Exception), ('1', pytest.fail.Exception)],
    ids=['skips on a workstation', 'fails where all parts have to be there'],
)
@pytest.mark.parametrize(
    'ask',
    [
        lambda: real.require_program('no-such-program'),
        lambda: real.require_module('no_such_module'),
        lambda: real.scratch_database('mysql').__enter__(),
    ],
    ids=['program', 'module', 'server'],
)
def test_a_missing_part_ends_the_test(monkeypatch, required, outcome, ask):
    monkeypatch.setenv(real.REQUIRED, required)
    monkeypatch.setenv('NUMAPLACE_TEST_MYSQL', 'mysql+pymysql://root@127.0.0.1:1/')
    with pytest.raises(outcome, match='missing real part: '):
        ask()
