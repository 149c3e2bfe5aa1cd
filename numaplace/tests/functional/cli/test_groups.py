# SPDX-License-Identifier: Apache-2.0
"""Aggregates, server groups and hints at the command line."""

import json

import pytest

#: The filters of Nova 34 by default, and the one that NUMA needs.
NOVA_DEFAULT = (
    'ComputeFilter,ComputeCapabilitiesFilter,ImagePropertiesFilter,ServerGroupAntiAffinityFilter,'
    'ServerGroupAffinityFilter,NUMATopologyFilter'
)


@pytest.fixture
def fleet(numaplace):
    """Three hosts and a flavor, with Nova's default filters."""
    enable(numaplace, NOVA_DEFAULT)
    for name in ('compute1', 'compute2', 'compute3'):
        numaplace(f'host import {name} --capabilities {numaplace.fixture("seed3")}')
    numaplace('flavor create --ram 256 --vcpus 1 --property hw:numa_nodes=1 m1.a')
    return numaplace


@pytest.fixture
def refused(fleet):
    """Return a function that runs a command which must fail with one line."""

    def run(status, *words):
        result = fleet.run(*words)
        assert (status, '', 1) == (result.returncode, result.stdout, result.stderr.count('\n'))
        return result.stderr

    return run


def enable(program, filters, more=''):
    program.configure(more=f'[filter_scheduler]\nenabled_filters = {filters}\n{more}')


def create(program, name, *options):
    """Return the host of a new server, or the reasons of the refusal."""
    result = program.run('server', 'create', '--flavor', 'm1.a', *options, name, '-f', 'json')
    found = json.loads(result.stdout)
    return (
        found['host']
        if result.returncode == 0
        else {refusal['host']: [reason['code'] for reason in refusal['reasons']] for refusal in found['refusals']}
    )


def show(program, line):
    return json.loads(program(f'{line} -f json'))


def test_members_of_an_anti_affinity_group_are_on_different_hosts(fleet):
    fleet('server group create --policy anti-affinity web')
    hosts = [create(fleet, f'web{number}', '--hint', 'group=web') for number in range(3)]
    assert ['compute1', 'compute2', 'compute3'] == sorted(hosts)
    assert {host: ['group.anti-affinity'] for host in hosts} == create(fleet, 'web3', '--server-group', 'web')
    group = show(fleet, 'server group show web')
    assert sorted(show(fleet, f'server show web{number}')['id'] for number in range(3)) == group['members']
    assert group['id'] == show(fleet, 'server show web0')['server_group']


def test_a_rule_lets_several_members_of_an_anti_affinity_group_share_a_host(fleet):
    fleet('server group create --policy anti-affinity --rule max_server_per_host=2 web')
    hosts = [create(fleet, f'web{number}', '--hint', 'group=web') for number in range(6)]
    assert [2, 2, 2] == [hosts.count(f'compute{number}') for number in (1, 2, 3)]
    assert ['group.anti-affinity'] == create(fleet, 'web6', '--hint', 'group=web')['compute1']


def test_members_of_an_affinity_group_share_a_host_and_stay_there_together(fleet):
    fleet('server group create --policy affinity db')
    first = create(fleet, 'db0', '--hint', 'group=db')
    assert [first] * 2 == [create(fleet, f'db{number}', '--hint', 'group=db') for number in (1, 2)]
    moved = fleet.run('server', 'migrate', 'db0')
    assert 3 == moved.returncode
    assert 'other members of the server group db are on another host' in moved.stderr


def test_the_only_member_of_an_affinity_group_may_move(fleet):
    fleet('server group create --policy affinity db')
    first = create(fleet, 'db0', '--hint', 'group=db')
    fleet('server migrate db0')
    assert first != show(fleet, 'server show db0')['host']
    # It holds both hosts until the move is confirmed: neither end of it would be where a second member went.
    assert {f'compute{number}': ['group.affinity'] for number in (1, 2, 3)} == create(
        fleet, 'db1', '--hint', 'group=db'
    )
    fleet('server resize confirm db0')
    assert show(fleet, 'server show db0')['host'] == create(fleet, 'db1', '--hint', 'group=db')


