# SPDX-License-Identifier: Apache-2.0
"""The text of numactl: which numberings tell the cores, and what is cut short or of another machine."""

import pytest

from numaplace import cpuset, exception
from numaplace.libvirt import lscpu, numactl

_TEXT = """available: 2 nodes (0,4)
node 0 cpus: 0 1 4 5
node 0 size: 1966 MB
node 0 free: 1677 MB
node 4 cpus: 2 3 6 7
node 4 size: 1965 MB
node 4 free: 1000 MB
node distances:
node   0   4
  0:  10  20
  4:  20  10
"""


def _cpus(threads=1, online='0-7'):
    return lscpu.read(f'Thread(s) per core: {threads}\nOn-line CPU(s) list: {online}\n'.encode(), 'cpus.txt')


def _read(text, threads=1, online='0-7'):
    return numactl.read(text.encode(), _cpus(threads, online), place='nodes.txt', origin='cpus.txt').host


def _nodes(*lists):
    """Return the text of nodes that have these CPUs."""
    lines = []
    for number, cpus in enumerate(lists):
        ids = ' '.join(map(str, cpuset.ids(cpuset.parse(cpus))))
        lines += [f'node {number} cpus: {ids}', f'node {number} size: 512 MB']
    return '\n'.join(lines)


@pytest.mark.parametrize(
    ('lists', 'threads', 'core'),
    [
        (('0-14,60-74', '15-29,75-89', '30-44,90-104', '45-59,105-119'), 2, '0,60'),
        (('0-1,4-5', '2-3,6-7'), 2, '0,4'),
        (('0-1,4-5,8-9,12-13', '2-3,6-7,10-11,14-15'), 4, '0,4,8,12'),
        (('0-2,8-10', '3-7,11-15'), 2, '0,8'),
        (('0,2', '', '1,3'), 2, '0,2'),
        (('0-7',), 1, '0'),
        (('0,3', '1-2'), 1, '0'),
        (('0-1,4-5', '2-3,6-7'), 4, '0-1,4-5'),
    ],
)
def test_runs_that_are_apart_by_the_number_of_cores_and_nodes_of_one_core_tell_the_cores(lists, threads, core):
    online = ','.join(filter(None, lists))
    shape = _read(_nodes(*lists), threads, online).cells[0].shape
    assert shape.siblings[0] == cpuset.parse(core)
    assert {one.bit_count() for one in shape.siblings} == {threads}


@pytest.mark.parametrize(
    ('lists', 'threads'),
    [
        (('0-7',), 2),
        (('0-3', '4-7'), 2),
        (('0-14,60-74', '15-29,75-88'), 2),
        (('0-1,4-5', '2-3,6-7'), 8),
        (('0-2,4', '3,5-7'), 2),
        (('0-1,8-9', '2-3,10-11'), 2),
        (('0,2,4,6', '1,3,5,7'), 2),
    ],
)
def test_numbers_that_could_mean_two_things_are_refused(lists, threads):
    with pytest.raises(exception.InvalidCapabilities, match='do not show which of them share a core: expected'):
        _read(_nodes(*lists), threads, ','.join(lists))


def test_nodes_without_cpus_or_memory_and_gaps_are_as_they_are():
    text = _TEXT.replace('cpus: 2 3 6 7', 'cpus:').replace('0 1 4 5', '0 1 2 3 4 5 6 7').replace('1966 MB', '0 MB')
    cells = _read(text).cells
    assert [(cell.id, cell.shape.online_cpus, cell.shape.memory_mib) for cell in cells] == [(0, 0xFF, 0), (4, 0, 1965)]
    assert cells[1].shape.distances == ((0, 20), (4, 10))
    assert _read(_TEXT.replace('1966 MB', '<not available>')).cells[0].shape.memory_mib == 0


def test_distances_may_be_missing_as_a_whole():
    text = _TEXT[: _TEXT.index('node distances')] + 'No distance information available.\n'
    assert [cell.shape.distances for cell in _read(text).cells] == [(), ()]


_BAD = {
    'nothing': ('', "nodes.txt: there is no line 'node N cpus: ...': expected the output of `numactl -H`"),
    'no NUMA': ('No NUMA support available on this system.', "there is no line 'node N cpus"),
    'no CPUs': ('node 0 cpus:\nnode 0 size: 5 MB\n', 'no node has CPUs'),
    'a CPU that is not a number': (_TEXT.replace('0 1 4 5', '0 x 4 5'), "nodes.txt: line 2: 'x' is not a CPU number"),
    'a CPU beyond all kernels': (_TEXT.replace('0 1 4 5', '65536'), "line 2: '65536' is not a CPU number"),
    'a CPU twice': (_TEXT.replace('2 3 6 7', '5 6'), 'line 5: CPUs 5 are in node 0 already'),
    'a node twice': (_TEXT + _TEXT.splitlines()[1], 'line 12: the CPUs of node 0 stand here twice'),
    'two machines': (_TEXT * 2, 'line 12: the output of one machine ends and another begins'),
    'a size that is none': (_TEXT.replace('1966 MB', '1966 GB'), "line 3: '1966 GB' is not a size: .* '1966 MB'"),
    'no size': (_TEXT.replace('node 0 size', 'node 0 weight'), 'something is missing .of node 0, its size'),
    'a node too few': (_TEXT.replace('node 4 cpus', 'node 4 cats'), '1 of 2 nodes'),
    'distances cut off': (_TEXT[: _TEXT.index('  4:')], 'distances from each node to each'),
    'a distance too few': (_TEXT.replace('20  10', '20'), 'line 11: 1 distances: expected 2'),
    'a distance that is none': (_TEXT.replace('20  10', '20  far'), "line 11: 'far' is not a distance"),
    'distances of other nodes': (_TEXT.replace('  0   4', '  0   5'), 'distances from each node to each'),
}


@pytest.mark.parametrize('name', _BAD)
def test_what_cannot_be_used_is_refused_in_one_line_that_says_where(name):
    text, expected = _BAD[name]
    with pytest.raises(exception.InvalidCapabilities, match=expected) as caught:
        _read(text)
    assert '\n' not in str(caught.value)
    assert 'expected' in str(caught.value)


def test_texts_of_different_machines_are_refused():
    with pytest.raises(
        exception.InvalidCapabilities, match=r'names CPUs 0-7, and cpus\.txt CPUs 0-6: expected the same'
    ):
        _read(_TEXT, online='0-6')


def test_a_core_in_two_nodes_is_refused():
    cpus = lscpu.read(b'# CPU,Core\n0,0\n1,1\n2,0\n3,1\n4,2\n5,3\n6,2\n7,3\n', 'cpus.txt')
    with pytest.raises(
        exception.InvalidCapabilities, match='CPUs 0,2 share a core, of which numactl has CPU 0 in node 0'
    ):
        numactl.read(_TEXT.encode(), cpus, origin='cpus.txt')
