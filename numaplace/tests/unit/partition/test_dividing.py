# SPDX-License-Identifier: Apache-2.0
"""Host mode and node mode divide as the vNUMA talk shows it."""

import re

import pytest

from numaplace import cpuset, exception
from numaplace.model import CpuTopology, Guest, Wish
from numaplace.model.vnuma import DISTRIBUTIONS, INTERLEAVE, NODE_MODE, ROUND_ROBIN, SIBLINGS
from numaplace.partition import divide
from numaplace.tests.unit.partition.hosts import node, plain, talk

GUEST = Guest(16, 32768)


def _vcpus(partition):
    return [cpuset.text(cell.vcpus) for cell in partition.guest.cells]


def _memory(partition):
    return [cell.memory_mib for cell in partition.guest.cells]


def test_host_mode_makes_a_cell_of_each_node_and_a_socket_of_each_cell():
    found = divide(talk(), GUEST, Wish())
    assert ['0-3', '4-7', '8-11', '12-15'] == _vcpus(found)
    assert [8192] * 4 == _memory(found)
    assert (0, 1, 2, 3) == found.host_cell_ids
    assert CpuTopology(4, 2, 2) == found.guest.cpu_topology


def test_node_mode_puts_all_into_the_named_node():
    found = divide(talk(), GUEST, Wish(NODE_MODE, nodes=0b10))
    assert ['0-15'] == _vcpus(found)
    assert [32768] == _memory(found)
    assert (1,) == found.host_cell_ids
    assert CpuTopology(1, 8, 2) == found.guest.cpu_topology


def test_more_cells_than_nodes_share_the_nodes_evenly():
    found = divide(talk(), Guest(24, 24576), Wish(nodes=cpuset.parse('0-3,^2'), cells=6))
    assert (0, 0, 1, 1, 3, 3) == found.host_cell_ids
    assert ['0-3', '4-7', '8-11', '12-15', '16-19', '20-23'] == _vcpus(found)


@pytest.mark.parametrize(
    ('distribution', 'vcpus', 'topology'),
    [
        ('contiguous', ['0-3', '4-7', '8-11', '12-15'], CpuTopology(4, 2, 2)),
        (SIBLINGS, ['0-1,8-9', '2-3,10-11', '4-5,12-13', '6-7,14-15'], CpuTopology(8, 1, 2)),
        (ROUND_ROBIN, ['0-1,8-9', '2-3,10-11', '4-5,12-13', '6-7,14-15'], CpuTopology(8, 1, 2)),
        (INTERLEAVE, ['0,4,8,12', '1,5,9,13', '2,6,10,14', '3,7,11,15'], CpuTopology(16, 1, 1)),
    ],
)
def test_a_distribution_deals_vcpus_in_its_way(distribution, vcpus, topology):
    found = divide(talk(), GUEST, Wish(distribution=distribution))
    assert vcpus == _vcpus(found)
    assert topology == found.guest.cpu_topology


def test_siblings_take_one_block_of_each_half_where_round_robin_deals_core_by_core():
    wide = Guest(32, 32768)
    assert '0-3,16-19' == _vcpus(divide(talk(), wide, Wish(distribution=SIBLINGS)))[0]
    assert '0-1,8-9,16-17,24-25' == _vcpus(divide(talk(), wide, Wish(distribution=ROUND_ROBIN)))[0]


def test_what_does_not_divide_goes_to_the_first_cells_on_demand():
    found = divide(plain(8, 8, 8), Guest(8, 1000), Wish(remainder_first=True))
    assert ['0-2', '3-5', '6-7'] == _vcpus(found)
    assert [334, 333, 333] == _memory(found)
    assert CpuTopology(8, 1, 1) == found.guest.cpu_topology, 'no socket lies in two cells'


def test_vcpus_that_are_no_whole_cores_become_cores_of_one_thread_on_demand():
    found = divide(talk(), Guest(9, 8192), Wish(remainder_first=True))
    assert ['0-2', '3-4', '5-6', '7-8'] == _vcpus(found)
    assert 1 == found.guest.cpu_topology.threads


@pytest.mark.parametrize(
    ('wish', 'guest', 'part', 'text'),
    [
        (Wish('both'), GUEST, 'mode', "mode 'both': expected host, node or auto"),
        (Wish(distribution='random'), GUEST, 'distribution', 'expected contiguous, siblings, round-robin or interl'),
        (Wish(nodes=1 << 7), GUEST, 'nodes', 'host cell 7 does not exist; expected some of 0-3'),
        (Wish(nodes=0), GUEST, 'nodes', 'no host cell is left'),
        (Wish(NODE_MODE), GUEST, 'mode', 'needs to know in which host cells'),
        (Wish(NODE_MODE, nodes=1, cells=2), GUEST, 'cells', "goes with mode 'host'"),
        (Wish(cells=3), GUEST, 'cells', 'at least one guest cell for each'),
        (Wish(cells=6), GUEST, 'cells', 'multiple of 4'),
        (Wish(cells=12), GUEST, 'cells', '12 guest cells are more than 8 cores of 2 threads'),
        (Wish(), Guest(15, 32768), 'vcpus', '15 vCPUs are no whole cores of 2 threads'),
        (Wish(), Guest(12, 32768), 'vcpus', 'are 6 cores of 2 threads, which do not divide evenly over 4'),
        (Wish(), Guest(16, 32766), 'memory_mib', 'memory of 32766 MiB does not divide evenly over 4'),
        (Wish(), Guest(16, 3), 'memory_mib', 'at least 1 MiB for each'),
        (Wish(distribution=SIBLINGS), Guest(24, 32768), 'distribution', 'a core would be split over two cells'),
        (Wish(tier_mib=1), GUEST, 'tier_mib', "expected mode 'auto'"),
    ],
)
def test_a_wish_that_cannot_be_met_names_what_is_wrong(wish, guest, part, text):
    with pytest.raises(exception.InvalidPartition, match=re.escape(text)) as caught:
        divide(talk(), guest, wish)
    assert part == caught.value.part
    assert text in str(caught.value)
    assert '\n' not in str(caught.value)


def test_nodes_without_cpus_get_no_cell_by_themselves_and_cannot_be_named():
    host = plain(4, 0, 4)
    assert (0, 2) == divide(host, Guest(8, 1024), Wish()).host_cell_ids
    with pytest.raises(exception.InvalidPartition, match='host cell 1 has no CPUs; expected some of 0,2'):
        divide(host, Guest(8, 1024), Wish(nodes=0b111))


def test_every_distribution_is_known():
    for distribution in DISTRIBUTIONS:
        assert divide(talk(), GUEST, Wish(distribution=distribution))


def test_a_node_of_single_threads_makes_cores_of_one_thread():
    host = type(talk())((node(0, [[0, 1], [2, 3]]), node(1, [[4], [5]])))
    assert 1 == divide(host, Guest(4, 1024), Wish()).guest.cpu_topology.threads


def test_cores_have_one_thread_where_no_more_are_allowed():
    found = divide(talk(), GUEST, Wish(max_topology=CpuTopology(2, 8, 1)))
    assert CpuTopology(2, 8, 1) == found.guest.cpu_topology
    assert 2 == found.guest.dies
