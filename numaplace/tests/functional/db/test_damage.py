# SPDX-License-Identifier: Apache-2.0
"""One row that cannot be read stops nothing: each column and each key of its JSON is damaged in turn."""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from numaplace.compute import audit, claims, hotplug_claims, migration, resource_tracker
from numaplace.db import api, engine, faults
from numaplace.db.records import InstanceRequest, MigrationRecord
from numaplace.db.tables import METADATA
from numaplace.model import CpuTopology, Flavor, Guest, MemoryModule, Offline, allocations
from numaplace.model.fleet import candidates
from numaplace.model.records import DOWN, UP, HostRecord, InstanceRecord
from numaplace.request import own_devices
from numaplace.tests import samples
from numaplace.tests.functional.db import moving

#: Damaged rows for each database.
CASES = 670
#: A key that is left out.
MISSING = object()
IN_COLUMNS = (None, 'text', '', 'x' * 300, 'nul\0', b'\xff', -1, 70000, 2**31 - 1, 2**63 - 1, 1.5, math.nan, math.inf)
CUT_OFF = ('', 'null', '[]', '{}', '1', '"text"', '{"nova_object.name": ', '[' * 100_000)
IN_JSON = (None, MISSING, 'text', -1, 70000, 2**70, 1.5, math.nan, True, [], ['text'], [-1], {}, {'text': -1})

FACTS = {
    'architecture': 'x86_64',
    'cpu_model': 'Broadwell',
    'domains': [['x86_64', 'kvm', 'hvm']],
    'machines': {'x86_64': {'q35': 288}},
}
GUEST = replace(
    samples.guest(cells=2, vcpus=2, pagesize_kib=2048),
    emulator_policy='isolate',
    realtime_vcpus=0b10,
    offline=(Offline(0, 1 << 4), Offline(0, 1 << 5)),
    modules=(MemoryModule(128, 1, align_kib=2048),),
    cpu_topology=CpuTopology(3, 2, 1),
)


@dataclass(frozen=True)
class Damage:
    """A value that a row may not have.

    :param path: keys within the JSON of the column
    """

    table: str
    row: int
    column: str
    path: tuple[Any, ...]
    value: Any


class World:
    """Rows of every kind, and a connection that damages them."""

    def __init__(self, database: api.Database, url: str) -> None:
        self.database = database
        self.engine = engine.create(engine.open_url(url))
        self.connection = self.engine.connect().execution_options(isolation_level='AUTOCOMMIT')
        for statement in {
            'sqlite': ['PRAGMA foreign_keys = OFF', 'PRAGMA synchronous = OFF'],
            'mysql': ['SET foreign_key_checks = 0', "SET sql_mode = ''"],
            'postgresql': ["SET session_replication_role = 'replica'", 'SET synchronous_commit = OFF'],
        }[self.engine.dialect.name]:
            self.connection.exec_driver_sql(statement)
        self.rows = {
            name: self.connection.execute(sa.text(f'SELECT * FROM {name} ORDER BY id')).mappings().all()
            for name in METADATA.tables
        }
        self.names = {
            'flavors': [row['name'] for row in self.rows['flavors']],
            'compute_nodes': [row['host'] for row in self.rows['compute_nodes']],
            'instances': [row['uuid'] for row in self.rows['instances']],
            'instance_extra': [row['instance_uuid'] for row in self.rows['instance_extra']],
            'migrations': [str(row['id']) for row in self.rows['migrations']],
        }

    def close(self) -> None:
        self.connection.close()
        self.engine.dispose()

    def store(self, damage: Damage, value: Any) -> bool:
        """Write a value past all checks; return whether the database takes it and holds something else than before."""
        number = self.rows[damage.table][damage.row]['id']
        try:
            self.connection.execute(
                sa.text(f'UPDATE {damage.table} SET {damage.column} = :value WHERE id = :id'),
                {'value': value, 'id': number},
            )
            return self.stored(damage) != self.rows[damage.table][damage.row][damage.column]
        except (*faults.ERRORS, ValueError):
            return False

    def stored(self, damage: Damage) -> Any:
        """Return what the database made of a value."""
        number = self.rows[damage.table][damage.row]['id']
        query = sa.text(f'SELECT {damage.column} FROM {damage.table} WHERE id = :id')
        return self.connection.scalar(query, {'id': number})

    def restore(self, table: str) -> None:
        """Write the rows of a table as they were."""
        for row in self.rows[table]:
            columns = ', '.join(f'{name} = :{name}' for name in row)
            self.connection.execute(sa.text(f'UPDATE {table} SET {columns} WHERE id = :id'), dict(row))

    def damages(self) -> list[Damage]:
        found = []
        for table, rows in self.rows.items():
            for number, row in enumerate(rows):
                for column, value in row.items():
                    if column == 'id':
                        continue
                    found += [Damage(table, number, column, (), each) for each in IN_COLUMNS + CUT_OFF]
                    if isinstance(value, str) and value.startswith('{'):
                        paths = list(_paths(json.loads(value)))
                        found += [Damage(table, number, column, path, each) for path in paths for each in IN_JSON]
        return found

    def damaged(self, damage: Damage) -> Any:
        """Return what is stored instead of a value."""
        if not damage.path:
            return damage.value
        whole = json.loads(self.rows[damage.table][damage.row][damage.column])
        inner = whole
        for key in damage.path[:-1]:
            inner = inner[key]
        if damage.value is MISSING:
            del inner[damage.path[-1]]
        else:
            inner[damage.path[-1]] = damage.value
        return json.dumps(whole)


