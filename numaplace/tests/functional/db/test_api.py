# SPDX-License-Identifier: Apache-2.0
"""What is stored is answered, by the name that it was stored under and no other."""

import math
import shutil
import subprocess
from dataclasses import replace

import pytest
import sqlalchemy as sa

from numaplace import exception, fit
from numaplace.compute import claims
from numaplace.db import api, engine
from numaplace.model import MIXED, CpuTopology, Flavor, Guest, GuestCell
from numaplace.model.records import DISABLED, DOWN
from numaplace.tests import samples

NAMES = [
    'm1.numa',
    'M1.NUMA',
    'm1.numá',
    'm1.numa ',
    ' m1.numa',
    'm1\'"`;--',
    '../m1',
    '<m1>&amp;',
    '\x1b[31mm1\n',
    '名' * 255,
]


def test_flavors_are_stored_as_they_are(database):
    flavor = Flavor('m1.numa', 4, 1024, 1, {'hw:numa_nodes': '2', 'note': 'ä\x00\ud800'}, 'auto', 512, 3, False)
    assert database.create_flavor(flavor) == flavor
    assert database.flavors() == [flavor]
    assert database.flavor('m1.numa') == database.flavor('auto') == flavor


def test_names_compare_exactly(database):
    """Case, accents and spaces at the end make different names; quotes and escapes are names like others."""
    for number, name in enumerate(NAMES):
        database.create_flavor(Flavor(name, number + 1, 512))
        database.create_host(replace(samples.host_record(name), availability_zone=name))
    for number, name in enumerate(NAMES):
        assert database.flavor(name).vcpus == number + 1
        assert database.host(name).availability_zone == name
    assert {flavor.name for flavor in database.flavors()} == set(NAMES)


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('', "name is '': expected 1 to 255 characters"),
        ('x' * 300, 'name is .x+: expected 1 to 255 characters'),
        ('nul\0', r"name is 'nul\\x00': expected 1 to 255 characters, without NUL"),
        ('\udcff', r"name is '\\udcff': expected 1 to 255 characters, .* without bytes that are not UTF-8"),
    ],
)
def test_names_that_some_database_cannot_hold_are_refused_by_all(database, name, message):
    database.create_host(samples.host_record())
    asked = samples.instance_request(samples.guest(), name)
    for create in (
        lambda: database.create_flavor(Flavor(name, 1, 512)),
        lambda: database.create_host(samples.host_record(name)),
        lambda: database.claim(asked, 'host1', lambda host: fit.place(host, asked.guest)),
    ):
        with pytest.raises(exception.Invalid, match=message):
            create()


@pytest.mark.parametrize('zone', ['z' * 300, 'nul\0'], ids=['long', 'NUL'])
def test_a_zone_that_some_database_cannot_hold_is_refused_by_all(database, zone):
    database.create_host(samples.host_record())
    request = replace(samples.instance_request(samples.guest()), availability_zone=zone)
    with pytest.raises(exception.Invalid, match=r'server availability zone is .*: expected 1 to 255 characters'):
        claims.instance_claim(database, request, 'host1')
    assert [] == database.instances()


@pytest.mark.parametrize('ratio', [math.nan, math.inf, -1.0], ids=str)
def test_a_ratio_that_is_no_number_is_refused(database, ratio):
    for name in ('cpu_allocation_ratio', 'ram_allocation_ratio'):
        with pytest.raises(exception.Invalid, match=r'host ... allocation ratio is .*: expected a number from 0'):
            database.create_host(replace(samples.host_record(), **{name: ratio}))
    assert [] == database.hosts()


def test_a_number_that_no_column_holds_is_refused(database):
    with pytest.raises(
        exception.Invalid, match=r'flavor memory mib is 120892.*: expected a whole number from 1 to 2\d+'
    ):
        database.create_flavor(Flavor('huge', 1, 2**80))


def test_a_known_flavor_is_refused(database):
    database.create_flavor(Flavor('m1', 1, 512, id='1'))
    for again in (Flavor('m1', 1, 512), Flavor('m2', 1, 512, id='1')):
        with pytest.raises(exception.AlreadyExists, match='flavor'):
            database.create_flavor(again)
    assert len(database.flavors()) == 1


