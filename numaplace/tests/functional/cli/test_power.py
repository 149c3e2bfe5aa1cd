# SPDX-License-Identifier: Apache-2.0
"""A host whose power management keeps dedicated CPUs off, by the commands."""

import pytest
from lxml import etree

from numaplace.tests import recordings

_MANAGED = '[libvirt]\ncpu_power_management = True\n[compute]\ncpu_dedicated_set = 1-7\n'
_UNKNOWN = 'numaplace: warning: kernel.offline: CPUs 4-5 are off, and it is not known with which CPUs they '


@pytest.fixture
def dark(numaplace):
    """The program, and with it the host while CPUs 4 and 5 are offline, and while all are online."""
    text = recordings.text('offline8.capabilities.xml').decode()
    lit = text
    for cpu in (0, 1):
        cpu_4 = f"socket_id='0' die_id='0' core_id='{cpu}' siblings='{cpu},{cpu + 4}'"
        lit = lit.replace(f"<cpu id='{cpu + 4}'/>", f"<cpu id='{cpu + 4}' {cpu_4}/>")
        lit = lit.replace(f"siblings='{cpu}'", f"siblings='{cpu},{cpu + 4}'")
    (numaplace.directory / 'off.xml').write_text(text)
    (numaplace.directory / 'on.xml').write_text(lit)
    (numaplace.directory / 'unnamed.xml').write_text(text.replace("<cpu id='4'/><cpu id='5'/>", ''))
    numaplace.configure(more=_MANAGED)
    return numaplace


def _import(numaplace, name, *more):
    return numaplace.run('host', 'import', 'big', '--capabilities', f'{name}.xml', *more)


def _cell(numaplace):
    (cell,) = numaplace.json('host show big')['cells']
    return cell


def test_cpus_that_are_off_are_dedicated_and_shown(dark):
    result = _import(dark, 'off')
    assert 0 == result.returncode
    assert result.stderr.startswith(_UNKNOWN)
    assert (7, [4, 5]) == (dark.json('host show big')['cpus'], dark.json('host show big')['offline_cpus'])
    cell = _cell(dark)
    assert ([1, 2, 3, 4, 5, 6, 7], [4, 5]) == (cell['dedicated_cpus'], cell['offline_cpus'])
    assert [[1], [2, 6], [3, 7]] == cell['siblings']
    assert [(7, 2)] == [(row['CPUs'], row['CPUs Off']) for row in dark.json('host list')]
    assert '4-5 off, ' in dark('host show big -c cells')
    assert '\n'.join(
        (
            'cell 0: 7 CPUs (1-7), 4-5 off, 0 of 8192 MiB used',
            '  pages used: 0 of 2097152 x 4K',
            '   1 2 3 4 5',
            '   . . . _ _',
            '     6 7',
            '     . .',
            '',
            '  .  free to be pinned',
            '  _  off to save power, free to be pinned',
            '',
        )
    ) == dark('host show --picture big')


def test_a_server_holds_cpus_that_are_off_and_misses_nothing(dark):
    _import(dark, 'on')
    dark('flavor create --ram 512 --vcpus 5 --property hw:cpu_policy=dedicated pinned')
    dark('server create --flavor pinned db')
    held = [int(cpu) for cpu in dark.json('server show db')['cells'][0]['pins'].values()]
    refreshed = _import(dark, 'off', '--refresh')
    assert (0, '') == (refreshed.returncode, refreshed.stderr)
    assert [[1, 5], [2, 6], [3, 7], [4]] == _cell(dark)['siblings']
    assert {4, 5} & set(held)
    assert sorted(held) == _cell(dark)['pinned_cpus']
    assert [] == dark.json('host audit')
    root = etree.fromstring(dark('server dumpxml db'))
    assert held == [int(pin.get('cpuset')) for pin in root.iterfind('cputune/vcpupin')]
    picture = dark('host show --picture big')
    assert 'a  pinned as in upper case, but off' in picture
    assert '  A  db: cell 0: 5 pinned vCPUs, 512 MiB' in picture


def test_a_refresh_keeps_the_cores_that_were_read_while_the_cpus_were_online(dark):
    _import(dark, 'off')
    for name in ('on', 'off', 'unnamed', 'off'):
        result = _import(dark, name, '--refresh')
        assert (0, '') == (result.returncode, result.stderr)
        assert [[1, 5], [2, 6], [3, 7], [4]] == _cell(dark)['siblings']
        assert ([] if name == 'on' else [4, 5]) == _cell(dark)['offline_cpus']
    dark('host delete big')
    assert 'CPUs 4-5 are not among' in _import(dark, 'unnamed').stderr


def test_a_refresh_without_power_management_refuses_what_is_off(dark):
    _import(dark, 'on')
    dark.configure(more=_MANAGED.replace('True', 'False'))
    result = _import(dark, 'off', '--refresh')
    assert (1, 1) == (result.returncode, result.stderr.count('\n'))
    assert 'CPUs 4-5 are present but offline, as they may be with [libvirt] cpu_power_management' in result.stderr
    assert [] == _cell(dark)['offline_cpus']


def test_a_refresh_of_a_host_that_is_not_stored_is_refused(dark):
    result = _import(dark, 'off', '--refresh')
    assert (1, 1) == (result.returncode, result.stderr.count('\n'))
    assert "'big'" in result.stderr


def test_the_governor_strategy_needs_all_cpus_online(dark):
    dark.configure(more=_MANAGED.replace('[compute]', 'cpu_power_management_strategy = governor\n[compute]'))
    result = _import(dark, 'off')
    assert (1, 1) == (result.returncode, result.stderr.count('\n'))
    assert 'cpu_power_management_strategy = governor needs them online' in result.stderr
    assert (0, '') == (_import(dark, 'on').returncode, _import(dark, 'on', '--refresh').stderr)
    assert [] == _cell(dark)['offline_cpus']


def test_lstopo_warns_only_of_cpus_that_are_no_part_of_the_host(numaplace):
    (numaplace.directory / 'host.xml').write_bytes(recordings.text('offline16.lstopo.xml'))
    numaplace.configure(more=_MANAGED.replace('1-7', '1-5'))
    result = numaplace.run(*['host', 'import', 'old', '--architecture', 'x86_64', '--lstopo', 'host.xml'])
    left_out, unknown = result.stderr.splitlines()
    assert left_out.startswith('numaplace: warning: host.xml: CPUs 13-14 are left out: offline, or kept from lstopo ')
    assert unknown.startswith('numaplace: warning: kernel.offline: CPUs 2,5 are off, and it is not known ')
    assert [2, 5] == numaplace.json('host show old')['offline_cpus']


def test_who_divides_a_guest_is_warned_of_cores_that_are_not_known(dark):
    domain = '<domain><name>g</name><memory unit="MiB">512</memory><vcpu>2</vcpu><vnuma mode="host"/></domain>'
    (dark.directory / 'guest.xml').write_text(domain)
    result = dark.run('vnuma', 'plan', 'guest.xml', '--capabilities', 'off.xml', '--pinning', 'core')
    assert 0 == result.returncode
    assert result.stderr.startswith(_UNKNOWN)
