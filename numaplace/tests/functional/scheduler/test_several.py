# SPDX-License-Identifier: Apache-2.0
"""Several servers are claimed in one transaction: all that it stores is right, whatever others do meanwhile."""

import subprocess
import sys
import uuid
from dataclasses import replace

import pytest

from numaplace import conf, exception, fit
from numaplace.compute import claims, resource_tracker
from numaplace.db import api
from numaplace.model.holding import Holding
from numaplace.model.records import DISABLED
from numaplace.operations.servers import Direct
from numaplace.scheduler import select
from numaplace.scheduler.filters import Request
from numaplace.scheduler.fresh import FreshIndex
from numaplace.tests import samples
from numaplace.tests.functional.db import moving

PROCESSES = 3
#: Hosts of 16 CPUs for guests of 2: the processes request as many as fill all of them.
HOSTS = 6
EACH = HOSTS * 16 // 2 // PROCESSES

SCHEDULER = """
import os, sys
from dataclasses import replace
from numaplace import conf
from numaplace.db import api
from numaplace.scheduler import select
from numaplace.scheduler.filters import Request
from numaplace.scheduler.fresh import FreshIndex
from numaplace.tests import samples

url, number, request, dies = sys.argv[1:]
policy = select.Policy.of(conf.load([]))
with api.connect(url) as database:
    index = FreshIndex(database, trust_s=60)
    index.refresh()
    if dies == 'before':
        database._commit = lambda *_, reads, **__: None if reads else os._exit(9)
    if request:
        database = database.for_request(request)
    print('ready', flush=True)
    uuids = sys.stdin.readline().split()
    asked = []
    for each in range(int(number)):
        one = samples.instance_request(samples.guest(vcpus=2, memory_mib=64), f'guest{each}')
        asked.append(Request(one if not uuids else replace(one, uuid=uuids[each])))
    found = select.select_many(database, asked, policy, at_least=1, index=index)
    if dies == 'after':
        os._exit(9)
    print(len(found.found), found.missing is None)
"""


@pytest.fixture
def index(database):
    found = FreshIndex(database, trust_s=60)
    found.refresh()
    return found


@pytest.fixture
def policy():
    return select.Policy.of(conf.load([]))


def requests(number, **keys):
    return [
        Request(samples.instance_request(samples.guest(**{'memory_mib': 64, **keys}), f'guest{each}'))
        for each in range(number)
    ]


def start(url, number, request='', dies=''):
    command = [sys.executable, '-W', 'ignore', '-c', SCHEDULER, url, str(number), request, dies]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert 'ready\n' == process.stdout.readline()
    return process


def meanwhile(database, act):
    """Return the database as somebody sees it before whose next claims something happens."""

    class Late(api.Database):
        def claim_several(self, *arguments, **keys):
            nonlocal act
            act, now = (lambda: None), act
            now()
            return super().claim_several(*arguments, **keys)

    return Late(database._engine)


def test_processes_share_hosts_to_the_last_cpu(database_url, database):
    """Each claims all of its servers at once, and others change the hosts that it has chosen."""
    running = [start(database_url, EACH) for _ in range(PROCESSES)]
    for process in running:
        process.stdin.write('\n')
        process.stdin.flush()
    assert [f'{EACH} True\n'] * PROCESSES == [process.communicate()[0] for process in running]
    servers = database.instances()
    assert PROCESSES * EACH == len(servers)
    for record in database.hosts():
        assert record.host == samples.used(record, servers), 'nothing is held twice'
        assert 0 == sum(cell.free_cpus.bit_count() for cell in record.host.cells)


def test_the_hosts_are_those_of_one_claim_after_the_other(database, index, policy):
    several = select.select_many(database, requests(9, vcpus=6), policy, at_least=9, index=index)
    hosts = [each.host for each in several.found]
    moving.check(database)
    for each in several.found:
        claims.release(database, each.claim.instance.uuid)
    assert hosts == [select.select(database, asked, policy).host for asked in requests(9, vcpus=6)]


