# SPDX-License-Identifier: Apache-2.0
"""Which CPU a guest sees on each architecture, by the configuration and by what its libvirt says."""

import re

import pytest

from numaplace import exception
from numaplace.libvirt import cpumodel, domcapabilities
from numaplace.libvirt.cpumodel import GuestCpu, Wish
from numaplace.libvirt.machine import GuestMachine
from numaplace.request import machines
from numaplace.tests.unit.libvirt import domcapabilities as said

HOST_MODEL, PASSTHROUGH = GuestCpu('host-model'), GuestCpu('host-passthrough')
MAX, PLAIN = GuestCpu('custom', 'max'), GuestCpu()
_FLAGS = (('pcid', 'require'), ('hle', 'disable'))


def _guest(arch: str, domain_type: str, *, emulated: bool = False) -> GuestMachine:
    return GuestMachine(arch, domain_type, machines.DEFAULTS.get(arch, ''), emulated)


@pytest.mark.parametrize(
    ('arch', 'with_kvm', 'without'),
    [
        ('x86_64', HOST_MODEL, HOST_MODEL),
        ('i686', HOST_MODEL, HOST_MODEL),
        ('aarch64', PASSTHROUGH, MAX),
        ('armv7l', PASSTHROUGH, PLAIN),
        ('ppc64', HOST_MODEL, HOST_MODEL),
        ('ppc64le', HOST_MODEL, HOST_MODEL),
        ('riscv64', PASSTHROUGH, PLAIN),
        ('s390x', HOST_MODEL, HOST_MODEL),
    ],
)
def test_the_default_is_novas_where_libvirt_has_it(arch, with_kvm, without):
    assert (with_kvm, without) == tuple(cpumodel.choose(_guest(arch, kind)) for kind in ('kvm', 'qemu'))


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('x86_64 kvm', HOST_MODEL),
        ('x86_64 qemu', HOST_MODEL),
        ('aarch64 kvm', PASSTHROUGH),
        ('aarch64 kvm, QEMU 2.12', PASSTHROUGH),
        ('aarch64 qemu', MAX),
        ('armv7l qemu', PLAIN),
        ('ppc64 kvm', HOST_MODEL),
        ('ppc64le qemu', PLAIN),
        ('s390x kvm', HOST_MODEL),
        ('s390x qemu', MAX),
        ('riscv64 kvm', PASSTHROUGH),
        ('riscv64 qemu', PLAIN),
    ],
)
def test_the_default_is_one_that_the_libvirt_at_hand_has(name, expected):
    arch, kind = name.partition(',')[0].split()
    assert expected == cpumodel.choose(_guest(arch, kind), supported=said.read(name))


def test_a_libvirt_that_has_host_model_for_arm_some_day_is_believed():
    some_day = domcapabilities.DomainCapabilities('here', frozenset({'host-model', 'custom'}), {})
    assert HOST_MODEL == cpumodel.choose(_guest('aarch64', 'kvm'), supported=some_day)
    assert HOST_MODEL == cpumodel.choose(_guest('aarch64', 'kvm'), Wish('host-model'), some_day)


@pytest.mark.parametrize(
    ('arch', 'kind', 'wish', 'expected'),
    [
        ('x86_64', 'kvm', Wish('host-model'), HOST_MODEL),
        ('x86_64', 'kvm', Wish('host-passthrough'), PASSTHROUGH),
        ('x86_64', 'kvm', Wish('none'), PLAIN),
        ('x86_64', 'qemu', Wish('none'), PLAIN),
        ('aarch64', 'kvm', Wish('none'), PLAIN),
        ('x86_64', 'kvm', Wish('custom', ('Haswell', 'Broadwell')), GuestCpu('custom', 'Haswell')),
        ('aarch64', 'qemu', Wish('custom', ('cortex-a72',)), GuestCpu('custom', 'cortex-a72')),
        ('ppc64le', 'kvm', Wish('host-passthrough'), PASSTHROUGH),
        ('s390x', 'kvm', Wish('custom', ('z13',)), GuestCpu('custom', 'z13')),
        ('x86_64', 'kvm', Wish(None, (), _FLAGS), GuestCpu('host-model', None, _FLAGS)),
        (
            'aarch64',
            'kvm',
            Wish(None, (), (('sve', 'disable'),)),
            GuestCpu('host-passthrough', None, (('sve', 'disable'),)),
        ),
        ('x86_64', 'kvm', Wish('custom', ('Haswell',), _FLAGS), GuestCpu('custom', 'Haswell', _FLAGS)),
        ('x86_64', 'test', Wish('host-model'), PLAIN),
    ],
)
def test_what_is_configured_is_written(arch, kind, wish, expected):
    assert expected == cpumodel.choose(_guest(arch, kind), wish)


