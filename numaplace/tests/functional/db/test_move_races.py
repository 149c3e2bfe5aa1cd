# SPDX-License-Identifier: Apache-2.0
"""Moves that meet: each ends whole or not at all."""

import functools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from numaplace import exception
from numaplace.compute import claims, hotplug_claims, migration, resource_tracker
from numaplace.db import api
from numaplace.db import hosts as host_rows
from numaplace.db import servers as server_rows
from numaplace.model.records import DISABLED
from numaplace.tests import samples
from numaplace.tests.functional.db.moving import BIG, IDLE, SMALL, SMALL_GUEST, check, place, read, resize, used
from numaplace.tests.functional.db.test_hotplug_claims import WIDE, create

TURNS = 5


def both(one, other):
    """Do two things at once; return what each returns or raises."""

    def answer(call):
        try:
            return call()
        except exception.NumaplaceException as error:
            return error

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(answer, [one, other]))


def test_of_confirm_and_revert_at_once_one_is_done(database_url, hosts):
    with api.connect(database_url) as other:
        for _ in range(TURNS):
            server = place(hosts, SMALL_GUEST)
            resize(hosts, server)
            migration.finish(hosts, server)
            answers = both(lambda: migration.confirm(hosts, server), lambda: migration.revert(other, server))  # noqa: B023
            errors = [answer for answer in answers if isinstance(answer, exception.NumaplaceException)]
            assert [type(error) for error in errors] == [exception.InstanceInvalidState]
            assert used(hosts) in ({'a': IDLE, 'b': BIG}, {'a': SMALL, 'b': IDLE})
            claims.release(hosts, server)


def test_a_server_is_unshelved_once(database_url, hosts, server):
    """Though the two claims meet on no row of a host."""
    with api.connect(database_url) as other:
        for _ in range(TURNS):
            migration.shelve(hosts, server)
            answers = both(
                lambda: claims.unshelve_claim(hosts, server, 'a', read=read),
                lambda: claims.unshelve_claim(other, server, 'b', read=read),
            )
            assert sorted(type(answer).__name__ for answer in answers) == ['Claim', 'InstanceInvalidState']
            assert used(hosts) in ({'a': SMALL, 'b': IDLE}, {'a': IDLE, 'b': SMALL})


def test_moves_that_cross_both_go_through(database_url, hosts, server):
    """Each writes both hosts, in the same order."""
    other_way = place(hosts, SMALL_GUEST, 'b', 'guest2')
    with api.connect(database_url) as other:
        for _ in range(TURNS):
            answers = both(lambda: resize(hosts, server, 'b'), lambda: resize(other, other_way, 'a'))
            assert [type(answer).__name__ for answer in answers] == ['Claim', 'Claim']
            check(hosts)
            both(lambda: migration.finish(hosts, server), lambda: migration.finish(other, other_way))
            check(hosts)
            both(lambda: migration.revert(hosts, server), lambda: migration.revert(other, other_way))
            assert used(hosts) == {'a': SMALL, 'b': SMALL}


def test_nobody_changes_the_hosts_of_a_move_during_its_fit(hosts, server):
    """Neither of them: an operator waits until the claim is over."""
    rivals, waiting = [], []

    class Busy:
        name = 'busy'

        def order(self, host, guest):
            for name in ('a', 'b'):
                switch = functools.partial(resource_tracker.switch, hosts, name, status=DISABLED)
                rivals.append(threading.Thread(target=switch))
                rivals[-1].start()
            for rival in rivals:
                rival.join(0.5)
                waiting.append(rival.is_alive())
            return host.cells

    before = [record.generation for record in hosts.hosts()]
    assert resize(hosts, server, strategy=Busy())
    for rival in rivals:
        rival.join()
    assert waiting == [True, True]
    assert [record.generation - 2 for record in hosts.hosts()] == before
    check(hosts)


def test_a_server_without_a_host_that_changes_between_reading_and_writing_is_noticed(hosts, server):
    """It is on no host whose row is locked."""
    if hosts._engine.dialect.name == 'sqlite':
        pytest.skip('on SQLite nobody can come between')
    migration.shelve(hosts, server)

    def step(instance, _hosts):
        claims.unshelve_claim(hosts, server, 'a', read=read)
        return instance

    with pytest.raises(exception.ConcurrentUpdate, match='was changed by another transaction'):
        hosts.change_instance(server, step)
    check(hosts)


RIVALS = {
    'deletes it': claims.release,
    'shelves it': migration.shelve,
    'lets fewer vCPUs be on': lambda database, wide: hotplug_claims.set_vcpus(database, wide, 2),
    'takes what there is': lambda database, wide: hotplug_claims.set_vcpus(database, wide, 8),
}


@pytest.mark.parametrize('rival', RIVALS)
def test_a_server_that_changes_before_its_host_is_read_is_read_anew(database_url, hosts, monkeypatch, rival):
    """What it held is no more among what its host counts, or what it could get is taken."""
    if hosts._engine.dialect.name == 'sqlite':
        pytest.skip('on SQLite nobody can come between')
    wide = create(hosts, WIDE)
    create(hosts, samples.guest(cells=2, vcpus=4, memory_mib=256), 'neighbour')
    hotplug_claims.set_vcpus(hosts, wide, 4)
    find, rivals = host_rows.lock_all, [RIVALS[rival]]

    def late(*arguments, **keys):
        if rivals:
            with api.connect(database_url) as other:
                rivals.pop()(other, wide)
        return find(*arguments, **keys)

    monkeypatch.setattr(host_rows, 'lock_all', late)
    if rival in ('deletes it', 'shelves it'):
        with pytest.raises((exception.InstanceNotFound, exception.InstanceInvalidState), match=wide):
            hotplug_claims.set_vcpus(hosts, wide, 8)
    else:
        assert hotplug_claims.set_vcpus(hosts, wide, 8).placement.guest.vcpus == 8
    check(hosts)


def test_whether_a_server_was_changed_is_told_when_its_commit_is_over(hosts, server):
    def ask(before, after):
        with hosts._transaction() as connection:
            return server_rows.has_become(connection, before, after)

    with ThreadPoolExecutor(1) as pool:
        with hosts._transaction() as connection:
            before, _ = server_rows.find(connection, server)
            after = server_rows.replace(connection, before, before)
            asked = pool.submit(ask, before, after)
            with pytest.raises(TimeoutError, match=r'^$'):
                asked.result(0.3)
        assert asked.result(30)


def test_a_server_whose_host_is_deleted_before_that_is_read_is_read_anew(hosts, server, monkeypatch):
    """It was on that host when it was read itself."""
    if hosts._engine.dialect.name == 'sqlite':
        pytest.skip('on SQLite nobody can come between')

    def move_and_delete():
        resize(hosts, server)
        migration.finish(hosts, server)
        migration.confirm(hosts, server)
        hosts.delete_host('a')

    find, rivals = host_rows.lock_all, [move_and_delete]

    def late(*arguments, **keys):
        if rivals:
            rivals.pop()()
        return find(*arguments, **keys)

    monkeypatch.setattr(host_rows, 'lock_all', late)
    assert migration.shelve(hosts, server).host is None
    assert rivals == []
    check(hosts)
