# SPDX-License-Identifier: Apache-2.0
"""vCPUs and memory of running guests by commands: what is shown, what is written, and what is refused in one line."""

import pytest
from lxml import etree

from numaplace.tests import real
from numaplace.tests.functional.cli.test_moves import told

_ON = [0, 1, 4, 5, 8, 9, 12, 13]


@pytest.fixture
def talk(numaplace):
    """The program with the host of the vNUMA talk, and the server db1 in four cells of four pinned vCPUs."""
    numaplace(f'host import big --capabilities {numaplace.fixture("fake-oracle-host")}')
    specs = (
        'hw:numa_nodes=4',
        'hw:cpu_policy=dedicated',
        'numaplace:vcpu_hotplug=true',
        'numaplace:memory_slots=3',
        'numaplace:max_memory=524288',
    )
    numaplace(f'flavor create --ram 65536 --vcpus 16 {" ".join(f"--property {spec}" for spec in specs)} hot')
    numaplace('flavor create --ram 1024 --vcpus 2 plain')
    numaplace('server create --flavor hot db1')
    return numaplace


def test_half_of_the_vcpus_go_off_as_in_the_talk(talk):
    before = talk.json('server show db1')
    shown = talk.json('server set-vcpus db1 8')
    assert ([8], _ON) == ([shown['vcpus']], sorted(set(range(16)) - set(shown['offline_vcpus'])))
    assert [cell['vcpus'] for cell in shown['cells']] == [[0, 1], [4, 5], [8, 9], [12, 13]]
    assert talk.json('host show big')['vcpus_used'] == 8
    assert '2-3,6-7,10-11,14-15' in talk('server show db1')
    root = etree.fromstring(talk('server dumpxml db1'))
    assert [int(pin.get('vcpu')) for pin in root.iterfind('cputune/vcpupin')] == _ON
    assert talk.json('server set-vcpus db1 16') == before


def test_the_modules_of_the_talk_are_plugged_in(talk):
    shown = talk.json('server attach-memory db1 --size 32768 --node 0')
    nvdimm = '--size 512 --node 2 --model nvdimm --path /dev/dax0.0 --align 2048 --label 128 --pmem'
    talk(f'server attach-memory db1 {nvdimm}')
    shown = talk.json('server show db1')
    assert (65536 + 32768, [49152, 16384, 16384, 16384]) == (
        shown['memory_mib'],
        [cell['memory_mib'] for cell in shown['cells']],
    )
    assert ['dimm', 'nvdimm'] == [module['model'] for module in shown['memory_modules']]
    words = talk('server show db1')
    assert 'dimm of 32768 MiB in cell 0' in words
    assert 'nvdimm of 512 MiB in cell 2 from /dev/dax0.0' in words
    root = etree.fromstring(talk('server dumpxml db1'))
    assert [module.get('model') for module in root.iterfind('devices/memory')] == ['dimm', 'nvdimm']
    shown = talk.json('server detach-memory db1 0')
    assert (65536, ['nvdimm']) == (shown['memory_mib'], [module['model'] for module in shown['memory_modules']])


def test_what_has_no_room_is_told_as_for_a_new_server(talk):
    talk('server set-vcpus db1 4')
    talk('flavor create --ram 400 --vcpus 116 --property hw:numa_nodes=4 --property hw:cpu_policy=dedicated wide')
    talk('server create --flavor wide db2')
    lines = told(talk, 'server set-vcpus db1 16', 3).splitlines()
    assert lines[:2] == ["numaplace: no valid host for server 'db1':", '  big (claim):']
    assert len(lines) == 6
    assert all('CPUs' in line for line in lines[2:])
    lines = told(talk, 'server attach-memory db1 --size 200000 --node 1', 3).splitlines()
    assert len(lines) == 3


@pytest.mark.parametrize(
    ('words', 'expected'),
    [
        ('set-vcpus db1 3', '3 vCPUs: expected 4 to 16, as each of its cells keeps one'),
        ('set-vcpus db1 17', '17 vCPUs: expected 4 to 16'),
        ('set-vcpus plain1 1', "its flavor 'plain' does not allow it; expected numaplace:vcpu_hotplug=true when"),
        ('attach-memory plain1 --size 64 --node 0', 'expected numaplace:memory_slots and numaplace:max_memory'),
        ('attach-memory db1 --size 64 --node 4', 'node 4: the guest has the cells 0 to 3'),
        (
            'attach-memory db1 --size 64 --node 0 --model nvdimm --path /dev/dax0.0 --align 3',
            'alignment of 3 KiB: expected a power of two of at least 4 KiB, such as 2048',
        ),
        ('detach-memory db1 0', 'has no memory module 0: its modules are none'),
        ('attach-memory db1 --size 500000 --node 0', 'it would have 565536 MiB of memory; its flavor allows'),
        ('set-vcpus db3 4', "there is no server 'db3'"),
        ('set-vcpus db1 8 --connect nosuch:///x', 'virsh '),
        ('attach-memory db1 --size 64 --node 0 --connect nosuch:///x', 'virsh '),
    ],
)
def test_what_cannot_be_is_one_line_and_changes_nothing(talk, words, expected):
    talk('server create --flavor plain plain1')
    line = told(talk, f'server {words}')
    assert (1, True) == (line.count('\n'), line.startswith('numaplace: '))
    assert expected in line


