# SPDX-License-Identifier: Apache-2.0
"""Dedicated CPUs that power management has switched off belong to their host."""

import re
from dataclasses import replace

import pytest

from numaplace import cpuset, exception, fit
from numaplace.fleet.findings import Finding
from numaplace.libvirt import capabilities, cgroups, domain, lscpu, lstopo, numactl, power, sysfs, topology
from numaplace.libvirt.found_cell import FoundCell
from numaplace.libvirt.power import CPU_STATE, GOVERNOR
from numaplace.tests import recordings, samples


def _masks(*texts):
    return tuple(map(cpuset.parse, texts))


def _told(host):
    """Return dedicated CPUs and cores by cell, the CPUs that are off, and those whose cores are not known."""
    cells = {
        cell.id: (cpuset.text(cell.shape.dedicated_cpus), [cpuset.text(core) for core in cell.shape.siblings])
        for cell in host.cells
    }
    return cells, cpuset.text(host.offline_cpus), cpuset.text(power.unknown_cores(host))


def _offline8(dedicated='1-7', **options):
    """Read one cell of four cores with two threads, of which libvirt names CPUs 4 and 5 as offline."""
    options = {'power_strategy': CPU_STATE, 'dedicated_cpus': cpuset.parse(dedicated), **options}
    return capabilities.read(recordings.capabilities('offline8'), **options)


def _online8(**options):
    """Return the host of :func:`_offline8` as it is with all CPUs online."""
    cell = FoundCell(0, 8388608, 0xFF, siblings=_masks('0,4', '1,5', '2,6', '3,7'), sockets=frozenset({0}))
    return topology.host([cell], **options)


def _offline16(dedicated='1-15', **options):
    """Read a recorded machine of one node: cores N and N+8, of which lstopo does not see CPUs 2, 5, 13 and 14."""
    options = {'power_strategy': CPU_STATE, 'dedicated_cpus': cpuset.parse(dedicated), **options}
    return lstopo.read(recordings.text('offline16.lstopo.xml'), **options).host


def _offline24(tmp_path, dedicated, **options):
    """Read a recorded machine of which node 0 is offline, and of node 1 the CPUs 1, 3, 21 and 23."""
    root = recordings.lay_out('offline24', tmp_path)
    options = {'power_strategy': CPU_STATE, 'dedicated_cpus': cpuset.parse(dedicated), **options}
    return sysfs.read(root, pagesize_kib=4, **options)


# --- from each source ------------------------------------------------------------------


def test_cpus_that_capabilities_name_without_siblings_are_dedicated_and_off():
    assert _told(_offline8()) == ({0: ('1-7', ['1', '2,6', '3,7'])}, '4-5', '4-5')


def test_cpus_that_lstopo_does_not_see_are_dedicated_and_off():
    cores = ['1,9', '3,11', '4,12', '6', '7,15', '8', '10']
    assert _told(_offline16()) == ({0: ('1-15', cores)}, '2,5,13-14', '2,5,13-14')


def test_sysfs_tells_the_node_of_a_cpu_that_is_offline_by_its_link(tmp_path):
    told = _told(_offline24(tmp_path, '1,5,17,19,21,23'))
    assert told == ({1: ('1,5,17,19,21,23', ['5', '17', '19'])}, '1,21,23', '1,21,23')


_ROWS = (
    'CPU NODE SOCKET CORE ONLINE\n  0    0      0    0    yes\n  1    0      0    1    yes\n'
    '  2    0      0    0    yes\n  3    -      -    -     no\n'
)
_LSCPU = {
    'rows': _ROWS,
    'rows and the summary': f'On-line CPU(s) list: 0-2\nOff-line CPU(s) list: 3\n\n{_ROWS}',
    'the summary and rows that leave it out': (
        'On-line CPU(s) list: 0-2\nOff-line CPU(s) list: 3\n# CPU,Core,Socket\n0,0,0\n1,1,0\n2,0,0\n'
    ),
}


@pytest.mark.parametrize('text', _LSCPU.values(), ids=_LSCPU)
def test_lscpu_tells_which_cpus_are_offline(text):
    cpus = lscpu.read(text.encode(), 'lscpu')
    assert cpus.offline == 0b1000
    machine = numactl.read(
        b'node 0 cpus: 0 1 2\nnode 0 size: 64 MB\n', cpus, dedicated_cpus=0b1110, power_strategy=CPU_STATE
    )
    assert _told(machine.host) == ({0: ('1-3', ['1', '2'])}, '3', '3')


def test_a_bad_list_of_offline_cpus_is_told():
    with pytest.raises(exception.InvalidCapabilities, match=r'lscpu: line 1: .*some'):
        lscpu.read(f'Off-line CPU(s) list: some\n{_ROWS}'.encode(), 'lscpu')


def test_without_a_dedicated_set_cpus_that_are_off_are_no_part_of_the_host():
    for dedicated in (None, cpuset.parse('1-3')):
        host = capabilities.read(
            recordings.capabilities('offline8'), dedicated_cpus=dedicated, power_strategy=CPU_STATE
        )
        assert (host.offline_cpus, host.online_cpus) == (0, cpuset.parse('0-3,6-7'))


