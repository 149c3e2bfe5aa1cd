# SPDX-License-Identifier: Apache-2.0
"""The owner and the revision of a database's tables; upgrades them to this release."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from numaplace.db import engine as engines
from numaplace.db import faults
from numaplace.db.migrations import REVISIONS, VERSION_TABLE

__all__ = ['check', 'upgrade']

#: Tables that identify Nova's cell and API databases.
_NOVA_TABLES = frozenset({'compute_nodes', 'instance_extra', 'cell_mappings', 'request_specs', 'instance_mappings'})

_LOCK_SECONDS = 60
#: Held until the transaction (PostgreSQL) or the connection (MariaDB, whose answer is 0 after a timeout) ends.
_LOCKS = {
    'mysql': f"SELECT GET_LOCK(CONCAT('numaplace upgrade ', MD5(DATABASE())), {_LOCK_SECONDS})",
    'postgresql': "SELECT pg_advisory_xact_lock(hashtext('numaplace upgrade'))",
}


def _revision(engine: Engine, connection: Connection) -> str | None:
    """Return the revision of our tables, or None if there are no tables at all."""
    tables = set(sa.inspect(connection).get_table_names())
    if VERSION_TABLE in tables:
        found = connection.scalar(sa.select(sa.column('version_num')).select_from(sa.table(VERSION_TABLE)))
        if found is not None and found not in REVISIONS:
            cause = f'its tables have the revision {found!r}, which a newer release made; known is {REVISIONS[-1]!r}'
            raise faults.unknown(engine.url, cause)
        return found
    if not tables:
        return None
    if tables & _NOVA_TABLES:
        raise faults.unknown(engine.url, "it holds Nova's tables; numaplace needs a database of its own")
    names = ', '.join(map(repr, sorted(tables)[:3]))
    raise faults.unknown(engine.url, f"it holds tables that are not numaplace's ({names}); expected an empty database")


def check(engine: Engine) -> None:
    """Make sure that a database has the tables of this release; a new SQLite file gets them.

    :raises: :class:`~numaplace.exception.UnknownDatabase` if it cannot be opened, is not ours, or needs an upgrade
    """
    _make_directory(engine)
    try:
        with engine.connect() as connection:
            engines.begin(connection, reads=True)
            found = _revision(engine, connection)
    except faults.ERRORS as error:
        raise faults.fault(engine.url, error) from None
    if found == REVISIONS[-1]:
        return
    if found is None and engine.dialect.name == 'sqlite':
        upgrade(engine)
    elif found is None:
        raise faults.unknown(engine.url, "it has no tables yet; 'numaplace db upgrade' creates them")
    else:
        cause = f"its tables have the revision {found!r}; 'numaplace db upgrade' brings them to {REVISIONS[-1]!r}"
        raise faults.unknown(engine.url, cause)


def _make_directory(engine: Engine) -> None:
    """Make the user's data directory; other directories must exist, so that a misspelled path fails."""
    file = engines.default_file()
    if file and engine.url == engines.open_url(engines.default_url()):
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            cause = f'{error}; expected HOME or XDG_DATA_HOME to be a directory that can be written'
            raise faults.unknown(engine.url, cause) from None


def upgrade(engine: Engine) -> str:
    """Bring the tables up to this release.

    One transaction if the database can create tables in one, so that it happens as a whole or not at all; on MariaDB,
    which cannot, the next upgrade continues where one was cut off. A lock makes the second of two upgrades wait and
    find the tables, even if the first one died and the server still runs its last statement.

    :returns: the revision of the tables
    :raises: :class:`~numaplace.exception.UnknownDatabase` if it cannot be opened, or is not ours
    """
    _make_directory(engine)
    try:
        if engine.dialect.name == 'sqlite':
            _let_readers_go_on(engine)
        with engine.connect() as connection, engines.begin(connection):
            _wait_for_others(engine, connection)
            if _revision(engine, connection) != REVISIONS[-1]:
                _migrate(connection)
    except faults.ERRORS as error:
        raise faults.fault(engine.url, error) from None
    return REVISIONS[-1]


def _wait_for_others(engine: Engine, connection: Connection) -> None:
    """Allow one upgrade at a time; on SQLite the transaction holds the write lock already."""
    query = _LOCKS.get(engine.dialect.name)
    if query is not None and connection.scalar(sa.text(query)) == 0:
        raise faults.unknown(engine.url, f'another upgrade of it has been running for {_LOCK_SECONDS} s')


def _migrate(connection: Connection) -> None:
    from alembic import command, config  # noqa: PLC0415 - imported only for new or old databases

    settings = config.Config()
    settings.set_main_option('script_location', str(Path(__file__).parent / 'migrations').replace('%', '%%'))
    settings.attributes['connection'] = connection
    command.upgrade(settings, 'head')


def _let_readers_go_on(engine: Engine) -> None:
    """Set the journal mode in which nobody waits for a writer; it is stored in the file.

    It is set before the tables exist, because it is not checked when the file is opened later; but never in a file of
    another program.
    """
    with engine.connect() as own:
        engines.begin(own, reads=True)
        _revision(engine, own)
    connection = engine.raw_connection()
    try:
        connection.cursor().execute('PRAGMA journal_mode = WAL')
    finally:
        connection.close()
