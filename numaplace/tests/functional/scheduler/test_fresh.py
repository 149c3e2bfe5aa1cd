# SPDX-License-Identifier: Apache-2.0
"""An index that is loaded once follows all changes of a database, whoever makes them and whenever they show."""

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from numaplace import conf, exception
from numaplace.compute import audit, claims, migration, resource_tracker
from numaplace.db import api, engine
from numaplace.model.grouping import Aggregate
from numaplace.model.records import DISABLED, DOWN, ENABLED, UP
from numaplace.scheduler import fresh, select
from numaplace.scheduler.filters import Request
from numaplace.tests import samples
from numaplace.tests.functional.db import moving

HOSTS = ('a', 'b', 'c')
#: Steps of the drawn changes; the index looks after some of them.
STEPS = 60


@pytest.fixture
def database(database_url, make_tables):
    """Yield a database with three idle hosts."""
    make_tables(database_url)
    with api.connect(database_url) as opened:
        for name in HOSTS:
            resource_tracker.register(opened, samples.host_record(name))
        yield opened


@pytest.fixture
def other(database_url, database):
    """Yield the same database as another process sees it."""
    with api.connect(database_url) as opened:
        yield opened


@pytest.fixture
def index(database):
    """An index of the three hosts."""
    found = fresh.FreshIndex(database)
    assert len(HOSTS) == found.refresh()
    return found


@pytest.fixture
def policy():
    return select.Policy.of(conf.load([]))


def request(name='guest1', group=None, **keys):
    asked = replace(samples.instance_request(samples.guest(**keys), name), group=group)
    return Request(asked)


def known(index):
    return {record.name: record for record in index._index.records}


def check(index, database, *, times=True):
    """Compare all that the index knows with the database; with or without the times of the last changes."""
    stored = {host.name: host for host in database.candidates(None)[0]}
    found = known(index)
    assert sorted(stored) == list(found)
    for name, host in stored.items():
        assert host == found[name] if times else replace(host, updated_at=found[name].updated_at) == found[name]
        assert host.servers == found[name].servers
        assert [(each.name, each.metadata) for each in host.aggregates] == [
            (each.name, each.metadata) for each in found[name].aggregates
        ]


def test_a_second_look_finds_nothing(index):
    assert 0 == index.refresh()


def test_what_another_process_claims_is_found(index, other):
    server = moving.place(other, moving.SMALL_GUEST, 'b')
    assert 1 == index.refresh()
    assert {server} == known(index)['b'].servers
    claims.release(other, server)
    assert 1 == index.refresh()
    check(index, other)


def test_times_of_other_machines_do_not_count(index, other, database_url):
    """A change is found whose time is long before the last look, or long after it."""
    for year in (1971, 2037):
        moving.place(other, moving.SMALL_GUEST, 'b', f'guest{year}')
        eyes = sa.create_engine(database_url)
        with eyes.begin() as connection:
            times = {'time': f'{year}-01-01 00:00:00'}
            connection.execute(sa.text('UPDATE compute_nodes SET updated_at = :time, created_at = :time'), times)
        eyes.dispose()
        assert 1 == index.refresh()
        assert f'guest{year}' in [other.instance(uuid).name for uuid in known(index)['b'].servers]


@pytest.fixture
def late(database_url, database):
    """Yield a connection with a transaction that stays open; a file has one writer, who is never late."""
    if database_url.startswith('sqlite'):
        pytest.skip('SQLite has one writer at a time')
    opened = engine.create(engine.open_url(database_url))
    with opened.connect() as connection:
        engine.begin(connection)
        yield connection
    opened.dispose()


def test_a_transaction_that_was_open_for_long_shows_when_it_is_committed(index, other, late):
    """Others that began later and ended earlier hide nothing of it, however often the index looked meanwhile."""
    late.execute(sa.text("UPDATE compute_nodes SET status = 'disabled', generation = generation + 1 WHERE host = 'a'"))
    for number in range(3):
        moving.place(other, moving.SMALL_GUEST, 'b', f'guest{number}')
        assert 1 == index.refresh()
    assert ENABLED == known(index)['a'].status
    late.commit()
    assert 1 == index.refresh()
    assert DISABLED == known(index)['a'].status
    check(index, other)


