# SPDX-License-Identifier: Apache-2.0
"""Servers in a real libvirt that keeps them: defined, checked and undefined by the command."""

import json
import re
import sysconfig
from pathlib import Path

import pytest

from numaplace.tests import recordings


class Program:
    """The command on the host of the talk, with a database of its own."""

    def __init__(self, host, directory):
        self._host = host
        self.words = [
            str(Path(sysconfig.get_path('scripts'), 'numaplace')),
            *('--database', f'sqlite:///{directory / "numaplace.sqlite"}'),
        ]

    def __call__(self, line, *more):
        return self._host.run(*self.words, *line.split(), *more)


@pytest.fixture
def numaplace(talk_host, tmp_path):
    """The command, with the host of the talk and three servers on it."""
    program = Program(talk_host, tmp_path)
    capabilities = tmp_path / 'capabilities.xml'
    capabilities.write_bytes(recordings.capabilities('fake-oracle-host'))
    program('host import big --capabilities', str(capabilities))
    program('flavor create --ram 1024 --vcpus 4 --property hw:numa_nodes=2 shared')
    program('flavor create --ram 1024 --vcpus 4 --property hw:numa_nodes=2 --property hw:cpu_policy=dedicated pinned')
    program('flavor create --ram 1024 --vcpus 8 --property numaplace:vnuma=host divided')
    for flavor in ('shared', 'pinned', 'divided'):
        program(f'server create --flavor {flavor} {flavor}1')
    return program


def test_what_is_defined_is_found_as_it_should_be_until_somebody_moves_a_vcpu(testbed, numaplace, talk_host):
    uri = talk_host.uri
    check = f'server check --host big --connect {uri} -f value'
    for server in ('shared1', 'pinned1', 'divided1'):
        numaplace(f'server define {server} --connect {uri}')
    assert '' == numaplace(check)
    talk_host.virsh('vcpupin', 'instance-00000002', '1', '100', '--config')
    with pytest.raises(testbed.fakehost.CommandFailed, match='server check') as caught:
        numaplace(check)
    assert 1 == caught.value.status
    (line,) = caught.value.printed.splitlines()
    assert line.startswith('pinned1 instance-00000002 CPUs of vCPU 1 ')
    assert line.endswith(' 100')
    numaplace(f'server define pinned1 --connect {uri}')
    assert '' == numaplace(check), 'defining it again puts that right'
    numaplace(f'server undefine shared1 --connect {uri}')
    numaplace('server delete divided1')
    with pytest.raises(testbed.fakehost.CommandFailed, match='server check') as caught:
        numaplace(check)
    told = caught.value.printed.splitlines()
    assert ['shared1', ''] == [line.split(' ')[0] for line in told]
    talk_host.virsh('undefine', 'instance-00000003')
    talk_host.virsh('undefine', 'instance-00000002')


def test_a_server_whose_xml_cannot_be_written_any_more_does_not_end_the_check(testbed, numaplace, talk_host, tmp_path):
    """The huge pages of the host are gone, and so is a server that libvirt forgot."""
    numaplace('flavor create --ram 64 --vcpus 2 --property hw:mem_page_size=2MB huge')
    numaplace('server create --flavor huge huge1')
    numaplace(f'server define huge1 --connect {talk_host.uri}')
    path = tmp_path / 'capabilities.xml'
    path.write_text(re.sub('<pages unit=.KiB. size=.2048.>.*</pages>', '', path.read_text()))
    numaplace('host import big --refresh --capabilities', str(path))
    with pytest.raises(testbed.fakehost.CommandFailed, match='server check') as caught:
        numaplace(f'server check --host big --connect {talk_host.uri} -f json')
    rows = {row['Server']: row for row in json.loads(caught.value.printed)}
    assert 'XML' == rows['huge1']['What']
    assert "domain 'huge1': /domain/memoryBacking/hugepages/page/@size: node " in rows['huge1']['Expected']
    assert {'shared1', 'pinned1', 'divided1'} == {name for name, row in rows.items() if row['What'] == 'domain'}
    talk_host.virsh('undefine', 'instance-00000004')


def test_who_defines_a_server_is_told_which_of_its_cpus_are_off(testbed, talk_host, tmp_path):
    capabilities = tmp_path / 'capabilities.xml'
    text = recordings.capabilities('fake-oracle-host').decode()
    capabilities.write_text(re.sub("<cpu id='(1|61)' .*/>", r"<cpu id='\1'/>", text))
    configuration = tmp_path / 'nova.conf'
    configuration.write_text(
        '[libvirt]\nvirt_type = qemu\ncpu_power_management = True\n[compute]\ncpu_dedicated_set = 1,61,62\n'
    )
    program = Program(talk_host, tmp_path)
    program.words += ['--config-file', str(configuration)]
    program('host import dark --capabilities', str(capabilities))
    program('flavor create --ram 1024 --vcpus 2 --property hw:cpu_policy=dedicated pinned')
    program('server create --flavor pinned one')
    define = [*program.words, 'server', 'define', 'one', '--connect', talk_host.uri]
    assert (
        "numaplace: warning: CPUs 1,61 of server 'one' were off when host 'dark' was last read: libvirt starts no "
        'guest on CPUs that are offline; `chcpu --enable 1,61` on the host brings them online\n'
    ) == talk_host.run('sh', '-c', '"$@" 2>&1', 'sh', *define)
    talk_host.virsh('undefine', 'instance-00000001')
