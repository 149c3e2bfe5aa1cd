# SPDX-License-Identifier: Apache-2.0
"""Tables of lscpu against their own counts and caches: machines that util-linux recorded, reduced, and others."""

from importlib import resources

import pytest

from numaplace import cpuset, exception
from numaplace.libvirt import lscpu

_MACHINES = resources.files('numaplace.tests.data').joinpath('lscpu')


def _text(name):
    return _MACHINES.joinpath(f'{name}.txt').read_text('ascii')


def _table(text):
    return text[text.index('# CPU') :]


def _read(text):
    return lscpu.read(text.encode(), 'cpus.txt')


def _cores(found):
    return sorted(
        {cpuset.text(core) for core in found.cores.values()}, key=lambda core: int(core.split('-')[0].split(',')[0])
    )


def _singles(*cpus):
    return list(map(str, cpus))


_PAIRS = [f'{cpu}-{cpu + 1}' for cpu in range(0, 16, 2)]

#: Name of the machine: its cores, and whether its core numbers had to be corrected, without and with -y.
_RECORDED = {
    'four-kinds': (_singles(*range(8)), True, False),
    'family-15h': (_PAIRS, False, None),
    'four-sockets': ([f'{cpu},{cpu + 32}' for cpu in range(32)], False, False),
    'power7': (['0-3', '4-7', '8-11', '12-15'], False, False),
    's390-guest': (_singles(0, 1, 2), False, True),
    's390-lpar': (_singles(*range(1, 6), *range(8, 20)), False, True),
    'sparc64': (_singles(6, 7, 10, 11, 14, 15), False, True),
}


@pytest.mark.parametrize('name', _RECORDED)
def test_recorded_machines_have_the_cores_of_their_kernel(name):
    """Each is what /sys said in thread_siblings, as libvirt has it; also for the modules of AMD family 15h."""
    cores, corrected, _ = _RECORDED[name]
    found = _read(_text(name))
    assert (_cores(found), bool(found.warnings)) == (cores, corrected)


@pytest.mark.parametrize('name', [name for name, (*_, corrected) in _RECORDED.items() if corrected is not None])
def test_physical_numbers_beside_the_summary_are_the_same_cores(name):
    cores, _, corrected = _RECORDED[name]
    found = _read(_text(f'{name}.physical'))
    assert (_cores(found), bool(found.warnings)) == (cores, corrected)


@pytest.mark.parametrize('first', ['', '.physical'])
@pytest.mark.parametrize(
    'name', [*(name for name, (*_, physical) in _RECORDED.items() if physical is not None), 'riscv']
)
def test_tables_with_and_without_physical_numbers_may_follow_one_another(name, first):
    """Each recording of util-linux is a summary with both, which numbers cores and sockets of its own."""
    texts = [_text(name + one) for one in (first, '' if first else '.physical')]
    found = _read('\n'.join((texts[0], _table(texts[1]))))
    assert (_cores(found), found.warnings) == (_RECORDED[name][0] if name in _RECORDED else ['0-1'], ())


def test_a_hypervisor_may_number_each_thread():
    """The kernel of a VMware guest has siblings 0-1 and 2-3, and a core_id for each CPU."""
    summary = 'CPU(s): 4\nOn-line CPU(s) list: 0-3\nThread(s) per core: 2\nCore(s) per socket: 2\nSocket(s): 1\n'
    logical = '# CPU,Core,Socket,Node,,L1d,L1i,L2\n0,0,0,0,,0,0,0\n1,0,0,0,,0,0,0\n2,1,0,0,,1,1,1\n3,1,0,0,,1,1,1\n'
    physical = '# CPU,Core,Socket,Node\n' + ''.join(f'{cpu},{cpu},0,0\n' for cpu in range(4))
    for tables in (logical + physical, physical + logical):
        assert _cores(_read(summary + tables)) == ['0-1', '2-3']


def test_a_riscv_machine_without_physical_numbers_has_the_siblings_of_its_summary_alone():
    assert _cores(_read(_text('riscv'))) == ['0-1']
    found = _read(_text('riscv.physical'))
    assert (found.cores, found.threads_per_core) == ({}, 2)


