# SPDX-License-Identifier: Apache-2.0
"""The kernel's files: the same host as libvirt's capabilities, and clear faults where files are missing."""

import os
import shutil

import pytest

from numaplace import cpuset, exception
from numaplace.libvirt import capabilities, sysfs
from numaplace.model import Cache, MemoryAccess, Networks, Pages
from numaplace.tests import recordings


@pytest.fixture
def seed3(tmp_path):
    """Return a directory that stands for /sys of the recorded host seed3."""
    return recordings.lay_out('seed3', tmp_path / 'sys')


@pytest.mark.parametrize('name', recordings.HOSTS)
def test_a_recorded_host_is_what_libvirt_said_it_is(name, tmp_path):
    found = sysfs.read(recordings.lay_out(name, tmp_path), pagesize_kib=4)
    assert found == capabilities.read(recordings.capabilities(name))


def _bitmap(cpus):
    """Return a set as the kernel writes bitmaps: at least two words of 32 bits, the highest first."""
    words = [f'{cpus >> shift & 0xFFFFFFFF:08x}' for shift in range(0, max(cpus.bit_length(), 33), 32)]
    return ','.join(reversed(words)) + '\n'


def _make_older(root):
    """Turn lists of CPUs into bitmaps, and that of the online ones into marks of the others."""
    names = {'cpulist': 'cpumap', 'shared_cpu_list': 'shared_cpu_map'}
    for pattern in ('node/node*/cpulist', 'cpu/cpu*/topology/*_list', 'cpu/cpu*/cache/index*/shared_cpu_list'):
        for path in root.glob(f'devices/system/{pattern}'):
            name = names.get(path.name, path.name.removesuffix('_list'))
            path.with_name(name).write_text(_bitmap(cpuset.parse(path.read_text().strip())))
            path.unlink()
    cpus = root / 'devices/system/cpu'
    online = cpuset.parse((cpus / 'online').read_text().strip())
    (cpus / 'online').unlink()
    for directory in cpus.glob('cpu[0-9]*'):
        if not online >> int(directory.name.removeprefix('cpu')) & 1:
            (directory / 'online').write_text('0\n')


@pytest.mark.parametrize('name', recordings.HOSTS)
def test_bitmaps_tell_an_older_kernels_host(name, tmp_path):
    _make_older(recordings.lay_out(name, tmp_path))
    assert list(tmp_path.glob('devices/system/cpu/cpu*/topology/*_list')) == []
    assert sysfs.read(tmp_path, pagesize_kib=4) == capabilities.read(recordings.capabilities(name))


@pytest.mark.parametrize('text', ['', '0-3', '00000000,', '0' * 9, ','.join(['ffffffff'] * 2049)])
def test_a_bitmap_that_is_none_is_refused(text, seed3):
    (seed3 / 'devices/system/node/node0/cpulist').unlink()
    (seed3 / 'devices/system/node/node0/cpumap').write_text(text)
    with pytest.raises(
        exception.UnreadableTopology, match=r"node0/cpumap: .* is not a bitmap such as '00000000,0000ffff'; "
    ):
        sysfs.read(seed3, pagesize_kib=4)


def test_nodes_may_tell_their_cpus_by_links_alone(seed3):
    """One without links has memory alone, unless none has any."""
    expected = sysfs.read(seed3, pagesize_kib=4)
    nodes = seed3 / 'devices/system/node'
    for node in nodes.glob('node*'):
        for cpu in cpuset.ids(cpuset.parse((node / 'cpulist').read_text().strip())):
            (node / f'cpu{cpu}').mkdir(exist_ok=True)
        (node / 'cpulist').unlink()
        (node / 'cpumap').unlink(missing_ok=True)
    assert sysfs.read(seed3, pagesize_kib=4) == expected
    for link in nodes.glob('node2/cpu[0-9]*'):
        link.unlink() if link.is_symlink() else link.rmdir()
    assert [cell.shape.online_cpus for cell in sysfs.read(seed3, pagesize_kib=4).cells] == [0b1111, 0b110000, 0]
    for link in nodes.glob('node?/cpu[0-9]*'):
        link.unlink() if link.is_symlink() else link.rmdir()
    with pytest.raises(exception.UnreadableTopology, match='node0/cpulist: there is no such file, and no cpumap; '):
        sysfs.read(seed3, pagesize_kib=4)
    (nodes / 'online').write_text('1\n')
    (cell,) = sysfs.read(seed3, pagesize_kib=4).cells
    assert (cell.id, cell.shape.online_cpus) == (1, 0xFF)


