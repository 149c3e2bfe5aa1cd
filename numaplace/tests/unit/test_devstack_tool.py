# SPDX-License-Identifier: Apache-2.0
"""The parts of tools/devstack that need no container: what devstack is told, and what its logs say."""

import importlib
import ipaddress
import subprocess

import pytest

from numaplace.tests import devstack

pytestmark = devstack.needs_source

_END = """\
+ ./stack.sh:main:1533 :   time_totals

=========================
DevStack Component Timing
 (times are in seconds)
=========================
wait_for_service      28
apt-get-update         6
-------------------------
Unaccounted time     -335
=========================
Total runtime        1454

=================
 Async summary
=================
 Elapsed time: 1454 sec

| keystone   | UPDATE    |     4 |
This is your host IP address: 198.18.0.2
"""


@pytest.fixture(autouse=True)
def tools(monkeypatch):
    monkeypatch.syspath_prepend(str(devstack.SOURCE / 'tools'))


def _tool(name):
    return importlib.import_module(f'devstack.{name}')


def _settings(**changes):
    usual = {
        'cells': 3,
        'address': '198.18.0.2',
        'git_base': '/opt/mirrors',
        'plugin': '/opt/mirrors/numaplace.git',
        'branch': 'main',
        'mode': 'enforce',
    }
    return _tool('localconf').Settings(**usual | changes)


@pytest.mark.parametrize(('cells', 'driver'), [(1, 'libvirt'), (3, 'fake')])
def test_local_conf_makes_hosts_of_each_topology_with_our_plugin(cells, driver):
    text = _tool('localconf').text(_settings(cells=cells, mode='shadow'))
    lines = text.splitlines()
    assert '[[local|localrc]]' == lines[0]
    assert {
        'GIT_BASE=/opt/mirrors',
        'HOST_IP=198.18.0.2',
        'NUMAPLACE_MODE=shadow',
        f'VIRT_DRIVER={driver}',
        'enable_plugin numaplace /opt/mirrors/numaplace.git main',
    } <= set(lines)
    assert (cells == 3) == ('compute_driver = numa_fake.NumaFakeDriver' in lines)


def test_the_driver_and_the_topology_of_the_fake_hosts_are_of_this_tree():
    text = _tool('localconf').text(_settings())
    (topology,) = [line.partition('/numaplace/')[2] for line in text.splitlines() if line.startswith('topology = ')]
    assert (devstack.SOURCE / topology).is_file()
    assert (devstack.SOURCE / _tool('stack').DRIVER).is_file()


def test_the_log_of_a_success_has_the_seconds_of_all_parts():
    found = _tool('log').timing(_END)
    assert {'wait_for_service': 28, 'apt-get-update': 6, 'Unaccounted time': -335, 'Total runtime': 1454} == found


def test_the_log_of_a_failure_has_no_seconds():
    assert _tool('log').timing('+ functions:die:9 : exit 1\nTotal runtime of apt 9\nError on exit\n') is None


def test_a_log_ends_with_what_commands_said():
    lines = ['first', '+ f:run:9 : iptables', 'iptables: command not found', '', '++ f:die:9 : exit 1', 'Error on exit']
    assert 'iptables: command not found\nError on exit' == _tool('log').end('\n'.join(lines), 2)


@pytest.fixture
def mirrors(tmp_path):
    """Return a function that makes repositories with a branch, and the folder that it makes them in."""

    def make(*paths, branch='stable/2026.1'):
        for path in paths:
            where = tmp_path / 'openstack' / path
            who = ['-c', 'user.name=n', '-c', 'user.email=n@example.org']
            for words in (
                ['init', '-q', '-b', branch, where],
                ['-C', where, *who, 'commit', '-q', '--allow-empty', '-m', 'x'],
            ):
                subprocess.run(['git', *words], check=True)
        return tmp_path

    return make


def test_mirrors_are_found_with_and_without_the_suffix(mirrors):
    tool = _tool('mirrors')
    first, *others = tool.NAMES
    folder = mirrors(f'{first}.git', *others)
    found = tool.find(folder, 'stable/2026.1')
    assert {name: f'{name}.git' if name == first else name for name in tool.NAMES} == {
        name: path.name for name, path in found.items()
    }


def test_all_mirrors_that_are_missing_or_lack_the_branch_are_named(mirrors):
    tool = _tool('mirrors')
    old, absent, *others = tool.NAMES
    mirrors(old, branch='master')
    folder = mirrors(*others)
    with pytest.raises(_tool('stack').StackError, match=f'stable/2026.1 at openstack/{old}, openstack/{absent}; '):
        tool.find(folder, 'stable/2026.1')


def test_a_copy_can_be_read_by_everybody_and_has_all_branches(mirrors, tmp_path):
    repository = mirrors('nova') / 'openstack' / 'nova'
    (repository / '.git' / 'objects').chmod(0o700)
    _tool('mirrors').copy(repository, tmp_path / 'copy' / 'nova.git')
    assert 0o055 == (tmp_path / 'copy' / 'nova.git' / 'objects').stat().st_mode & 0o055
    assert 'stable/2026.1' == _tool('mirrors').branch_of(tmp_path / 'copy' / 'nova.git')


def test_each_container_has_a_network_of_its_own():
    networks = [_tool('network').Network(f'ds{number:08x}', forwards=True).addresses for number in (0, 1, 2**32 - 1)]
    assert 6 == len({address for pair in networks for address in pair})
    for machine, container in networks:
        both = {ipaddress.ip_interface(f'{address}/30').network for address in (machine, container)}
        assert 1 == len(both)
        assert both.pop().subnet_of(ipaddress.ip_network('198.18.0.0/15'))


def test_apt_without_debian_12_is_told(tmp_path):
    (tmp_path / 'other.sources').write_text('Suites: trixie\n', 'utf-8')
    with pytest.raises(_tool('stack').StackError, match=r'other\.sources must be files of apt that name bookworm'):
        _tool('root').apt_sources(tmp_path / 'other.sources')
    (tmp_path / 'ours.sources').write_text('Suites: bookworm bookworm-updates\n', 'utf-8')
    assert tmp_path / 'ours.sources' == _tool('root').apt_sources(tmp_path / 'ours.sources')