def test_what_does_not_fit_leaves_the_others_or_nothing(database, index, policy):
    room = HOSTS
    answer = select.select_many(database, requests(room + 2, cells=2, vcpus=6), policy, at_least=1, index=index)
    assert room == len(answer.found)
    assert {('NUMATopologyFilter', 'cpus'): HOSTS} == answer.missing.counts
    for each in answer.found:
        claims.release(database, each.claim.instance.uuid)
    assert not select.select_many(
        database, requests(room + 1, cells=2, vcpus=6), policy, at_least=room + 1, index=index
    )
    assert [] == database.instances()
    moving.check(database)


def test_hosts_that_others_changed_are_asked_again(database, index, policy):
    """One is disabled, one is deleted, one comes again by its name, one is full: the servers go elsewhere."""

    def act():
        resource_tracker.switch(database, 'host0', status=DISABLED)
        database.delete_host('host1')
        database.delete_host('host2')
        resource_tracker.register(database, samples.host_record('host2', cells=1))
        filling = samples.instance_request(samples.guest(cells=2, vcpus=8, memory_mib=64), 'filling')
        assert claims.instance_claim(database, filling, 'host3')

    late = meanwhile(database, act)
    lost = []
    index = FreshIndex(late, trust_s=60, lost=lambda: lost.append(1))
    answer = select.select_many(late, requests(HOSTS, vcpus=8), policy, at_least=HOSTS - 1, index=index)
    assert HOSTS - 1 == len(answer.found)
    assert {'host2', 'host4', 'host5'} == {database.instance(each.claim.instance.uuid).host for each in answer.found}
    assert answer.missing is not None
    assert 4 <= len(lost)
    moving.check(database)


def test_what_is_heard_of_a_host_is_read_before_it_is_chosen_and_not_for_others(database, policy):
    """The first servers go elsewhere; the last one would have gone to the host that was filled."""
    read, lost = [], []

    class Watched(api.Database):
        def named_candidates(self, names, faults):
            read.append(sorted(names))
            return super().named_candidates(names, faults)

    watched = Watched(database._engine)
    index = FreshIndex(watched, trust_s=60, lost=lambda: lost.append(1))
    index.refresh()
    read.clear()
    filled = f'host{HOSTS - 1}'
    filling = samples.instance_request(samples.guest(cells=2, vcpus=8, memory_mib=64), 'filling')
    assert claims.instance_claim(database, filling, filled)
    index.changed(filled)
    asked = requests(HOSTS, vcpus=8)
    for number in range(HOSTS - 1):
        (found,) = select.select_many(watched, asked[number : number + 1], policy, at_least=1, index=index).found
        assert filled != found.host
    assert [] == read
    (found,) = select.select_many(watched, asked[-1:], policy, at_least=1, index=index).found
    assert filled != found.host
    assert ([[filled]], []) == (read, lost)


def test_what_another_server_took_meanwhile_is_found_again_on_the_same_host(database, policy):
    """The transaction places the server anew on what is left, and the index knows the host afterwards."""

    def act():
        for name in (f'host{number}' for number in range(HOSTS)):
            assert claims.instance_claim(
                database, samples.instance_request(samples.guest(vcpus=2, memory_mib=64), f'rival-{name}'), name
            )

    late = meanwhile(database, act)
    index = FreshIndex(late, trust_s=60)
    answer = select.select_many(late, requests(HOSTS, vcpus=2), policy, at_least=HOSTS, index=index)
    assert HOSTS == len({each.host for each in answer.found})
    moving.check(database)
    assert 0 == index.refresh(), 'what it asked again, it knows'


def test_news_of_a_host_while_servers_are_chosen_give_nothing_out_twice(database, index, policy, monkeypatch):
    """Hosts are read again when each has one of the servers, which does not count there for those that follow."""
    choose, chosen = index._choose, []

    def hear(*asked):
        chosen.append(choose(*asked))
        if len(chosen) == HOSTS:
            index.changed(*(each.host.name for each in chosen))
        return chosen[-1]

    monkeypatch.setattr(index, '_choose', hear)
    answer = select.select_many(database, requests(4 * HOSTS, vcpus=2), policy, at_least=4 * HOSTS, index=index)
    assert 4 * HOSTS == len(answer.found)
    assert HOSTS == len({each.host for each in answer.found})
    moving.check(database)