def test_a_host_that_shows_after_hosts_with_later_numbers_is_found(index, other, late):
    columns = [each['name'] for each in sa.inspect(late.engine).get_columns('compute_nodes')]
    copied = ', '.join(name for name in columns if name not in ('id', 'uuid', 'host', 'hypervisor_hostname'))
    late.execute(
        sa.text(
            f'INSERT INTO compute_nodes (uuid, host, hypervisor_hostname, {copied}) '
            f"SELECT 'late', 'late', 'late', {copied} FROM compute_nodes WHERE host = 'a'"
        )
    )
    later = resource_tracker.register(other, samples.host_record('later'))
    assert 1 == index.refresh()
    other.delete_host('c')
    assert 1 == index.refresh()
    late.commit()
    assert 1 == index.refresh()
    assert known(index)['late'].number < later.number
    check(index, other)


def test_hosts_come_and_go_also_by_the_same_name(index, other):
    other.delete_host('b')
    resource_tracker.register(other, samples.host_record('d', cells=4))
    assert 2 == index.refresh()
    check(index, other)
    other.delete_host('d')
    resource_tracker.register(other, samples.host_record('d'))
    resource_tracker.register(other, samples.host_record('b'))
    assert 2 == index.refresh()
    check(index, other)


def test_aggregates_are_followed(index, other):
    other.create_aggregate(Aggregate('fast', {'pinned': 'true'}))
    assert 0 == index.refresh(), 'it has no hosts'
    other.change_aggregate('fast', lambda before: replace(before, hosts=('a', 'b')))
    assert 2 == index.refresh()
    check(index, other)
    other.change_aggregate('fast', lambda before: replace(before, hosts=('b', 'c')))
    assert 3 == index.refresh()
    check(index, other)
    other.change_aggregate('fast', lambda before: replace(before, name='zone', metadata={'availability_zone': 'az1'}))
    assert 2 == index.refresh()
    assert ['nova', 'az1', 'az1'] == [host.availability_zone for host in known(index).values()]
    other.change_aggregate('zone', lambda before: replace(before, hosts=()))
    other.delete_aggregate('zone')
    assert 2 == index.refresh()
    check(index, other)


def test_threads_share_an_index(index, database, policy, other):
    """Each of four threads places its servers, and nothing is handed out twice; all that fits is placed."""

    def work(number):
        requests = [request(f'guest{number}-{each}', vcpus=2, memory_mib=64) for each in range(7)]
        return sum(bool(index.select(asked, policy)) for asked in requests)

    with ThreadPoolExecutor(4) as threads:
        placed = list(threads.map(work, range(4)))
    assert 24 == sum(placed), '16 CPUs on each of three hosts'
    moving.check(other)
    index.refresh()
    check(index, other)


class Operators:
    """Others, who do whatever changes hosts."""

    def __init__(self, database, dice):
        self.database, self.dice = database, dice

    def claim(self):
        moving.place(self.database, moving.SMALL_GUEST, self._host(), f'guest{self.dice.random()}')

    def release(self):
        claims.release(self.database, self._server())

    def resize(self):
        moving.resize(self.database, self._server(), self._host())

    def finish(self):
        migration.finish(self.database, self._server())

    def confirm(self):
        migration.confirm(self.database, self._server())

    def revert(self):
        migration.revert(self.database, self._server())

    def discard(self):
        audit.discard(self.database, self._server())

    def switch(self):
        resource_tracker.switch(self.database, self._host(), status=self.dice.choice((ENABLED, DISABLED)))

    def register(self):
        name = f'h{self.dice.randrange(50)}'
        resource_tracker.register(self.database, samples.host_record(name, cells=self.dice.choice((1, 2, 5))))

    def unregister(self):
        idle = [host.name for host in self.database.candidates(None)[0] if not host.servers]
        self.database.delete_host(self.dice.choice(idle))

    def join(self):
        with suppress(exception.AlreadyExists):
            self.database.create_aggregate(Aggregate('group', {'some': 'words'}))
        names = tuple({self._host() for _ in range(2)})
        self.database.change_aggregate('group', lambda before: replace(before, hosts=names))

    def _host(self):
        return self.dice.choice([host.name for host in self.database.hosts()])

    def _server(self):
        return self.dice.choice([server.uuid for server in self.database.instances()])


