# SPDX-License-Identifier: Apache-2.0
"""Upgrades of the tables that are killed by SIGKILL: the next one finishes the job."""

import random
import signal
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

import numaplace.db.migrations
from numaplace.compute import claims
from numaplace.db import api, engine, tables
from numaplace.db.migrations import REVISIONS, VERSION_TABLE
from numaplace.tests import amount
from numaplace.tests.functional.storms import crew, fuse, ledger, victims, world

#: So many upgrades are killed, on each database and from each revision; those that go on with them come on top.
KILLS = 8


def migrate(url, revision):
    """Bring the tables to a revision that is not the newest."""
    settings = Config()
    settings.set_main_option('script_location', str(Path(numaplace.db.migrations.__file__).parent))
    opened = engine.create(engine.open_url(url))
    with opened.connect() as connection, engine.begin(connection):
        settings.attributes['connection'] = connection
        command.upgrade(settings, revision)
    opened.dispose()


def begin_at(url, revision):
    """Remove all tables, and bring them to a revision."""
    with ledger.plain(url) as connection:
        tables = sa.MetaData()
        tables.reflect(connection)
        tables.drop_all(connection)
        connection.commit()
    if revision is not None:
        migrate(url, revision)


def is_killed(url, moments):
    """Upgrade until it is killed after so many moments, and return whether that came before the end."""
    (code,) = crew.join([crew.start(victims.upgrade, url, moments)])
    assert code in (0, -signal.SIGKILL)
    return code != 0


def is_whole(url):
    """Compare the tables with the models."""
    with ledger.plain(url) as connection:
        context = MigrationContext.configure(connection, opts={'version_table': VERSION_TABLE, 'compare_type': True})
        assert compare_metadata(context, tables.METADATA) == []
        if url.startswith('sqlite'):
            assert connection.scalar(sa.text('PRAGMA journal_mode')) == 'wal'


def is_usable(url):
    with api.connect(url) as database:
        if not database.hosts():
            world.fill(database)
        dice = random.Random(0)
        server = claims.instance_claim(database, world.request(dice, 'wide'), 'host0').instance
        claims.release(database, server.uuid)
    with ledger.plain(url) as connection:
        assert ledger.read(connection).faults() == []


#: No tables at all, the first revision and the last one before this; all others take minutes.
_SHORT = {None, REVISIONS[0], REVISIONS[-2]}


@pytest.mark.parametrize(
    'revision',
    [pytest.param(each, marks=() if each in _SHORT else amount.long, id=str(each)) for each in (None, *REVISIONS[:-1])],
)
def test_an_upgrade_that_was_killed_is_finished_by_the_next(database_url, revision):
    """The next ones die as well, again and again, until one gets through."""
    dice = random.Random(f'{database_url.partition(":")[0]} {revision}')
    begin_at(database_url, revision)
    moments = fuse.count(lambda: api.upgrade(database_url))
    for moment in [moments - 1, *dice.sample(range(moments), KILLS - 1)]:
        begin_at(database_url, revision)
        assert is_killed(database_url, moment)
        while is_killed(database_url, dice.randrange(2 * moments)):
            pass
        is_whole(database_url)
        is_usable(database_url)


def test_a_first_command_that_was_killed_leaves_a_file_that_the_next_can_use(sqlite_url):
    """A new SQLite file gets its tables from whoever opens it; the last moments come after that."""
    api.connect(sqlite_url).close()
    path = Path(sqlite_url.removeprefix('sqlite:///'))
    path.unlink()
    moments = fuse.count(lambda: api.connect(sqlite_url).close())
    for moment in [*random.Random(1).sample(range(moments), 5), *range(moments - 5, moments)]:
        path.unlink()
        (code,) = crew.join([crew.start(victims.connect, sqlite_url, moment)])
        assert code == -signal.SIGKILL
        api.connect(sqlite_url).close()
        is_whole(sqlite_url)
        is_usable(sqlite_url)
