# SPDX-License-Identifier: Apache-2.0
"""The choice of a host: filter, weigh, claim, and on a lost claim the next host."""

import pytest

from numaplace import conf, exception, fit, plugins
from numaplace.compute import claims
from numaplace.db import api
from numaplace.model import PAGES_ANY, Flavor
from numaplace.scheduler import select
from numaplace.scheduler.filters import Filter, Request
from numaplace.tests import samples


@pytest.fixture
def database(tmp_path):
    with api.connect(f'sqlite:///{tmp_path}/test.sqlite') as database:
        for name, memory_mib in (('big', 8192), ('middle', 4096), ('small', 2048)):
            database.create_host(samples.host_record(name, memory_mib=memory_mib))
        yield database


@pytest.fixture
def policy(tmp_path):
    return select.Policy.of(load(tmp_path, ''))


def load(tmp_path, text):
    path = tmp_path / 'test.conf'
    path.write_text(text)
    return conf.load([str(path)])


def request(**keys):
    return Request(samples.instance_request(samples.guest(**keys)))


class Rival(Filter):
    """Lets every host pass, and takes the best ones before the claim comes."""

    def __init__(self, database, hosts):
        self.database, self.hosts = database, hosts

    def admit(self, host, request):
        if host.name in self.hosts:
            for cell in range(2):
                taken = samples.instance_request(samples.guest(vcpus=8), f'rival{host.name}{cell}')
                self.database.claim(taken, host.name, lambda free, taken=taken: fit.place(free, taken.guest))
        return True


def racing(policy, database, *hosts):
    return select.Policy((('Rival', Rival(database, hosts)),), policy.weighers, policy.max_attempts)


def test_the_best_host_is_claimed(database, policy):
    answer = select.select(database, request(), policy)
    assert 'big' == answer.host == database.instance('guest1').host
    assert () == answer.rejections


def test_a_host_that_others_took_is_followed_by_the_next(database, policy):
    answer = select.select(database, request(), racing(policy, database, 'big'))
    assert 'middle' == answer.host
    assert [('big', select.CLAIM)] == [(each.host, each.filter) for each in answer.rejections]


def test_a_host_that_refuses_is_no_attempt(database, tmp_path):
    """Where no filter looks at what a host has, the claim does; however many refuse, the one that has room is found."""
    policy = select.Policy.of(
        load(tmp_path, '[scheduler]\nmax_attempts = 1\n[filter_scheduler]\nweight_classes = RAMWeigher')
    )
    claims.instance_claim(database, samples.instance_request(samples.guest(cells=2, vcpus=8), 'full'), 'big')
    claims.instance_claim(database, samples.instance_request(samples.guest(cells=2, vcpus=8), 'full'), 'middle')
    answer = select.select(database, request(), select.Policy((), policy.weighers, policy.max_attempts))
    assert 'small' == answer.host
    assert {'big', 'middle'} == {each.host for each in answer.rejections}


def test_no_host_has_one_rejection_for_each_by_name(database, policy):
    answer = select.select(database, request(vcpus=9), policy)
    assert not answer
    assert ['big', 'middle', 'small'] == [each.host for each in answer.rejections]
    assert {'NUMATopologyFilter'} == {each.filter for each in answer.rejections}
    assert all(each.refusal.reasons for each in answer.rejections)
    assert [] == database.instances()


def test_the_first_filter_that_refuses_is_named(database, policy):
    answer = select.select(database, request(memory_mib=999999), policy)
    assert {'RamFilter'} == {each.filter for each in answer.rejections}


def test_a_forced_host_is_the_only_candidate(database, policy):
    assert 'small' == select.select(database, request(), policy, host='small').host
    answer = select.select(database, request(vcpus=9), policy, host='small')
    assert ['small'] == [each.host for each in answer.rejections]


def test_an_unknown_forced_host_is_a_fault(database, policy):
    with pytest.raises(exception.NotFound, match='nowhere'):
        select.select(database, request(), policy, host='nowhere')


