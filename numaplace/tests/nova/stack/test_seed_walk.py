# SPDX-License-Identifier: Apache-2.0
"""The walk of Nova's page about NUMA guests through a cloud, by its API alone: any cloud will do."""

import pytest


def node(vcpus, memory_mib, host_node):
    return {
        'vcpu_set': vcpus,
        'siblings': [],
        'memory_mb': memory_mib,
        'host_node': host_node,
        'cpu_pinning': {},
    }


@pytest.fixture
def vcpus(cloud):
    """How many vCPUs a guest of one cell has: four, or what a smaller host has."""
    return min(4, cloud.most_vcpus())


def test_a_guest_without_numa_has_no_cells(cloud):
    cirros1 = cloud.boot(cloud.flavor('m1.tiny', 1, 512), 'cirros1')
    assert ('ACTIVE', None) == (cirros1.status, cirros1.fault)
    assert {'nodes': [], 'pagesize_kb': None} == cloud.topology(cirros1)


def test_a_guest_with_one_cell_is_on_one_cell_of_its_host(cloud, vcpus):
    cirros2 = cloud.boot(cloud.flavor('m1.numa', vcpus, 1024, numa_nodes=1), 'cirros2')
    assert ('ACTIVE', None) == (cirros2.status, cirros2.fault)
    (found,) = cloud.topology(cirros2)['nodes']
    assert node([*range(vcpus)], 1024, found['host_node']) == found


def test_a_guest_with_two_cells_is_on_two_cells_of_its_host(cloud, host_cells):
    if host_cells < 2:
        pytest.skip('the hosts of this cloud have a single cell')
    cirros2 = cloud.boot(cloud.flavor('m1.numa', 4, 1024, numa_nodes=2), 'cirros2')
    assert ('ACTIVE', None) == (cirros2.status, cirros2.fault)
    first, second = cloud.topology(cirros2)['nodes']
    assert node([0, 1], 512, first['host_node']) == first
    assert node([2, 3], 512, second['host_node']) == second
    assert first['host_node'] != second['host_node']


def test_a_guest_with_more_cells_than_any_host_is_refused_and_harms_no_other(cloud, host_cells):
    cells = host_cells + 1
    refused = cloud.boot(cloud.flavor('m1.wide', cells, 128 * cells, numa_nodes=cells), 'cirros3')
    assert 'ERROR' == refused.status
    assert refused.fault['message'].startswith('No valid host was found.')
    other = cloud.boot(cloud.flavor('m1.numa', 1, 128, numa_nodes=1), 'cirros4')
    assert ('ACTIVE', None) == (other.status, other.fault)


def test_what_a_deleted_guest_held_is_given_to_the_next(cloud, vcpus):
    flavor = cloud.flavor('m1.numa', vcpus, 1024, numa_nodes=1)
    for name in ('cirros5', 'cirros6'):
        server = cloud.boot(flavor, name)
        assert ('ACTIVE', None) == (server.status, server.fault)
        cloud.delete([server])
