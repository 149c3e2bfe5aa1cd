# SPDX-License-Identifier: Apache-2.0
"""Hosts from each source by the commands: what is stored, and what is said where it cannot be."""

import pytest

from numaplace.tests import real, recordings


@pytest.fixture
def put(numaplace):
    """Return a function that writes recorded texts beside the configuration and returns their names."""

    def write(*names):
        for name in names:
            (numaplace.directory / name).write_bytes(recordings.text(name))
        return names

    return write


def _tree(numaplace, name):
    recordings.lay_out(name, numaplace.directory / name / 'sys')
    return name


def _told(numaplace, name):
    """Return what is told of a host's cells, apart from what differs from host to host by chance."""
    return numaplace.json(f'host show {name}')['cells']


def test_a_host_from_each_source_that_tells_all_is_the_same(numaplace, put):
    put('tiers.capabilities.xml', 'tiers.lstopo.xml')
    numaplace('host import one --capabilities tiers.capabilities.xml')
    two = numaplace.run('host', 'import', 'two', '--lstopo', 'tiers.lstopo.xml')
    assert 0 == two.returncode
    assert two.stderr.startswith('numaplace: warning: tiers.lstopo.xml: CPUs 7 are left out: offline, or kept from')
    numaplace(f'host discover --root {_tree(numaplace, "tiers")} three')
    assert _told(numaplace, 'one') == _told(numaplace, 'two') == _told(numaplace, 'three')


def test_what_lies_around_the_cpus_is_shown_to_machines(numaplace, put):
    put('tiers.capabilities.xml')
    numaplace('host import tiers --capabilities tiers.capabilities.xml')
    first, *_, last = _told(numaplace, 'tiers')
    assert ([[0, 1], [2, 3]], []) == (first['dies'], first['clusters'])
    assert {'level': 3, 'size_kib': 16384, 'cpus': [2, 3]} == first['caches'][1]
    assert ([], 4096) == (last['cpus'], last['memory_mib'])
    assert {
        'initiator': 2,
        'read_latency_ns': 250,
        'write_latency_ns': 300,
        'read_bandwidth_mib_s': 8192,
        'write_bandwidth_mib_s': 4096,
    } == last['accesses'][1]
    assert '8: CPUs none, none pinned, 0 shared vCPUs used, 0 of 4096 MiB used' in numaplace('host show tiers -c cells')


def test_numactl_and_lscpu_of_slides_make_the_host_of_120_cpus(numaplace, put):
    put('oracle-slides.numactl.txt', 'oracle-slides.lscpu.txt')
    numaplace('host import oracle --numactl oracle-slides.numactl.txt --lscpu oracle-slides.lscpu.txt')
    host = numaplace.json('host show oracle')
    assert ('x86_64', 120, 515623) == (host['architecture'], host['cpus'], host['memory_mib'])
    assert [[15, 75], [16, 76]] == host['cells'][1]['siblings'][:2]
    assert {'0': 21, '1': 10, '2': 21, '3': 21} == host['cells'][1]['distances']


_GUEST = """CPU(s):                             8
On-line CPU(s) list:                0-7
Thread(s) per core:                 2
Core(s) per socket:                 2
Socket(s):                          2
Hypervisor vendor:                  KVM
NUMA node0 CPU(s):                  0-1,4-5
NUMA node1 CPU(s):                  2-3,6-7
"""

_KINDS = """CPU(s):                  4
On-line CPU(s) list:     0-3
Model name:              kind one
Thread(s) per core:      1
Core(s) per socket:      2
Socket(s):               1
Model name:              kind two
Thread(s) per core:      1
Core(s) per socket:      2
Socket(s):               1
# CPU,Core,Socket,Node,,L1d,L1i,L2,L3
0,0,0,0,,0,0,0,0
1,1,0,0,,1,1,1,0
2,0,0,0,,2,2,2,0
3,1,0,0,,3,3,3,0
"""