_SPARK = """Architecture: aarch64
CPU(s): 20
On-line CPU(s) list: 0-19
Model name: kind one
Thread(s) per core: 1
Core(s) per socket: 10
Socket(s): 1
Model name: kind two
Thread(s) per core: 1
Core(s) per socket: 10
Socket(s): 1
"""


def _spark(l3):
    """Return twenty CPUs of two kinds by turns of five, whose first two levels of caches are their own."""
    rows = (f'{cpu},{cpu // 10 * 5 + cpu % 5},0,0,,{cpu},{cpu},{cpu},{l3[cpu // 5 % 2]}' for cpu in range(20))
    return '\n'.join((_SPARK + '# CPU,Core,Socket,Node,,L1d,L1i,L2,L3', *rows))


def test_cpus_of_two_kinds_by_turns_are_cores_of_their_own_in_one_package():
    found = _read(_spark('00'))
    assert _cores(found) == _singles(*range(20))
    assert found.sockets == dict.fromkeys(range(20), 0)
    assert found.warnings == (
        'cpus.txt: CPUs 0,5 have one core number, and the summary counts 1 thread per core; '
        'read as 20 cores, as its counts and its caches say',
    )


def test_kinds_of_cpus_without_a_common_cache_do_not_tell_their_package():
    found = _read(_spark('01'))
    assert (_cores(found), found.sockets) == (_singles(*range(20)), {})


_HYBRID = """CPU(s): 8
On-line CPU(s) list: 0-7
Thread(s) per core: 2
Core(s) per socket: 2
Socket(s): 1
Thread(s) per core: 1
Core(s) per socket: 4
Socket(s): 1
"""
_HYBRID_ROWS = """CPU NODE SOCKET CORE L1d:L1i:L2:L3 ONLINE SCALMHZ%
0 0 0 0 0:0:0:0 yes 50%
1 0 0 0 0:0:0:0 yes 50%
2 0 0 1 1:1:1:0 yes 50%
3 0 0 1 1:1:1:0 yes 50%
4 0 0 0 2:2:2:0 yes 50%
5 0 0 1 3:3:2:0 yes 50%
6 0 0 2 4:4:2:0 yes 50%
7 0 0 3 5:5:2:0 yes 50%
"""


def test_kinds_with_other_numbers_of_threads_are_told_apart_by_their_caches():
    found = _read(_HYBRID + _HYBRID_ROWS)
    assert _cores(found) == ['0-1', '2-3', '4', '5', '6', '7']
    assert len(found.warnings) == 1


def test_cores_with_fewer_threads_than_others_agree_with_the_summary():
    """One kind with cores of two threads and of one, as lscpu shows an Intel hybrid."""
    rows = '# CPU,Core,Socket\n0,0,0\n1,0,0\n2,1,0\n3,2,0\n'
    found = _read(
        'CPU(s): 4\nOn-line CPU(s) list: 0-3\nThread(s) per core: 2\nCore(s) per socket: 3\nSocket(s): 1\n' + rows
    )
    assert (_cores(found), found.warnings) == (['0-1', '2', '3'], ())


def test_halves_of_a_core_with_caches_of_their_own_stay_one_core_where_the_summary_counts_their_threads():
    rows = '# CPU,Core,Socket,Node,,L1d,L1i,L2\n' + ''.join(
        f'{cpu},0,0,0,,{cpu % 2},{cpu % 2},{cpu % 2}\n' for cpu in range(8)
    )
    head = 'CPU(s): 8\nOn-line CPU(s) list: 0-7\nThread(s) per core: 8\nCore(s) per socket: 1\nSocket(s): 1\n'
    assert _cores(_read(head + rows)) == _cores(_read(rows)) == ['0-7']


def test_columns_of_caches_that_a_cpu_lacks_may_be_missing():
    """The next one then stands in its place."""
    rows = '# CPU,Core,Socket,Node,,L1d,L1i,L2,L3\n0,0,0,0,,0,0,0,0\n1,1,0,0,,2,2,0,0\n2,2,0,0,,4,0\n3,3,0,0,,\n'
    assert _cores(_read(rows)) == _singles(0, 1, 2, 3)
    table = 'CPU CORE L1d:L1i:L2:L3 ONLINE\n0 0 0:0:0:0 yes\n1 0 0:0 yes\n2 1 - yes\n'
    assert _cores(_read(table)) == ['0-1', '2']


