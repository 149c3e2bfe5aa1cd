# SPDX-License-Identifier: Apache-2.0
"""Claims on real databases: races, and failures at every moment, hand nothing out twice and lose nothing."""

import contextlib
import functools
import itertools
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa

from numaplace import exception, fit
from numaplace.compute import claims, resource_tracker
from numaplace.db import api, engine, hosts, servers
from numaplace.model import Refusal
from numaplace.model.records import DISABLED
from numaplace.tests import samples


class Meeting:
    """A strategy that waits for another fit to begin, the first time that each thread asks it.

    On SQLite the other cannot begin while the first holds the lock, so the wait is short.
    """

    name = 'meeting'

    def __init__(self) -> None:
        self._barrier = threading.Barrier(2)
        self._met = threading.local()
        self.fits = 0

    def order(self, host, guest):
        """Return the order of spread."""
        self.fits += 1
        if not hasattr(self._met, 'done'):
            self._met.done = True
            with contextlib.suppress(threading.BrokenBarrierError):
                self._barrier.wait(timeout=0.5)
        return fit.SPREAD.order(host, guest)


@pytest.fixture
def idle(database):
    """Return the only host, which nobody uses."""
    return resource_tracker.register(database, samples.host_record()).host


def claim(database, guest=None, name='guest1', **keys):
    request = samples.instance_request(guest or samples.guest(), name)
    return claims.instance_claim(database, request, 'host1', **keys)


def is_consistent(database):
    record = database.host('host1')
    return record.host == samples.used(record, database.instances())


def test_a_claim_lasts(database, idle):
    with claim(database) as held:
        pass
    held.abort()
    assert database.instances() == [held.instance]
    assert database.host('host1').host == idle.consume(held.instance.placement)


def test_a_refused_claim_changes_nothing(database, idle):
    before = database.host('host1')
    refusal = claim(database, samples.guest(vcpus=9))
    assert isinstance(refusal, Refusal)
    assert refusal.reasons
    assert database.host('host1') == before
    assert database.instances() == []


@pytest.mark.parametrize('error', [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_a_body_that_raises_gives_everything_back(database, idle, error):
    with pytest.raises(error, match='gives up'), claim(database):
        raise error('gives up')
    assert database.host('host1').host == idle
    assert database.instances() == []


def test_a_claim_is_given_back_once(database, idle):
    """What another server holds by then stays."""
    held = claim(database)
    held.abort()
    other = claim(database)
    held.abort()
    assert database.instances() == [other.instance]
    assert is_consistent(database)


def test_a_server_deleted_in_the_body_is_given_back_already(database, idle):
    held = claim(database)
    claims.release(database, held.instance.uuid)
    with pytest.raises(ValueError, match='late'), held:
        raise ValueError('late')
    assert database.host('host1').host == idle


def test_a_claim_on_an_unknown_host_is_a_fault(database):
    with pytest.raises(exception.NotFound, match="there is no host 'host1'"):
        claim(database)


def test_a_known_uuid_is_refused_and_leaves_nothing(database, idle):
    request = samples.instance_request(samples.guest())
    claims.instance_claim(database, request, 'host1')
    before = database.host('host1')
    with pytest.raises(exception.AlreadyExists, match=request.uuid):
        claims.instance_claim(database, request, 'host1')
    assert database.host('host1') == before


def test_of_two_claims_at_once_the_second_waits(database, idle):
    """Both get in, each after one fit, on CPUs of their own."""
    meeting = Meeting()
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda name: claim(database, name=name, strategy=meeting), ['first', 'second'])
    assert 2 == meeting.fits
    taken = [cell.taken for held in (first, second) for cell in held.instance.placement.cells]
    assert (
        taken[0] & taken[1] == 0
        or first.instance.placement.cells[0].host_cell != second.instance.placement.cells[0].host_cell
    )
    assert is_consistent(database)


def test_the_last_place_goes_to_one(database, idle):
    """The other is refused by the fit, not by an error."""
    meeting, guest = Meeting(), samples.guest(cells=2, vcpus=5)
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda name: claim(database, guest, name, strategy=meeting), ['first', 'second']))
    assert sorted(bool(answer) for answer in answers) == [False, True]
    assert len(database.instances()) == 1
    assert is_consistent(database)


def test_many_at_once_fill_a_host_exactly(database_url, database, idle):
    """Four connections claim, and release every third time, until no CPU is left for one of them."""

    def fill(worker):
        held, turns = [], itertools.cycle([False, False, True])
        with api.connect(database_url) as own:
            while answer := claim(own, samples.guest(vcpus=1, memory_mib=16), f'guest{worker}'):
                held.append(answer.instance)
                if next(turns):
                    claims.release(own, held.pop(0).uuid)
        return held

    with ThreadPoolExecutor(4) as pool:
        held = [instance for instances in pool.map(fill, range(4)) for instance in instances]
    assert {instance.uuid for instance in database.instances()} == {instance.uuid for instance in held}
    assert is_consistent(database)
    while answer := claim(database, samples.guest(vcpus=1, memory_mib=16)):
        held.append(answer.instance)
    assert len(held) == 16
    assert [cell.free_cpus for cell in database.host('host1').host.cells] == [0, 0]


def test_nobody_changes_a_host_during_a_fit(database, idle):
    """An operator waits until the claim is over."""
    rivals, waiting = [], []

    class Busy:
        name = 'busy'

        def order(self, host, guest):
            switch = functools.partial(resource_tracker.switch, database, 'host1', status=DISABLED)
            rivals.append(threading.Thread(target=switch))
            rivals[-1].start()
            rivals[-1].join(0.5)
            waiting.append(rivals[-1].is_alive())
            return host.cells

    assert claim(database, strategy=Busy())
    for rival in rivals:
        rival.join()
    assert [True] == waiting
    assert (2, DISABLED) == (database.host('host1').generation, database.host('host1').status)
    assert is_consistent(database)


