# SPDX-License-Identifier: Apache-2.0
"""Guests at the limits of their machine types in a real libvirt, and those beyond, before anything is claimed."""

import json
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from lxml import etree

from numaplace.libvirt import cpumodel
from numaplace.libvirt.machine import QEMU, GuestMachine
from numaplace.model import CpuTopology, Guest, Offline, Placement
from numaplace.request import Hotplug, Viommu, machines
from numaplace.tests import real
from numaplace.tests.functional import defining
from numaplace.tests.unit.libvirt import samples
from numaplace.tests.unit.libvirt.samples import UUID, Sample, cell, placed

_HOST = samples.host('fake-oracle-host')


@dataclass(frozen=True)
class _Case:
    """A guest on a machine type.

    :param features: of those that depend on its size, as they are written; `iommu` likewise
    :param emulated: whether QEMU 7.2 starts it without KVM
    """

    placement: Placement
    arch: str = 'x86_64'
    features: str = '<acpi/><apic/>'
    iommu: str = ''
    emulated: bool = True
    options: dict[str, object] = field(default_factory=dict)


def _floating(vcpus, **more):
    return Placement(Guest(vcpus, 1024, **more))


_EIM = "<iommu model='intel'><driver intremap='on' eim='on'/></iommu>"
_FULL = "<iommu model='intel'><driver intremap='on' caching_mode='on' eim='off' iotlb='on' aw_bits='48'/></iommu>"
_SPLIT = "<acpi/><apic/><ioapic driver='qemu'/>"
_TWO_CELLS = placed(cell(0, '0-127', 512), cell(1, '128-287', 512))

_CASES = {
    '255 vCPUs': _Case(_floating(255)),
    '255 vCPUs of pc': _Case(_floating(255), options={'machine': 'pc'}),
    '256 vCPUs': _Case(_floating(256), features=_SPLIT, iommu=_EIM, emulated=False),
    '288 vCPUs': _Case(_floating(288), features=_SPLIT, iommu=_EIM, emulated=False),
    '288 vCPUs in two cells': _Case(_TWO_CELLS, features=_SPLIT, iommu=_EIM, emulated=False),
    '2 of 256 vCPUs are on': _Case(
        _floating(2, offline=(Offline((1 << 256) - 4),)),
        features=_SPLIT,
        iommu=_EIM,
        emulated=False,
        options={'hotplug': Hotplug(vcpus=True)},
    ),
    'APIC IDs up to 320': _Case(
        _floating(195, cpu_topology=CpuTopology(3, 65, 1)), features=_SPLIT, iommu=_EIM, emulated=False
    ),
    'intel': _Case(_floating(2), features=_SPLIT, iommu=_FULL, options={'viommu': Viommu('intel')}),
    'virtio': _Case(_floating(2), iommu="<iommu model='virtio'/>", options={'viommu': Viommu('auto')}),
    'smmuv3': _Case(
        _floating(2), 'aarch64', features='', iommu="<iommu model='smmuv3'/>", options={'viommu': Viommu('auto')}
    ),
    '8 vCPUs of Arm': _Case(_floating(8), 'aarch64', features=''),
    '9 vCPUs of Arm': _Case(_floating(9), 'aarch64', features="<gic version='3'/>"),
    '130 vCPUs of Arm': _Case(_floating(130), 'aarch64', features="<gic version='3'/>"),
    '8 vCPUs of Arm of 32 bits': _Case(_floating(8), 'armv7l', features=''),
    '300 vCPUs of POWER': _Case(_floating(300), 'ppc64le', features=''),
    '248 vCPUs of Z': _Case(_floating(248), 's390x', features=''),
    '256 memory slots': _Case(
        placed(cell(0, '0-1', 1024)), options={'hotplug': Hotplug(slots=256, max_memory_mib=4096)}
    ),
    '32 memory slots of POWER': _Case(
        placed(cell(0, '0-1', 1024)),
        'ppc64le',
        features='',
        options={'hotplug': Hotplug(slots=32, max_memory_mib=4096)},
    ),
    '128 cells': _Case(placed(*(cell(0, str(vcpu), 64) for vcpu in range(128)))),
}

_PROGRAMS = {'armv7l': 'arm', 'ppc64le': 'ppc64le'}


@pytest.fixture(scope='module')
def here(testbed, tmp_path_factory):
    """A libvirt on this machine, which starts guests."""
    return testbed.fakehost.FakeHost(tmp_path_factory.mktemp('here'), None)


def _xml(case):
    real.require_program(f'qemu-system-{_PROGRAMS.get(case.arch, case.arch)}')
    guest = GuestMachine(case.arch, QEMU, machines.DEFAULTS[case.arch], emulated=case.arch != 'x86_64')
    return Sample(_HOST, case.placement).xml(arch=case.arch, cpu=cpumodel.choose(guest), **case.options)


def _texts(elements):
    return ''.join(etree.tostring(one, encoding='unicode', with_tail=False).replace('"', "'") for one in elements)


def _squeezed(root, path):
    found = root.find(path)
    if found is None:
        return ''
    for one in found.iter():
        one.text = one.tail = None
    return _texts([found] if path.endswith('iommu') else found)


