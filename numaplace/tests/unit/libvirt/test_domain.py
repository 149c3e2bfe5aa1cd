# SPDX-License-Identifier: Apache-2.0
"""The domain XML: what is pinned where, and that nothing in a name gets out of its element."""

import re
from dataclasses import replace

import pytest
from lxml import etree

from numaplace import cpuset, exception
from numaplace.libvirt import xmltext
from numaplace.libvirt.cpumodel import GuestCpu
from numaplace.libvirt.profile import PROFILES
from numaplace.model import CellPlacement, CpuTopology, Guest, GuestCell, Placement
from numaplace.request import Tuning, Viommu
from numaplace.tests import recordings
from numaplace.tests.unit.libvirt import samples
from numaplace.tests.unit.libvirt.samples import SAMPLES, Sample, cell, placed


def _parse(name: str) -> etree._Element:
    return etree.fromstring(SAMPLES[name].xml())


def _part(name: str, tag: str) -> str:
    """Return the lines of one part of the XML, without their indentation."""
    part, inside = [], False
    for line in SAMPLES[name].xml().splitlines():
        inside = inside or line.startswith((f'  <{tag}>', f'  <{tag} ', f'  <{tag}/'))
        if inside:
            part.append(line.strip())
        if line.startswith((f'  </{tag}>', f'  <{tag}/')) or (inside and line.endswith(f'</{tag}>')):
            break
    return '\n'.join(part)


def test_a_floating_guest_has_its_number_of_vcpus_and_no_numa_parts():
    root = _parse('floating')
    assert _part('floating', 'vcpu') == "<vcpu placement='static'>1</vcpu>"
    assert [root.find(tag) for tag in ('cputune', 'numatune', 'memoryBacking', 'cpu/numa')] == [None] * 4


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('floating with a shared set', '0-1,6'),
        ('floating with a shared set alone', '0-1,6'),
        ('floating with the old pin set', '4-7'),
        ('floating with a dedicated set alone', None),
        ('two sets and shared vCPUs', None),
    ],
)
def test_only_a_floating_guest_is_held_to_a_configured_shared_set(name, expected):
    assert _parse(name).find('vcpu').get('cpuset') == expected


def test_an_encrypted_guest_has_firmware_policy_locked_memory_and_devices_behind_an_iommu():
    root = _parse('encrypted')
    assert root.find('os').get('firmware') == 'efi'
    security = root.find('launchSecurity')
    assert (security.get('type'), [(one.tag, one.text) for one in security]) == (
        'sev',
        [('cbitpos', '47'), ('reducedPhysBits', '1'), ('policy', '0x0033')],
    )
    virtio = [root.find(f'devices/{tag}/driver') for tag in ('disk', 'interface', 'memballoon')]
    assert [driver.get('iommu') for driver in virtio] == ['on'] * 3
    assert _part('encrypted state, on cells', 'launchSecurity').count('\n') == 2
    other = _parse('encrypted state, on cells')
    assert (other.findtext('launchSecurity/policy'), other.find('memoryBacking/locked') is None) == ('0x0037', False)
    plain = _parse('one cell')
    assert (plain.find('os').get('firmware'), plain.find('launchSecurity'), plain.find('devices/memballoon')) == (
        None,
        None,
        None,
    )


def test_an_encrypted_guest_needs_its_machine_type():
    with pytest.raises(exception.MachineLimitExceeded, match='memory encryption needs a machine type of the kind q35'):
        SAMPLES['encrypted'].xml(machine='pc')


@pytest.mark.parametrize('form', ['nova-33', 'newest'])
def test_namespaces_are_modules_near_their_host_cells_with_a_slot_each(form):
    root = etree.fromstring(SAMPLES['persistent memory'].xml(profile=PROFILES[form]))
    limit = root.find('maxMemory')
    assert (limit.get('slots'), limit.text) == ('2', str((1024 + 2 * 6144) * 1024))
    modules = [
        (
            *(one.get(name) for name in ('model', 'access')),
            one.findtext('source/path'),
            one.findtext('source/alignsize'),
            one.find('source/pmem') is not None,
            *(one.findtext(f'target/{path}') for path in ('size', 'node', 'label/size')),
        )
        for one in root.iterfind('devices/memory')
    ]
    assert modules == [
        ('nvdimm', 'shared', f'/dev/dax{node}.0', '2048', True, str(6 << 20), str(node), '2048') for node in (1, 0)
    ]