@pytest.fixture
def import_texts(numaplace):
    """Return a function that imports a host of these CPUs by node from numactl's text and that of lscpu."""

    def run(lscpu, *nodes, more=()):
        lines = [f'node {node} cpus: {cpus}\nnode {node} size: 4000 MB\n' for node, cpus in enumerate(nodes)]
        (numaplace.directory / 'nodes.txt').write_text(''.join(lines))
        (numaplace.directory / 'cpus.txt').write_text(lscpu)
        return numaplace.run('host', 'import', 'it', '--numactl', 'nodes.txt', '--lscpu', 'cpus.txt', *more)

    return run


def _siblings(numaplace):
    return [cell['siblings'] for cell in _told(numaplace, 'it')]


def test_the_threads_of_a_guest_of_kvm_are_numbered_as_qemu_does_and_a_warning_says_so(numaplace, import_texts):
    result = import_texts(_GUEST, '0 1 4 5', '2 3 6 7')
    assert 0 == result.returncode
    assert result.stderr.startswith(
        'numaplace: warning: cpus.txt does not report which CPUs share a core: they are taken to'
    )
    assert [[[0, 1], [4, 5]], [[2, 3], [6, 7]]] == _siblings(numaplace)


def test_the_operator_says_how_threads_are_numbered(numaplace, import_texts):
    result = import_texts(_GUEST, '0 1 4 5', '2 3 6 7', more=('--siblings', 'apart', '--architecture', 'x86_64'))
    assert (0, '') == (result.returncode, result.stderr)
    assert [[[0, 4], [1, 5]], [[2, 6], [3, 7]]] == _siblings(numaplace)


def test_cpus_of_two_kinds_are_no_siblings_and_a_guest_that_requires_them_fits_nowhere(numaplace, import_texts):
    result = import_texts(_KINDS, '0 1 2 3')
    assert 0 == result.returncode
    assert 'warning: cpus.txt: CPUs 0,2 have one core number, and the summary counts 1 thread per core' in result.stderr
    numaplace(
        'flavor create --ram 512 --disk 1 --vcpus 2 --property hw:cpu_policy=dedicated '
        '--property hw:cpu_thread_policy=require pairs'
    )
    assert 3 == numaplace.run('server', 'create', '--flavor', 'pairs', 'one').returncode


def test_an_architecture_that_files_do_not_tell_is_warned_of(numaplace):
    result = numaplace.run('host', 'discover', '--root', _tree(numaplace, 'fake-oracle-host'), 'oracle')
    assert 0 == result.returncode
    assert 'numaplace: warning: fake-oracle-host does not report the architecture: ' in result.stderr
    assert '' == numaplace.json('host show oracle')['architecture']


def test_a_node_with_cpus_and_no_memory_is_a_cell_of_0_mib(numaplace, put):
    put('bare-node.lstopo.xml')
    more = '--architecture', 'x86_64', '--lstopo', 'bare-node.lstopo.xml'
    assert '' == numaplace.run('host', 'import', 'bare', *more).stderr
    assert [(0, [0], 0), (1, [1], 8192)] == [
        (cell['id'], cell['cpus'], cell['memory_mib']) for cell in _told(numaplace, 'bare')
    ]


@pytest.mark.parametrize(
    ('old', 'new', 'warning'),
    [
        (
            'gp_index="1">',
            'gp_index="1"><info name="LinuxCgroup" value="/user.slice"/>',
            'cells 0 are assumed to have no memory: they have none, or a control group kept it from lstopo, in which '
            'case `lstopo --disallowed --of xml` shows it',
        ),
        (
            'complete_nodeset="0x00000003"',
            'complete_nodeset="0x00000007"',
            'nodes 2 are left out: they have neither CPUs nor memory, or a control group kept them from lstopo, in '
            'which case `lstopo --disallowed --of xml` shows them',
        ),
        (
            'complete_nodeset="0x00000001"',
            'complete_nodeset="0x0"',
            'CPUs 0 are left out: they are not in an online NUMA node',
        ),
        (
            'complete_cpuset="0x00000003"',
            'complete_cpuset="0x0000000f"',
            'CPUs 2-3 are left out: offline, or kept from lstopo by a control group, in which case '
            '`lstopo --disallowed --of xml` shows them',
        ),
        (
            '<page_type size="4096" count="2097152"/>',
            '',
            'it does not report the number of pages, as no output of hwloc 3 does: memory counts as a whole, and '
            'guests with huge pages do not fit; the output of `virsh capabilities` shows the pages',
        ),
        (
            'local_memory="8589934592"',
            '',
            'no NUMANode has memory (local_memory), so no guest fits; the output of `virsh capabilities` shows it, or '
            'that of `lstopo --of xml` on the machine itself',
        ),
    ],
)
def test_what_lstopo_may_not_have_shown_is_warned_of(numaplace, old, new, warning):
    text = recordings.text('bare-node.lstopo.xml').decode()
    assert old in text
    (numaplace.directory / 'x.xml').write_text(text.replace(old, new))
    result = numaplace.run('host', 'import', 'x', '--lstopo', 'x.xml')
    assert (0, f'numaplace: warning: x.xml: {warning}') in (
        (result.returncode, line) for line in result.stderr.splitlines()
    )


