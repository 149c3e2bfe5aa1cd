# SPDX-License-Identifier: Apache-2.0
"""Guests with vCPUs off and memory modules: what QEMU is told, what a kernel sees, and a libvirt that runs one."""

import re
import subprocess
import sysconfig
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from lxml import etree

from numaplace.libvirt.cpumodel import GuestCpu
from numaplace.model import MemoryModule
from numaplace.request import Hotplug
from numaplace.tests.functional.testbed import daemon
from numaplace.tests.unit.libvirt import samples
from numaplace.tests.unit.libvirt.samples import SAMPLES, Sample, cell, placed

_BLOCK_MIB = 128


def test_libvirt_tells_qemu_of_the_modules_of_the_talk(testbed, talk_host, tmp_path):
    path = tmp_path / 'guest.xml'
    path.write_text(SAMPLES['memory modules'].xml(), 'utf-8')
    found = testbed.arguments.parse(talk_host.arguments(path))
    (memory,) = [given for option, given in found if option == '-m']
    assert (memory['slots'], memory['maxmem']) == ('16', f'{512 * 1024**2}k')
    by_driver = {given['']: given for option, given in found if option == '-device'}
    assert by_driver['pc-dimm']['node'] == '0'
    nvdimm = by_driver['nvdimm']
    assert (nvdimm['node'], nvdimm['label-size']) == ('2', str(128 * 1024))
    (backend,) = [given for option, given in found if option == '-object' and given.get('mem-path') == '/dev/dax0.0']
    assert (backend['pmem'], backend['share'], backend['align']) == ('on', 'on', str(2048 * 1024))


def test_a_kernel_sees_in_each_cell_the_vcpus_that_are_on(boot):
    """Eight of 16, two in each of four cells; the others may come."""
    sample = SAMPLES['half of the vCPUs off']
    cells = tuple(replace(one, guest_cell=replace(one.guest_cell, memory_mib=128)) for one in sample.placement.cells)
    guest = replace(sample.placement.guest, memory_mib=512, cells=tuple(one.guest_cell for one in cells))
    sample = replace(sample, placement=replace(sample.placement, guest=guest, cells=cells))
    told = boot(sample.xml(cpu=GuestCpu('custom', 'Nehalem')))
    assert ['0-1', '2-3', '4-5', '6-7'] == [told[f'node/node{node}/cpulist'].strip() for node in range(4)]
    assert '0-15' == told['cpu/possible'].strip()


def _blocks(told, node):
    return len([name for name in told if re.fullmatch(f'node/node{node}/memory[0-9]+/state', name)])


def test_a_kernel_sees_a_module_in_the_node_of_its_cell(boot):
    def guest(*modules):
        plugged = sum(module.size_mib for module in modules)
        cells = cell(3, '0', 256), cell(1, '1', 256 + plugged)
        hotplug = Hotplug(slots=2, max_memory_mib=2048)
        return Sample(samples.host('fake-oracle-host'), placed(*cells, modules=modules), options={'hotplug': hotplug})

    plain = boot(guest().xml())
    told = boot(guest(MemoryModule(4 * _BLOCK_MIB, 1)).xml())
    assert [_blocks(told, node) - _blocks(plain, node) for node in range(2)] == [0, 4]


# --- a libvirt that runs a guest on this machine


class Here:
    """The command with a database and a libvirt on this machine.

    :param directory: for the configuration, and for the database if none is given
    :param libvirt: a daemon that runs
    :param database: URL of the database
    """

    def __init__(self, directory, libvirt, database=None):
        (directory / 'numaplace.conf').write_text('[libvirt]\nvirt_type = qemu\n')
        self.directory = directory
        self.libvirt = libvirt
        self.uri = libvirt.uri
        self.virsh = libvirt.virsh
        self._numaplace = (
            Path(sysconfig.get_path('scripts'), 'numaplace'),
            *('--config-file', directory / 'numaplace.conf'),
            *('--database', database or f'sqlite:///{directory / "db"}'),
        )

    def run(self, line):
        """Run the command, whatever comes of it."""
        words = [*self._numaplace, *line.split()]
        return subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)

    def __call__(self, line, *, status=0):
        """Run the command; return what it prints, or its errors where it is to fail."""
        done = self.run(line)
        assert done.returncode == status, (done.returncode, done.stderr)
        return done.stderr if status else done.stdout


@pytest.fixture
def here():
    """A libvirt on this machine in which a server of two vCPUs runs, one of them off; it boots nothing."""
    daemon.require()
    # The path of a socket is short.
    with tempfile.TemporaryDirectory() as name, daemon.Daemon(Path(name), 'a') as libvirt:
        directory = Path(name)
        here = Here(directory, libvirt)
        capabilities = directory / 'capabilities.xml'
        capabilities.write_text(here.virsh('capabilities'), 'utf-8')
        here(f'host import here --capabilities {capabilities}')
        specs = (
            'hw:numa_nodes=1',
            'numaplace:vcpu_hotplug=true',
            'numaplace:memory_slots=1',
            'numaplace:max_memory=512',
        )
        here(f'flavor create --ram 128 --vcpus 2 {" ".join(f"--property {spec}" for spec in specs)} hot')
        here('server create --flavor hot db1')
        here('server set-vcpus db1 1')
        here(f'server define db1 --connect {here.uri}')
        here.virsh('start', 'instance-00000001')
        yield here


def test_what_is_plugged_into_a_guest_that_runs_is_what_was_claimed(here):
    """What libvirt refuses is given back."""
    check = f'server check --host here --connect {here.uri} -f value'
    assert here(check) == ''
    shown = '-f value -c vcpus -c memory_mib'
    assert here(f'server set-vcpus db1 2 {shown}') == '2\n128\n', 'in the libvirt that the check has found'
    live = etree.fromstring(here.virsh('dumpxml', 'instance-00000001'))
    assert [vcpu.get('enabled') for vcpu in live.iterfind('vcpus/vcpu')] == ['yes', 'yes']
    assert [pin.get('vcpu') for pin in live.iterfind('cputune/vcpupin')] == ['0', '1']
    assert here(check) == ''
    nowhere = '--size 64 --node 0 --model nvdimm --path /nowhere/at/all'
    assert 'virsh attach-device' in here(f'server attach-memory db1 {nowhere} --connect {here.uri}', status=1)
    assert here(f'server attach-memory db1 --size 128 --node 0 --connect {here.uri} {shown}') == '2\n256\n'
    assert here(check) == ''
    kept = etree.fromstring(here.virsh('dumpxml', '--inactive', 'instance-00000001'))
    assert (kept.find('vcpu').get('current'), len(kept.findall('devices/memory'))) == (None, 1)
    # No kernel is there that lets a vCPU go.
    assert 'virsh setvcpu' in here(f'server set-vcpus db1 1 --connect {here.uri}', status=1)
    assert here(f'server show db1 {shown}') == '2\n256\n'
    assert here(check) == ''
    # Nor one that releases memory: that goes when the guest starts without it.
    detach = f'server detach-memory db1 0 --connect {here.uri}'
    assert 'the guest has not released the 128 MiB in cell 0, and their claim stays' in here(detach, status=1)
    assert here(f'server show db1 {shown}') == '2\n256\n'
    assert len(etree.fromstring(here.virsh('dumpxml', 'instance-00000001')).findall('devices/memory')) == 1
    here.libvirt.stop('instance-00000001')
    here.virsh('start', 'instance-00000001')
    assert here(f'{detach} {shown}') == '2\n128\n'
    assert here(check) == ''