def test_a_host_that_vanishes_is_followed_by_the_next(database, policy):
    class Deleting(Filter):
        def admit(self, host, request):
            if host.name == 'big':
                database.delete_host('big')
            return True

    answer = select.select(database, request(), select.Policy((('Deleting', Deleting()),), policy.weighers, 3))
    assert 'middle' == answer.host
    assert ['claim.lost'] == [reason.code for each in answer.rejections for reason in each.refusal.reasons]


def test_hosts_are_looked_at_anew_after_a_lost_claim(database, tmp_path):
    """The one host that is left is not among the best that one look tries."""
    policy = select.Policy.of(load(tmp_path, '[scheduler]\nmax_attempts = 1'))
    rival = Rival(database, ('big', 'middle'))
    racing = select.Policy((('Rival', rival), *policy.filters), policy.weighers, 1)
    assert 'small' == select.select(database, request(), racing).host


def test_races_lost_again_and_again_are_not_reported_as_no_valid_host(database, policy, monkeypatch):
    """A rival takes the host after each look, and gives it back before the next: the error says to try again."""
    read, looks = database.candidates, []

    def look(group, name, unread):
        looks.append(name)
        for server in database.instances():
            claims.release(database, server.uuid)
        return read(group, name, unread)

    monkeypatch.setattr(database, 'candidates', look)
    with pytest.raises(
        exception.ConcurrentUpdate, match=r"'guest1': others were faster .* 'small': try again"
    ) as caught:
        select.select(database, request(), racing(policy, database, 'small'), host='small')
    assert '\n' not in str(caught.value)
    assert ['small'] * select.LOOKS == looks


def test_several_servers_each_have_a_claim(database, policy):
    asked = [Request(samples.instance_request(samples.guest(vcpus=8), f'guest{number}')) for number in range(5)]
    read = []
    answer = select.select_many(database, asked, policy, at_least=5, read=lambda *numbers: read.append(numbers))
    assert [(3, 3)] == read
    assert ['guest0', 'guest1', 'guest2', 'guest3', 'guest4'] == [each.claim.instance.name for each in answer.found]
    assert answer.missing is None
    assert 5 == len({(server.host, server.placement.cells[0].host_cell) for server in database.instances()})


def test_of_several_servers_as_many_are_placed_as_fit(database, policy):
    asked = [Request(samples.instance_request(samples.guest(vcpus=8), f'guest{number}')) for number in range(8)]
    answer = select.select_many(database, asked, policy, at_least=6)
    assert 6 == len(answer.found) == len(database.instances())
    assert ['big', 'middle', 'small'] == [each.host for each in answer.missing.rejections]


def test_if_fewer_fit_than_are_needed_none_keeps_its_place(database, policy):
    before = [record.host for record in database.hosts()]
    asked = [Request(samples.instance_request(samples.guest(vcpus=8), f'guest{number}')) for number in range(8)]
    answer = select.select_many(database, asked, policy, at_least=7)
    assert not answer
    assert ['big', 'middle', 'small'] == [each.host for each in answer.rejections]
    assert [] == database.instances()
    assert before == [record.host for record in database.hosts()]


def test_what_ends_the_placing_of_several_gives_all_back(database, policy):
    class Stopping(Filter):
        def admit(self, host, request):
            if request.instance.name == 'guest1':
                raise KeyboardInterrupt
            return True

    asked = [Request(samples.instance_request(samples.guest(), f'guest{number}')) for number in range(2)]
    stopping = select.Policy((('Stopping', Stopping()),), policy.weighers, 3)
    with pytest.raises(KeyboardInterrupt, match=r'^$'):
        select.select_many(database, asked, stopping, at_least=1)
    assert [] == database.instances()