def test_any_change_of_anybody_is_followed(index, other):
    """After drawn changes of all kinds, each look finds all of them."""
    dice = random.Random(7)
    operators = Operators(other, dice)
    verbs = [name for name in vars(Operators) if not name.startswith('_')]
    done = Counter()
    for _ in range(STEPS):
        verb = dice.choice((*verbs, *('claim',) * 4, *('register',) * 2))
        with suppress(exception.NumaplaceException, IndexError):
            getattr(operators, verb)()
            done[verb] += 1
        if dice.random() < 0.3:
            index.refresh()
            check(index, other)
    index.refresh()
    check(index, other)
    assert set(verbs) - done.keys() <= {'finish', 'confirm', 'revert'}, 'moves need luck'


def test_a_silent_agent_is_found_though_no_row_changes(index, other):
    now = datetime.now(UTC)
    other.report_up('a', now + timedelta(seconds=60))
    other.switch_host('a', status=ENABLED)
    assert 1 == index.refresh()
    for until, state in ((-5, DOWN), (60, UP)):
        other.report_up('a', now + timedelta(seconds=until))
        index.changed('a')  # what the last look knew of it is that it is up for a minute
        index.refresh()
        assert state == known(index)['a'].state
    other.report_up('a', datetime.now(UTC) + timedelta(seconds=1.5))
    index.changed('a')
    index.refresh()
    assert UP == known(index)['a'].state
    time.sleep(2.6)  # databases may keep whole seconds
    assert 1 == index.refresh(), 'nobody has written anything'
    assert DOWN == known(index)['a'].state
    other.report_up('a', datetime.now(UTC) + timedelta(seconds=60))
    assert 1 == index.refresh()
    assert UP == known(index)['a'].state
    assert 0 == index.refresh()


def test_a_trusted_index_claims_without_reading_and_knows_what_it_claimed(database, other, policy, monkeypatch):
    lost = []
    index = fresh.FreshIndex(database, trust_s=60, lost=lambda: lost.append(1))
    index.refresh()
    with monkeypatch.context() as patch:
        patch.setattr(database, 'named_candidates', lambda *_: pytest.fail('the index knows it'))
        for number in range(3):
            asked = [request(f'guest{number}-{each}', vcpus=2, memory_mib=64) for each in range(3)]
            assert all(index.select_several(asked, policy))
        assert 0 == index.refresh(), 'its own claims are no news'
    check(index, other, times=False)
    assert not lost

    for name in HOSTS[1:]:
        resource_tracker.switch(other, name, status=DISABLED)
    several = [request(f'last{number}', vcpus=2, memory_mib=64) for number in range(2)]
    found = select.select_many(database, several, policy, at_least=2, index=index)
    assert ['a', 'a'] == [each.host for each in found.found]
    assert lost, 'hosts that have changed are asked again before they are claimed'
    claims.release(other, other.instance('last0').uuid)
    assert index.refresh()
    check(index, other, times=False)


def test_hosts_that_weigh_the_same_are_claimed_in_a_random_order(index, policy):
    policy = replace(policy, shuffles=True)
    hosts = set()
    for number in range(40):
        found = index.select(request(f'guest{number}', vcpus=1, memory_mib=64), policy)
        hosts.add(found.host)
        found.claim.abort()
    assert set(HOSTS) == hosts
