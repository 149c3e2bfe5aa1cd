# SPDX-License-Identifier: Apache-2.0
"""Servers are placed by an index as by reading all hosts, and what the index does not know yet is never wrong."""

from collections import Counter
from dataclasses import replace

import pytest
import sqlalchemy as sa

from numaplace import conf, exception
from numaplace.compute import claims, resource_tracker
from numaplace.db import api
from numaplace.model.grouping import ANTI_AFFINITY, ServerGroup
from numaplace.model.records import DISABLED
from numaplace.scheduler import fresh, select
from numaplace.scheduler.claiming import NoHost, Selection
from numaplace.scheduler.filters import Request
from numaplace.tests import samples
from numaplace.tests.functional.db import moving

HOSTS = ('a', 'b', 'c')


@pytest.fixture
def database_url(tmp_path):
    return f'sqlite:///{tmp_path}/test.sqlite'


@pytest.fixture
def database(database_url):
    """Yield a database with three idle hosts."""
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
    found.refresh()
    return found


@pytest.fixture
def policy():
    return select.Policy.of(conf.load([]))


def request(name='guest1', group=None, **keys):
    asked = replace(samples.instance_request(samples.guest(**keys), name), group=group)
    return Request(asked)


def known(index):
    return {record.name: record for record in index._index.records}


def check(index, database):
    """Compare the hosts of the index with those of the database."""
    assert {host.name: host for host in database.candidates(None)[0]} == known(index)


def test_a_policy_counts_the_members_of_now(index, other, policy):
    """The index does not hold groups: each request reads its own."""
    group = other.create_server_group(ServerGroup('apart', ANTI_AFFINITY))
    for name in ('a', 'b'):
        asked = replace(samples.instance_request(samples.guest(), name), group=group.uuid)
        assert claims.instance_claim(other, asked, name)
    assert 'c' == index.select(request(group=group.uuid), policy).host
    refused = index.select(request(group=group.uuid), policy)
    assert {('ServerGroupAntiAffinityFilter', 'group'): 3} == refused.counts
    other.delete_server_group('apart')
    with pytest.raises(exception.NotFound, match='there is no server group'):
        index.select(request(group=group.uuid), policy)


def test_no_valid_host_is_said_only_after_a_look(index, other, policy):
    """The index finds the room that became free since, and that of a new host, without being told."""
    servers = [moving.place(other, samples.guest(2, 8), name, name) for name in HOSTS]
    index.refresh()
    assert not index.select(request(cells=2, vcpus=8), policy)
    claims.release(other, servers[1])
    assert 'b' == index.select(request(cells=2, vcpus=8), policy).host
    resource_tracker.register(other, samples.host_record('d'))
    assert 'd' == index.select(request('guest2', cells=2, vcpus=8), policy).host


def test_what_the_index_does_not_know_costs_a_try_and_is_never_wrong(index, other, policy):
    """A host that no claim would refuse, but a filter does, is not taken as the index remembers it."""
    first = index.select(request(), policy).host
    resource_tracker.switch(other, first, status=DISABLED)
    second = index.select(request('guest2'), policy).host
    assert first != second
    for name in set(HOSTS) - {first, second}:
        other.delete_host(name)
    assert second == index.select(request('guest3'), policy).host
    refused = index.select(request(vcpus=20), policy)
    assert {first: 'ComputeFilter', second: 'NUMATopologyFilter'} == {
        each.host: each.filter for each in refused.rejections
    }
    check(index, other)


def test_a_notification_is_enough(index, other, policy, monkeypatch):
    """What somebody tells is read before the next request, without a look at all hosts."""
    monkeypatch.setattr(index, 'refresh', lambda: pytest.fail('nothing else was asked for'))
    resource_tracker.register(other, samples.host_record('d', memory_mib=65536))
    index.changed('d', 'nobody')
    assert 'd' == index.select(request(), policy).host
    resource_tracker.switch(other, 'd', status=DISABLED)
    index.changed('d', 'd')
    assert 'd' != index.select(request('guest2'), policy).host


def test_the_host_of_a_claim_is_read_again(index, database, policy):
    for number in range(6):
        assert index.select(request(f'guest{number}', vcpus=8), policy)
    refused = index.select(request(vcpus=8), policy)
    assert isinstance(refused, NoHost)
    assert {('NUMATopologyFilter', 'cpus'): 3} == refused.counts
    assert list(HOSTS) == [each.host for each in refused.rejections]
    check(index, database)


def test_the_hosts_and_refusals_are_those_of_reading_all(index, database, policy):
    def answer(found):
        if isinstance(found, Selection):
            found.claim.abort()
            index.changed(found.host)
            return found.host
        return [(each.host, each.filter, each.refusal.reasons) for each in found.rejections]

    for each in ({}, {'vcpus': 8}, {'vcpus': 20}, {'memory_mib': 3000}, {'memory_mib': 10**6}):
        asked = request(**each)
        assert answer(select.select(database, asked, policy)) == answer(index.select(asked, policy))


def test_a_row_that_cannot_be_read_is_named_until_it_can_be(index, other, policy, database_url):
    eyes = sa.create_engine(database_url)
    with eyes.begin() as connection:
        text = connection.scalar(sa.text("SELECT facts FROM compute_nodes WHERE host = 'b'"))
        broken = "UPDATE compute_nodes SET facts = '[', generation = generation + 1 WHERE host = 'b'"
        connection.execute(sa.text(broken))
    refused = index.select(request(vcpus=20), policy)
    assert [('b', select.ROW)] == [(each.host, each.filter) for each in refused.rejections if each.host == 'b']
    assert 1 == refused.counts[select.ROW, 'host']
    assert ['a', 'c'] == list(known(index))
    with eyes.begin() as connection:
        mended = "UPDATE compute_nodes SET facts = :text, generation = generation + 1 WHERE host = 'b'"
        connection.execute(sa.text(mended), {'text': text})
    eyes.dispose()
    refused = index.select(request(vcpus=20), policy)
    assert Counter({('NUMATopologyFilter', 'cpus'): 3}) == refused.counts


def test_a_look_that_was_cut_off_is_finished_by_the_next(database, monkeypatch):
    """What was read before the connection was lost is not read twice, and the rest is not forgotten."""
    monkeypatch.setattr(fresh, 'CHUNK', 1)
    reads = []
    read = database.named_candidates

    def cut_off(names, unread):
        reads.extend(names)
        if len(reads) == 2:
            raise exception.LostConnection('gone')
        return read(names, unread)

    monkeypatch.setattr(database, 'named_candidates', cut_off)
    index, seen = fresh.FreshIndex(database), []
    with pytest.raises(exception.LostConnection, match='gone'):
        index.refresh(lambda *of: seen.append(of))
    assert ['a'] == list(known(index))
    index.refresh(lambda *of: seen.append(of))
    assert ['a', 'b', 'b', 'c'] == reads
    assert [(1, 3), (1, 2), (2, 2)] == seen
    check(index, database)