def test_each_of_several_is_placed_by_its_own_request(database, policy):
    """The page size that one was given binds no other: small pages follow where the large ones are used up."""
    guest = samples.guest(memory_mib=2560, pagesize_kib=PAGES_ANY)
    asked = [Request(samples.instance_request(guest, f'guest{number}')) for number in range(4)]
    answer = select.select_many(database, asked, policy, at_least=4, host='big')
    assert [2048, 2048, 4, 4] == [each.claim.instance.placement.cells[0].pagesize_kib for each in answer.found]


def test_a_claim_whose_body_fails_gives_all_back(database, policy):
    answer = select.select(database, request(), policy)
    with pytest.raises(KeyboardInterrupt, match=r'^$'), answer.claim:
        raise KeyboardInterrupt
    assert [] == database.instances()
    assert 0 == database.host('big').host.vcpus_used


def test_novas_names_of_weighers_are_known(tmp_path):
    for text in ('nova.scheduler.weights.ram.RAMWeigher', 'RAMWeigher', 'DiskWeigher,RAMWeigher'):
        policy = select.Policy.of(load(tmp_path, f'[filter_scheduler]\nweight_classes = {text}'))
        assert ['RAMWeigher'] == [type(weigher).__name__ for weigher, _ in policy.weighers]
    policy = select.Policy.of(
        load(tmp_path, '[filter_scheduler]\nweight_classes = nova.scheduler.weights.all_weighers')
    )
    others = sorted({*plugins.known(plugins.WEIGHTS)} - {'NUMAPreserveWeigher'})
    assert others == sorted(type(weigher).__name__ for weigher, _ in policy.weighers)
    named = 'weight_classes = numaplace.nova.weigher.NUMAPreserveWeigher'
    policy = select.Policy.of(load(tmp_path, f'[filter_scheduler]\n{named}'))
    assert [('NUMAPreserveWeigher', 1.0)] == [(type(weigher).__name__, by) for weigher, by in policy.weighers]


def test_what_has_nothing_to_look_at_is_logged_when_debugging(tmp_path, caplog):
    loaded = load(
        tmp_path, '[filter_scheduler]\nenabled_filters = IoOpsFilter,RamFilter\nweight_classes = RAMWeigher,DiskWeigher'
    )
    with caplog.at_level('DEBUG', logger='numaplace.scheduler'):
        select.Policy.of(loaded)
    assert [
        ('DEBUG', 'IoOpsFilter checks nothing: the input and output of hosts is not known'),
        ('DEBUG', 'DiskWeigher weighs nothing: disks are not placed'),
    ] == [(record.levelname, record.message) for record in caplog.records]


def test_an_unknown_filter_lists_the_known_ones(tmp_path):
    loaded = load(tmp_path, '[filter_scheduler]\nenabled_filters = RamFilter,ComputFilter')
    with pytest.raises(
        exception.UnknownPlugin,
        match=r"enabled_filters: .*'ComputFilter' \(did you mean 'ComputeFilter'\?\); known are .*RamFilter",
    ):
        select.Policy.of(loaded)


def _flavor(extra_specs=None):
    return Flavor('m1.near', 2, 1024, 1, extra_specs or {}, 'near')


@pytest.mark.parametrize(
    ('name', 'strategy'),
    [(each.name, each) for each in (fit.CLOSEST, fit.LINEAR, fit.SPREAD, fit.PACK, fit.PRESERVE)],
)
def test_the_strategy_is_the_one_that_flavor_or_configuration_names(tmp_path, name, strategy):
    assert strategy is select.strategy(load(tmp_path, f'[numaplace]\nstrategy = {name}'), _flavor())
    named = _flavor({'numaplace:strategy': name})
    assert strategy is select.strategy(load(tmp_path, '[numaplace]\nstrategy = linear'), named)


def test_an_unknown_strategy_of_a_flavor_is_refused(tmp_path):
    named = _flavor({'numaplace:strategy': 'near'})
    with pytest.raises(exception.UnknownPlugin, match=r"extra spec numaplace:strategy: unknown name 'near'; known are"):
        select.strategy(load(tmp_path, ''), named)