@pytest.mark.parametrize('name', _CASES)
def test_libvirt_takes_what_the_size_of_a_guest_needs_and_keeps_it(here, tmp_path, name):
    case = _CASES[name]
    xml = _xml(case)
    assert [] == defining.differences(here.virsh, [(name, UUID, xml)], tmp_path)
    root = etree.fromstring(xml)
    assert case.features == _squeezed(root, 'features')
    assert case.iommu == _squeezed(root, 'devices/iommu')


@pytest.mark.parametrize('name', [name for name, case in _CASES.items() if case.emulated])
def test_qemu_starts_a_guest_at_the_limit(here, tmp_path, name):
    root = etree.fromstring(_xml(_CASES[name]))
    for path in ('cputune', 'numatune'):
        for found in root.findall(path):
            root.remove(found)
    path = tmp_path / 'guest.xml'
    path.write_bytes(etree.tostring(root))
    told = here.virsh(f'create {path} --paused --validate; domstate instance-00000001; destroy instance-00000001')
    assert 'paused' in told


def test_what_qemu_cannot_emulate_beyond_8_bits_of_an_apic_id_it_says_itself(testbed, here, tmp_path):
    """QEMU before 9.0 has x2APIC with KVM alone."""
    _require_old_qemu(here)
    path = tmp_path / 'guest.xml'
    path.write_text(_xml(_CASES['256 vCPUs']), 'utf-8')
    with pytest.raises(testbed.fakehost.CommandFailed, match='kernel irqchip and X2APIC API support'):
        here.virsh(f'create {path} --paused')


def _require_old_qemu(here):
    root = etree.fromstring(here.virsh('domcapabilities --virttype qemu --arch x86_64 --machine q35'))
    if root.find('vcpu').get('max') != '288':
        real.missing('a QEMU before 8.2, whose q35 takes 288 vCPUs')


# --- before anything is claimed


def _capabilities(most):
    """Return what a host of four nodes and 320 CPUs says whose q35 takes so many vCPUs."""
    cells = ''.join(
        f"<cell id='{node}'><memory unit='KiB'>33554432</memory><cpus num='80'>"
        + ''.join(f"<cpu id='{cpu}' siblings='{cpu}'/>" for cpu in range(80 * node, 80 * node + 80))
        + '</cpus></cell>'
        for node in range(4)
    )
    return (
        f"<capabilities><host><cpu><arch>x86_64</arch></cpu><topology><cells num='4'>{cells}</cells></topology></host>"
        f"<guest><os_type>hvm</os_type><arch name='x86_64'><machine maxCpus='{most}'>q35</machine>"
        "<domain type='qemu'/></arch></guest></capabilities>"
    )


class Program:
    """The command with a database of its own, on a machine with a libvirt."""

    def __init__(self, machine, directory):
        self._machine = machine
        self._words = [
            str(Path(sysconfig.get_path('scripts'), 'numaplace')),
            *('--database', f'sqlite:///{directory / "numaplace.sqlite"}'),
        ]

    def __call__(self, line):
        return self._machine.run(*self._words, *line.split())


@pytest.fixture(scope='module')
def numaplace(here, tmp_path_factory):
    """The command with a host that says 4096 of its q35, as if its QEMU were newer than it is."""
    directory = tmp_path_factory.mktemp('program')
    path = directory / 'capabilities.xml'
    path.write_text(_capabilities(4096))
    program = Program(here, directory)
    program(f'host import newer --capabilities {path}')
    program('flavor create --ram 4096 --vcpus 288 --property hw:numa_nodes=4 288-in-cells')
    program('flavor create --ram 4096 --vcpus 289 289')
    return program


def test_a_guest_of_288_vcpus_is_defined(numaplace, here):
    numaplace('server create --flavor 288-in-cells wide')
    numaplace(f'server define wide --connect {here.uri}')
    assert '' == numaplace(f'server check --host newer --connect {here.uri} -f value')
    numaplace(f'server undefine wide --connect {here.uri}')
    numaplace('server delete wide')


@pytest.mark.parametrize('verb', ['create', 'define'])
def test_what_a_libvirt_at_hand_does_not_take_is_told_in_one_line(testbed, numaplace, here, verb):
    _require_old_qemu(here)
    line = f'server create --flavor 289 --connect {here.uri} wider'
    who = "flavor '289'"
    if verb == 'define':
        numaplace('server create --flavor 289 wider')
        line, who = f'server define wider --connect {here.uri}', "server 'wider'"
    before = numaplace('server list -f json')
    with pytest.raises(testbed.fakehost.CommandFailed, match='the guest has 289 vCPUs') as caught:
        numaplace(line)
    assert 1 == caught.value.status
    told = f'numaplace: {who}: the guest has 289 vCPUs; machine type q35 of x86_64 takes at most 288 at {here.uri}\n'
    assert str(caught.value).endswith(f'{line}: {told}')
    assert before == numaplace('server list -f json')
    for server in json.loads(before):
        numaplace(f'server delete {server["ID"]}')
