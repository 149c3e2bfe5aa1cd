# SPDX-License-Identifier: Apache-2.0
"""Hosts for several servers: the hosts are read once, and what was claimed is seen by the next search."""

import sqlite3
from dataclasses import replace

import pytest

from numaplace import conf
from numaplace.compute import claims
from numaplace.db import api
from numaplace.model.grouping import ANTI_AFFINITY, ServerGroup
from numaplace.scheduler import select
from numaplace.scheduler.filters import Request
from numaplace.tests import samples


@pytest.fixture
def database(tmp_path):
    with api.connect(f'sqlite:///{tmp_path}/test.sqlite') as database:
        for name, memory_mib in (('big', 8192), ('middle', 4096), ('small', 2048)):
            database.create_host(samples.host_record(name, memory_mib=memory_mib))
        yield database


@pytest.fixture
def policy():
    return select.Policy.of(conf.load([]))


def _requests(number, **keys):
    return [Request(samples.instance_request(samples.guest(**keys), f'guest{each}')) for each in range(number)]


def _hosts(database, number):
    return [database.instance(f'guest{each}').host for each in range(number)]


def test_all_servers_get_the_hosts_that_one_after_the_other_gets(database, policy, tmp_path):
    found = select.select_many(database, _requests(6, vcpus=8), policy, at_least=6)
    with api.connect(f'sqlite:///{tmp_path}/other.sqlite') as other:
        for name, memory_mib in (('big', 8192), ('middle', 4096), ('small', 2048)):
            other.create_host(samples.host_record(name, memory_mib=memory_mib))
        for request in _requests(6, vcpus=8):
            assert select.select(other, request, policy)
        assert [each.host for each in found.found] == _hosts(database, 6) == _hosts(other, 6)


def test_the_hosts_are_read_once(database, policy, monkeypatch):
    reads = []
    read = database.named_candidates

    def counting(names, unread):
        reads.append(list(names))
        return read(names, unread)

    monkeypatch.setattr(database, 'named_candidates', counting)
    assert select.select_many(database, _requests(4), policy, at_least=4)
    assert [['big', 'middle', 'small']] == reads, 'the claims say whether a host has changed'


@pytest.fixture
def meanwhile(database, monkeypatch):
    """Return what lets others act once, between the choice of the hosts and the claims."""

    def let(act):
        claim = database.claim_several

        def claim_late(*arguments, **keys):
            monkeypatch.setattr(database, 'claim_several', claim)
            act()
            return claim(*arguments, **keys)

        monkeypatch.setattr(database, 'claim_several', claim_late)

    return let


def test_what_others_took_meanwhile_costs_a_search_of_all_hosts(database, policy, meanwhile):
    def take():
        """Take the hosts that the second server would get."""
        for name in ('middle', 'small'):
            rival = samples.instance_request(samples.guest(cells=2, vcpus=8), f'rival{name}')
            claims.instance_claim(database, rival, name)

    meanwhile(take)
    answer = select.select_many(database, _requests(2, cells=2, vcpus=8), policy, at_least=1)
    assert ['big'] == [each.host for each in answer.found]
    assert {'big', 'middle', 'small'} == {each.host for each in answer.missing.rejections}


def test_a_host_whose_row_is_damaged_meanwhile_does_not_stop_the_others(database, policy, tmp_path, meanwhile):
    def damage():
        with sqlite3.connect(f'{tmp_path}/test.sqlite') as connection:
            change = "UPDATE compute_nodes SET numa_topology = '{', generation = generation + 1 WHERE host = 'big'"
            connection.execute(change)
        connection.close()

    meanwhile(damage)
    found = select.select_many(database, _requests(2), policy, at_least=2)
    assert ['middle', 'middle'] == [each.host for each in found.found]


def test_servers_of_a_group_see_each_other(database, policy):
    group = database.create_server_group(ServerGroup('apart', ANTI_AFFINITY))
    asked = [Request(replace(each.instance, group=group.uuid)) for each in _requests(4)]
    answer = select.select_many(database, asked, policy, at_least=1)
    assert ['big', 'middle', 'small'] == sorted(each.host for each in answer.found)
    assert {('ServerGroupAntiAffinityFilter', 'group'): 3} == answer.missing.counts


def test_a_member_that_others_placed_meanwhile_counts(database, policy, meanwhile):
    group = database.create_server_group(ServerGroup('apart', ANTI_AFFINITY))

    def place():
        member = samples.instance_request(samples.guest(), 'member')
        assert claims.instance_claim(database, replace(member, group=group.uuid), 'middle')

    meanwhile(place)
    asked = [Request(replace(each.instance, group=group.uuid)) for each in _requests(3)]
    answer = select.select_many(database, asked, policy, at_least=2)
    assert ['big', 'small'] == sorted(each.host for each in answer.found)
