# SPDX-License-Identifier: Apache-2.0
"""Filters and weighers that look at aggregates, server groups, hints and the options of the configuration."""

import random
from collections import Counter
from dataclasses import replace

import pytest

from numaplace import conf, exception, plugins
from numaplace.model import Guest
from numaplace.model.grouping import POLICIES, Aggregate, ServerGroup
from numaplace.scheduler import select
from numaplace.scheduler.filters import Request
from numaplace.scheduler.weights import weigh
from numaplace.tests import samples


@pytest.fixture
def options(tmp_path):
    """Return a function that reads options of [filter_scheduler]."""

    def load(**values):
        path = tmp_path / 'nova.conf'
        lines = [f'{name} = {value}' for name, value in values.items()]
        path.write_text('\n'.join(['[filter_scheduler]', *lines]), 'utf-8')
        return conf.load([str(path)])

    return load


def ask(name, group, *, host=None, aggregates=(), **keys):
    """Return the codes of a filter's answer, by name: none if it admits the host."""
    (kind,) = plugins.load(plugins.FILTERS, [name], 'test')
    joined = tuple(Aggregate(f'a{number}', metadata) for number, metadata in enumerate(aggregates))
    record = replace(samples.host_record('h1'), aggregates=joined, **(host or {}))
    instance = samples.instance_request(keys.pop('guest', samples.guest()))
    specs = keys.pop('specs', {})
    request = Request(replace(instance, flavor=replace(instance.flavor, extra_specs=specs), **keys))
    answer = kind.of(group).admit(record, request)
    return [] if answer is True else [reason.code for reason in answer.reasons]


EXTRA, IMAGE = 'AggregateInstanceExtraSpecsFilter', 'AggregateImagePropertiesIsolation'
TENANTS, TYPES, NUMBER = 'AggregateMultiTenancyIsolation', 'AggregateTypeAffinityFilter', 'AggregateNumInstancesFilter'
TRAITS = 'IsolatedAggregatesFilter'
SSD = {'specs': {'ssd': 'true'}}
TWO = {'host': {'servers': frozenset('ab')}}
ISOLATED = {'isolated_hosts': 'h1,h2', 'isolated_images': 'windows'}