def test_namespaces_do_not_use_up_the_slots_of_the_flavor():
    limit = _parse('persistent memory beside slots').find('maxMemory')
    assert (limit.get('slots'), limit.text) == ('3', str((2048 + 6144) * 1024))


def test_a_namespace_that_the_host_lost_is_named():
    sample = SAMPLES['persistent memory']
    with pytest.raises(exception.InvalidDomain, match=r"namespace 'ns1' .*: its host no longer has it"):
        replace(sample, host=samples.host('seed3')).xml()


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('address bits', "<maxphysaddr mode='emulate' bits='42'/>"),
        ('address bits of the host', "<maxphysaddr mode='passthrough'/>"),
    ],
)
def test_the_bits_of_physical_addresses_are_written(name, expected):
    assert expected in SAMPLES[name].xml()
    with pytest.raises(exception.MachineLimitExceeded, match='physical addresses of a fixed length'):
        SAMPLES[name].xml(arch='aarch64', machine='virt')


def test_the_whole_document_is_printed_as_virsh_prints_it():
    assert (
        SAMPLES['two cells'].xml(profile=PROFILES['nova-12'])
        == """\
<domain type='qemu'>
  <name>instance-00000001</name>
  <uuid>c7b8ca9f-1853-43f8-abfb-60d34cff18ae</uuid>
  <title>cirros2</title>
  <memory unit='KiB'>1048576</memory>
  <vcpu placement='static'>4</vcpu>
  <cputune>
    <vcpupin vcpu='0' cpuset='0-3'/>
    <vcpupin vcpu='1' cpuset='0-3'/>
    <vcpupin vcpu='2' cpuset='4-5'/>
    <vcpupin vcpu='3' cpuset='4-5'/>
    <emulatorpin cpuset='0-5'/>
  </cputune>
  <numatune>
    <memory mode='strict' nodeset='0-1'/>
    <memnode cellid='0' mode='strict' nodeset='0'/>
    <memnode cellid='1' mode='strict' nodeset='1'/>
  </numatune>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
  </os>
  <features>
    <acpi/>
    <apic/>
  </features>
  <cpu mode='host-model'>
    <topology sockets='4' cores='1' threads='1'/>
    <numa>
      <cell id='0' cpus='0-1' memory='524288' unit='KiB'/>
      <cell id='1' cpus='2-3' memory='524288' unit='KiB'/>
    </numa>
  </cpu>
  <clock offset='utc'/>
  <devices>
    <console type='pty'/>
  </devices>
</domain>
"""
    )


def _pins(name: str) -> dict[int, str]:
    return {int(pin.get('vcpu')): pin.get('cpuset') for pin in _parse(name).iterfind('cputune/vcpupin')}