def _paths(value, path=()):
    """Yield the keys to every value within JSON, and to the first item of each list."""
    items = value.items() if isinstance(value, dict) else list(enumerate(value))[:1] if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from _paths(inner, (*path, key))


def results(database):
    """Return what each list shows, and what it names as unreadable."""
    found = {}
    for name, ask in (
        ('flavors', database.flavors),
        ('compute_nodes', database.hosts),
        ('instances', database.instances),
        ('migrations', database.migrations),
    ):
        unread = {}
        found[name] = {_key(record): record for record in ask(unread=unread)}, unread
    return found


def _key(record):
    if isinstance(record, InstanceRecord):
        return record.uuid
    return str(record.number) if isinstance(record, MigrationRecord) else record.name


def prepare(database):
    for name in ('a', 'b'):
        record = replace(samples.host_record(name), facts=FACTS, cpu_allocation_ratio=4.0, ram_allocation_ratio=1.5)
        resource_tracker.register(database, record)
    database.create_flavor(Flavor('m1', 2, 512, 1, {'hw:numa_nodes': '1'}))
    database.create_flavor(moving.LARGE)
    flavor = Flavor('m2', 6, 896, 1, {'hw:cpu_policy': 'dedicated'}, 'm2')
    devices = own_devices(['network=default,node=1'], ['path=/srv/a.qcow2'])
    request = InstanceRequest('pinned', flavor, GUEST, {'hw_cpu_threads': '1'}, 'nova', devices=devices)
    assert claims.instance_claim(database, request, 'a')
    moving.place(database, Guest(2, 512, cpu_topology=CpuTopology(1, 2)), 'b', 'floating')
    server = moving.place(database, moving.SMALL_GUEST, 'a', 'moving')
    claims.live_migration_claim(database, server, 'b')
    migration.drop_move_claim(database, server)
    moving.resize(database, server)
    migration.shelve(database, moving.place(database, moving.SMALL_GUEST, 'a', 'shelved'))


def stripped(record):
    """Return a record without what any write to its row changes."""
    return replace(record, generation=0, updated_at=None) if isinstance(record, HostRecord) else record


def differing(healthy, found):
    """Return the keys of the records that are gone or changed."""
    return {key for key, record in healthy.items() if key not in found or stripped(found[key]) != stripped(record)}


def is_wrong(damage, stored):
    """Return whether no value of that column or key can be right, by its type alone."""
    if damage.path:
        wrong = damage.value in (-1, 2**70, 1.5, [-1], {'text': -1}) or damage.value is IN_JSON[7]
        return wrong and 'network_metadata' not in damage.path
    column = METADATA.tables[damage.table].c[damage.column]
    if stored is None:
        return not column.nullable
    if isinstance(column.type, sa.Integer):
        return type(stored) is not int or not 0 <= stored < 2**31
    if isinstance(column.type, sa.Double):
        return not isinstance(stored, float) or not 0 <= stored < math.inf
    if isinstance(column.type, sa.String):
        return not isinstance(stored, str) or not 0 < len(stored) <= column.type.length or '\0' in stored
    return stored in CUT_OFF[:2] + CUT_OFF[4:] or stored == b'\xff'


def check_lists(healthy, found, damage, keys, stored):
    """The damaged row is named, or shown with another value that may be right; all others are as before."""
    own = 'instances' if damage.table == 'instance_extra' else damage.table
    for table, (records, unread) in found.items():
        changed = differing(healthy[table][0], records)
        if table == own:
            assert changed <= keys
            assert set(unread) <= keys
            assert not (is_wrong(damage, stored) and changed) or unread
        elif own == 'migrations' or (own, damage.column) == ('compute_nodes', 'host'):
            # A server cannot be read without its move, nor on a host that does not exist.
            assert changed <= set(unread) or not is_wrong(damage, stored)
        else:
            assert (set(), {}) == (changed, unread)