CASES = {
    'no extra spec': (EXTRA, {}, [], {}),
    'the value of an aggregate': (EXTRA, {}, [], {**SSD, 'aggregates': [{'ssd': 'true'}]}),
    'a value of the list of one of two': (EXTRA, {}, [], {**SSD, 'aggregates': [{'ssd': 'no'}, {'ssd': 'x, true'}]}),
    'no aggregate': (EXTRA, {}, ['aggregate.extra_spec'], SSD),
    'another value': (EXTRA, {}, ['aggregate.extra_spec'], {**SSD, 'aggregates': [{'ssd': 'false'}]}),
    'the scope': (EXTRA, {}, ['aggregate.extra_spec'], {'specs': {'aggregate_instance_extra_specs:ssd': '1'}}),
    'another scope': (EXTRA, {}, [], {'specs': {'hw:ssd': '1'}}),
    'an image of another kind': (
        IMAGE,
        {},
        ['aggregate.image'],
        {'image_properties': {'os_distro': 'debian'}, 'aggregates': [{'os_distro': 'fedora'}]},
    ),
    'an image that says nothing': (IMAGE, {}, [], {'aggregates': [{'os_distro': 'fedora'}]}),
    'an image outside the namespace': (
        IMAGE,
        {'aggregate_image_properties_isolation_namespace': 'site'},
        [],
        {'image_properties': {'os_distro': 'debian'}, 'aggregates': [{'os_distro': 'fedora'}]},
    ),
    'a project': (TENANTS, {}, [], {'project': 'p1', 'aggregates': [{'filter_tenant_id2': 'p1'}]}),
    'another project': (
        TENANTS,
        {},
        ['aggregate.project'],
        {'project': 'p2', 'aggregates': [{'filter_tenant_id': 'p1'}]},
    ),
    'no project': (TENANTS, {}, ['aggregate.project'], {'aggregates': [{'filter_tenant_id': 'p1'}]}),
    'a flavor': (TYPES, {}, [], {'aggregates': [{'instance_type': 'm1.x, m1.sample'}]}),
    'another flavor': (TYPES, {}, ['aggregate.flavor'], {'aggregates': [{'instance_type': 'm1.x'}]}),
    'a trait of an aggregate': (TRAITS, {}, ['aggregate.trait'], {'aggregates': [{'trait:GPU': 'required'}]}),
    'a trait that the flavor requires too': (
        TRAITS,
        {},
        [],
        {'specs': {'trait:GPU': 'required'}, 'aggregates': [{'trait:GPU': 'required'}, {'trait:X': 'forbidden'}]},
    ),
    'one of two traits': (
        TRAITS,
        {},
        ['aggregate.trait'],
        {
            'image_properties': {'trait:GPU': 'required'},
            'aggregates': [{'trait:GPU': 'required'}, {'trait:FPGA': 'required'}],
        },
    ),
    'fewer servers': ('NumInstancesFilter', {'max_instances_per_host': 3}, [], TWO),
    'as many servers': ('NumInstancesFilter', {'max_instances_per_host': 2}, ['servers.host'], TWO),
    'as many servers as an aggregate says': (
        NUMBER,
        {},
        ['servers.host'],
        {**TWO, 'aggregates': [{'max_instances_per_host': '2'}, {'max_instances_per_host': '9'}]},
    ),
    'a number that is none': (NUMBER, {}, [], {**TWO, 'aggregates': [{'max_instances_per_host': 'some'}]}),
    'CPUs for all': ('CoreFilter', {}, [], {'guest': Guest(16, 64), 'host': {'cpu_allocation_ratio': 1.0}}),
    'more vCPUs than CPUs': ('CoreFilter', {}, ['cpus.host'], {'guest': Guest(17, 64)}),
    'a ratio of an aggregate': (
        'AggregateCoreFilter',
        {},
        ['cpus.host'],
        {'guest': Guest(9, 64), 'aggregates': [{'cpu_allocation_ratio': '0.5'}]},
    ),
    'memory by a ratio of an aggregate': (
        'AggregateRamFilter',
        {},
        ['memory.host.total'],
        {'guest': Guest(1, 8000), 'aggregates': [{'ram_allocation_ratio': '0.5'}]},
    ),
    'not with a server': (
        'DifferentHostFilter',
        {},
        ['hint.different_host'],
        {**TWO, 'hints': {'different_host': ('b',)}},
    ),
    'with a server': ('SameHostFilter', {}, [], {**TWO, 'hints': {'same_host': ('x', 'b')}}),
    'with a server elsewhere': ('SameHostFilter', {}, ['hint.same_host'], {**TWO, 'hints': {'same_host': ('x',)}}),
    'near an address': (
        'SimpleCIDRAffinityFilter',
        {},
        [],
        {'host': {'facts': {'host_ip': '192.0.2.9'}}, 'hints': {'build_near_host_ip': ('192.0.2.1',)}},
    ),
    'near an address by a mask': (
        'SimpleCIDRAffinityFilter',
        {},
        ['hint.cidr'],
        {
            'host': {'facts': {'host_ip': '192.0.2.9'}},
            'hints': {'build_near_host_ip': ('192.0.2.1',), 'cidr': ('/29',)},
        },
    ),
    'an unknown address': (
        'SimpleCIDRAffinityFilter',
        {},
        ['hint.cidr'],
        {'hints': {'build_near_host_ip': ('::1',)}},
    ),
    'an isolated host and image': (
        'IsolatedHostsFilter',
        ISOLATED,
        [],
        {'image_properties': {'image_name': 'windows'}},
    ),
    'an isolated host': (
        'IsolatedHostsFilter',
        ISOLATED,
        ['isolated.host'],
        {'image_properties': {'image_name': 'x'}},
    ),
    'an isolated host that is open': (
        'IsolatedHostsFilter',
        {**ISOLATED, 'restrict_isolated_hosts_to_isolated_images': 'false'},
        [],
        {},
    ),
    'an isolated image': (
        'IsolatedHostsFilter',
        {**ISOLATED, 'isolated_hosts': 'h2'},
        ['isolated.image'],
        {'image_properties': {'image_name': 'windows'}},
    ),
    'a query': (
        'JsonFilter',
        {},
        [],
        {'hints': {'query': ('["and", [">=", "$vcpus_total", 16], ["=", "$host", "h1"]]',)}},
    ),
    'a query for others': (
        'JsonFilter',
        {},
        ['hint.query'],
        {'hints': {'query': ('["not", ["=", "$host", "h1"]]',)}},
    ),
    'a default architecture': (
        'ImagePropertiesFilter',
        {'image_properties_default_architecture': 'aarch64'},
        ['image.hw_architecture'],
        {'host': {'facts': {'domains': [['x86_64', 'kvm', 'hvm']]}}},
    ),
}


@pytest.mark.parametrize(('name', 'values', 'codes', 'keys'), CASES.values(), ids=CASES)
def test_a_filter_answers(options, name, values, codes, keys):
    assert codes == ask(name, options(**values).filter_scheduler, **keys)


