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


def test_an_architecture_that_files_do_not_tell_is_warned_of(numaplace):
    result = numaplace.run('host', 'discover', '--root', _tree(numaplace, 'fake-oracle-host'), 'oracle')
    assert 0 == result.returncode
    assert 'numaplace: warning: fake-oracle-host does not tell the architecture: ' in result.stderr
    assert '' == numaplace.json('host show oracle')['architecture']


def test_cpus_that_control_groups_keep_from_guests_are_warned_of(numaplace):
    group = numaplace.directory / _tree(numaplace, 'seed3') / 'sys/fs/cgroup/machine.slice'
    group.mkdir(parents=True)
    (group / 'cpuset.cpus.effective').write_text('0-3\n')
    result = numaplace.run('host', 'discover', '--root', 'seed3', 'seed3')
    assert 0 == result.returncode
    assert result.stderr.startswith(
        'numaplace: warning: guests may not use CPUs 4-7 of this host: seed3/sys/fs/cgroup/'
    )
    assert 8 == numaplace.json('host show seed3')['cpus']


def test_the_test_driver_of_libvirt_is_discovered_by_its_uri(numaplace):
    real.require_program('virsh')
    numaplace('host discover --connect test:///default there')
    assert [list(range(8)), list(range(8, 16))] == [cell['cpus'] for cell in _told(numaplace, 'there')]
    name = numaplace('host discover --connect test:///default -f value -c name').strip()
    assert {'there', name} == {row['Name'] for row in numaplace.json('host list')}


@pytest.mark.parametrize(
    ('status', 'line', 'words'),
    [
        (2, 'host discover --root seed3', '--root reads another machine: expected its NAME; see'),
        (2, 'host discover --root seed3 --connect x:/// a', 'not allowed with argument'),
        (2, 'host import a', 'one of the arguments --capabilities --lstopo --numactl is required'),
        (2, 'host import a --numactl seed3.numactl.txt', 'expected --numactl and --lscpu together'),
        (2, 'host import a --lstopo seed3.lstopo.xml --lscpu x', 'expected --numactl and --lscpu together'),
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