_NODES = ('0-14,60-74', '15-29,75-89', '30-44,90-104', '45-59,105-119')


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('one cell', dict.fromkeys(range(4), '0-3')),
        ('cells out of order', {0: '6-7', 1: '6-7', 2: '0-3', 3: '0-3'}),
        ('two sets and shared vCPUs', {0: '0-1', 1: '0-1', 2: '4', 3: '4'}),
        ('mixed', {0: '0-1', 1: '3', 2: '5', 3: '4'}),
        ('four cells', {vcpu: _NODES[vcpu // 4] for vcpu in range(16)}),
        (
            'four cells by threads, locked',
            dict(enumerate(map(str, (1, 61, 2, 62, 16, 76, 17, 77, 31, 91, 32, 92, 46, 106, 47, 107)))),
        ),
        ('dedicated', {vcpu: str(vcpu if vcpu < 12 else vcpu + 3) for vcpu in range(24)}),
    ],
)
def test_a_dedicated_vcpu_is_on_its_cpu_and_a_shared_one_on_the_shared_cpus_of_its_host_cell(name, expected):
    assert _pins(name) == expected


def test_pins_are_listed_by_vcpu_whatever_the_order_of_the_cells():
    sample = Sample(samples.host('seed3'), placed(cell(1, '2-3', 64), cell(0, '0-1', 64)))
    pins = etree.fromstring(sample.xml()).iterfind('cputune/vcpupin')
    assert [pin.get('vcpu') for pin in pins] == ['0', '1', '2', '3']


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('one cell', '0-3'),
        ('cells out of order', '0-3,6-7'),
        ('mixed', '0-1,3-5'),
        ('emulator isolate', '2'),
        ('emulator share with a shared set', '0,6'),
        ('emulator share without sets', '1-2'),
        ('realtime', '2-3'),
    ],
)
def test_the_emulator_is_kept_to(name, expected):
    assert _parse(name).find('cputune/emulatorpin').get('cpuset') == expected


def test_the_emulator_that_nothing_was_reserved_for_uses_the_guests_cpus():
    placement = placed(cell(0, '0-1', 64, {0: 2, 1: 3}), emulator_policy='isolate')
    root = etree.fromstring(Sample(samples.host('seed3'), placement).xml())
    assert root.find('cputune/emulatorpin').get('cpuset') == '2-3'


def test_the_emulator_of_a_guest_with_nothing_but_realtime_vcpus_uses_their_cpus():
    placement = placed(cell(0, '0-1', 64, {0: 2, 1: 3}), realtime_vcpus=0b11)
    root = etree.fromstring(Sample(samples.host('seed3'), placement).xml())
    assert root.find('cputune/emulatorpin').get('cpuset') == '2-3'


def test_guest_cells_are_numbered_from_0_and_bound_to_their_host_cells():
    assert (
        _part('cells out of order', 'numatune')
        == """\
<numatune>
<memory mode='strict' nodeset='0,2'/>
<memnode cellid='0' mode='strict' nodeset='2'/>
<memnode cellid='1' mode='strict' nodeset='0'/>
</numatune>"""
    )
    assert [one.get('id') for one in _parse('cells out of order').iterfind('cpu/numa/cell')] == ['0', '1']


def test_guest_cells_may_share_a_host_cell():
    assert (
        _part('two cells on one host cell', 'numatune')
        == """\
<numatune>
<memory mode='strict' nodeset='0'/>
<memnode cellid='0' mode='strict' nodeset='0'/>
<memnode cellid='1' mode='strict' nodeset='0'/>
</numatune>"""
    )


def test_pages_above_the_smallest_size_back_their_guest_cells_and_are_shared():
    assert (
        _part('pages of three sizes, locked', 'memoryBacking')
        == """\
<memoryBacking>
<hugepages>
<page size='2048' unit='KiB' nodeset='2'/>
<page size='1048576' unit='KiB' nodeset='1'/>
</hugepages>
<locked/>
</memoryBacking>"""
    )
    cells = _parse('pages of three sizes, locked').iterfind('cpu/numa/cell')
    assert [one.get('memAccess') for one in cells] == [None, 'shared', 'shared']


def test_pages_of_one_size_stand_in_one_element():
    assert "<page size='2048' unit='KiB' nodeset='0-1'/>" in _part('huge pages', 'memoryBacking')


def test_locked_memory_alone_is_locked_without_huge_pages():
    assert _part('four cells by threads, locked', 'memoryBacking') == '<memoryBacking>\n<locked/>\n</memoryBacking>'


def test_the_topology_is_the_guests_and_otherwise_one_socket_a_vcpu():
    assert "<topology sockets='4' cores='2' threads='2'/>" in _part('four cells', 'cpu')
    sample = Sample(samples.host('one2'), Placement(Guest(vcpus=3, memory_mib=64)))
    assert "<topology sockets='3' cores='1' threads='1'/>" in sample.xml()