@pytest.mark.parametrize(('name', 'kind'), [('die_id', 'dies'), ('cluster_id', 'clusters')])
def test_a_negative_number_is_that_of_no_die_and_no_cluster(name, kind, seed3):
    """Kernels write a set all the same, of the CPU alone."""
    for cpu in range(4):
        topology = seed3 / f'devices/system/cpu/cpu{cpu}/topology'
        for path in ('package_cpus_list', 'core_siblings_list'):
            (topology / path).write_text('0-3\n')
        for path in ('thread_siblings_list', 'core_cpus_list'):
            (topology / path).write_text(f'{cpu}\n')
        (topology / f'{name.removesuffix("_id")}_cpus_list').write_text('0-1\n' if cpu < 2 else '2-3\n')
        (topology / name).write_text('0\n' if cpu < 2 else '1\n')
    found = sysfs.read(seed3, pagesize_kib=4).cells[0].shape
    assert getattr(found, kind) == (0b0011, 0b1100)
    for path in seed3.glob(f'devices/system/cpu/cpu[0-3]/topology/{name}'):
        path.write_text('-1\n')
    assert getattr(sysfs.read(seed3, pagesize_kib=4).cells[0].shape, kind) == ()


@pytest.mark.parametrize(
    ('size', 'size_kib'), [('16384K', 16384), ('33M', 33792), ('1G', 1048576), ('524288', 512), (None, None)]
)
def test_sizes_of_caches_come_in_any_unit(size, size_kib, seed3):
    """A cache without size or CPUs is left out, as libvirt does."""
    for cpu in range(8):
        index = seed3 / f'devices/system/cpu/cpu{cpu}/cache/index3'
        if cpu:
            for name in ('shared_cpu_list', 'shared_cpu_map'):
                (index / name).unlink(missing_ok=True)
        elif size is None:
            (index / 'size').unlink()
        else:
            (index / 'size').write_text(f'{size}\n')
    caches = sysfs.read(seed3, pagesize_kib=4).cells[0].shape.caches
    assert [(bank.level, bank.size_kib) for bank in caches] == ([] if size is None else [(3, size_kib)])


def test_a_cpu_that_tells_no_siblings_is_in_the_core_that_names_it(seed3):
    cpus = seed3 / 'devices/system/cpu'
    for cpu in range(4):
        (cpus / f'cpu{cpu}/topology/thread_siblings_list').write_text('0,2\n' if cpu % 2 == 0 else f'{cpu}\n')
    for name in ('thread_siblings_list', 'thread_siblings', 'core_cpus_list', 'core_cpus'):
        (cpus / f'cpu2/topology/{name}').unlink(missing_ok=True)
    assert sysfs.read(seed3, pagesize_kib=4).cells[0].shape.siblings == (0b0101, 0b0010, 0b1000)
    (cpus / 'cpu3/topology/thread_siblings_list').write_text('1,3\n')
    with pytest.raises(exception.UnreadableTopology, match='system/cpu: CPUs 1 are in two cores: expected the same'):
        sysfs.read(seed3, pagesize_kib=4)


def test_distances_may_be_told_to_nodes_that_are_offline(seed3):
    nodes = seed3 / 'devices/system/node'
    shutil.rmtree(nodes / 'node1')
    (nodes / 'online').write_text('0,2\n')
    (nodes / 'possible').write_text('0-2\n')
    (nodes / 'node2/distance').write_text('20 10\n')
    cells = sysfs.read(seed3, pagesize_kib=4).cells
    assert [cell.shape.distances for cell in cells] == [((0, 10), (2, 20)), ((0, 20), (2, 10))]


def test_the_operators_options_apply(seed3):
    options = {
        'shared_cpus': cpuset.parse('0-1'),
        'dedicated_cpus': cpuset.parse('2-7'),
        'reserved': {0: {2048: 16}},
        'networks': {2: Networks(frozenset({'blue'}), True)},
    }
    found = sysfs.read(seed3, pagesize_kib=4, **options)
    assert found == capabilities.read(recordings.capabilities('seed3'), **options)


