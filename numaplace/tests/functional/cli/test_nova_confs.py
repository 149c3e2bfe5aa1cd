# SPDX-License-Identifier: Apache-2.0
"""The files of the usual deployment tools are used as they are: each runs the walk-through of Nova's page."""

import json
import re
from importlib import resources
from pathlib import Path

import pytest

from numaplace.tests.functional.cli import test_seed_page as page
from numaplace.tests.functional.cli.conftest import Program
from numaplace.tests.functional.cli.test_config import check

_DIRECTORY = resources.files('numaplace.tests.data').joinpath('nova_confs')
CONFIGURATIONS = {path.name: path for path in sorted(_DIRECTORY.iterdir(), key=lambda path: path.name)}

#: The shared CPUs of the three cells of the page's host that a file leaves, 0-3, 4-5 and 6-7, and its dedicated ones.
_ALL = ('0-3', '4-5', '6-7')
_SHARED = {
    'charm.conf': ('1-3', '4-5', '6-7'),
    'liberty.conf': ('1-3', '4-5', '6-7'),
    'kolla-ansible.conf': ('0-1', '', ''),
    'starlingx.conf': ('0-1', '', ''),
    'tripleo.conf': ('0-1', '', ''),
    'openstack-operator.conf': ('0-3', '', ''),
    'snap.conf': ('0-3', '', ''),
}
#: The cells on which two guest cells with two dedicated vCPUs each fit.
_DEDICATED = {
    'kolla-ansible.conf': ({2, 3}, {4, 5}),
    'starlingx.conf': ({2, 3}, {4, 5}),
    'tripleo.conf': ({2, 3}, {4, 5}),
    'openstack-operator.conf': ({4, 5}, {6, 7}),
}
_USED = ('vcpus_used', 'memory_used_mib')


class Operator(Program):
    """The program with the file of a tool; it may warn of what is old in it."""

    def __init__(self, directory: Path, file: str) -> None:
        super().__init__(directory)
        # Where a service logs to is not there.
        text = re.sub('^(log_dir|logdir|use_journal)', r'#\1', CONFIGURATIONS[file].read_text('utf-8'), flags=re.M)
        self.config.write_text(f'{text}\n[numaplace]\nconnection = sqlite:///{self.database}\n')

    def __call__(self, line: str, *more: str) -> str:
        result = self.run(*line.split(), *more)
        assert 0 == result.returncode, result.stderr
        return result.stdout

    def fits(self, line: str) -> bool:
        """Return whether a host takes a server."""
        result = self.run(*line.split())
        assert result.returncode in (0, 3), result.stderr
        if result.returncode == 3:
            assert re.search('guest cells? 0(, 1 each need| needs) [24] shared CPUs', result.stderr)
        return result.returncode == 0


@pytest.mark.parametrize('file', CONFIGURATIONS)
def test_the_file_of_a_deployment_tool_runs_the_walk_of_the_page(tmp_path, file):
    """As the page does, with the CPUs that the file leaves to guests; what they are too few for is refused."""
    shared = _SHARED.get(file, _ALL)
    program = Operator(tmp_path, file)
    program(f'host import seed3 --capabilities {program.fixture("seed3")}')
    empty = program.json('host show seed3')
    program('flavor create --ram 512 --disk 1 --vcpus 1 m1.tiny')
    program('server create --image cirros-0.4.0-x86_64-disk --flavor m1.tiny cirros1')
    assert ['NULL'] == page.select(program, 'select numa_topology from instance_extra;')
    assert page.xml_of(program, 'cirros1').find('numatune') is None

    program('flavor create --ram 1024 --disk 1 --vcpus 4 m1.numa')
    program('flavor set --property hw:numa_nodes=1 m1.numa')
    create = 'server create --image cirros-0.4.0-x86_64-disk --flavor m1.numa cirros2'
    fits = program.fits(create)
    assert ('0-3' == shared[0]) == fits
    if fits:
        assert [(0, [0, 1, 2, 3], 1024)] == _row(program)
        assert ['0-3'] * 4 == _pins(program)
        program('server delete cirros2')

    program('flavor set --property hw:numa_nodes=2 m1.numa')
    fits = program.fits(create)
    assert bool(shared[1]) == fits
    if fits:
        assert [(0, [0, 1], 512), (1, [2, 3], 512)] == _row(program)
        assert [shared[0], shared[0], shared[1], shared[1]] == _pins(program)
        program('server delete cirros2')

    program('flavor set --property hw:cpu_policy=dedicated m1.numa')
    if file in _DEDICATED:
        program(create)
        pins = list(map(int, _pins(program)))
        assert _DEDICATED[file] == (set(pins[:2]), set(pins[2:]))
        program('server delete cirros2')
    program('server delete cirros1')
    assert [] == page.select(program, 'select numa_topology from instance_extra;')
    left = program.json('host show seed3')
    assert [empty[name] for name in _USED] == [left[name] for name in _USED]
    assert [cell['memory_used_mib'] for cell in empty['cells']] == [cell['memory_used_mib'] for cell in left['cells']]


def _row(program: Program) -> list[tuple[int, list[int], int]]:
    """Return number, vCPUs and MiB of the cells in the row of the second server."""
    *_, text = page.select(program, 'select numa_topology from instance_extra;')
    cells = [cell['nova_object.data'] for cell in json.loads(text)['nova_object.data']['cells']]
    return [(cell['id'], cell['cpuset'], cell['memory']) for cell in cells]


def _pins(program: Program) -> list[str]:
    """Return the CPUs of each vCPU in the XML of the second server, which libvirt's schema accepts."""
    return [pin['cpuset'] for pin in page.attributes(page.xml_of(program, 'cirros2'), 'cputune/vcpupin')]


@pytest.mark.parametrize('file', CONFIGURATIONS)
def test_the_file_of_a_deployment_tool_keeps_a_server_group_apart_and_has_no_conflict(tmp_path, file):
    program = Operator(tmp_path, file)
    program(f'host import h1 --capabilities {program.fixture("seed3")}')
    program(f'host import h2 --capabilities {program.fixture("seed3")}')
    program('flavor create --ram 256 --vcpus 1 --property hw:numa_nodes=1 m1.numa')
    program('server group create --policy anti-affinity web')
    for name in ('web1', 'web2'):
        program(f'server create --flavor m1.numa --hint group=web {name}')
    assert ['h1', 'h2'] == sorted(server['Host'] for server in program.json('server list'))
    program('server delete web1 web2')
    status, found = check(program)
    conflicts = [remark for kind, _, remark in found if kind == 'conflict']
    if file == 'packstack.conf':  # which has no filter for NUMA
        assert ["NUMATopologyFilter is not enabled, but flavor 'm1.numa' has hw:numa_nodes"] == conflicts
    else:
        assert (0, []) == (status, conflicts)