def test_a_tree_of_an_older_kernel_is_discovered(numaplace):
    """Bitmaps for lists, no list of the CPUs that are online, no packages, dies and caches."""
    system = numaplace.directory / 'old/sys/devices/system'
    for node, cpus in enumerate(('00000005', '0000000a')):
        (system / f'node/node{node}').mkdir(parents=True)
        (system / f'node/node{node}/cpumap').write_text(f'00000000,{cpus}\n')
        (system / f'node/node{node}/meminfo').write_text(f'Node {node} MemTotal: 1048576 kB\n')
        for cpu in (node, node + 2):
            topology = system / f'cpu/cpu{cpu}/topology'
            topology.mkdir(parents=True)
            (topology / 'thread_siblings').write_text(f'00000000,{cpus}\n')
    (system / 'cpu/modalias').write_text('cpu:type:x86,ven0002fam0010mod0002:feature:,0000\n')
    numaplace('host discover --root old old')
    assert [([0, 2], [[0, 2]], 1024), ([1, 3], [[1, 3]], 1024)] == [
        (cell['cpus'], cell['siblings'], cell['memory_mib']) for cell in _told(numaplace, 'old')
    ]


def test_cpus_that_control_groups_keep_from_guests_are_warned_of(numaplace):
    group = numaplace.directory / _tree(numaplace, 'seed3') / 'sys/fs/cgroup/machine.slice'
    group.mkdir(parents=True)
    (group / 'cpuset.cpus.effective').write_text('0-3\n')
    result = numaplace.run('host', 'discover', '--root', 'seed3', 'seed3')
    assert 0 == result.returncode
    assert result.stderr.startswith(
        'numaplace: warning: kernel.cpuset: guests may not use CPUs 4-7 of this host: seed3/sys/fs/cgroup/'
    )
    assert 8 == numaplace.json('host show seed3')['cpus']


def test_the_test_driver_of_libvirt_is_discovered_by_its_uri(numaplace):
    real.require_program('virsh')
    result = numaplace.run('host', 'discover', '--connect', 'test:///default', 'there')
    assert 0 == result.returncode
    assert "host 'there' has a domain that numaplace does not manage: 'test' (2 vCPUs" in result.stderr
    assert [list(range(8)), list(range(8, 16))] == [cell['cpus'] for cell in _told(numaplace, 'there')]
    name = numaplace.run('host', 'discover', '--connect', 'test:///default', '-f', 'value', '-c', 'name').stdout.strip()
    assert {'there', name} == {row['Name'] for row in numaplace.json('host list')}