# --- which are refused -----------------------------------------------------------------

_ONLINE8 = "are not among the host's online CPUs 0-3,6-7"
_REFUSED = {
    'no power management': (
        {'power_strategy': None},
        f'[compute] cpu_dedicated_set = 1-7: CPUs 4-5 {_ONLINE8}; CPUs 4-5 are present but offline, as they may be '
        'with [libvirt] cpu_power_management = True',
    ),
    'the governor strategy': (
        {'power_strategy': GOVERNOR},
        f'[compute] cpu_dedicated_set = 1-7: CPUs 4-5 {_ONLINE8}; CPUs 4-5 are present but offline, and [libvirt] '
        'cpu_power_management_strategy = governor needs them online',
    ),
    'CPUs that capabilities do not name': (
        {'dedicated': '1-9'},
        f'[compute] cpu_dedicated_set = 1-9: CPUs 8-9 {_ONLINE8}; if they are offline, register or refresh the host '
        'once while they are online: --refresh then keeps what was read of them',
    ),
    'shared CPUs': (
        {'dedicated': '1-3', 'shared_cpus': 0b110001},
        f'[compute] cpu_shared_set = 0,4-5: CPUs 4-5 {_ONLINE8}',
    ),
    'vcpu_pin_set': ({'shared_cpus': 0b11111110}, f'vcpu_pin_set = 1-7: CPUs 4-5 {_ONLINE8}'),
}


@pytest.mark.parametrize(('options', 'words'), _REFUSED.values(), ids=_REFUSED)
def test_cpus_that_may_not_be_off_are_refused(options, words):
    with pytest.raises(exception.InvalidConfiguration, match=f'^{re.escape(words)}$'):
        _offline8(**options)


_ABSENT = {
    'not present': ('5,24', 'CPUs 24 .*; nor are they present$'),
    'in a node that is offline': ('2,5', 'CPUs 2 are present but offline, and it is not known in which cell they are:'),
    'CPU 0, which Nova leaves alone': ('0,5', 'CPUs 0 .*; power management never switches CPU 0 on: bring it online'),
}


@pytest.mark.parametrize(('dedicated', 'words'), _ABSENT.values(), ids=_ABSENT)
def test_cpus_that_nobody_can_switch_on_are_refused(tmp_path, dedicated, words):
    with pytest.raises(exception.InvalidConfiguration, match=words):
        _offline24(tmp_path, dedicated)


def test_a_governor_leaves_cpus_online():
    """Two sockets with two threads a core."""
    cells = [
        FoundCell(0, 1024, cpuset.parse('0-3,8-11'), siblings=_masks('0,8', '1,9', '2,10', '3,11')),
        FoundCell(1, 1024, cpuset.parse('4-7,12-15'), siblings=_masks('4,12', '5,13', '6,14', '7,15')),
    ]
    options = {'dedicated_cpus': cpuset.parse('1-7,9-15'), 'shared_cpus': 1}
    managed = topology.host(cells, power_strategy=GOVERNOR, **options)
    assert managed == topology.host(cells, **options)
    assert managed.offline_cpus == 0


# --- what was known before -------------------------------------------------------------


def test_cores_that_were_read_while_the_cpus_were_online_are_kept():
    before = _online8(dedicated_cpus=cpuset.parse('1-7'))
    told = _told(_offline8(before=before))
    assert told == ({0: ('1-7', ['1,5', '2,6', '3,7', '4'])}, '4-5', '')
    cell = FoundCell(0, 1024, 0xFFFF, siblings=tuple(0x101 << cpu for cpu in range(8)))
    told = _told(_offline16(before=topology.host([cell], dedicated_cpus=cpuset.parse('1-15'))))
    assert told == ({0: ('1-15', ['1,9', '2,10', '3,11', '4,12', '5,13', '6,14', '7,15', '8'])}, '2,5,13-14', '')


def test_a_cpu_that_the_source_leaves_out_is_in_the_cell_that_it_was_in():
    """A libvirt that was started when they were offline does not name CPUs 4 and 5."""
    found = [
        FoundCell(0, 1024, cpuset.parse('0-1'), siblings=_masks('0', '1')),
        FoundCell(1, 1024, cpuset.parse('2-3,6-7'), siblings=_masks('2,6', '3,7')),
    ]
    both = [
        FoundCell(0, 1024, cpuset.parse('0-1,4-5'), siblings=_masks('0,4', '1,5')),
        FoundCell(1, 1024, cpuset.parse('2-3,6-7'), siblings=_masks('2,6', '3,7')),
    ]
    options = {'dedicated_cpus': cpuset.parse('1-7')}
    before = topology.host(both, **options)
    told = _told(topology.host(found, power_strategy=CPU_STATE, before=before, **options))
    assert told == ({0: ('1,4-5', ['1,5', '4']), 1: ('2-3,6-7', ['2,6', '3,7'])}, '4-5', '')
    with pytest.raises(exception.InvalidConfiguration, match=r'CPUs 4-5 .*; if they are offline, register or refresh'):
        topology.host(found, power_strategy=CPU_STATE, **options)
    with pytest.raises(exception.InvalidConfiguration, match=r'CPUs 4-5 .*; nor are they present'):
        topology.host(found, power_strategy=CPU_STATE, before=before, present=cpuset.parse('0-3,6-7'), **options)