def test_dies_clusters_and_caches_are_those_of_the_kernel(seed3):
    """A bank is told once, without those of instructions and those of unknown size."""
    cpus = seed3 / 'devices/system/cpu'
    for cpu in range(4):
        for name in ('package_cpus_list', 'core_siblings_list'):
            (cpus / f'cpu{cpu}/topology/{name}').write_text('0-3\n')
        (cpus / f'cpu{cpu}/topology/die_cpus_list').write_text('0\n' if cpu == 0 else '1-3\n')
        (cpus / f'cpu{cpu}/topology/cluster_cpus_list').write_text('0\n' if cpu == 0 else '1-2\n' if cpu < 3 else '3\n')
        (cpus / f'cpu{cpu}/cache/index3/shared_cpu_list').write_text('0-3\n')
    (cpus / 'cpu4/cache/index3/size').unlink()
    (cpus / 'cpu5/cache/index3/type').write_text('Instruction\n')
    cells = sysfs.read(seed3, pagesize_kib=4).cells
    assert (cells[0].shape.dies, cells[0].shape.clusters) == ((0b0001, 0b1110), (0b0110,))
    assert [cell.shape.caches for cell in cells[:2]] == [(Cache(3, 16384, 0b1111),), ()]


def test_older_kernels_tell_the_packages_under_another_name(seed3):
    for path in seed3.glob('devices/system/cpu/cpu*/topology'):
        for name in ('package_cpus_list', 'cluster_cpus_list'):
            (path / name).unlink()
    assert sysfs.read(seed3, pagesize_kib=4) == capabilities.read(recordings.capabilities('seed3'))


def test_ways_to_memory_may_be_told_in_part_and_by_older_kernels(seed3):
    """Those from CPUs alone are taken where both are told."""
    nodes = seed3 / 'devices/system/node'
    for name, latency in (('node0/access0', 9), ('node1/access0', 9), ('node1/access1', 5), ('node2/access0', None)):
        directory = nodes / name / 'initiators'
        (directory / 'node1').mkdir(parents=True)
        (directory / 'power').mkdir()
        if latency:
            (directory / 'read_latency').write_text(f'{latency}\n')
    found = [cell.shape.accesses for cell in sysfs.read(seed3, pagesize_kib=4).cells]
    assert found == [(MemoryAccess(1, 9),), (MemoryAccess(1, 5),), ()]


def test_offline_cpus_are_left_out(seed3):
    (seed3 / 'devices/system/cpu/online').write_text('0-2,4-7\n')
    assert sysfs.read(seed3, pagesize_kib=4).cells[0].shape.shared_cpus == 0b0111


def test_node_numbers_may_have_gaps_and_a_node_may_have_no_cpus(seed3):
    nodes = seed3 / 'devices/system/node'
    (nodes / 'node2').rename(nodes / 'node8')
    (nodes / 'node8/cpulist').write_text('\n')
    (nodes / 'online').write_text('0-1,8\n')
    cells = sysfs.read(seed3, pagesize_kib=4).cells
    assert [cell.id for cell in cells] == [0, 1, 8]
    assert (cells[2].shape.shared_cpus, cells[2].shape.memory_mib, cells[2].shape.socket) == (0, 1966, None)
    assert cells[0].shape.distances == ((0, 10), (1, 20), (8, 20))


def test_nodes_are_found_without_the_list_of_those_online(seed3):
    expected = sysfs.read(seed3, pagesize_kib=4)
    (seed3 / 'devices/system/node/online').unlink()
    assert sysfs.read(seed3, pagesize_kib=4) == expected


