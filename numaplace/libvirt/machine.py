# SPDX-License-Identifier: Apache-2.0
"""The architecture, type and machine type of a guest's domain, from image, host and configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from numaplace import architecture, exception
from numaplace.request import machines

__all__ = ['KVM', 'QEMU', 'GuestMachine', 'check', 'choose']

KVM, QEMU = 'kvm', 'qemu'

_MACHINE = re.compile(r'[a-zA-Z0-9_.-]+')


@dataclass(frozen=True, slots=True)
class GuestMachine:
    """Architecture, type and machine type of a domain.

    :param arch: libvirt's name of the guest's architecture
    :param domain_type: KVM or QEMU
    :param machine: machine type
    :param emulated: whether the CPUs of the host cannot run the guest's architecture
    """

    arch: str
    domain_type: str
    machine: str
    emulated: bool = False


def check(arch: str, machine: str, place: str = 'machine type') -> None:
    """Make sure that an architecture and a machine type are valid for a domain.

    :param place: what names the machine type, for the error
    :raises: :class:`~numaplace.exception.Invalid`
    """
    if arch not in machines.DEFAULTS:
        raise exception.Invalid(f'architecture {arch!r}: expected one of {", ".join(machines.DEFAULTS)}')
    if not _MACHINE.fullmatch(machine):
        raise exception.Invalid(
            f"{place} {machine!r}: expected a machine type of letters, digits, '.', '_' and '-', as in "
            f'{machines.DEFAULTS[arch]!r}'
        )


def choose(
    image: Mapping[str, str], host: str, host_arch: str, virt_type: str, configured: Sequence[tuple[str, str]] = ()
) -> GuestMachine:
    """Choose the machine of a guest's domain (Nova 34, `_configure_guest_by_virt_type` and `get_machine_type`).

    Nova emulates a guest if its architecture has a different name from the host's. Here a guest that the host's CPUs
    can run, such as i686 on x86_64, keeps `virt_type`, which libvirt accepts.

    :param image: its ``hw_emulation_architecture``, ``hw_architecture`` and ``hw_machine_type`` are used, in this order
    :param host: name of the host, for the errors
    :param host_arch: architecture of the host, or empty where it is not known
    :param virt_type: ``[libvirt] virt_type``
    :param configured: ``[libvirt] hw_machine_type``, pairs of architecture and machine type; the first of an
        architecture is used
    :raises: :class:`~numaplace.exception.ArchitectureUnknown` if neither image nor host names the architecture,
        :class:`~numaplace.exception.Invalid` for an invalid architecture or machine type
    """
    host_arch = architecture.canonical(host_arch)
    arch = _arch(image, host, host_arch)
    machine = machines.named(image, arch, configured)
    check(arch, machine, 'image: hw_machine_type' if image.get('hw_machine_type') else '[libvirt] hw_machine_type')
    emulated = bool(host_arch) and not architecture.is_native(host_arch, arch)
    return GuestMachine(arch, QEMU if emulated else virt_type, machine, emulated)


def _arch(image: Mapping[str, str], host: str, host_arch: str) -> str:
    for key in ('hw_emulation_architecture', 'hw_architecture'):
        if image.get(key):
            return architecture.check(image[key], f'image: {key}')
    if host_arch:
        return architecture.check(host_arch, f'host {host!r}: architecture')
    raise exception.ArchitectureUnknown(
        f'host {host!r}: its architecture is not known, and no domain is written for a guessed one: give it with '
        '--architecture to `numaplace host import --refresh` or `numaplace host discover --refresh`, or with '
        f'hw_architecture of the image; expected one of {", ".join(architecture.KNOWN)}'
    )