@pytest.mark.parametrize(
    ('status', 'line', 'words'),
    [
        (2, 'host discover --root seed3', '--root reads another machine: expected its NAME; see'),
        (2, 'host discover --root seed3 --connect x:/// a', 'not allowed with argument'),
        (2, 'host import a', 'one of the arguments --capabilities --lstopo --numactl is required'),
        (2, 'host import a --numactl seed3.numactl.txt', 'expected --numactl and --lscpu together'),
        (2, 'host import a --lstopo seed3.lstopo.xml --lscpu x', 'expected --numactl and --lscpu together'),
        (2, 'host import a --lstopo seed3.lstopo.xml --siblings apart', '--siblings applies to the CPUs of --lscpu'),
        (2, 'host import a --numactl x --lscpu y --siblings 2', "invalid choice: '2'"),
        (1, 'host discover --root nowhere a', 'nowhere: holds neither sys/devices/system/cpu nor'),
        (1, 'host discover --connect nosuch:///x a', 'virsh capabilities at nosuch:///x: error: '),
        (1, 'host import a --lstopo nowhere', 'nowhere: cannot be read: No such file or directory; expected a file'),
        (1, 'host import a --lstopo seed3.numactl.txt', 'seed3.numactl.txt: no XML: '),
        (1, 'host import a --numactl seed3.lstopo.xml --lscpu seed3.lscpu.json', "no line 'node N cpus: ...'"),
        (1, 'host import a --numactl seed3.numactl.txt --lscpu seed3.numactl.txt', 'neither a table of CPUs nor'),
        (1, 'host import a --numactl seed3.numactl.txt --lscpu /dev/zero', '/dev/zero: larger than 67108864 bytes'),
        (
            1,
            'host import a --numactl seed3.numactl.txt --lscpu one2.lscpu.json',
            'expected the same CPUs, of one machine',
        ),
    ],
)
def test_a_source_that_cannot_be_used(prepared, refused, status, line, words):
    for name in ('seed3.numactl.txt', 'seed3.lstopo.xml', 'seed3.lscpu.json', 'one2.lscpu.json'):
        (prepared.directory / name).write_bytes(recordings.text(name))
    if 'nosuch' in line:
        real.require_program('virsh')
    assert words in refused(status, *line.split())


def _kernel(numaplace, files):
    """Lay out a host whose CPUs 1-3, 5 and 7 are dedicated, with files of its kernel and its boot loader."""
    numaplace.configure(more='[compute]\ncpu_shared_set = 0,4,6\ncpu_dedicated_set = 1-3,5,7')
    _tree(numaplace, 'seed3')
    for path, text in files.items():
        target = numaplace.directory / 'seed3' / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    result = numaplace.run('host', 'discover', '--root', 'seed3', 'seed3')
    assert 0 == result.returncode
    return result.stderr.splitlines()


def test_cores_that_were_pinned_without_a_reboot_are_told(numaplace):
    """The third case of a boot failure on the page "New to NUMA?"."""
    files = {'proc/cmdline': 'ro quiet\n', 'etc/default/grub': 'GRUB_CMDLINE_LINUX="quiet isolcpus=1-3,5,7"\n'}
    (told,) = _kernel(numaplace, files)
    assert told.startswith(
        'numaplace: warning: kernel.boot: seed3/etc/default/grub has isolcpus=1-3,5,7 but the running kernel was '
        'started with no isolcpus; '
    )
    assert 'reboot the host, then run `numaplace host discover --refresh`' in told


def test_what_the_kernel_does_not_keep_is_told_by_codes(numaplace):
    isolated = 'sys/devices/system/cpu/isolated'
    told = _kernel(numaplace, {isolated: '1-3,6\n', 'proc/cmdline': 'isolcpus=1-3,6 hugepagesz=1G hugepages=1\n'})
    expected = [
        'kernel.unisolated: CPUs 5,7 are dedicated but not isolated, unlike the dedicated CPUs 1-3; ',
        'kernel.pages: all 1 pages of 1G are in host cell 1, and hugepages= does not say how many each node gets; ',
    ]
    assert len(expected) == len(told)
    assert [] == [line for line, start in zip(told, expected, strict=True) if f'warning: {start}' not in line]


def test_a_kernel_that_keeps_all_is_not_told(numaplace):
    line = 'quiet isolcpus=1-3,5,7 hugepagesz=2M hugepages=512'
    files = {
        'sys/devices/system/cpu/isolated': '1-3,5,7\n',
        'proc/cmdline': f'BOOT_IMAGE=/vmlinuz {line}\n',
        'etc/default/grub': f'GRUB_CMDLINE_LINUX_DEFAULT="{line}"\n',
        'boot/grub/grub.cfg': f'\tlinux /vmlinuz root=UUID=1 {line}\n',
    }
    assert [] == _kernel(numaplace, files)
