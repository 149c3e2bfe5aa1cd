# SPDX-License-Identifier: Apache-2.0
"""Domains of each architecture by the commands: from the host, the image, the configuration or the operator."""

import pytest
from lxml import etree

from numaplace.tests import real, recordings
from numaplace.tests.functional.cli.conftest import Result


def _root(program, server):
    return etree.fromstring(program(f'server dumpxml {server}'))


def _is(root):
    """Return what a domain is: its type, architecture and machine, and what its CPU is like."""
    kind, cpu = root.find('os/type'), root.find('cpu')
    return (root.get('type'), kind.get('arch'), kind.get('machine'), cpu.get('mode'), cpu.findtext('model'))


@pytest.fixture
def arm(numaplace):
    """Return a function that makes the program with servers on an Arm host, by the name of the recording."""

    def make(name, **options):
        numaplace.configure(**options)
        numaplace(f'host import arm --capabilities {numaplace.fixture(name)}')
        numaplace('flavor create --ram 512 --vcpus 2 floating')
        numaplace('flavor create --ram 512 --vcpus 2 --property hw:cpu_policy=dedicated pinned')
        for flavor in ('floating', 'pinned'):
            numaplace(f'server create --flavor {flavor} {flavor}1')
        return numaplace

    return make


@pytest.mark.parametrize('name', ['arm-one-cell', 'arm-threads'])
def test_every_guest_of_an_arm_host_sees_the_hosts_cpu(arm, name):
    """libvirt: "CPU mode 'host-model' for aarch64 kvm domain on aarch64 host is not supported by hypervisor"."""
    program = arm(name)
    for server in ('floating1', 'pinned1'):
        assert ('kvm', 'aarch64', 'virt', 'host-passthrough', None) == _is(_root(program, server))


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        ('virt_type = qemu', ('qemu', 'aarch64', 'virt', 'custom', 'max')),
        ('cpu_mode = none', ('kvm', 'aarch64', 'virt', None, None)),
        ('cpu_mode = custom\ncpu_models = cortex-a72', ('kvm', 'aarch64', 'virt', 'custom', 'cortex-a72')),
        (
            'hw_machine_type = x86_64=pc, aarch64=virt-7.2',
            ('kvm', 'aarch64', 'virt-7.2', 'host-passthrough', None),
        ),
    ],
)
def test_the_configuration_counts_on_arm_too(arm, options, expected):
    program = arm('arm-one-cell', more=f'[libvirt]\n{options}')
    assert expected == _is(_root(program, 'floating1'))


def test_flags_are_written_with_their_policies(arm):
    program = arm('arm-one-cell', more='[libvirt]\ncpu_model_extra_flags = -SVE, +pmull')
    features = _root(program, 'pinned1').findall('cpu/feature')
    assert [('disable', 'sve'), ('require', 'pmull')] == [(one.get('policy'), one.get('name')) for one in features]


def test_a_mode_that_no_arm_libvirt_has_is_one_line(arm):
    program = arm('arm-one-cell')
    program.configure(more='[libvirt]\ncpu_mode = host-model')
    result = program.run('server', 'dumpxml', 'floating1')
    assert (1, '') == (result.returncode, result.stdout)
    assert (
        'numaplace: [libvirt] cpu_mode = host-model: libvirt does not support it for a kvm guest of aarch64: expected '
        'one of host-passthrough, custom, none\n'
    ) == result.stderr


@pytest.mark.parametrize(
    ('image', 'expected'),
    [
        ('', ('kvm', 'x86_64', 'q35', 'host-model', None)),
        ('hw_machine_type=pc', ('kvm', 'x86_64', 'pc', 'host-model', None)),
        ('hw_emulation_architecture=aarch64', ('qemu', 'aarch64', 'virt', 'custom', 'cortex-a57')),
        ('hw_emulation_architecture=ppc64le', ('qemu', 'ppc64le', 'pseries', 'custom', 'POWER8')),
        ('hw_emulation_architecture=s390x', ('qemu', 's390x', 's390-ccw-virtio', None, None)),
        ('hw_architecture=i686', ('kvm', 'i686', 'q35', 'host-model', None)),
    ],
)
def test_an_image_of_another_architecture_is_emulated(prepared, image, expected):
    properties = ['--image-property', image] if image else []
    prepared.configure(more='[filter_scheduler]\nenabled_filters = NUMATopologyFilter')
    prepared('server create --flavor m1.tiny one', *properties)
    assert expected == _is(_root(prepared, 'one'))


# --- hosts whose source does not report the architecture ------------------------------