@pytest.mark.parametrize(
    'table',
    [
        '# CPU,Modelname,Core\n0,A (b), c,0\n1,A (b), c,0\n',
        'MODELNAME CPU CORE\nA (b), c 0 0\nA (b), c 1 0\n',
        'ONLINE CORE CPU\nyes 0 0\nyes 0 1\nno - 2\n',
    ],
)
def test_a_column_of_words_may_stand_anywhere(table):
    assert _cores(_read(table)) == ['0-1']


def test_the_online_cpus_may_be_a_mask():
    assert _read('On-line CPU(s) mask: 0xf0,000000ff\nThread(s) per core: 1\n').online == 0xF0000000FF


def _numbers(cores, sockets):
    """Return a table with nothing beside the numbers."""
    rows = {
        int(cpu): f'{cpu},{core},{core * sockets // len(cores)},0'
        for core, cpus in enumerate(cores)
        for cpu in cpus.split(',')
    }
    return '\n'.join(('# CPU,Core,Socket,Node', *map(rows.__getitem__, sorted(rows))))


_SUMMARY = 'CPU(s): 4\nOn-line CPU(s) list: 0-3\nThread(s) per core: 2\nCore(s) per socket: 1\nSocket(s): 2\n'


@pytest.mark.parametrize(
    ('table', 'cores', 'told'),
    [
        # The columns of `lscpu -p=cpu,core,socket,node` of a machine whose twenty cores are of two kinds.
        (_numbers(['0,5,10,15', '1,6,11,16', '2,7,12,17', '3,8,13,18', '4,9,14,19'], 1), 5, '0,5,10,15'),
        (_numbers(['0,2', '1,3'], 1), 2, '0,2'),
        (_numbers(['0,1', '2,3'], 1), 2, '0-1'),
        ('# CPU,Core,Socket\n0,0,0\n1,0,0\n2,0,1\n3,0,1\n', 2, '0-1'),
        (_SUMMARY + '# CPU,Core,Socket\n0,0,0\n2,0,0\n1,0,1\n3,0,1\n', 2, '0,2'),
        (_SUMMARY + '# CPU,Core,Socket\n0,0,0\n2,0,0\n1,1,1\n3,1,1\n', 2, None),
        (_numbers(['0,4', '1,5', '2,6', '3,7'], 2), 4, None),
        (_numbers(['0', '1', '2'], 1), 3, None),
        (_table(_text('power7')), 4, None),
    ],
    ids=[
        'two kinds by turns',
        'threads apart',
        'threads side by side',
        'numbers that repeat in each package',
        'the same after a summary',
        'numbers that do not, after a summary',
        'two packages',
        'one thread',
        'caches that say the same',
    ],
)
def test_cores_that_nothing_but_their_number_makes_are_told(table, cores, told):
    found = _read(table)
    warning = f'cpus.txt: CPUs {told} have one core number and are taken to be one core: '
    assert len(_cores(found)) == cores
    assert [text[: len(warning)] for text in found.warnings] == ([] if told is None else [warning])


_OPTERONS = """CPU(s): 8
On-line CPU(s) list: 0-3,5-7
Off-line CPU(s) list: 4
Thread(s) per core: 1
Core(s) per socket: 2
Socket(s): 4
# CPU,Core,Socket
0,0,0
1,1,0
2,2,1
3,3,1
5,5,2
6,6,3
7,7,3
"""


def test_an_old_kernel_keeps_the_siblings_of_a_cpu_that_is_offline():
    """The summary then counts its core, which the table leaves out."""
    found = _read(_OPTERONS)
    assert (_cores(found), found.warnings, found.offline) == (_singles(0, 1, 2, 3, 5, 6, 7), (), 1 << 4)
    assert found.sockets == {0: 0, 1: 0, 2: 1, 3: 1, 5: 2, 6: 3, 7: 3}
    alone = _read(_OPTERONS.replace('list: 0-3,5-7', 'list: 0-3,6-7').replace('list: 4', 'list: 4-5'))
    assert sorted(set(alone.sockets.values())) == [0, 1, 3]