@pytest.mark.parametrize(
    ('name', 'machine', 'features', 'mode'),
    [
        ('one cell', 'q35', True, 'host-model'),
        ('kvm', 'q35', True, 'host-model'),
        ('aarch64', 'virt', False, 'custom'),
        ('s390x', 's390-ccw-virtio', False, 'host-model'),
        ('another machine type', 'pc-i440fx-7.2', True, 'host-model'),
    ],
)
def test_machine_features_and_cpu_mode_follow_architecture_and_type(name, machine, features, mode):
    root = _parse(name)
    assert root.find('os/type').get('machine') == machine
    assert (root.find('features') is not None) == features
    assert root.find('cpu').get('mode') == mode


def test_model_and_features_of_the_cpu_stand_around_its_topology():
    cpu = GuestCpu('custom', 'Haswell', (('pcid', 'require'), ('hle', 'disable')))
    sample = Sample(samples.host('seed3'), placed(cell(0, '0-1', 64)))
    root = etree.fromstring(sample.xml(cpu=cpu, profile=PROFILES['nova-33']))
    assert (
        xmltext.write(root.find('cpu'))
        == """\
<cpu mode='custom' match='exact'>
  <model>Haswell</model>
  <topology sockets='2' cores='1' threads='1'/>
  <feature policy='require' name='pcid'/>
  <feature policy='disable' name='hle'/>
  <numa>
    <cell id='0' cpus='0-1' memory='65536' unit='KiB'/>
  </numa>
</cpu>
"""
    )


def test_the_cpu_that_qemu_has_by_default_has_no_mode():
    assert {} == dict(etree.fromstring(SAMPLES['one cell'].xml(cpu=GuestCpu())).find('cpu').attrib)


@pytest.mark.parametrize(
    ('arch', 'pmu', 'written'),
    [
        ('x86_64', False, True),
        ('i686', True, True),
        ('aarch64', False, True),
        ('armv7l', True, True),
        ('ppc64le', True, True),
        ('ppc64le', False, False),
        ('ppc64', False, False),
        ('s390x', True, False),
        ('s390x', False, False),
        ('riscv64', True, False),
    ],
)
def test_performance_counters_are_switched_where_qemu_can(arch, pmu, written):
    """Seen with libvirt 9.0 and QEMU 7.2: POWER has them always, s390x and RISC-V have no such property of the CPU."""
    sample = SAMPLES['floating']
    if written:
        root = etree.fromstring(sample.xml(arch=arch, tuning=Tuning(pmu=pmu)))
        assert ('on' if pmu else 'off') == root.find('features/pmu').get('state')
        return
    with pytest.raises(exception.MachineLimitExceeded, match='expected no hw:pmu') as caught:
        sample.xml(arch=arch, tuning=Tuning(pmu=pmu))
    told = f' of {arch} cannot switch its performance counters: expected no hw:pmu, nor hw_pmu of the image'
    assert str(caught.value).endswith(told)


_ONE_CELL = Sample(samples.host('seed3'), placed(cell(0, '0-1', 128, {0: 1, 1: 2}, 2048)))


@pytest.mark.parametrize(('arch', 'cpu'), [('s390x', None), ('riscv64', GuestCpu(is_known=False))])
def test_a_cell_that_the_guest_cannot_see_is_bound_all_the_same(arch, cpu):
    root = etree.fromstring(_ONE_CELL.xml(arch=arch, cpu=cpu))
    assert ([], []) == (root.findall('cpu/numa'), root.findall('numatune/memnode'))
    assert ('strict', '0') == tuple(root.find('numatune/memory').get(key) for key in ('mode', 'nodeset'))
    assert ['1', '2'] == [pin.get('cpuset') for pin in root.findall('cputune/vcpupin')]
    assert {'size': '2048', 'unit': 'KiB'} == root.find('memoryBacking/hugepages/page').attrib
    assert 'shared' == root.find('memoryBacking/access').get('mode')
    assert (cpu is None) == (root.find('cpu') is not None)