def check_repairs(database, healthy, found, damage):
    """A server that cannot be read is named where it holds something, and no usage changes."""
    servers, unread = healthy['instances'][0], found['instances'][1]
    for name in found['compute_nodes'][0]:
        report = audit.repair(database, name)
        for uuid in unread.keys() & servers.keys():
            if (report.differences or report.faults) and name in {
                side.host for side in allocations.holds(servers[uuid])
            }:
                assert any(uuid == fault.server for fault in report.faults)
    if unread and damage.table != 'compute_nodes':
        assert set() == differing(healthy['compute_nodes'][0], {record.name: record for record in database.hosts()})


def check_unlisted(database, places):
    """Without a list of the servers, hosts are the same, and each server is where it was or is named.

    :param places: names of the hosts of each server, by UUID
    """
    listed, unlisted = database.fleet(), database.fleet(lists_servers=False)
    assert (listed.hosts, listed.flavors) == (unlisted.hosts, unlisted.flavors)
    others, named = ([row for row in each.unread if not row.server] for each in (listed, unlisted))
    assert others == named
    unread, lost = ({row.server for row in each.unread} - {None} for each in (listed, unlisted))
    assert lost <= unread
    assert unlisted.unlisted + len(lost) == len(places)
    for uuid in (unread - lost) & places.keys():
        assert places[uuid] == {host.name for host in unlisted.hosts if uuid in host.servers}
    for known, found in zip(candidates(listed).hosts, unlisted.hosts, strict=True):
        assert known.servers <= found.servers
        assert {str(uuid) for uuid in found.servers - known.servers} <= unread - lost


def write(database, name):
    """Everything that has nothing to do with the damaged row goes on."""
    flavor = database.create_flavor(Flavor('new', 1, 128))
    database.change_extra_specs('new', change={'hw:numa_nodes': '1'})
    resource_tracker.switch(database, name, state=UP)
    specs = {'numaplace:vcpu_hotplug': 'true', 'numaplace:memory_slots': '1', 'numaplace:max_memory': '1024'}
    guest = samples.guest(vcpus=2, memory_mib=128, policy=None)
    request = InstanceRequest('new', Flavor('hot', 2, 128, 1, specs, 'hot'), guest)
    uuid, other = claims.instance_claim(database, request, name).instance.uuid, 'ab'[name == 'a']
    read = {'read': lambda *_asked: guest}
    for step in (
        lambda: hotplug_claims.set_vcpus(database, uuid, 1),
        lambda: hotplug_claims.attach_memory(database, uuid, MemoryModule(64, 0)),
        lambda: hotplug_claims.detach_memory(database, uuid, 0),
        lambda: claims.rebuild(database, uuid, {}, **read),
        lambda: claims.resize_claim(database, uuid, other, flavor=moving.LARGE, read=moving.read),
        lambda: migration.finish(database, uuid),
        lambda: migration.revert(database, uuid),
        lambda: claims.resize_claim(database, uuid, other, **read),
        lambda: migration.finish(database, uuid),
        lambda: migration.confirm(database, uuid),
        lambda: claims.live_migration_claim(database, uuid, name),
        lambda: migration.drop_move_claim(database, uuid),
        lambda: resource_tracker.switch(database, other, state=DOWN),
        lambda: claims.rebuild_claim(database, uuid, name, **read),
        lambda: migration.finish(database, uuid),
        lambda: resource_tracker.switch(database, other, state=UP),
        lambda: migration.shelve(database, uuid),
        lambda: claims.unshelve_claim(database, uuid, name, **read),
        lambda: claims.release(database, uuid),
    ):
        assert step()
    database.delete_flavor(flavor.id)


def test_one_damaged_row_stops_nothing(database, database_url):
    prepare(database)
    world = World(database, database_url)
    healthy = results(database)
    assert [{}] * 4 == [unread for _, unread in healthy.values()]
    places = {uuid: {side.host for side in allocations.holds(one)} for uuid, one in healthy['instances'][0].items()}
    damages = world.damages()
    random.Random(0).shuffle(damages)
    number = 0
    while number < CASES:
        damage = damages.pop()
        if not world.store(damage, world.damaged(damage)):
            continue
        number += 1
        stored = world.stored(damage)
        keys = {world.names[damage.table][damage.row], str(stored)}
        try:
            found = results(database)
            check_lists(healthy, found, damage, keys, stored)
            check_unlisted(database, places)
            check_repairs(database, healthy, found, damage)
            if not number % 10 and damage.table != 'compute_nodes':
                write(database, 'ab'[number // 10 % 2])
        except Exception as error:
            raise AssertionError(f'{damage}, stored as {stored!r:.80}') from error
        world.store(damage, world.rows[damage.table][damage.row][damage.column])
        if differing(healthy['compute_nodes'][0], {record.name: record for record in database.hosts()}):
            world.restore('compute_nodes')  # a value that may be right was repaired
    for table, (records, unread) in results(database).items():
        assert (set(), {}) == (differing(healthy[table][0], records), unread)
    world.close()
