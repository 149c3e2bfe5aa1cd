# SPDX-License-Identifier: Apache-2.0
"""The operator's options: which CPUs, pages and networks a host has to give."""

import pytest

from numaplace import cpuset, exception
from numaplace.libvirt import topology
from numaplace.libvirt.found_cell import FoundCell
from numaplace.model import Networks, Pages

#: Two cells of two cores with two threads; cell 3 has huge pages.
_FOUND = (
    FoundCell(
        0,
        4096 * 1024 + 1023,
        cpuset.parse('0-1,4-5'),
        siblings=(0b10010, 0b1, 0b10010, 0b100000),
        sockets=frozenset({0, 1}),
    ),
    FoundCell(
        3,
        2048 * 1024,
        cpuset.parse('2-3,6-7'),
        ((4, 1000), (2048, 512)),
        tuple(cpuset.parse(core) for core in ('3,7', '2,6', '2,6', '3,7')),
        frozenset({1}),
        ((0, 21), (3, 10)),
    ),
)


def _sets(host):
    return [(cpuset.text(cell.shape.shared_cpus), cpuset.text(cell.shape.dedicated_cpus)) for cell in host.cells]


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        ({}, [('0-1,4-5', '0-1,4-5'), ('2-3,6-7', '2-3,6-7')]),
        ({'shared_cpus': '0-3'}, [('0-1', ''), ('2-3', '')]),
        ({'dedicated_cpus': '2-7'}, [('', '4-5'), ('', '2-3,6-7')]),
        ({'shared_cpus': '0,2', 'dedicated_cpus': '4-7'}, [('0', '4-5'), ('2', '6-7')]),
        ({'shared_cpus': '4-7', 'dedicated_cpus': '4-7'}, [('4-5', '4-5'), ('6-7', '6-7')]),
    ],
)
def test_the_options_divide_the_cpus(options, expected):
    masks = {name: cpuset.parse(cpus) for name, cpus in options.items()}
    assert _sets(topology.host(_FOUND, **masks)) == expected


def test_cores_are_listed_once_by_lowest_cpu_and_hold_available_cpus_only():
    assert [cell.shape.siblings for cell in topology.host(_FOUND).cells] == [
        (0b1, 0b10010, 0b100000),
        (0b1000100, 0b10001000),
    ]
    cut = topology.host(_FOUND, shared_cpus=cpuset.parse('2,7'), dedicated_cpus=cpuset.parse('4,6')).cells
    assert [cell.shape.siblings for cell in cut] == [(0b10000,), (0b1000100, 0b10000000)]


def test_memory_is_rounded_down_and_a_socket_must_be_the_only_one():
    cells = topology.host(_FOUND).cells
    assert [cell.shape.memory_mib for cell in cells] == [4096, 2048]
    assert [cell.shape.socket for cell in cells] == [None, 1]
    assert cells[1].shape.distances == ((0, 21), (3, 10))


def test_reserved_pages_are_kept_back_in_their_cell():
    cells = topology.host(_FOUND, reserved={3: {2048: 512, 4: 1}}).cells
    assert cells[0].pages == ()
    assert cells[1].pages == (Pages(4, 1000, reserved=1), Pages(2048, 512, reserved=512))


def test_networks_belong_to_their_cell():
    cells = topology.host(_FOUND, networks={3: Networks(frozenset({'blue'}), True)}).cells
    assert [(set(cell.shape.physnets), cell.shape.tunneled) for cell in cells] == [(set(), False), ({'blue'}, True)]


_BAD = {
    'a shared CPU that is not there': (
        {'shared_cpus': cpuset.parse('7-9')},
        exception.InvalidConfiguration,
        r'\[compute\] cpu_shared_set = 7-9: CPUs 8-9 are not among the host.s online CPUs 0-7',
    ),
    'a dedicated CPU that is not there': (
        {'dedicated_cpus': cpuset.parse('64')},
        exception.InvalidConfiguration,
        r'\[compute\] cpu_dedicated_set = 64: CPUs 64 are not among',
    ),
    'a pinned CPU that is not there': (
        {'shared_cpus': 1 << 64, 'dedicated_cpus': 1 << 64},
        exception.InvalidConfiguration,
        r'vcpu_pin_set = 64: CPUs 64 are not among',
    ),
    'a CPU in both sets': (
        {'shared_cpus': 0b111, 'dedicated_cpus': 0b110},
        exception.InvalidConfiguration,
        r'cpu_shared_set = 0-2 and \[compute\] cpu_dedicated_set = 1-2 both hold CPUs 1-2: .* online CPUs 0-7',
    ),
    'an empty set': (
        {'shared_cpus': 0},
        exception.InvalidConfiguration,
        r'\[compute\] cpu_shared_set holds no CPU: expected some of .* 0-7',
    ),
    'pages of an unknown cell': (
        {'reserved': {1: {2048: 1}}},
        exception.InvalidReservedMemoryPagesOption,
        r'reserved_huge_pages = node:1,\.\.\.: the host has no cell 1; it has 0, 3',
    ),
    'pages of an unknown size': (
        {'reserved': {3: {1048576: 1}}},
        exception.InvalidReservedMemoryPagesOption,
        'node:3,size:1048576,count:1: cell 3 has no pages of 1048576 KiB; its page sizes in KiB are 4, 2048',
    ),
    'pages of a cell without pages': (
        {'reserved': {0: {4: 1}}},
        exception.InvalidReservedMemoryPagesOption,
        'cell 0 has no pages of 4 KiB; its page sizes in KiB are not known',
    ),
    'more pages than there are': (
        {'reserved': {3: {2048: 513}}},
        exception.InvalidReservedMemoryPagesOption,
        'node:3,size:2048,count:513: expected 0 to 512, as many as cell 3 has of 2048 KiB',
    ),
    'less than no pages': (
        {'reserved': {3: {2048: -1}}},
        exception.InvalidReservedMemoryPagesOption,
        'count:-1: expected 0 to 512',
    ),
    'a physical network at an unknown cell': (
        {'networks': {2: Networks(frozenset({'red', 'blue'}))}},
        exception.InvalidNetworkNUMAAffinity,
        r'\[neutron_physnet_blue\], \[neutron_physnet_red\] numa_nodes = 2: the host has no cell 2; it has 0, 3',
    ),
    'tunnels at an unknown cell': (
        {'networks': {2: Networks(tunneled=True)}},
        exception.InvalidNetworkNUMAAffinity,
        r'\[neutron_tunnel\] numa_nodes = 2: the host has no cell 2',
    ),
}


@pytest.mark.parametrize('name', _BAD)
def test_options_that_do_not_suit_the_host_are_named_with_what_would(name):
    options, error, expected = _BAD[name]
    with pytest.raises(error, match=expected):
        topology.host(_FOUND, **options)