def test_a_cell_whose_cpus_are_all_off_keeps_its_socket_and_its_cores():
    dark = FoundCell(1, 1024, 0, offline=0b1100)
    lit = FoundCell(1, 1024, 0b1100, siblings=(0b1100,), sockets=frozenset({7}))
    first = FoundCell(0, 1024, 0b11, siblings=(0b11,), sockets=frozenset({3}))
    options = {'dedicated_cpus': 0b1110, 'power_strategy': CPU_STATE}
    known = topology.host([first, dark], before=topology.host([first, lit], **options), **options)
    assert _told(known) == ({0: ('1', ['1']), 1: ('2-3', ['2-3'])}, '2-3', '')
    assert [cell.shape.socket for cell in known.cells] == [3, 7]
    new = topology.host([first, dark], **options)
    assert _told(new) == ({0: ('1', ['1']), 1: ('2-3', [])}, '2-3', '2-3')
    assert [cell.shape.socket for cell in new.cells] == [3, None]


_CORES = {
    # what was told before, what is told now, available CPUs, and the cores
    'one thread off': (('0,4', '1,5'), ('0', '1,5'), '0-1,4-5', ('0,4', '1,5')),
    'a whole core off': (('0,4', '1,5'), ('0,4',), '0-1,4-5', ('0,4', '1,5')),
    'the other thread off': (('0', '1,5'), ('4', '1,5'), '0-1,4-5', ('1,5', '4')),
    'a CPU that is new may be the other thread of a core that is off': (('1',), ('5',), '1,5', ('5',)),
    'a CPU that is new is told beside a thread that is on': (('0,4',), ('0', '1'), '0-1,4', ('0,4', '1')),
    'a CPU that left the set': (('0,4', '1,5'), ('1',), '1,4-5', ('1,5', '4')),
    'other hardware': (('0,4', '1,5'), ('0,5',), '0,4-5', ('0,5',)),
    'a core that is two now': (('0,2,4',), ('0', '2'), '0,2,4', ('0', '2')),
    'three threads': (('0,2,4',), ('0,2',), '0,2,4', ('0,2,4',)),
    'nothing was told': ((), ('0',), '0,4', ('0',)),
    'the source reports it': (('0', '4'), ('0,4',), '0,4', ('0,4',)),
}


@pytest.mark.parametrize(('before', 'now', 'available', 'cores'), _CORES.values(), ids=_CORES)
def test_cores_are_completed_by_what_was_known_and_never_guessed(before, now, available, cores):
    shape = replace(samples.host(1).cells[0].shape, siblings=_masks(*before))
    found = power.complete(_masks(*now), cpuset.parse(available), shape)
    assert found == set(_masks(*cores))


def test_without_a_host_before_only_what_the_source_tells_is_known():
    assert power.complete(_masks('0', '1'), 0b110010, None) == {0b10}


def test_siblings_that_are_not_known_are_warned_of():
    assert [Finding('kernel.offline', 'h', found='4-5')] == list(power.check('h', _offline8()))
    assert list(power.check('h', _offline8(before=_online8()))) == []


# --- what guests have of them ----------------------------------------------------------


def test_a_guest_is_pinned_to_cpus_that_are_off():
    host = _offline8(before=_online8(dedicated_cpus=cpuset.parse('1-7')))
    placement = fit.place(host, samples.guest(vcpus=7))
    assert placement.cells[0].taken == cpuset.parse('1-7')
    xml = domain.write('a', '7dfe4a8f-6a0b-4a8a-b0a9-0d2d0a6b8f11', '', placement, host)
    assert "cpuset='4'" in xml
    dark = replace(host.cells[0], shape=replace(host.cells[0].shape, dedicated_cpus=cpuset.parse('1-3,6-7')))
    with pytest.raises(exception.InvalidDomain, match=r'the host has no CPU [45]: expected of 0-3,6-7'):
        domain.write('a', '7dfe4a8f-6a0b-4a8a-b0a9-0d2d0a6b8f11', '', placement, replace(host, cells=(dark,)))


def test_control_groups_do_not_close_what_is_off(tmp_path):
    path = tmp_path / 'fs/cgroup/machine.slice/cpuset.cpus.effective'
    path.parent.mkdir(parents=True)
    path.write_text('0-3,6\n')
    (finding,) = cgroups.check('h', _offline8(), tmp_path)
    assert finding.found == '7'


def test_where_online_cpus_are_not_known_none_is_off():
    assert samples.host().offline_cpus == 0