_FILES = ('seed3.numactl.txt', 'seed3.lscpu-p.txt', 'seed3.lscpu-e.txt', 'seed3.lscpu-e.json', 'seed3.lscpu.json')
_NUMACTL = 'host import bare --numactl seed3.numactl.txt --lscpu'


@pytest.fixture
def bare(numaplace):
    """The program with the files of a host, and a flavor."""
    for name in _FILES:
        (numaplace.directory / name).write_bytes(recordings.text(name))
    numaplace('flavor create --ram 256 --vcpus 2 small')
    return numaplace


def _warned(result: Result) -> str:
    assert 0 == result.returncode
    assert result.stderr.startswith('numaplace: warning: ')
    assert 1 == result.stderr.count('\n')
    return result.stderr


@pytest.mark.parametrize('form', ['lscpu-p.txt', 'lscpu-e.txt', 'lscpu-e.json'])
def test_without_an_architecture_no_xml_is_written(bare, form):
    told = _warned(bare.run(*f'{_NUMACTL} seed3.{form}'.split()))
    assert f"seed3.{form} does not report the architecture: no XML is written for servers on host 'bare' until" in told
    bare('server create --flavor small one')
    for verb in ('dumpxml', 'define --connect test:///default'):
        result = bare.run('server', *verb.split(), 'one')
        assert (1, '') == (result.returncode, result.stdout)
        assert result.stderr.startswith("numaplace: host 'bare': its architecture is not known, ")
        assert 1 == result.stderr.count('\n')


@pytest.mark.parametrize('form', ['lscpu-p.txt', 'lscpu-e.txt', 'lscpu-e.json'])
@pytest.mark.parametrize(
    ('arch', 'expected'),
    [
        ('ppc64le', ('kvm', 'ppc64le', 'pseries', 'host-model', None)),
        ('arm64', ('kvm', 'aarch64', 'virt', 'host-passthrough', None)),
    ],
)
def test_an_architecture_that_is_given_is_that_of_the_domains(bare, form, arch, expected):
    bare(f'{_NUMACTL} seed3.{form} --architecture {arch}')
    assert expected[1] == bare.json('host show bare')['architecture']
    bare('server create --flavor small one')
    assert expected == _is(_root(bare, 'one'))


def test_an_architecture_can_be_given_later_and_stays(bare):
    _warned(bare.run(*f'{_NUMACTL} seed3.lscpu-p.txt'.split()))
    bare('server create --flavor small one')
    bare(f'{_NUMACTL} seed3.lscpu-p.txt --refresh --architecture riscv64')
    assert 'riscv64' == _root(bare, 'one').find('os/type').get('arch')
    bare(f'{_NUMACTL} seed3.lscpu-p.txt --refresh')
    assert 'riscv64' == bare.json('host show bare')['architecture']


def test_an_image_names_the_architecture_where_the_host_does_not(bare):
    _warned(bare.run(*f'{_NUMACTL} seed3.lscpu-p.txt'.split()))
    bare.configure(more='[filter_scheduler]\nenabled_filters = NUMATopologyFilter')
    bare('server create --flavor small one --image-property hw_architecture=ppc64el')
    assert ('kvm', 'ppc64le', 'pseries', 'host-model', None) == _is(_root(bare, 'one'))


def test_an_lstopo_without_an_architecture_is_asked_for_it(bare):
    path = bare.directory / 'seed3.lstopo.xml'
    path.write_bytes(recordings.text('seed3.lstopo.xml').replace(b'<info name="Architecture" value="x86_64"/>', b''))
    line = f'host import bare --lstopo {path.name}'
    assert f'{path.name} does not report the architecture' in _warned(bare.run(*line.split()))
    bare(f'{line} --refresh --architecture s390x')
    bare('server create --flavor small one')
    assert ('kvm', 's390x', 's390-ccw-virtio', 'host-model', None) == _is(_root(bare, 'one'))


def test_a_recorded_tree_without_an_architecture_is_given_it(numaplace):
    recordings.lay_out('fake-oracle-host', numaplace.directory / 'tree' / 'sys')
    numaplace('host discover --root tree power --architecture riscv64')
    assert 'riscv64' == numaplace.json('host show power')['architecture']


def test_pages_of_a_power_host_are_not_known_even_with_its_architecture(numaplace):
    recordings.lay_out('fake-oracle-host', numaplace.directory / 'tree' / 'sys')
    told = _warned(numaplace.run(*['host', 'discover', '--root', 'tree', 'power', '--architecture', 'ppc64']))
    assert "tree does not report the size of ordinary pages: its pages are assumed to be of this machine's size" in told