@pytest.mark.parametrize(
    'words',
    [
        'set-vcpus db1 0',
        'set-vcpus db1 many',
        'attach-memory db1 --node 0',
        'detach-memory db1 -1',
        'attach-memory db1 --size 64 --node 0 --model nvdimm',
        'attach-memory db1 --size 64 --node 0 --path /dev/dax0.0',
    ],
)
def test_wrong_usage_is_told_with_what_is_right(talk, words):
    assert 'see numaplace server ' in told(talk, f'server {words}', 2)


def test_a_live_migration_keeps_what_is_off_and_a_cold_one_does_not(talk):
    talk(f'host import other --capabilities {talk.fixture("fake-oracle-host")}')
    talk('server set-vcpus db1 8')
    talk('server attach-memory db1 --size 1024 --node 3')
    before = talk.json('server show db1')
    moved = talk.json('server migrate --live-migration db1')
    kept = ('vcpus', 'offline_vcpus', 'memory_mib', 'memory_modules')
    assert [moved[name] for name in kept] == [before[name] for name in kept]
    assert sorted(map(int, moved['numa_info']['nova_object.data']['cpu_pins'])) == _ON
    moved = talk.json('server migrate db1')
    assert [moved[name] for name in kept] == [16, [], 65536, []]
    reverted = talk('server resize revert db1') or talk.json('server show db1')
    assert [reverted[name] for name in kept] == [before[name] for name in kept]


def test_a_flavor_with_slots_needs_cells(talk):
    talk('flavor create --ram 512 --property numaplace:memory_slots=1 --property numaplace:max_memory=1024 slots')
    line = told(talk, 'server create --flavor slots db2')
    assert 'numaplace:memory_slots=1: the guest has no NUMA cells' in line


def test_the_form_of_nova_is_refused_while_something_is_off(talk):
    assert '<vcpus>' not in talk('server dumpxml db1 --profile nova-33')
    talk('server set-vcpus db1 8')
    assert 'Nova has no place for them' in told(talk, 'server dumpxml db1 --profile nova-33')


@pytest.fixture
def kept(numaplace):
    """The program with the server db1, on a host that was read from libvirt's test driver, where nothing runs it."""
    real.require_program('virsh')
    numaplace.configure(unknown_guests='warn')
    assert 0 == numaplace.run('host', 'discover', '--connect', 'test:///default', 'big').returncode
    specs = ('hw:numa_nodes=1', 'numaplace:vcpu_hotplug=true', 'numaplace:memory_slots=2', 'numaplace:max_memory=512')
    numaplace(f'flavor create --ram 128 --vcpus 2 {" ".join(f"--property {spec}" for spec in specs)} hot')
    numaplace('server create --flavor hot db1')
    numaplace('server attach-memory db1 --size 64 --node 0 --claim-only')
    return numaplace


@pytest.mark.parametrize('line', ['set-vcpus db1 1', 'attach-memory db1 --size 64 --node 0', 'detach-memory db1 0'])
def test_the_guest_is_changed_in_the_libvirt_of_its_host_unless_told_otherwise(kept, line):
    before = kept.json('server show db1')
    for words, uri in (('', 'test:///default'), ('--connect nosuch:///x', 'nosuch:///x')):
        assert f' at {uri}: ' in told(kept, f'server {line} {words}')
        assert before == kept.json('server show db1')
    changed = kept.json(f'server {line} --claim-only')
    assert [before[key] for key in ('vcpus', 'memory_mib')] != [changed[key] for key in ('vcpus', 'memory_mib')]


def test_a_libvirt_and_the_claim_alone_exclude_each_other(kept):
    line = told(kept, 'server set-vcpus db1 1 --claim-only --connect test:///default', 2)
    assert 'argument --connect: not allowed with argument --claim-only; see numaplace server set-vcpus' in line