def test_without_nodes_the_machine_is_one_cell(seed3, tmp_path):
    shutil.rmtree(seed3 / 'devices/system/node')
    pool = seed3 / 'kernel/mm/hugepages/hugepages-2048kB'
    pool.mkdir(parents=True)
    (pool / 'nr_hugepages').write_text('3\n')
    proc = tmp_path / 'proc'
    proc.mkdir()
    (proc / 'meminfo').write_text('MemTotal:        1048577 kB\nMemFree:          4 kB\n')
    (cell,) = sysfs.read(seed3, proc=proc, pagesize_kib=4).cells
    assert (cell.id, cell.shape.memory_mib, cell.shape.shared_cpus) == (0, 1024, 0xFF)
    assert cell.shape.siblings == tuple(1 << cpu for cpu in range(8))
    assert cell.pages == (Pages(4, (1048577 - 3 * 2048) // 4), Pages(2048, 3))


def test_without_huge_pages_there_are_ordinary_ones(seed3):
    shutil.rmtree(seed3 / 'devices/system/node/node1/hugepages')
    assert sysfs.read(seed3, pagesize_kib=64).cells[1].pages == (Pages(64, 2016616 // 64),)


def test_a_cpu_of_which_the_kernel_tells_nothing_is_a_core_in_package_0(seed3):
    for cpu in range(4):
        shutil.rmtree(seed3 / f'devices/system/cpu/cpu{cpu}/topology')
    (seed3 / 'devices/system/cpu/cpu4/topology/physical_package_id').write_text('-1\n')
    (seed3 / 'devices/system/cpu/cpu5/topology/physical_package_id').write_text('0\n')
    cells = sysfs.read(seed3, pagesize_kib=4).cells
    assert cells[0].shape.siblings == (1, 2, 4, 8)
    assert [cell.shape.socket for cell in cells] == [0, 0, None]


_BAD = {
    'no /sys at all': ('', None, 'sys/devices/system/cpu/online: there is no such file'),
    'no CPUs': ('devices/system/cpu', None, 'cpu/online: there is no such file'),
    'no memory of a node': ('devices/system/node/node1/meminfo', None, 'node1/meminfo: there is no such file'),
    'no number of pages': (
        'devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages',
        None,
        'hugepages-2048kB/nr_hugepages: there is no such file',
    ),
    'CPUs that are no list': ('devices/system/cpu/online', 'all', "cpu/online: invalid CPU list element 'all'"),
    'memory without total': ('devices/system/node/node1/meminfo', 'MemFree: 1 kB', "no line 'MemTotal: N kB'"),
    'pages that are no number': (
        'devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages',
        'many\x1b',
        r"nr_hugepages: 'many\\x1b' is not a whole number",
    ),
    'too few distances': ('devices/system/node/node0/distance', '10 20', 'node0/distance: expected 3 whole numbers'),
    'distances that are no numbers': ('devices/system/node/node0/distance', '10 near 20', 'expected 3 whole numbers'),
    'a package that is not a number': (
        'devices/system/cpu/cpu0/topology/physical_package_id',
        'x',
        "physical_package_id: 'x' is not a whole number",
    ),
    'a CPU in two nodes': (
        'devices/system/node/node1/cpulist',
        '3-5',
        'node/node1: CPU 3 is in node 0 already: expected',
    ),
    'no CPU online': ('devices/system/cpu/online', '', 'cpu/online: no CPU is online'),
    'a number without end': (
        'devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages',
        '9' * 5000,
        "99\\.\\.\\.' is not a whole number",
    ),
    'a file without end': ('devices/system/cpu/online', '0,' * 2**20, 'online: cannot be read: it is larger than'),
    'a cache level that is no number': (
        'devices/system/cpu/cpu0/cache/index3/level',
        'L3',
        "'L3' is not a whole number",
    ),
    'a cache size that is none': (
        'devices/system/cpu/cpu0/cache/index3/size',
        '16 large',
        "index3/size: '16 large' is not a size such as '32K' or '33M'",
    ),
    'CPUs of a cache that are no list': (
        'devices/system/cpu/cpu0/cache/index3/shared_cpu_list',
        'x',
        "shared_cpu_list: invalid CPU list element 'x'",
    ),
    'no text': ('devices/system/cpu/online', '0-7é', 'cpu/online: cannot be read: it is not text'),
}


@pytest.mark.parametrize('name', _BAD)
def test_files_that_are_missing_or_odd_are_named_with_the_way_out(name, seed3):
    path, text, expected = _BAD[name]
    target = seed3 / path
    if text is not None:
        target.write_text(text)
    elif target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink()
    with pytest.raises(exception.UnreadableTopology, match=expected) as caught:
        sysfs.read(seed3, pagesize_kib=4)
    assert str(caught.value).endswith('; describe the machine by the output of `virsh capabilities` instead')


def test_a_file_that_is_forbidden_is_named(seed3):
    target = seed3 / 'devices/system/cpu/online'
    target.unlink()
    target.symlink_to(target)  # as unreadable for root as a forbidden file is for others
    with pytest.raises(exception.UnreadableTopology, match='cpu/online: cannot be read: '):
        sysfs.read(seed3, pagesize_kib=4)


def test_a_pipe_is_not_waited_for(seed3):
    target = seed3 / 'devices/system/cpu/online'
    target.unlink()
    os.mkfifo(target)
    with pytest.raises(exception.UnreadableTopology, match='cpu/online: cannot be read: it is no regular file'):
        sysfs.read(seed3, pagesize_kib=4)


def test_a_directory_that_cannot_be_listed_is_named(seed3):
    target = seed3 / 'devices/system/node'
    shutil.rmtree(target)
    target.symlink_to(target)
    with pytest.raises(exception.UnreadableTopology, match='system/node: cannot be listed: '):
        sysfs.read(seed3, pagesize_kib=4)


def test_this_machine_is_a_host():
    host = sysfs.read()
    assert host.memory_mib > 0
    assert host.shared_cpus.bit_count() <= os.cpu_count()
    assert sysfs.facts().arch == os.uname().machine
