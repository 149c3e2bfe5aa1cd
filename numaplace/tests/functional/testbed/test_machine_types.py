# SPDX-License-Identifier: Apache-2.0
"""Guests of all kinds on each architecture, in a real libvirt: defined, and started by a QEMU without KVM."""

import re

import pytest
from lxml import etree

from numaplace import architecture, cpuset, exception
from numaplace.libvirt import connection, cpumodel
from numaplace.libvirt.machine import QEMU, GuestMachine
from numaplace.libvirt.profile import NEWEST
from numaplace.operations import domain_xml
from numaplace.tests import amount, real, recordings
from numaplace.tests.functional import defining
from numaplace.tests.unit.libvirt import families

_HOST = 'fake-oracle-host with two sets'

#: Architectures, machine types and the program that emulates them.
MACHINES = {
    'q35': ('x86_64', 'q35', 'qemu-system-x86_64'),
    'pc': ('x86_64', 'pc', 'qemu-system-x86_64'),
    'q35 of 32 bits': ('i686', 'q35', 'qemu-system-i386'),
    'virt': ('aarch64', 'virt', 'qemu-system-aarch64'),
    'virt of 32 bits': ('armv7l', 'virt', 'qemu-system-arm'),
    'virt of RISC-V': ('riscv64', 'virt', 'qemu-system-riscv64'),
    'pseries': ('ppc64', 'pseries', 'qemu-system-ppc64'),
    's390-ccw-virtio': ('s390x', 's390-ccw-virtio', 'qemu-system-s390x'),
}

_NEAR = {'devices near to cells', 'devices near to pinned cells'}
_PLUGGED = {'vCPUs and memory that are plugged in'}
_MODULES = {'memory that is plugged in'}
_COUNTERS = {'performance counters', 'realtime without performance counters'}
#: Guests of at most one cell, which need not see it.
_ONE_CELL = {
    *('plain', 'plain devices', 'quotas', 'one cell', 'small pages', '1 GiB pages', 'pinned', 'pinned to threads'),
    *('pinned to cores', 'mixed', 'emulator apart', 'emulator on the shared CPUs', 'realtime', 'realtime and mixed'),
}
_SEVERAL_CELLS = set(families.FLAVORS) - _ONE_CELL
#: Kinds that differ in what libvirt and QEMU make of them.
_STARTED = {
    *('plain', 'topology', 'one cell', 'unequal cells', 'four cells', 'mixed', 'divided over named nodes'),
    'a socket in two cells',
    *('2 MiB pages', '1 GiB pages', 'emulator on the shared CPUs with large pages in two cells', 'realtime'),
    *('quotas', 'devices near to cells', 'plain devices'),
    *(_PLUGGED | _MODULES | _COUNTERS),
}
#: Kinds of guests that each machine type cannot be.
REFUSED = {
    'q35': set(),
    'pc': _NEAR,
    'q35 of 32 bits': set(),
    'virt': _PLUGGED | _MODULES,
    'virt of 32 bits': _PLUGGED | _MODULES,
    'virt of RISC-V': _NEAR | _PLUGGED | _MODULES | _COUNTERS,
    'pseries': _NEAR | {'realtime without performance counters'},
    's390-ccw-virtio': _SEVERAL_CELLS,
}
#: Kinds that the emulators here lack too: QEMU before 8.1 has no threads on pseries, libvirt 9.0 no CPUs of RISC-V.
UNEMULATED = {'pseries': {'topology', 'divided over named nodes'}, 'virt of RISC-V': _SEVERAL_CELLS}


#: What stands between the answers.
_NEXT = '=== next'


@pytest.fixture(scope='module')
def here(testbed, tmp_path_factory):
    """A libvirt on this machine, which starts guests."""
    return testbed.fakehost.FakeHost(tmp_path_factory.mktemp('here'), None)


@pytest.fixture(scope='module')
def host(testbed, tmp_path_factory):
    """A libvirt on the recorded host."""
    # A directory of a short name: libvirt makes sockets there.
    return testbed.fakehost.FakeHost(tmp_path_factory.mktemp('arch'), recordings.sysfs(_HOST.partition(' ')[0]))


def _written(machine, libvirt=None, kinds=families.FLAVORS):
    """Return the XML of each guest by its kind, and the kinds that are refused.

    :param libvirt: the one that is to start them, which is asked what it supports
    """
    arch, name, program = MACHINES[machine]
    real.require_program(program)
    kind, cpu = GuestMachine(arch, QEMU, name, emulated=not architecture.is_x86(arch)), None
    if libvirt:
        cpu = cpumodel.choose(kind, supported=libvirt.domain_capabilities(arch, QEMU, name))
    written, refused = {}, set()
    for server in families.placed(_HOST, times=4):
        made = server.name.removesuffix(f' on {_HOST}')
        if made not in kinds:
            continue
        try:
            if libvirt:
                domain_xml.check_support(made, server.placement.guest, kind, libvirt)
            written[made] = (server, server.xml(NEWEST, arch=arch, machine=name, cpu=cpu))
        except exception.Invalid:
            refused.add(made)
    return written, refused


