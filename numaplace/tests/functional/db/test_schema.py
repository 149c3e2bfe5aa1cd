# SPDX-License-Identifier: Apache-2.0
"""Opening and upgrading databases: ours, new ones, and those of others."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import numaplace.db.migrations
from numaplace import exception, fit, wire
from numaplace.compute import claims, migration, resource_tracker
from numaplace.db import api, capacity, convert, engine, tables
from numaplace.db.columns import now
from numaplace.db.migrations import REVISIONS, VERSION_TABLE
from numaplace.tests import samples
from numaplace.wire import details


def execute(url: str, *statements: str) -> None:
    opened = engine.create(engine.open_url(url))
    with opened.connect() as connection, engine.begin(connection):
        for statement in statements:
            connection.execute(sa.text(statement))
    opened.dispose()


@pytest.mark.parametrize('is_copy', [False, True], ids=['upgrade', 'copy of the tests'])
def test_migrations_make_the_tables_of_the_models(database_url, make_tables, is_copy):
    """Comparing the migrated database with the models finds no difference."""
    if is_copy:
        make_tables(database_url)
    assert api.upgrade(database_url) == REVISIONS[-1]
    opened = engine.create(engine.open_url(database_url))
    with opened.connect() as connection:
        context = MigrationContext.configure(connection, opts={'version_table': VERSION_TABLE, 'compare_type': True})
        difference = compare_metadata(context, tables.METADATA)
    opened.dispose()
    assert difference == []


def test_the_known_revisions_are_those_of_the_scripts():
    settings = Config()
    settings.set_main_option('script_location', str(Path(numaplace.db.migrations.__file__).parent))
    scripts = ScriptDirectory.from_config(settings).walk_revisions()
    assert tuple(script.revision for script in scripts)[::-1] == REVISIONS


def test_an_upgrade_of_an_upgraded_database_changes_nothing(database_url):
    api.upgrade(database_url)
    assert api.upgrade(database_url) == REVISIONS[-1]
    with api.connect(database_url) as database:
        assert database.hosts() == []


def test_a_new_sqlite_file_gets_its_tables(sqlite_url):
    with api.connect(sqlite_url) as database:
        assert database.flavors() == []


def test_an_empty_server_database_is_not_filled_unasked(database_url):
    if database_url.startswith('sqlite'):
        pytest.skip('a new SQLite file is filled')
    with pytest.raises(exception.UnknownDatabase, match="no tables yet; 'numaplace db upgrade' creates them"):
        api.connect(database_url)


def test_ten_first_commands_at_once_find_one_set_of_tables(sqlite_url):
    """Ten processes open the same new file; each succeeds."""
    code = f'from numaplace.db import api; print(api.connect({sqlite_url!r}).hosts())'
    running = [
        subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(10)
    ]
    assert [process.communicate() for process in running] == [('[]\n', '')] * 10


def test_the_default_is_a_file_in_the_data_directory(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_DATA_HOME', str(tmp_path / 'data'))
    api.connect().close()
    assert (tmp_path / 'data' / 'numaplace' / 'numaplace.sqlite').is_file()


def test_without_a_data_directory_the_default_is_in_the_home_directory(tmp_path, monkeypatch):
    monkeypatch.delenv('XDG_DATA_HOME', raising=False)
    monkeypatch.setenv('HOME', str(tmp_path))
    assert api.default_url() == f'sqlite:///{tmp_path}/.local/share/numaplace/numaplace.sqlite'


@pytest.mark.parametrize('home', ['', 'somewhere', None])
def test_a_user_without_a_home_is_told_what_to_set(tmp_path, monkeypatch, home):
    monkeypatch.delenv('XDG_DATA_HOME', raising=False)
    monkeypatch.delenv('HOME')
    if home is None:
        monkeypatch.setattr('pwd.getpwuid', {}.__getitem__)  # the user has no entry
    else:
        monkeypatch.setenv('HOME', home)
    with pytest.raises(
        exception.UnknownDatabase, match=r'set HOME or XDG_DATA_HOME to the absolute path .* --database'
    ):
        api.connect()
    api.connect(f'sqlite:///{tmp_path}/named.sqlite').close()


def test_a_home_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    monkeypatch.delenv('XDG_DATA_HOME', raising=False)
    (tmp_path / 'file').touch()
    monkeypatch.setenv('HOME', str(tmp_path / 'file'))
    with pytest.raises(exception.UnknownDatabase, match='expected HOME or XDG_DATA_HOME to be a directory that can be'):
        api.connect()


NOVA = ('CREATE TABLE alembic_version (version_num VARCHAR(32))', 'CREATE TABLE compute_nodes (id INTEGER)')


@pytest.mark.parametrize('open_database', [api.connect, api.upgrade])
@pytest.mark.parametrize(
    ('statements', 'message'),
    [
        pytest.param(NOVA, "it holds Nova's tables", id="Nova's cell database"),
        pytest.param(('CREATE TABLE cell_mappings (id INTEGER)',), "it holds Nova's tables", id="Nova's API database"),
        pytest.param(
            ('CREATE TABLE books (id INTEGER)',), r"it holds tables that are not numaplace's \('books'\)", id='other'
        ),
        pytest.param(
            (
                f'CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32))',
                f"INSERT INTO {VERSION_TABLE} VALUES ('9999')",
            ),
            f"revision '9999', which a newer release made; known is '{REVISIONS[-1]}'",
            id='newer',
        ),
    ],
)
def test_a_database_of_others_is_refused(database_url, statements, message, open_database):
    execute(database_url, *statements)
    with pytest.raises(exception.UnknownDatabase, match=message):
        open_database(database_url)


@pytest.mark.parametrize('open_database', [api.connect, api.upgrade])
def test_a_refused_file_is_left_as_it_is(sqlite_url, tmp_path, open_database):
    execute(sqlite_url, *NOVA)
    before = hashlib.sha256((tmp_path / 'numaplace.sqlite').read_bytes()).hexdigest()
    with pytest.raises(exception.UnknownDatabase, match='Nova'):
        open_database(sqlite_url)
    assert hashlib.sha256((tmp_path / 'numaplace.sqlite').read_bytes()).hexdigest() == before
    assert os.listdir(tmp_path) == ['numaplace.sqlite']


def test_an_interrupted_upgrade_leaves_no_table(database_url, monkeypatch):
    """MariaDB alone commits each table by itself."""
    if database_url.startswith('mysql'):
        pytest.skip('MariaDB cannot create tables in a transaction')
    opened = engine.create(engine.open_url(database_url))

    @sa.event.listens_for(sa.Engine, 'before_cursor_execute')
    def interrupt(connection, cursor, statement, *_rest):
        if 'CREATE TABLE pci_devices' in statement:
            raise KeyboardInterrupt

    try:
        with pytest.raises(KeyboardInterrupt, match=r'^$'):
            api.upgrade(database_url)
    finally:
        sa.event.remove(sa.Engine, 'before_cursor_execute', interrupt)
    with opened.connect() as connection:
        assert sa.inspect(connection).get_table_names() == []
    opened.dispose()


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / 'notes.txt').write_text('these are notes, and more than sixteen of their bytes\n' * 20)
    with pytest.raises(exception.UnknownDatabase, match=r'notes\.txt: file is not a database$'):
        api.connect(f'sqlite:///{tmp_path}/notes.txt')


@pytest.mark.parametrize(
    ('url', 'message'),
    [
        ('sqlite:////proc/numaplace.sqlite', r'sqlite:////proc/numaplace\.sqlite: unable to open .* can be written$'),
        ('sqlite:////nowhere/at/all.sqlite', r'sqlite:////nowhere/at/all\.sqlite: unable to open .* can be written$'),
        ('nonsense', "'nonsense' is not a URL: expected sqlite:///FILE, "),
        ('oracle://scott:tiger@localhost/x', r"oracle://scott:\*\*\*@localhost/x: 'oracle' is not supported"),
        ('mysql+nothing://root@localhost/x', "the driver 'mysql\\+nothing' is not installed"),
        ('mysql://root:tiger@127.0.0.1:9/x', r"mysql\+pymysql://root:\*\*\*@127\.0\.0\.1:9/x: .*Can't connect"),
        ('postgresql://me:tiger@127.0.0.1:9/x?sslpassword=tiger', r'127\.0\.0\.1:9/x: .*refused'),
        ('mysql://root:tiger@127.0.0.1:nine/x', "'mysql://\\*\\*\\*@127.0.0.1:nine/x' is not a URL"),
        ('mysql://root:a/tiger@127.0.0.1:nine/x', "'mysql://\\*\\*\\*@127.0.0.1:nine/x' is not a URL"),
        ('root:tiger@127.0.0.1/x', "'\\*\\*\\*@127.0.0.1/x' is not a URL"),
    ],
)
def test_a_database_that_cannot_be_opened_is_named_in_one_line_without_its_password(url, message):
    with pytest.raises(exception.UnknownDatabase, match=message) as caught:
        api.connect(url)
    assert '\n' not in str(caught.value)
    assert 'tiger' not in str(caught.value)


def test_a_data_directory_that_cannot_be_made_is_named(monkeypatch):
    monkeypatch.setenv('XDG_DATA_HOME', '/proc/data')
    with pytest.raises(exception.UnknownDatabase, match="No such file or directory: '/proc/data'"):
        api.connect()


def upgrade_to(url: str, revision: str) -> None:
    settings = Config()
    settings.set_main_option('script_location', str(Path(numaplace.db.migrations.__file__).parent))
    opened = engine.create(engine.open_url(url))
    with opened.connect() as connection, engine.begin(connection):
        settings.attributes['connection'] = connection
        command.upgrade(settings, revision)
    opened.dispose()


FLAVOR = {
    'flavorid': 'f',
    'name': 'm1',
    'memory_mb': 512,
    'vcpus': 2,
    'root_gb': 1,
    'swap': 0,
    'ephemeral_gb': 0,
    'is_public': True,
    'extra_specs': {},
}


def test_rows_of_the_first_revision_stay_and_move(database_url):
    """A server from before the upgrade is there after it, with its claim, its number and all verbs."""
    upgrade_to(database_url, '0001')
    idle = samples.host_record('a').host
    guest = samples.guest()
    placement = fit.place(idle, guest)
    host = convert.host_values(replace(samples.host_record('a'), host=idle.consume(placement)))
    later = ('libvirt_uri', 'pci_device_count', 'unmanaged_count', 'host_resources', *capacity.ORDERS, *capacity.ROOMS)
    for name in later:
        del host[name]
    columns = {
        'compute_nodes': {**host, 'uuid': 'h', 'host': 'a', 'generation': 7, 'created_at': now()},
        'instances': {
            'uuid': 'u',
            'display_name': 'old',
            'host': 'a',
            'vm_state': 'active',
            'vcpus': 2,
            'memory_mb': 512,
            'root_gb': 1,
            'flavor': FLAVOR,
            'image_properties': {},
            'created_at': now(),
        },
        'instance_extra': {
            'instance_uuid': 'u',
            'numa_topology': wire.write_placement(placement),
            'guest_details': details.write_guest(guest),
        },
    }
    opened = engine.create(engine.open_url(database_url))
    with opened.connect() as connection, engine.begin(connection):
        for table, values in columns.items():
            names = ', '.join(values)
            places = ', '.join(f':{name}' for name in values)
            texts = {key: json.dumps(value) if isinstance(value, dict) else value for key, value in values.items()}
            connection.execute(sa.text(f'INSERT INTO {table} ({names}) VALUES ({places})'), texts)
    opened.dispose()
    with pytest.raises(exception.UnknownDatabase, match="'numaplace db upgrade' brings them to"):
        api.connect(database_url)
    api.upgrade(database_url)
    with api.connect(database_url) as database:
        (server,) = database.instances()
        assert (server.host, server.placement, server.generation, server.move) == ('a', placement, 0, None)
        resource_tracker.register(database, samples.host_record('b'))
        claims.live_migration_claim(database, 'u', 'b')
        assert migration.finish(database, 'u').host == 'b'
        assert migration.shelve(database, 'u').host is None
        assert database.host('a').host == idle
        request = samples.instance_request(guest, 'new')
        claims.release(database, 'u')
        assert claims.instance_claim(database, request, 'a').instance.number > server.number