def test_extra_specs_change_one_by_one(database):
    database.create_flavor(Flavor('m1', 1, 512, extra_specs={'hw:numa_nodes': '1', 'old': 'x'}))
    changed = database.change_extra_specs('m1', change={'hw:numa_nodes': '2'}, remove=['old'])
    assert database.flavor('m1') == changed
    assert changed.extra_specs == {'hw:numa_nodes': '2'}
    with pytest.raises(exception.NotFound, match="flavor 'm1' has no property 'old'"):
        database.change_extra_specs('m1', change={'hw:numa_nodes': '3'}, remove=['old'])
    assert database.flavor('m1') == changed


def test_unknown_names_are_not_found(database):
    for ask in (database.flavor, database.delete_flavor, database.host, database.delete_host, database.instance):
        with pytest.raises(exception.NotFound, match='nobody'):
            ask('nobody')
    with pytest.raises(exception.NotFound, match='nobody'):
        claims.release(database, 'nobody')


def test_a_deleted_flavor_is_gone(database):
    database.create_flavor(Flavor('m1', 1, 512))
    database.delete_flavor('m1')
    assert database.flavors() == []


def test_hosts_are_stored_as_they_are(database):
    """Cells, siblings, networks, distances, pages, ratios and facts come back; times are whole seconds in UTC."""
    record = replace(samples.host_record(), uuid='h' * 36, cpu_allocation_ratio=16.1, status=DISABLED, state=DOWN)
    stored = database.create_host(record)
    assert replace(stored, created_at=None, number=None) == record
    assert stored.created_at.utcoffset().total_seconds() == 0
    assert database.hosts() == [database.host('host1')] == [stored]


def test_a_large_host_fits_the_columns(database):
    """Sixty-four cells with a thousand CPUs make more JSON than the 64 KiB of MariaDB's Text."""
    record = samples.host_record('large', cells=64, cpus=16)
    assert database.create_host(record).host == database.host('large').host == record.host


def test_a_known_host_is_refused(database):
    database.create_host(samples.host_record())
    with pytest.raises(exception.AlreadyExists, match="a host 'host1' exists"):
        database.create_host(samples.host_record())


def test_a_change_of_a_host_counts(database):
    database.create_host(samples.host_record())
    changed = database.change_host('host1', lambda record, _instances: replace(record, state=DOWN))
    assert (changed.state, changed.generation) == (DOWN, 1)
    assert database.host('host1') == changed
    assert changed.updated_at is not None


def store(database, guest, name='guest1', host='host1'):
    request = samples.instance_request(guest, name)
    return database.claim(request, host, lambda host: fit.place(host, request.guest))


PINNED = samples.guest(cells=2, vcpus=3)
ISOLATED = samples.guest(vcpus=2, thread_policy='isolate')
EMULATOR = replace(samples.guest(vcpus=2, memory_mib=512, pagesize_kib=2048), emulator_policy='isolate')
MIXED_GUEST = Guest(
    3, 512, (GuestCell(0, 0b001, 0b110, 512, cpu_policy=MIXED),), realtime_vcpus=0b100, locked_memory=True
)
FLOATING = Guest(2, 512, cpu_topology=CpuTopology(1, 2))


@pytest.mark.parametrize('guest', [PINNED, ISOLATED, EMULATOR, MIXED_GUEST, FLOATING, samples.guest(policy=None)])
def test_servers_are_stored_as_they_are(database, guest):
    """Placement, pins, page sizes, what the emulator and isolation take, vCPU topology: all come back."""
    idle = database.create_host(samples.host_record()).host
    stored = store(database, guest)
    assert stored.placement == fit.place(idle, guest)
    assert database.instances() == database.instances('host1') == [stored]
    assert database.instance('guest1') == database.instance(stored.uuid) == stored
    used = database.host('host1')
    assert used.host == idle.consume(stored.placement)
    assert used.generation == 1
    assert stored.flavor == samples.instance_request(guest).flavor
    assert stored.image_properties == {'hw_cpu_threads': '1'}
    assert claims.release(database, stored.uuid) == stored
    assert database.host('host1').host == idle
    assert database.instances() == []


