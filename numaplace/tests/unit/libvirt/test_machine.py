# SPDX-License-Identifier: Apache-2.0
"""What a domain is follows from the image, the host and the configuration, and is never guessed."""

import pytest

from numaplace import exception
from numaplace.libvirt import machine
from numaplace.libvirt.machine import GuestMachine


@pytest.mark.parametrize(
    ('host_arch', 'expected'),
    [
        ('x86_64', 'q35'),
        ('i686', 'q35'),
        ('aarch64', 'virt'),
        ('armv7l', 'virt'),
        ('ppc64', 'pseries'),
        ('ppc64le', 'pseries'),
        ('riscv64', 'virt'),
        ('s390x', 's390-ccw-virtio'),
    ],
)
def test_a_guest_is_of_the_architecture_of_its_host_and_its_usual_machine(host_arch, expected):
    assert GuestMachine(host_arch, 'kvm', expected) == machine.choose({}, 'compute1', host_arch, 'kvm')


_MACHINES = (('x86_64', 'pc-q35-7.2'), ('aarch64', 'virt-7.2'), ('x86_64', 'pc'))


@pytest.mark.parametrize(
    ('image', 'host_arch', 'virt_type', 'expected'),
    [
        ({}, 'x86_64', 'kvm', GuestMachine('x86_64', 'kvm', 'pc-q35-7.2')),
        ({}, 'aarch64', 'qemu', GuestMachine('aarch64', 'qemu', 'virt-7.2')),
        ({}, 'ppc64le', 'kvm', GuestMachine('ppc64le', 'kvm', 'pseries')),
        ({'hw_machine_type': 'pc'}, 'x86_64', 'kvm', GuestMachine('x86_64', 'kvm', 'pc')),
        ({'hw_architecture': 'amd64'}, 'x86_64', 'kvm', GuestMachine('x86_64', 'kvm', 'pc-q35-7.2')),
        ({'hw_architecture': 'i386'}, 'x86_64', 'kvm', GuestMachine('i686', 'kvm', 'q35')),
        ({'hw_architecture': 'aarch64'}, 'x86_64', 'kvm', GuestMachine('aarch64', 'qemu', 'virt-7.2', emulated=True)),
        ({'hw_architecture': 'arm64'}, 'x86_64', 'qemu', GuestMachine('aarch64', 'qemu', 'virt-7.2', emulated=True)),
        (
            {'hw_architecture': 'x86_64', 'hw_emulation_architecture': 's390x'},
            'x86_64',
            'kvm',
            GuestMachine('s390x', 'qemu', 's390-ccw-virtio', emulated=True),
        ),
        ({'hw_emulation_architecture': 'aarch64'}, 'aarch64', 'kvm', GuestMachine('aarch64', 'kvm', 'virt-7.2')),
        ({'hw_architecture': 'riscv64'}, '', 'kvm', GuestMachine('riscv64', 'kvm', 'virt')),
    ],
)
def test_image_goes_before_configuration_and_what_the_host_cannot_run_is_emulated(
    image, host_arch, virt_type, expected
):
    assert expected == machine.choose(image, 'compute1', host_arch, virt_type, _MACHINES)


@pytest.mark.parametrize(
    ('image', 'host_arch', 'kind', 'words'),
    [
        (
            {},
            '',
            exception.ArchitectureUnknown,
            "host 'compute1': its architecture is not known, .* --architecture to `numaplace host import --refresh`",
        ),
        (
            {},
            'mips64',
            exception.Invalid,
            "host 'compute1': architecture 'mips64': expected an architecture, one of aa",
        ),
        ({'hw_architecture': 'z80'}, 'x86_64', exception.Invalid, "image: hw_architecture 'z80': expected"),
        ({'hw_emulation_architecture': 'x'}, 'x86_64', exception.Invalid, "image: hw_emulation_architecture 'x': exp"),
        (
            {'hw_machine_type': "q35'/><x a='"},
            'x86_64',
            exception.Invalid,
            r"image: hw_machine_type \"q35'/><x a='\": expected a machine type of letters, .* as in 'q35'",
        ),
    ],
)
def test_what_is_not_known_is_refused(image, host_arch, kind, words):
    with pytest.raises(kind, match=words):
        machine.choose(image, 'compute1', host_arch, 'kvm')