@pytest.mark.parametrize(
    'sample',
    [SAMPLES['two cells'], Sample(samples.host('seed3'), Placement(Guest(2, 512, cpu_topology=CpuTopology(1, 2))))],
    ids=['cells', 'topology'],
)
def test_what_only_a_cpu_shows_is_refused_where_libvirt_has_no_cpu_driver(sample):
    with pytest.raises(exception.MachineLimitExceeded, match='its libvirt has no CPU driver for riscv64'):
        sample.xml(arch='riscv64', cpu=GuestCpu(is_known=False))


def _tier(pagesize_kib):
    return CellPlacement(GuestCell(1, 0, 0, 64, pagesize_kib), 8, pagesize_kib)


@pytest.mark.parametrize(
    ('form', 'second', 'expected'),
    [
        ('libvirt-8.10', _tier(2048), ['thread-context']),
        ('libvirt-8.10', _tier(None), []),
        ('libvirt-8.10', cell(1, '2-3', 64, None, 2048), []),
        ('newest', _tier(2048), []),
    ],
    ids=['huge pages', 'ordinary pages', 'a node with CPUs', 'a later libvirt'],
)
def test_thread_contexts_are_switched_off_for_huge_pages_on_a_node_without_cpus(form, second, expected):
    """Seen with libvirt 9.0 and QEMU 7.2: the nodes select no CPUs."""
    sample = Sample(samples.host('tiers'), placed(cell(0, '0-1', 64), second))
    root = etree.fromstring(sample.xml(profile=PROFILES[form]))
    spaces = {'qemu': 'http://libvirt.org/schemas/domain/qemu/1.0'}
    assert expected == root.xpath('qemu:capabilities/qemu:del/@capability', namespaces=spaces)


def test_s390x_has_no_guests_with_two_cells():
    with pytest.raises(exception.MachineLimitExceeded, match=r'2 NUMA cells.*s390-ccw-virtio of s390x'):
        SAMPLES['two cells'].xml(arch='s390x')


_EIM = ["<driver intremap='on' eim='on'/>"]
_KVM = ["<driver intremap='on' caching_mode='on' eim='on' iotlb='on' aw_bits='48'/>"]


@pytest.mark.parametrize(
    ('form', 'vcpus', 'asked', 'options', 'expected'),
    [
        ('newest', 255, None, {}, []),
        ('newest', 256, None, {}, _EIM),
        ('newest', 256, None, {'domain_type': 'kvm'}, _EIM),
        ('libvirt-2.2', 256, None, {}, _EIM),
        ('libvirt-1.2', 256, None, {}, _EIM),
        ('nova-33', 256, None, {}, []),
        ('nova-12', 256, None, {}, []),
        ('nova-33', 2, 'intel', {'domain_type': 'kvm'}, _KVM),
        ('newest', 256, 'auto', {}, _KVM),
        ('newest', 2, 'virtio', {}, [None]),
        ('libvirt-2.2', 2, 'auto', {'domain_type': 'kvm'}, _KVM),
    ],
)
def test_an_iommu_is_written_where_it_is_asked_for_or_needed_but_in_novas_forms(form, vcpus, asked, options, expected):
    sample = Sample(samples.host('seed3'), Placement(Guest(vcpus, 512)))
    viommu = None if asked is None else Viommu(asked)
    root = etree.fromstring(sample.xml(profile=PROFILES[form], viommu=viommu, **options))
    found = [
        None if (driver := one.find('driver')) is None else etree.tostring(driver, encoding='unicode').strip()
        for one in root.findall('devices/iommu')
    ]
    assert expected == [None if text is None else text.replace('"', "'") for text in found]
    assert any(expected) == (root.find('features/ioapic') is not None)


@pytest.mark.parametrize(('form', 'expected'), [('newest', '3'), ('libvirt-1.2', '3'), ('nova-33', None)])
def test_an_arm_guest_of_nine_vcpus_has_a_gicv3_but_in_novas_forms(form, expected):
    sample = Sample(samples.host('seed3'), Placement(Guest(9, 512)))
    gic = etree.fromstring(sample.xml(profile=PROFILES[form], arch='aarch64')).find('features/gic')
    assert expected == (None if gic is None else gic.get('version'))


