# SPDX-License-Identifier: Apache-2.0
"""The refusals of many hosts are few lines: equal ones once, the nearest first, the rest counted."""

import pytest

from numaplace import explain
from numaplace.model import Reason, Refusal

HINT = '; request more'


def free(needed, available, guest=0, host=0):
    return Reason('cpus.dedicated.free', needed, available, 'CPUs', (guest,), (host,))


def memory(available):
    return Reason('memory.free', 4096, available, 'MiB', (0,), (0,))


def refused(host, *reasons, by='NUMATopologyFilter'):
    return explain.HostRefusal(host, by, Refusal.of(*reasons))


def cpus(lack, needed=8):
    return f'  guest cell 0 needs {needed} free dedicated CPUs: host cell 0 has {needed - lack} ({lack} short)'


DISABLED = Reason('host.disabled')

CASES = {
    'no host': ([], []),
    'one host': ([refused('a', free(8, 7))], ['a (NUMATopologyFilter):', cpus(1)]),
    'equal hosts are named once, by name': (
        [refused('c', free(8, 7)), refused('a', free(8, 7)), refused('b', free(8, 7))],
        ['3 hosts: a, b, c (NUMATopologyFilter):', cpus(1)],
    ),
    'of many equal hosts three are named': (
        [refused(f'cn{number:03}', free(8, 7)) for number in range(501)],
        ['501 hosts: cn000, cn001, cn002, ... (NUMATopologyFilter):', cpus(1)],
    ),
    'the nearest come first': (
        [refused('a', free(8, 1)), refused('b', DISABLED, by='ComputeFilter'), refused('c', free(8, 6))],
        [
            'c (NUMATopologyFilter):',
            cpus(2),
            'a (NUMATopologyFilter):',
            cpus(7),
            'b (ComputeFilter):',
            '  the host is disabled',
        ],
    ),
    'a share counts, no number': (
        [refused('a', free(4, 2)), refused('b', memory(4000))],
        [
            'b (NUMATopologyFilter):',
            '  guest cell 0 needs 4096 MiB of free memory: host cell 0 has 4000 (96 short)',
            'a (NUMATopologyFilter):',
            cpus(2, 4),
        ],
    ),
    'of groups that are as near the larger one comes first': (
        [refused('a', free(4, 2)), refused('b', free(8, 4)), refused('c', free(8, 4))],
        ['2 hosts: b, c (NUMATopologyFilter):', cpus(4), 'a (NUMATopologyFilter):', cpus(2, 4)],
    ),
    'the same words of two filters are two groups': (
        [refused('a', free(8, 7)), refused('b', free(8, 7), by='claim')],
        ['a (NUMATopologyFilter):', cpus(1), 'b (claim):', cpus(1)],
    ),
    'hosts beyond five groups are counted by cause': (
        [refused(f'cn{number}', free(99, 90 - number)) for number in range(7)]
        + [refused('d1', DISABLED, by='ComputeFilter'), refused('d2', DISABLED, by='ComputeFilter')]
        + [refused('d3', DISABLED, by='ComputeFilter')],
        [line for number in range(5) for line in (f'cn{number} (NUMATopologyFilter):', cpus(9 + number, 99))]
        + [f'5 more hosts: 3 host.disabled, 2 cpus.dedicated.free{HINT}'],
    ),
    'one host more': (
        [refused(f'cn{number}', free(99, 90 - number)) for number in range(6)],
        [line for number in range(5) for line in (f'cn{number} (NUMATopologyFilter):', cpus(9 + number, 99))]
        + [f'1 more host: 1 cpus.dedicated.free{HINT}'],
    ),
    'names are escaped and cut': (
        [refused('\x1b' + 'x' * 90, DISABLED, by='ComputeFilter')],
        [f'\\x1b{"x" * 53}... (ComputeFilter):', '  the host is disabled'],
    ),
}


@pytest.mark.parametrize(('refusals', 'expected'), CASES.values(), ids=CASES)
def test_hosts_are_grouped_by_what_they_lack(refusals, expected):
    assert expected == explain.grouped(refusals, hint=HINT)
    assert expected == explain.grouped(refusals[::-1], hint=HINT)


def test_each_host_has_its_lines_where_that_is_wanted():
    refusals = [refused(f'cn{number}', free(8, 7)) for number in range(9)]
    expected = [line for number in range(9) for line in (f'cn{number} (NUMATopologyFilter):', cpus(1))]
    assert expected == explain.grouped(refusals, each=True, hint=HINT)


def test_of_several_hosts_with_many_reasons_each_shows_eight():
    many = [refused(name, *(free(8 + cell, 2, cell) for cell in range(12))) for name in ('a', 'b')]
    one = explain.grouped(many[:1], hint=HINT)
    assert 1 + 12 == len(one)
    other = refused('c', DISABLED, by='ComputeFilter')
    assert [*one[:9], f'  4 more{HINT}'] == explain.grouped([many[0], other], hint=HINT)[:10]
    assert one == explain.grouped([many[0], other], each=True)[:13]


def test_the_number_of_lines_does_not_grow_with_the_number_of_hosts():
    refusals = [
        refused(f'cn{number}', *(free(9999 + cell, number, cell) for cell in range(20))) for number in range(999)
    ]
    assert 5 * 10 + 1 == len(explain.grouped(refusals, hint=HINT))


def test_machines_get_all_of_it_the_nearest_first():
    pages = Reason('pages.2048', 8, 6, 'pages', (1,), (0, 1))
    zone = Reason('zone', subject='az\x1b1')
    assert [
        {
            'host': 'b',
            'filter': 'NUMATopologyFilter',
            'reasons': [
                {
                    'code': 'pages.2048',
                    'needed': 8,
                    'available': 6,
                    'unit': 'pages',
                    'guest_cells': [1],
                    'host_cells': [0, 1],
                    'subject': '',
                    'held': 0,
                    'text': 'guest cell 1 needs 8 free pages of 2M; host cells 0, 1 has 6 (2 short)',
                }
            ],
        },
        {
            'host': 'a',
            'filter': 'AvailabilityZoneFilter',
            'reasons': [
                {
                    'code': 'zone',
                    'needed': None,
                    'available': None,
                    'unit': '',
                    'guest_cells': [],
                    'host_cells': [],
                    'subject': 'az\x1b1',
                    'held': 0,
                    'text': 'the host is in another availability zone: az\\x1b1',
                }
            ],
        },
    ] == explain.plain([refused('a', zone, by='AvailabilityZoneFilter'), refused('b', pages)])


def test_counts_have_the_most_frequent_causes_first():
    counts = {('A', 'cpus'): 2, ('B', 'host'): 1200, ('A', 'memory'): 9, ('C', ''): 1}
    assert 'hosts by cause: 1,200 host (B); 9 memory, 2 cpus (A); 1 other causes (C)' == explain.counted(counts)