@pytest.mark.parametrize('machine', MACHINES)
def test_libvirt_keeps_what_was_written_and_what_it_would_not_is_refused(host, tmp_path, machine):
    written, refused = _written(machine)
    assert REFUSED[machine] & {*written, *refused} == refused
    documents = [(name, server.uuid, xml) for name, (server, xml) in written.items()]
    assert [] == defining.differences(host.virsh, documents, tmp_path)


@pytest.mark.parametrize(
    'machine',
    [
        *('q35', 'pseries'),
        *(
            pytest.param(each, marks=amount.long)
            for each in ('pc', 'virt', 'virt of 32 bits', 'virt of RISC-V', 's390-ccw-virtio')
        ),
    ],
)
def test_qemu_starts_each_guest_with_its_cells_or_it_was_refused(here, tmp_path, machine):
    """This machine has one node for all cells, and no huge pages: the memory is preallocated all the same."""
    written, refused = _written(machine, connection.Libvirt(here.uri), _STARTED)
    assert (REFUSED[machine] | UNEMULATED.get(machine, set())) & _STARTED == refused
    assert _STARTED - refused == set(written)
    disk = tmp_path / 'disk'
    disk.write_bytes(bytes(1 << 20))
    guests = {name: _startable(xml, disk) for name, (_, xml) in written.items()}
    assert {name: _expected(root) for name, root in guests.items()} == _started(here, tmp_path, guests)


def _startable(xml, disk):
    """Return a guest on the first CPU and node of this machine, with a file and a network that it has."""
    root = etree.fromstring(xml)
    for pinned in root.iterfind('.//*[@cpuset]'):
        pinned.set('cpuset', '0')
    for bound in root.iterfind('numatune/*'):
        bound.set('nodeset', '0')
    for path in ('memoryBacking/locked', 'cputune/vcpusched'):  # which take privileges that this process may lack
        for found in root.findall(path):
            found.getparent().remove(found)
    for pages in root.findall('memoryBacking/hugepages'):
        pages.getparent().replace(pages, etree.Element('allocation', mode='immediate'))
    for one in root.iterfind('devices/disk'):
        one.set('type', 'file')
        one.find('driver').set('type', 'raw')
        one.replace(one.find('source'), etree.Element('source', file=str(disk)))
        etree.SubElement(one, 'shareable')
    for one in root.iterfind('devices/interface'):
        one.set('type', 'user')
        one.remove(one.find('source'))
    return root


def _started(libvirt, directory, guests):
    """Start guests one after the other, paused; return what QEMU's monitor reports about the cells of each."""
    lines = []
    for number, root in enumerate(guests.values()):
        root.find('name').text = f'guest{number}'
        path = directory / f'{number}.xml'
        path.write_bytes(etree.tostring(root))
        lines.append(
            f"create {path} --paused --validate; qemu-monitor-command --hmp guest{number} 'info numa'; "
            f'destroy guest{number}; echo {_NEXT}'
        )
    printed = libvirt.virsh('; '.join(lines)).split(_NEXT)[:-1]
    return {name: _cells(text) for name, text in zip(guests, printed, strict=True)}


def _cells(told):
    """Return the vCPUs and the memory in MiB of each cell, or None if there was nobody to ask."""
    if ' nodes' not in told:
        return None
    found = re.findall(r'^node (\d+) cpus:([ \d]*)\n(?:node \d+ cpus.*\n)*node \1 size: (\d+) MB', told, re.MULTILINE)
    return [(cpuset.mask(map(int, cpus.split())), int(size)) for _, cpus, size in found]


def _expected(root):
    on = cpuset.mask(int(vcpu.get('id')) for vcpu in root.findall('vcpus/vcpu') if vcpu.get('enabled') == 'yes')
    on = on or (1 << int(root.findtext('vcpu'))) - 1
    cells = [
        (cpuset.parse(cell.get('cpus') or '') & on, int(cell.get('memory')) // 1024)
        for cell in root.findall('cpu/numa/cell')
    ]
    if not cells and root.find('os/type').get('arch') == 'ppc64':
        return [(on, int(root.findtext('memory')) // 1024)]  # pseries has one cell at least
    return cells