def test_what_the_machine_type_does_not_take_is_not_written():
    sample = Sample(samples.host('seed3'), Placement(Guest(256, 512)))
    with pytest.raises(
        exception.MachineLimitExceeded,
        match='^'
        + re.escape("domain 'cirros2': the guest has 256 vCPUs; machine type pc of x86_64 takes at most 255")
        + '$',
    ):
        sample.xml(machine='pc')


def test_hostile_names_stay_in_their_elements():
    text = SAMPLES['hostile names'].xml()
    root = etree.fromstring(text)
    assert root.findtext('name') == '.._.._<x>&\'"\ufffd]0;   \ufffd\ufffd\ufffd' + 'é' * 150
    assert root.findtext('title').startswith('\ufffd[31m</title><!-- \'"& \u202e\x9b31m\ufffd \ufffd \U0001f600x')
    assert [child.tag for child in root][:5] == ['name', 'uuid', 'title', 'memory', 'vcpu']
    assert not set('\x1b\x9b\u202e') & set(text)


def test_a_guest_with_a_blank_name_is_called_by_its_uuid_and_has_no_title():
    root = _parse('blank names')
    assert root.findtext('name') == samples.UUID
    assert root.find('title') is None


def test_a_shared_vcpu_on_a_host_cell_without_shared_cpus_is_a_fault():
    sample = Sample(samples.host('seed3', '0', '1-7'), placed(cell(0, '0', 64), cell(1, '1', 64)))
    with pytest.raises(exception.InvalidConfiguration, match=r'guest cell 1: .* vCPU 1: .* host cell 1 .* \(none\)'):
        sample.xml()


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        ({'arch': 'amd64'}, "architecture 'amd64': expected one of aarch64, .*x86_64"),
        ({'machine': "q35'\x1b"}, r"""machine type "q35'\\x1b": expected a machine type of letters, .* as in 'q35'"""),
    ],
)
def test_an_architecture_or_machine_that_libvirt_cannot_know_is_a_fault(options, expected):
    with pytest.raises(exception.Invalid, match=expected):
        SAMPLES['one cell'].xml(**options)


def test_a_host_cell_that_does_not_exist_is_a_fault():
    with pytest.raises(exception.UsageInvalid, match='no host cell 7'):
        Sample(samples.host('seed3'), placed(cell(7, '0', 64))).xml()


_LIVE = {
    'seed1cell': (
        samples.host('seed3'),
        placed(cell(0, '0-3', 1024)),
        ('cputune', 'numatune', 'cpu/topology', 'cpu/numa', 'memoryBacking/hugepages'),
    ),
    'seed2cell': (
        samples.host('seed3'),
        placed(cell(0, '0-1', 512), cell(1, '2-3', 512)),
        ('cputune', 'numatune', 'cpu/topology', 'cpu/numa'),
    ),
    'huge2cell': (
        samples.host('seed3'),
        placed(cell(0, '0-1', 128, {0: 0, 1: 1}, 2048), cell(1, '2-3', 128, {2: 4, 3: 5}, 2048), realtime_vcpus=0b1010),
        ('cputune', 'numatune', 'cpu/topology', 'cpu/numa', 'memoryBacking/hugepages'),
    ),
    'emuoff': (
        samples.host('seed3', '0', '4-5'),
        placed(cell(1, '0-1', 128, {0: 4, 1: 5}, 2048), emulator_policy='share'),
        ('cputune', 'numatune', 'cpu/topology', 'cpu/numa', 'memoryBacking/hugepages'),
    ),
    'emuoff4k': (
        samples.host('seed3', '0', '4-5'),
        placed(cell(1, '0-1', 128, {0: 4, 1: 5}, 4), emulator_policy='share'),
        ('cputune', 'numatune', 'cpu/topology', 'cpu/numa', 'memoryBacking/hugepages'),
    ),
}