@pytest.mark.parametrize('verb', ['migrate', 'migrate --live-migration', 'resize --flavor m1.b', 'shelve'])
def test_moves_keep_anti_affinity(fleet, verb):
    fleet('flavor create --ram 512 --vcpus 1 --property hw:numa_nodes=1 m1.b')
    fleet('server group create --policy anti-affinity web')
    taken = {create(fleet, f'web{number}', '--hint', 'group=web') for number in range(2)}
    fleet(f'server {verb} web0')
    if verb == 'shelve':
        fleet('host set --disable', show(fleet, 'server list')[1]['Host'])
        fleet('server unshelve web0')
    server = show(fleet, 'server show web0')
    other = show(fleet, 'server show web1')['host']
    assert other != server['host']
    if server['status'] == 'VERIFY_RESIZE':
        assert {'compute1', 'compute2', 'compute3'} - taken == {server['host']}


def test_a_claim_keeps_the_policy_without_the_filter(fleet):
    enable(fleet, 'ComputeFilter')
    fleet('server group create --policy anti-affinity web')
    hosts = [create(fleet, f'web{number}', '--hint', 'group=web') for number in range(3)]
    assert ['compute1', 'compute2', 'compute3'] == sorted(hosts)
    assert ['group.anti-affinity'] == create(fleet, 'web3', '--hint', 'group=web')['compute1']


def test_a_deleted_group_has_no_policy_any_more(fleet):
    fleet('server group create --policy affinity db')
    create(fleet, 'db0', '--hint', 'group=db')
    fleet('server group delete db')
    assert show(fleet, 'server show db0')['server_group'] is None
    assert [] == show(fleet, 'server group list')
    fleet('server migrate db0')


def test_soft_policies_prefer_hosts(fleet):
    fleet('server group create --policy soft-anti-affinity web')
    hosts = [create(fleet, f'web{number}', '--hint', 'group=web') for number in range(4)]
    assert ['compute1', 'compute2', 'compute3'] == sorted(hosts[:3])
    fleet.configure(more='[filter_scheduler]\nsoft_affinity_weight_multiplier = 10')
    fleet('server group create --policy soft-affinity db')
    assert 1 == len({create(fleet, f'db{number}', '--hint', 'group=db') for number in range(3)})


def test_an_aggregate_makes_a_zone(fleet):
    fleet('aggregate create --zone az1 pinned')
    fleet('aggregate add host pinned compute2')
    assert ['nova', 'az1', 'nova'] == [host['Zone'] for host in show(fleet, 'host list')]
    assert ['pinned'] == show(fleet, 'host show compute2')['aggregates']
    assert 'compute2' == create(fleet, 'a', '--availability-zone', 'az1')
    assert {f'compute{number}': ['zone'] for number in (1, 2, 3)} == create(fleet, 'b', '--availability-zone', 'az9')


def test_servers_keep_their_zone(refused, fleet):
    fleet('aggregate create --zone az1 one')
    fleet('aggregate create --zone az2 two')
    fleet('aggregate add host one compute1')
    assert 'several availability zones' in refused(1, 'aggregate', 'add', 'host', 'two', 'compute1')
    create(fleet, 'a', '--host', 'compute1')
    for words in (
        ('aggregate', 'set', '--zone', 'az3', 'one'),
        ('aggregate', 'unset', '--property', 'availability_zone', 'one'),
        ('aggregate', 'remove', 'host', 'one', 'compute1'),
    ):
        assert 'zone would change' in refused(1, *words)
    fleet('aggregate set --property ssd=true --name first one')
    assert {'name': 'first', 'availability_zone': 'az1', 'hosts': ['compute1'], 'properties': {'ssd': 'true'}} == show(
        fleet, 'aggregate show first'
    )
    fleet('server delete a')
    fleet('aggregate remove host first compute1')
    fleet('aggregate delete first two')
    assert [] == show(fleet, 'aggregate list')


def test_an_aggregate_keeps_hosts_for_flavors_projects_and_images(fleet):
    enable(
        fleet,
        'AggregateInstanceExtraSpecsFilter,AggregateMultiTenancyIsolation,AggregateImagePropertiesIsolation,'
        'AggregateTypeAffinityFilter',
    )
    fleet('aggregate create --property filter_tenant_id=p1,p2 project')
    fleet('aggregate create --property instance_type=m1.large large')
    fleet('aggregate create --property os_distro=debian debian')
    for name, number in (('project', 1), ('large', 2), ('debian', 3)):
        fleet(f'aggregate add host {name} compute{number}')
    codes = {
        'compute1': ['aggregate.project'],
        'compute2': ['aggregate.flavor'],
        'compute3': ['aggregate.image'],
    }
    assert codes == create(fleet, 'a', '--project', 'p9', '--image-property', 'os_distro=ubuntu')
    assert 'compute1' == create(fleet, 'b', '--project', 'p2', '--image-property', 'os_distro=ubuntu')
    fleet('flavor set --property aggregate_instance_extra_specs:ssd=true m1.a')
    assert ['aggregate.extra_spec'] == create(fleet, 'c')['compute1']