@pytest.mark.parametrize('statement', ['UPDATE compute_nodes', 'INSERT INTO instances', 'INSERT INTO instance_extra'])
def test_a_process_that_dies_in_the_middle_leaves_nothing(database_url, database, idle, statement):
    """Killed after each of the statements of a claim."""
    code = f"""
import os, sqlalchemy as sa
from numaplace.compute import claims
from numaplace.db import api
from numaplace.tests import samples
@sa.event.listens_for(sa.Engine, 'after_cursor_execute')
def die(connection, cursor, statement, *rest):
    if statement.startswith({statement!r} + ' '):
        os._exit(9)
claims.instance_claim(api.connect({database_url!r}), samples.instance_request(samples.guest()), 'host1')
"""
    assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 9
    assert database.host('host1').host == idle
    assert database.instances() == []
    assert claim(database)


def test_whether_a_claim_was_stored_is_told_when_its_commit_is_over(database, idle):
    request = samples.instance_request(samples.guest())
    asked = []

    def ask():
        with database._transaction() as connection:
            return servers.is_stored(connection, request.uuid, 'host1')

    def storing():
        asked.append(pool.submit(ask))
        with pytest.raises(TimeoutError, match=r'^$'):
            asked[0].result(0.3)

    with ThreadPoolExecutor(1) as pool:
        assert database.claim(request, 'host1', lambda host: fit.place(host, request.guest), storing=storing)
        assert asked[0].result(30)


def test_a_host_deleted_and_made_again_is_not_the_same(database, idle):
    """Its generation is that of the first, but nothing that was read of that may reach it."""
    before = database.host('host1')
    database.delete_host('host1')
    database.create_host(samples.host_record())
    error = pytest.raises(exception.ConcurrentUpdate, match='was changed by another transaction')
    with error, database._transaction() as connection:
        hosts.replace_usage(connection, before, before.host)
    assert 0 == before.generation == database.host('host1').generation


def test_a_claim_waits_while_its_host_is_deleted(database, idle, monkeypatch):
    """The host was seen to have no server when the claim began."""
    count, rivals = servers.count, []

    def late(*arguments):
        found = count(*arguments)
        rivals.append(pool.submit(claim, database))
        with pytest.raises(TimeoutError, match=r'^$'):
            rivals[0].result(0.5)
        return found

    monkeypatch.setattr(servers, 'count', late)
    with ThreadPoolExecutor(1) as pool:
        database.delete_host('host1')
        with pytest.raises(exception.NotFound, match="there is no host 'host1'"):
            rivals[0].result(30)
    assert [] == database.instances()


def test_a_row_that_the_usage_does_not_hold_is_a_fault(database, database_url, idle):
    """Nothing is clamped, and the server stays for somebody to look at."""
    held = claim(database)
    database.change_host('host1', lambda record, _instances: replace(record, host=idle))
    with pytest.raises(
        exception.CPUUnpinningInvalid, match=f'server {held.instance.uuid} on host .host1.: .*not pinned'
    ):
        claims.release(database, held.instance.uuid)
    assert database.instances() == [held.instance]


def test_a_refreshed_host_keeps_what_its_servers_hold(database, idle):
    """More memory and other siblings come; usage follows from the servers."""
    held = claim(database, samples.guest(thread_policy='isolate'))
    grown = samples.host(memory_mib=8192)
    record = resource_tracker.refresh(database, 'host1', grown)
    assert record.host.memory_mib == 16384
    assert record.host == grown.consume(held.instance.placement)
    single = replace(grown, cells=tuple(replace(cell, shape=replace(cell.shape, siblings=())) for cell in grown.cells))
    assert resource_tracker.refresh(database, 'host1', single).host.cells[0].pinned_cpus.bit_count() == 2
    claims.release(database, held.instance.uuid)
    assert database.host('host1').host == single


def test_a_host_that_lost_what_its_servers_hold_is_not_refreshed(database, idle):
    claim(database)
    before = database.host('host1')
    with pytest.raises(exception.UsageInvalid, match='there is no host cell'):
        resource_tracker.refresh(database, 'host1', replace(idle, cells=()))
    assert database.host('host1') == before


def test_a_host_registers_idle(database, idle):
    used = idle.consume(fit.place(idle, samples.guest()))
    record = resource_tracker.register(database, replace(samples.host_record('host2'), host=used))
    assert record.host == idle
    database.delete_host('host2')
    assert [record.name for record in database.hosts()] == ['host1']


def test_nobody_waits_for_a_reader(database, database_url, idle):
    """A claim goes through while another connection is in the middle of reading."""
    opened = engine.create(engine.open_url(database_url))
    with opened.connect() as connection, engine.begin(connection, reads=True):
        query = sa.text('SELECT generation FROM compute_nodes')
        before = connection.scalar(query)
        assert claim(database)
        assert connection.scalar(query) == before
    opened.dispose()


def test_an_interrupted_claim_of_a_known_uuid_leaves_the_server_that_has_it(hosts, server, monkeypatch):
    request = replace(samples.instance_request(samples.guest()), uuid=server)

    def interrupted(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(servers, 'insert', interrupted)
    with pytest.raises(KeyboardInterrupt, match=r'^$'):
        claims.instance_claim(hosts, request, 'b')
    assert [server] == [instance.uuid for instance in hosts.instances()]