@pytest.mark.parametrize(
    ('old', 'new'), [('Off-line CPU(s) list: 4\n', ''), ('Core(s) per socket: 2', 'Core(s) per socket: 3')]
)
def test_no_more_cores_are_missing_than_cpus_are_offline(old, new):
    assert old in _OPTERONS
    with pytest.raises(exception.InvalidCapabilities, match='the table has 7 cores, and the summary counts '):
        _read(_OPTERONS.replace(old, new))


_TWO = 'CPU(s): 2\nOn-line CPU(s) list: 0-1\nThread(s) per core: 2\nCore(s) per socket: 1\nSocket(s): 1\n'

_REFUSED = {
    'two kinds without a summary': (
        _table(_text('four-kinds')),
        'CPUs 0,3,5,7 have one core number, and CPU 0 shares no',
    ),
    'two dies whose cores have the same numbers': (
        _text('family-15h.physical'),
        'CPUs 0,4 have one core number, and CPU 0 shares no cache of level 1 or 2 with the others: expected',
    ),
    'physical numbers alone': (_table(_text('s390-guest.physical')), 'the table is that of `lscpu -y`'),
    'physical numbers without cores alone': (_table(_text('riscv.physical')), 'no row names a core'),
    'more threads than counted': (
        _TWO.replace('0-1', '0-2') + '# CPU,Core,Socket\n0,0,0\n1,0,0\n2,0,0\n',
        'CPUs 0-2 have one core number, and the summary counts 2 threads per core: expected the summary and the table',
    ),
    'more cores than counted': (_TWO + '# CPU,Core,Socket\n0,0,0\n1,1,0\n', 'has 2 cores, and the summary counts 1:'),
    'more sockets than counted': (
        _TWO.replace('socket: 1', 'socket: 2') + '# CPU,Core,Socket\n0,0,0\n1,0,1\n',
        'the table has 2 sockets, and the summary counts 1:',
    ),
    'other CPUs than in the summary': (_TWO + '# CPU,Core\n0,0\n', 'names CPUs 0-1 online, and the table CPUs 0:'),
    'two summaries': (_TWO + _TWO, 'line 6: the summary of one machine ends and another begins'),
    'two tables of other nodes': (
        _TWO + '# CPU,Core,Node\n0,0,0\n1,0,0\n# CPU,Core,Node\n0,0,0\n1,0,1\n',
        "line 11: node '1' of CPU '1', which another table says is '0'",
    ),
    'three tables that differ': (
        _TWO + '# CPU,Core\n0,0\n1,0\n# CPU,Core\n0,1\n1,1\n# CPU,Core\n0,2\n1,2\n',
        "line 13: core '2' of CPU '0', which another table says is '0'",
    ),
    'two tables that differ': (
        '# CPU,Core\n0,0\n# CPU,Core\n0,1\n',
        "line 4: core '1' of CPU '0', which another table",
    ),
    'no core numbers': ('# CPU,Core,Socket,Node\n0,,,0\n1,,,0\n', r'no row names a core \(column CORE\): .*--lstopo'),
    'no core number of one CPU': (
        _TWO + '# CPU,Core\n0,0\n1,\n',
        'line 8: CPU 1 is online and has no core: .*expected',
    ),
    'a mask that is none': ('On-line CPU(s) mask: all\nThread(s) per core: 1\n', "'all' is not a mask of CPUs: "),
    'a stride of none': ('On-line CPU(s) list: 0-4:0\nThread(s) per core: 1\n', "line 1: invalid CPU list .*'0-4:0'"),
    'a count that is none': ('Thread(s) per core: 1\nSocket(s): two\n', "line 2: 'two' is not a count"),
}


@pytest.mark.parametrize('name', _REFUSED)
def test_what_contradicts_itself_is_refused_in_one_line_that_says_what(name):
    text, expected = _REFUSED[name]
    with pytest.raises(exception.InvalidCapabilities, match=expected) as caught:
        _read(text)
    assert str(caught.value).startswith('cpus.txt: ')
    assert '\n' not in str(caught.value)
    assert 'expected' in str(caught.value)