@pytest.mark.parametrize(
    ('arch', 'expected'),
    [
        ('aarch64', GuestCpu('custom', 'cortex-a57')),
        ('ppc64le', GuestCpu('custom', 'POWER8')),
        ('ppc64', PLAIN),
        ('s390x', PLAIN),
        ('riscv64', PLAIN),
        ('armv7l', PLAIN),
        ('x86_64', PLAIN),
    ],
)
@pytest.mark.parametrize('wish', [Wish(), Wish('host-passthrough', (), _FLAGS), Wish('custom', ('Haswell',))])
def test_a_guest_of_another_architecture_sees_nothing_of_the_hosts_configuration(arch, expected, wish):
    assert expected == cpumodel.choose(_guest(arch, 'qemu', emulated=True), wish)


def test_an_emulated_model_that_qemu_does_not_have_is_left_to_it():
    guest = _guest('aarch64', 'qemu', emulated=True)
    assert GuestCpu('custom', 'cortex-a57') == cpumodel.choose(guest, supported=said.read('aarch64 qemu'))
    assert PLAIN == cpumodel.choose(guest, supported=said.read('riscv64 qemu'))


@pytest.mark.parametrize(
    ('arch', 'kind', 'wish', 'known', 'expected'),
    [
        ('aarch64', 'kvm', Wish('host-model'), None, 'expected one of host-passthrough, custom, none'),
        ('armv7l', 'kvm', Wish('host-model'), None, 'expected one of host-passthrough, custom, none'),
        ('riscv64', 'qemu', Wish('host-model'), None, 'expected one of custom, none'),
        ('x86_64', 'qemu', Wish('host-passthrough'), None, 'expected one of host-model, custom, none'),
        ('x86_64', 'qemu', Wish('host-passthrough'), 'x86_64 qemu', 'expected one of host-model, custom, none'),
        ('ppc64le', 'qemu', Wish('host-model'), 'ppc64le qemu', 'expected one of custom, none'),
        ('riscv64', 'kvm', Wish('custom', ('rv64',)), 'riscv64 kvm', 'expected one of host-passthrough, none'),
    ],
)
def test_a_mode_that_libvirt_refuses_is_refused_with_those_that_it_has(arch, kind, wish, known, expected):
    with pytest.raises(exception.InvalidConfiguration, match=re.escape(expected)) as caught:
        cpumodel.choose(_guest(arch, kind), wish, known and said.read(known))
    who = f'the libvirt at {said.PLACE}' if known else 'libvirt'
    start = f'[libvirt] cpu_mode = {wish.mode}: {who} does not support it for a {kind} guest of {arch}: '
    assert start + expected == str(caught.value)


def test_a_model_is_written_as_libvirt_spells_it():
    wish = Wish('custom', ('haswell', 'broadwell'))
    assert GuestCpu('custom', 'Haswell') == cpumodel.choose(_guest('x86_64', 'kvm'), wish, said.read('x86_64 kvm'))


@pytest.mark.parametrize(
    ('model', 'words'),
    [
        ('Pentium9', 'Pentium9 is not known to the libvirt at qemu:///system for a kvm guest of x86_64'),
        ('Broadwell', 'Broadwell cannot be run by the libvirt at qemu:///system for a kvm guest of x86_64'),
    ],
)
def test_a_model_that_the_host_does_not_have_is_refused(model, words):
    with pytest.raises(
        exception.InvalidConfiguration,
        match='^' + re.escape(f'[libvirt] cpu_models = {model}: {words}: expected one of Haswell, qemu64') + '$',
    ):
        cpumodel.choose(_guest('x86_64', 'kvm'), Wish('custom', (model,)), said.read('x86_64 kvm'))


def test_features_need_a_cpu_to_add_them_to():
    with pytest.raises(exception.InvalidConfiguration, match=r'cpu_model_extra_flags: .* qemu guest of riscv64'):
        cpumodel.choose(_guest('riscv64', 'qemu'), Wish(None, (), _FLAGS))


def test_modes_and_models_are_read():
    found = said.read('x86_64 kvm')
    assert {'host-passthrough', 'maximum', 'host-model', 'custom'} == found.modes
    assert {'Haswell': True, 'Broadwell': False, 'qemu64': True} == found.models
    assert frozenset() == said.read('riscv64 qemu').modes


@pytest.mark.parametrize(
    ('xml', 'words'),
    [
        (b'<capabilities/>', 'expected <domainCapabilities>'),
        (b'<domainCapabilities/>', 'there is no cpu: expected the output of `virsh domcapabilities`'),
        (b'error', 'no XML'),
    ],
)
def test_what_is_no_such_document_is_refused(xml, words):
    with pytest.raises(exception.InvalidCapabilities, match=words):
        domcapabilities.read(xml, said.PLACE)