@pytest.mark.parametrize(
    ('line', 'words'),
    [
        (
            f'{_NUMACTL} seed3.lscpu.json --architecture ppc64le',
            '--architecture ppc64le: seed3.lscpu.json reports x86_64',
        ),
        ('host import bare --capabilities arm --architecture x86_64', '--architecture x86_64: arm reports aarch64'),
        (f'{_NUMACTL} seed3.lscpu-p.txt --architecture z80', "--architecture 'z80': expected an architecture, one of"),
    ],
)
def test_an_architecture_that_cannot_be_is_refused(bare, line, words):
    (bare.directory / 'arm').write_bytes(recordings.capabilities('arm-threads'))
    result = bare.run(*line.split())
    assert (1, '') == (result.returncode, result.stdout)
    assert result.stderr.startswith(f'numaplace: {words}')
    assert 1 == result.stderr.count('\n')
    assert [] == bare.json('host list')


def test_the_architecture_that_the_source_tells_may_be_given(bare):
    bare(f'{_NUMACTL} seed3.lscpu.json --architecture amd64')
    assert 'x86_64' == bare.json('host show bare')['architecture']


def test_a_libvirt_that_does_not_tell_what_its_domains_have_gets_the_usual_one(prepared):
    """The libvirt of tests has no such call, and keeps nothing."""
    real.require_program('virsh')
    prepared('server create --flavor m1.tiny one')
    assert '' == prepared('server define one --connect test:///default')


@pytest.mark.parametrize(
    ('properties', 'image', 'words'),
    [
        ('', "hw_machine_type=q35'/><x", 'image: hw_machine_type "q35\'/><x": expected a machine type of letters'),
        ('', 'hw_emulation_architecture=z80', "image: hw_emulation_architecture 'z80': expected an architecture"),
        ('quota:cpu_shares=1', 'hw_disk_bus=virtio', "flavor 'odd': quota:cpu_shares='1': expected an integer from 2"),
        ('hw:pmu=true', 'hw_pmu=false', "image: hw_pmu='false': flavor 'odd': hw:pmu='true' says otherwise"),
        (
            'numaplace:disk.0=path=/a,node=3',
            'hw_disk_bus=virtio',
            "flavor 'odd': numaplace:disk.0='path=/a,node=3': node",
        ),
    ],
)
def test_what_no_architecture_has_is_refused_where_that_of_the_host_is_not_known(bare, properties, image, words):
    _warned(bare.run(*f'{_NUMACTL} seed3.lscpu-p.txt'.split()))
    asked = f'--property {properties}' if properties else ''
    bare.run(*f'flavor create --ram 128 --vcpus 1 {asked} odd'.split())  # with a warning, if the flavor tells it alone
    result = bare.run('server', 'create', '--flavor', 'odd', '--image-property', image, 'one')
    assert (1, '') == (result.returncode, result.stdout)
    assert result.stderr.startswith(f'numaplace: {words}')
    assert 1 == result.stderr.count('\n')
    assert [] == bare.json('server list')


@pytest.mark.parametrize(
    ('properties', 'arch', 'line'),
    [
        (
            'hw:numa_nodes=1 numaplace:disk.0=path=/srv/a.img,node=0',
            'ppc64le',
            "flavor 'wish': numaplace:disk.0='path=/srv/a.img,node=0': machine type pseries of ppc64le has no PCIe "
            'expander bus, which a device near to a guest cell needs: expected q35, or virt of aarch64',
        ),
        (
            'hw:pmu=false',
            'ppc64',
            'machine type pseries of ppc64 cannot switch its performance counters: expected no hw:pmu, nor hw_pmu of '
            'the image',
        ),
        (
            'hw:pmu=true',
            's390x',
            'machine type s390-ccw-virtio of s390x cannot switch its performance counters: expected no hw:pmu, nor '
            'hw_pmu of the image',
        ),
    ],
)
def test_what_a_machine_type_has_not_is_asked_of_the_next_host(numaplace, properties, arch, line):
    path = numaplace.directory / 'other'
    path.write_bytes(recordings.capabilities('seed3').replace(b'x86_64', arch.encode()))
    numaplace('host import other --capabilities other')
    asked = ' '.join(f'--property {one}' for one in properties.split())
    numaplace(f'flavor create --ram 256 --vcpus 1 {asked} wish')
    result = numaplace.run('server', 'create', '--flavor', 'wish', 'one')
    assert (3, f"numaplace: no valid host for server 'one': {line}\n") == (result.returncode, result.stderr)
    numaplace(f'host import usual --capabilities {numaplace.fixture("seed3")}')
    numaplace('server create --flavor wish one')
    assert 'usual' == numaplace.json('server show one')['host']