@pytest.mark.parametrize('hints', [{'query': ('["<", "$host", 1]',)}, {'build_near_host_ip': ('x',)}], ids=str)
def test_a_hint_without_a_meaning_is_an_error(options, hints):
    name = 'JsonFilter' if 'query' in hints else 'SimpleCIDRAffinityFilter'
    with pytest.raises(exception.Invalid, match=r'^hints? .*: expected '):
        ask(name, options().filter_scheduler, hints=hints)


ON = frozenset


@pytest.mark.parametrize(
    ('policy', 'most', 'members', 'refused'),
    [
        ('anti-affinity', None, {'b': ON({'h2'})}, {'h2'}),
        ('anti-affinity', 2, {'b': ON({'h2'}), 'c': ON({'h1'}), 'd': ON({'h1'})}, {'h1'}),
        ('anti-affinity', None, {'b': ON({'h1', 'h2'})}, {'h1', 'h2'}),
        ('anti-affinity', None, {'a': ON({'h1'})}, set()),
        ('affinity', None, {}, set()),
        ('affinity', None, {'a': ON({'h1'}), 'b': ON()}, set()),
        ('affinity', None, {'b': ON({'h1'}), 'c': ON({'h1'})}, {'h2', 'h3'}),
        ('affinity', None, {'b': ON({'h1', 'h2'})}, {'h1', 'h2', 'h3'}),
        ('soft-affinity', None, {'b': ON({'h1'})}, set()),
        ('soft-anti-affinity', None, {'b': ON({'h1'})}, set()),
    ],
)
def test_a_policy_refuses_hosts_for_the_server_a(policy, most, members, refused):
    group = ServerGroup('g', policy, 'u', most, members)
    assert refused == {host for host in ('h1', 'h2', 'h3') if group.refuse(host, 'a') is not None}


def fleet(*names):
    return [samples.host_record(name) for name in names]


def weights(configuration, hosts, **keys):
    policy = select.Policy.of(configuration)
    request = Request(samples.instance_request(samples.guest()), **keys)
    return [(host.name, weight) for host, weight in weigh(hosts, policy.weighers, request)]


def test_measures_are_scaled_multiplied_and_added(options):
    a, b = fleet('a', 'b')
    b = replace(b, host=replace(b.host, vcpus_used=32, memory_used_mib=4096), servers=frozenset('xy'))
    half = options(ram_weight_multiplier=2, cpu_weight_multiplier=3, num_instances_weight_multiplier=1)
    # RAM and CPU count from zero, servers from the fewest.
    assert [('a', 2.0 + 3.0), ('b', 2 * 0.5 + 3 * 0.5 + 1.0)] == weights(half, [b, a])


def test_the_smallest_multiplier_of_the_aggregates_of_a_host_counts(options):
    a, b = fleet('a', 'b')
    found = [Aggregate(value, {'ram_weight_multiplier': value}) for value in ('-1', '2', 'much')]
    only_ram = options(weight_classes='RAMWeigher')
    assert [('a', 1.0), ('b', -1.0)] == weights(only_ram, [a, replace(b, aggregates=tuple(found[:2]))])
    assert [('a', 1.0), ('b', 1.0)] == weights(only_ram, [a, replace(b, aggregates=tuple(found))])


@pytest.mark.parametrize('policy', POLICIES)
def test_a_soft_policy_prefers_hosts(options, policy):
    group = ServerGroup('g', policy, members={'x': frozenset({'b'}), 'y': frozenset({'b'}), 'z': frozenset({'c'})})
    first = weights(options(), fleet('a', 'b', 'c'), group=group)[0][0]
    assert ('b' if policy == 'soft-affinity' else 'a') == first


def test_the_best_hosts_are_tried_in_a_random_order(options):
    random.seed(16)
    worst = replace(samples.host_record('z'), cpu_allocation_ratio=0.1)
    request = Request(samples.instance_request(samples.guest()))
    hosts = [*fleet('a', 'b', 'c'), worst]

    def names(policy):
        return ''.join(host.name for host in policy.order(weigh(hosts, policy.weighers, request)))

    plain = select.Policy.of(options())
    assert {'abcz'} == {names(plain) for _ in range(9)}
    shuffled = select.Policy.of(options(shuffle_best_same_weighed_hosts='true'))
    orders = Counter(names(shuffled) for _ in range(200))
    assert 6 == len(orders)
    assert {'z'} == {order[-1] for order in orders}
    subset = select.Policy.of(options(host_subset_size=2))
    assert {'abcz', 'bacz'} == {names(subset) for _ in range(50)}
    large = select.Policy.of(options(host_subset_size=9))
    assert set('abcz') == {names(large)[0] for _ in range(200)}
    assert [] == list(large.order([]))