def test_a_number_is_never_given_twice(database):
    """Not even when the newest server was deleted."""
    database.create_host(samples.host_record())
    first = store(database, FLOATING)
    second = store(database, FLOATING)
    claims.release(database, second.uuid)
    third = store(database, FLOATING)
    assert first.number < second.number < third.number
    assert third.domain_name == f'instance-{third.number:08x}'


def test_a_name_that_several_servers_have_names_none_of_them(database):
    database.create_host(samples.host_record())
    first, second = store(database, FLOATING), store(database, FLOATING)
    with pytest.raises(exception.Conflict, match=f"2 servers have the name 'guest1'.*{first.uuid}, {second.uuid}"):
        database.instance('guest1')
    named_like_the_first = store(database, FLOATING, first.uuid)
    assert database.instance(first.uuid) == first
    assert database.instance(named_like_the_first.uuid) == named_like_the_first


def test_a_host_with_servers_stays(database):
    database.create_host(samples.host_record())
    server = store(database, FLOATING)
    with pytest.raises(exception.Conflict, match="host 'host1' has 1 server: delete it first"):
        database.delete_host('host1')
    claims.release(database, server.uuid)
    database.delete_host('host1')
    assert database.hosts() == []


def test_the_columns_hold_novas_json_for_the_shell_of_sqlite(database, tmp_path):
    """NULL for a guest without a NUMA topology, today's versions for the others."""
    if not (tmp_path / 'numaplace.sqlite').exists():
        pytest.skip('SQLite has a shell of this kind')
    database.create_host(samples.host_record(cells=1))
    store(database, FLOATING)
    store(database, samples.guest())

    def shell(query: str) -> list[str]:
        command = [shutil.which('sqlite3'), '-nullvalue', 'NULL', str(tmp_path / 'numaplace.sqlite'), query]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    (host,) = shell('select numa_topology from compute_nodes;')
    assert '"nova_object.name": "NUMATopology"' in host
    assert '"nova_object.version": "1.5"' in host
    floating, pinned = shell('select numa_topology from instance_extra;')
    assert floating == 'NULL'
    assert '"nova_object.version": "1.6"' in pinned


@pytest.mark.parametrize(
    'text',
    ['{', '[]', '{"nova_object.name": "InstanceNUMATopology"}', '{"cells": [{}]}'],
    ids=['cut', 'list', 'other', 'old'],
)
def test_a_column_that_holds_something_else_is_a_fault(database, database_url, text):
    database.create_host(samples.host_record())
    opened = engine.create(engine.open_url(database_url))
    with opened.connect() as connection, engine.begin(connection):
        connection.execute(sa.text('UPDATE compute_nodes SET numa_topology = :text'), {'text': text})
    opened.dispose()
    with pytest.raises(exception.InvalidObject, match='its row cannot be read'):
        database.host('host1')


def test_a_lock_that_is_held_too_long_is_a_lost_race(database, database_url, monkeypatch):
    """Callers may try again; it is no fault of the database."""
    database.create_host(samples.host_record())
    monkeypatch.setattr(engine, '_LOCK_TIMEOUT', 1)
    opened = engine.create(engine.open_url(database_url))
    with api.connect(database_url) as impatient:
        with opened.connect() as connection, engine.begin(connection):
            connection.execute(sa.text('UPDATE compute_nodes SET state = state'))
            with pytest.raises(exception.ConcurrentUpdate, match='another transaction was in the way'):
                store(impatient, FLOATING)
        assert store(impatient, FLOATING)
    opened.dispose()


def test_a_table_that_vanished_is_a_fault_of_one_line(database, database_url):
    opened = engine.create(engine.open_url(database_url))
    with opened.connect() as connection, engine.begin(connection):
        connection.execute(sa.text('DROP TABLE flavors'))
    opened.dispose()
    with pytest.raises(exception.UnknownDatabase, match='flavors') as caught:
        database.flavors()
    assert '\n' not in str(caught.value)