def _canonical(root: etree._Element, path: str) -> bytes | None:
    part = root.find(path)
    if part is None:
        return None
    for scheduling in part.findall('vcpusched'):  # nor with realtime vCPUs
        part.remove(scheduling)
    for one in part.iter():
        one.text = one.text and one.text.strip()
        one.tail = None
        one.attrib.pop('dies', None)  # libvirt writes its default
        one.attrib.pop('memAccess', None)  # the recorded guests were started without vhost-user in mind
    return etree.tostring(part, method='c14n')


@pytest.mark.parametrize(('name', 'path'), [(name, path) for name, (_, _, paths) in _LIVE.items() for path in paths])
def test_what_is_written_is_what_virsh_printed_of_a_guest_that_ran(name, path):
    host, placement, _ = _LIVE[name]
    root = etree.fromstring(Sample(host, placement).xml(profile=PROFILES['nova-12']))
    assert _canonical(root, path) == _canonical(etree.fromstring(recordings.live(name)), path)


def test_every_vcpu_of_every_sample_is_in_one_cell_and_has_one_pin_if_it_is_on():
    for name, sample in SAMPLES.items():
        guest = sample.placement.guest
        root = etree.fromstring(sample.xml())
        cells = [cpuset.parse(one.get('cpus')) for one in root.iterfind('cpu/numa/cell')]
        if cells:
            assert sum(cells) == (1 << guest.most_vcpus) - 1, name
            assert cpuset.mask(_pins(name)) == sum(cells) & ~guest.offline_vcpus, name


def test_the_newest_form_has_an_io_thread_beside_the_emulator_and_distances():
    root = etree.fromstring(SAMPLES['four cells'].xml())
    assert '1' == root.findtext('iothreads')
    pin = root.find('cputune/iothreadpin')
    assert ('1', root.find('cputune/emulatorpin').get('cpuset')) == (pin.get('iothread'), pin.get('cpuset'))
    rows = [
        [int(sibling.get('value')) for sibling in cell.iterfind('distances/sibling')]
        for cell in root.iterfind('cpu/numa/cell')
    ]
    assert [[10 if row == column else 21 for column in range(4)] for row in range(4)] == rows


def test_novas_form_has_no_distances():
    root = etree.fromstring(SAMPLES['four cells'].xml(profile=PROFILES['nova-33']))
    assert root.find('.//distances') is None
    assert root.find('cputune/iothreadpin') is not None


def test_realtime_vcpus_are_scheduled_so_and_their_pages_are_not_merged():
    root = _parse('realtime')
    scheduled = [(one.get('vcpus'), one.get('scheduler'), one.get('priority')) for one in root.iter('vcpusched')]
    assert [('2', 'fifo', '1'), ('3', 'fifo', '1')] == scheduled
    assert root.find('memoryBacking/nosharepages') is not None


@pytest.mark.parametrize(('profile', 'expected'), [('nova-33', '2'), ('newest', '2,4-5')])
def test_the_emulator_reaches_every_node_whose_memory_it_has_to_touch(profile, expected):
    placement = placed(
        cell(0, '0-1', 128, {0: 0, 1: 1}, 2048, emulator_cpus=1 << 2),
        cell(1, '2-3', 128, {2: 4, 3: 5}, 2048),
        emulator_policy='isolate',
    )
    root = etree.fromstring(Sample(samples.host('seed3'), placement).xml(profile=PROFILES[profile]))
    assert expected == root.find('cputune/emulatorpin').get('cpuset')


def test_without_huge_pages_the_emulator_stays_where_its_policy_puts_it():
    assert '2' == _parse('emulator isolate').find('cputune/emulatorpin').get('cpuset')


def test_a_flavor_gives_weights_and_limits():
    root = etree.fromstring(SAMPLES['floating'].xml(tuning=Tuning(shares=2048, period=100000, quota=-1)))
    assert {'shares': '2048', 'period': '100000', 'quota': '-1'} == {
        child.tag: child.text for child in root.find('cputune')
    }