def test_a_race_that_is_lost_for_all_is_run_for_each(database, index, policy, monkeypatch):
    def lose(*_, **__):
        raise exception.ConcurrentUpdate('deadlock')

    monkeypatch.setattr(database, 'claim_several', lose)
    monkeypatch.setattr(claims, 'retry', lambda act: act())
    assert 3 == len(select.select_many(database, requests(3), policy, at_least=3, index=index).found)
    moving.check(database)


def test_the_xml_is_checked_on_the_host_as_it_is_now(database, index):
    """Agents have found a third cell since the index was read, to which servers go."""
    for number in range(HOSTS):
        resource_tracker.refresh(database, f'host{number}', samples.host(cells=3))
    asked = [each.instance for each in requests(3 * HOSTS, vcpus=2)]
    servers = Direct(conf.load([]), index=index).create(database, asked, 'guest', at_least=3 * HOSTS)
    assert {0, 1, 2} == {each.placement.cells[0].host_cell for each in servers}


def test_a_domain_with_the_name_sends_one_server_elsewhere(database, policy):
    def act():
        for name in ('host0', 'host1'):
            domains = (Holding('guest0', str(uuid.uuid4())),)
            database.change_host(name, lambda record, _servers, domains=domains: replace(record, unmanaged=domains))

    late = meanwhile(database, act)
    index = FreshIndex(late, trust_s=60)
    answer = select.select_many(late, requests(3), policy, at_least=3, index=index)
    assert {'guest0', 'guest1', 'guest2'} == {each.claim.instance.name for each in answer.found}
    assert database.instance('guest0').host not in ('host0', 'host1')


def test_a_number_whose_domain_there_is_is_left_out(database, index, policy):
    first = select.select_many(database, requests(2), policy, at_least=2, index=index).found[-1].claim.instance
    adopted = replace(first, number=first.number + 3).domain_name
    asked = replace(requests(1)[0].instance, name='adopted', adopted_name=adopted)
    assert database.claim(asked, 'host0', lambda host: fit.place(host, asked.guest))
    found = select.select_many(database, requests(4), policy, at_least=4, index=index).found
    names = [each.claim.instance.domain_name for each in found]
    assert 4 == len({*names, adopted} - {adopted})
    stored = {server.uuid: server.number for server in database.instances()}
    assert all(stored[each.claim.instance.uuid] == each.claim.instance.number for each in found)


@pytest.mark.parametrize('dies', ['before', 'after'])
def test_a_worker_that_dies_beside_the_commit_leaves_all_or_nothing(database_url, database, policy, dies):
    """Whoever gets the message then has the same servers, and none twice."""
    message, uuids = str(uuid.uuid4()), [str(uuid.uuid4()) for _ in range(4)]
    process = start(database_url, 4, message, dies)
    process.communicate(' '.join(uuids) + '\n')
    assert 9 == process.returncode
    view = database.for_request(message)
    assert (set(uuids) if dies == 'after' else set()) == {server.uuid for server in database.instances()}
    assert (set(uuids) if dies == 'after' else set()) == view.was_carried_out(uuids)
    asked = [
        Request(replace(each.instance, uuid=known)) for each, known in zip(requests(4, vcpus=2), uuids, strict=True)
    ]
    index = FreshIndex(database, trust_s=60)
    again = select.select_many(database.for_request(message), asked, policy, at_least=4, index=index)
    assert uuids == [each.claim.instance.uuid for each in again.found]
    assert set(uuids) == {server.uuid for server in database.instances()}
    moving.check(database)
    for each in uuids:
        claims.release(database, each)
    with pytest.raises(exception.NotFound, match=uuids[0]):
        select.select_many(database.for_request(message), asked, policy, at_least=4, index=index)
    assert [] == database.instances()