def test_an_aggregate_keeps_hosts_for_guests_that_require_its_trait(fleet):
    fleet('aggregate create --property trait:CUSTOM_GPU=required gpu')
    for number in (1, 2):
        fleet(f'aggregate add host gpu compute{number}')
    assert 'compute1' == create(fleet, 'before')
    enable(fleet, NOVA_DEFAULT, '[scheduler]\nenable_isolated_aggregate_filtering = true')
    assert 'compute3' == create(fleet, 'a')
    fleet('aggregate add host gpu compute3')
    assert [['aggregate.trait']] * 3 == list(create(fleet, 'b').values())
    counted = json.loads(fleet('fleet capacity --flavor m1.a -f json'))
    assert [(0, 'aggregate.trait')] == [(one['at_most'], one['binding']) for one in counted]


def test_hints_select_hosts(fleet):
    enable(fleet, 'DifferentHostFilter,SameHostFilter,JsonFilter')
    first = create(fleet, 'a')
    assert first != create(fleet, 'b', '--hint', 'different_host=a')
    assert first == create(fleet, 'c', '--hint', 'same_host=a')
    assert 'compute3' == create(fleet, 'd', '--hint', 'query=["=", "$host", "compute3"]')
    assert {'different_host': [show(fleet, 'server show a')['id']]} == show(fleet, 'server show b')['hints']


BAD = {
    'an unknown group': (['--hint', 'group=nowhere'], "no server group 'nowhere'"),
    'an unknown server': (['--hint', 'same_host=nobody'], "no server 'nobody'"),
    'no pair': (['--hint', 'group'], 'expected KEY=VALUE'),
    'a query that is no JSON': (['--hint', 'query=x'], 'expected JSON such as'),
}


@pytest.mark.parametrize(('options', 'text'), BAD.values(), ids=BAD)
def test_a_bad_hint_is_an_error_and_no_server_is_made(refused, fleet, options, text):
    enable(fleet, 'JsonFilter')
    assert text in refused(1, 'server', 'create', '--flavor', 'm1.a', *options, 'x')
    assert [] == show(fleet, 'server list')


def test_a_hint_without_its_filter_is_warned_about(fleet):
    create(fleet, 'a')
    result = fleet.run('server', 'create', '--flavor', 'm1.a', '--hint', 'same_host=a', '--hint', 'colour=red', 'b')
    assert 0 == result.returncode
    assert "warning: hint 'same_host' has no effect: SameHostFilter is not one of" in result.stderr
    assert "warning: hint 'colour': no filter knows it" in result.stderr


def test_a_rule_is_for_anti_affinity(refused, fleet):
    for words in (['--rule', 'max_server_per_host=2'], ['--policy', 'anti-affinity', '--rule', 'most=2']):
        told = refused(1, 'server', 'group', 'create', *words, 'x')
        assert 'expected max_server_per_host=N with --policy anti-affinity' in told


def test_names_of_the_last_ten_years_are_read(fleet):
    """What Nova removed is said, what has nothing to look at is not."""
    enable(
        fleet,
        'RetryFilter,AvailabilityZoneFilter,RamFilter,CoreFilter,DiskFilter,AggregateCoreFilter,AggregateRamFilter,'
        'IoOpsFilter,AggregateIoOpsFilter,MetricsFilter,AllHostsFilter,nova.scheduler.filters.compute_filter.ComputeFilter',
        'weight_classes = nova.scheduler.weights.ram.RAMWeigher,nova.scheduler.weights.disk.DiskWeigher',
    )
    result = fleet.run('server', 'create', '--flavor', 'm1.a', 'x')
    assert 0 == result.returncode
    warned = [line for line in result.stderr.splitlines() if 'no longer a filter' in line]
    assert ['RetryFilter', 'DiskFilter'] == [line.split()[1] for line in warned]
    assert 2 == len(result.stderr.splitlines())


def test_a_filter_has_to_be_available(refused, fleet):
    enable(fleet, 'ComputeFilter,RamFilter', 'available_filters = nova.scheduler.filters.compute_filter.ComputeFilter')
    assert "'RamFilter' is not one of available_filters" in refused(1, 'host', 'list')
