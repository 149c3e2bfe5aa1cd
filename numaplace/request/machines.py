# SPDX-License-Identifier: Apache-2.0
"""Machine types of QEMU: which one a guest gets, and what a guest of that type cannot have."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from numaplace import architecture
from numaplace.model import Guest, Reason
from numaplace.model.host_resources import PMEM
from numaplace.request.hotplug import Hotplug

__all__ = [
    'DEFAULTS',
    'PC',
    'Q35',
    'VIRT',
    'Machine',
    'architecture_of',
    'has_dies',
    'has_expanders',
    'has_hotplug',
    'has_numa',
    'named',
    'needs_eim',
    'needs_gic',
    'of_host',
    'of_image',
    'reasons',
    'shorten',
    'unemulated',
]

_X86 = ('i686', 'x86_64')
#: Architectures whose performance counters QEMU cannot switch on and off, or only cannot switch off.
_WITHOUT_COUNTERS, _FIXED_COUNTERS = ('riscv64', 's390x'), ('ppc64', 'ppc64le')

#: The usual machine type of each architecture that libvirt's schema and this package know.
DEFAULTS: Mapping[str, str] = {
    'aarch64': 'virt',
    'armv7l': 'virt',
    'i686': 'q35',
    'ppc64': 'pseries',
    'ppc64le': 'pseries',
    'riscv64': 'virt',
    's390x': 's390-ccw-virtio',
    'x86_64': 'q35',
}

#: Kinds of machine types, regardless of the version.
PC, Q35, VIRT, PSERIES, CCW = 'pc', 'q35', 'virt', 'pseries', 's390-ccw-virtio'

#: The machine types of each kind, including vendors' versions such as pc-q35-rhel9.2.0, and their architectures.
_KINDS = (
    (Q35, re.compile(r'(pc-)?q35(-|$)'), _X86),
    (PC, re.compile(r'pc($|-i440fx-|-[01]\.)'), _X86),
    (VIRT, re.compile(r'virt(-|$)'), ('aarch64', 'armv7l', 'riscv64')),
    (PSERIES, re.compile(r'pseries(-|$)'), ('ppc64', 'ppc64le')),
    (CCW, re.compile(r's390-ccw(-|$)'), ('s390x',)),
)

#: APIC IDs of xAPIC, and of messages without interrupt remapping, have 8 bits; the last one means all CPUs.
_LAST_APIC_ID = 254
#: libvirt requires an IOMMU with extended interrupt mode above this, regardless of the APIC IDs.
_VCPUS_WITHOUT_EIM = 255
#: The most that a GICv2 can interrupt; QEMU gives its virt machines one by default.
_VCPUS_OF_GICV2 = 8
#: The first releases of QEMU that emulate, without KVM, cores of several threads on pseries, and long APIC IDs on x86.
_PSERIES_THREADS, _X2APIC = (8, 1), (9, 0)
#: The most that any QEMU release supports: MAX_NODES, and the slots of ACPI.
_CELLS, _SLOTS = 128, 256


@dataclass(frozen=True, slots=True)
class _Most:
    """The limits of a guest in the newest release of QEMU; None is not known.

    :param step_mib: the memory of a cell must be a multiple of this; otherwise libvirt rounds it up, beyond the claim
    :param threads: threads of a core
    :param hotplug: vCPUs may be switched on and off
    :param numa: the guest sees NUMA cells; without them, one cell can still be bound to a host cell
    :param fixed: `vcpus` applies regardless of what the host reports
    :param expanders: has PCIe expander buses, which show the guest the node of a device
    :param dies: a socket may have several dies
    """

    vcpus: int | None = None
    cells: int = _CELLS
    slots: int = _SLOTS
    step_mib: int = 1
    threads: int | None = None
    hotplug: bool = True
    numa: bool = True
    fixed: bool = False
    expanders: bool = False
    dies: bool = False


#: From QEMU's sources, and tested with 7.2; a machine type that is not known here has no limits.
_MOST: Mapping[tuple[str, str], _Most] = {
    **{(arch, Q35): _Most(4096, expanders=True, dies=True) for arch in _X86},
    **{(arch, PC): _Most(255, dies=True) for arch in _X86},
    # Memory is plugged in by ACPI, which guests of virt have with UEFI firmware alone; numaplace writes none.
    ('aarch64', VIRT): _Most(512, slots=0, hotplug=False, expanders=True),
    # libvirt cannot request another interrupt controller there, and reports 512.
    ('armv7l', VIRT): _Most(_VCPUS_OF_GICV2, slots=0, hotplug=False, fixed=True, expanders=True),
    ('riscv64', VIRT): _Most(512, slots=0, hotplug=False),
    **{(arch, PSERIES): _Most(4096, slots=32, step_mib=256) for arch in ('ppc64', 'ppc64le')},
    ('s390x', CCW): _Most(248, cells=1, slots=0, threads=1, numa=False),
}


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine type of a guest.

    :param arch: libvirt's name of the architecture
    :param type: QEMU's name, such as ``q35`` or ``pc-i440fx-7.2``
    :param max_vcpus: the most vCPUs as reported by a host, or None if no host does
    """

    arch: str
    type: str
    max_vcpus: int | None = field(default=None, compare=False)

    @property
    def kind(self) -> str:
        """The kind that the machine type is a version of, such as ``q35``; the type itself if it is not known."""
        return next(
            (kind for kind, pattern, archs in _KINDS if self.arch in archs and pattern.match(self.type)), self.type
        )

    def __str__(self) -> str:
        return f'{self.type} of {self.arch}'


def shorten(arch: str, max_vcpus: Mapping[str, int]) -> dict[str, int]:
    """Leave out the machine types with the same number of vCPUs as their kind: a libvirt lists some fifty.

    :param max_vcpus: the most vCPUs of machine types, by name
    """
    return {
        name: most
        for name, most in sorted(max_vcpus.items())
        if (kind := Machine(arch, name).kind) == name or max_vcpus.get(kind) != most
    }


def architecture_of(image: Mapping[str, object], host_arch: str = '') -> str | None:
    """Return the architecture of the guests of an image, by libvirt's name.

    :param image: ``hw_emulation_architecture`` takes precedence over ``hw_architecture``, as in Nova 34
    :param host_arch: that of the host, or empty where it is not known
    :returns: None if neither reports it
    """
    names = (image.get('hw_emulation_architecture'), image.get('hw_architecture'), host_arch)
    return next((architecture.canonical(str(name)) for name in names if name), None)


def of_host(
    image: Mapping[str, object], facts: Mapping[str, Any], configured: Sequence[tuple[str, str]] = ()
) -> Machine | None:
    """Return the machine type that a guest of an image gets on a host.

    :param facts: of the host; ``architecture``, and ``machines``, as `max_vcpus` of :func:`of_image`, are used
    :param configured: as for :func:`of_image`
    :returns: None if the architecture is not known
    """
    arch = architecture_of(image, str(facts.get('architecture') or ''))
    return of_image(image, arch, facts.get('machines'), configured)


def of_image(
    image: Mapping[str, object],
    arch: str | None,
    max_vcpus: Mapping[str, Mapping[str, int]] | None = None,
    configured: Sequence[tuple[str, str]] = (),
) -> Machine | None:
    """Return the machine type of the guests of an image.

    :param arch: their architecture, by libvirt's name; None if neither image nor host reports it; the machine type may
        still determine it
    :param max_vcpus: what :func:`shorten` returns for the machine types of the host, by architecture
    :param configured: ``[libvirt] hw_machine_type``, pairs of architecture by libvirt's name and machine type, for an
        image without one; the first of an architecture is used
    :returns: None if the architecture is not known
    """
    if arch is None:
        asked = str(image.get('hw_machine_type') or '')
        arch = next((_X86[-1] for _, pattern, archs in _KINDS if archs == _X86 and pattern.match(asked)), None)
    if arch is None:
        return None
    machine = Machine(arch, named(image, arch, configured))
    limits = (max_vcpus or {}).get(arch, {})
    return replace(machine, max_vcpus=limits.get(machine.type, limits.get(machine.kind)))


def has_expanders(machine: Machine) -> bool:
    """Return whether a machine type has PCIe expander buses, so that a device can be near to a guest cell."""
    return _most(machine).expanders


def has_dies(machine: Machine) -> bool:
    """Return whether the sockets of a machine type may have several dies."""
    return _most(machine).dies


def has_hotplug(machine: Machine) -> bool:
    """Return whether vCPUs of a machine type may be switched off and on."""
    return _most(machine).hotplug


def has_numa(machine: Machine) -> bool:
    """Return whether guests of a machine type see NUMA cells."""
    return _most(machine).numa


def named(image: Mapping[str, object], arch: str, configured: Sequence[tuple[str, str]] = ()) -> str:
    """Return the name of the machine type of the guests of an image; parameters as for :func:`of_image`.

    :returns: empty for an architecture without a usual one
    """
    usual = next((name for of, name in configured if of == arch), DEFAULTS.get(arch, ''))
    return str(image.get('hw_machine_type') or '') or usual


def needs_eim(guest: Guest, machine: Machine) -> bool:
    """Return whether interrupts reach all vCPUs only through an IOMMU with extended interrupt mode.

    libvirt counts the vCPUs. What matters to the guest are their APIC IDs, in which sockets, dies, cores and threads
    take whole bits: three sockets of 65 cores have IDs up to 320.
    """
    if machine.kind not in (PC, Q35) or not architecture.is_x86(machine.arch):
        return False
    return guest.most_vcpus > _VCPUS_WITHOUT_EIM or _last_apic_id(guest) > _LAST_APIC_ID


def needs_gic(guest: Guest, machine: Machine) -> bool:
    """Return whether a guest has more vCPUs than the default interrupt controller of its machine supports."""
    return (machine.arch, machine.kind) == ('aarch64', VIRT) and guest.most_vcpus > _VCPUS_OF_GICV2


def _most(machine: Machine) -> _Most:
    return _MOST.get((machine.arch, machine.kind), _Most())


def _last_apic_id(guest: Guest) -> int:
    topology, last = guest.topology, 0
    for number in (topology.sockets, guest.dies, topology.cores // guest.dies, topology.threads):
        last = last << (number - 1).bit_length() | number - 1
    return last


def reasons(
    guest: Guest,
    machine: Machine,
    hotplug: Hotplug,
    *,
    near: str = '',
    pmu: bool | None = None,
    addresses: bool = False,
) -> Iterator[Reason]:
    """Yield the reasons why a guest cannot have a machine type.

    The vCPUs are checked against the limit that the host reports for the machine type, or else against that of the
    newest release of QEMU, so that nothing is refused that some release supports.

    :param near: where a device near a cell of the guest was requested, or empty
    :param pmu: whether its performance counters are switched on or off; None leaves them as they are
    :param addresses: whether the number of bits of its physical addresses is requested
    """
    most, about = _most(machine), str(machine)
    vcpus = most.vcpus if most.fixed or machine.max_vcpus is None else machine.max_vcpus
    cells = len(guest.cells) or int(guest.wish is not None)
    if vcpus is not None and guest.most_vcpus > vcpus:
        yield Reason('machine.vcpus', guest.most_vcpus, vcpus, 'vCPUs', subject=about)
    elif machine.kind == PC and needs_eim(guest, machine):
        yield Reason('machine.apic', _last_apic_id(guest), _LAST_APIC_ID, subject=about)
    if most.threads is not None and guest.topology.threads > most.threads:
        yield Reason('machine.threads', guest.topology.threads, most.threads, 'threads', subject=about)
    if cells > most.cells:
        yield Reason('machine.cells', cells, most.cells, 'cells', subject=about)
    slots = hotplug.slots + sum([name.startswith(PMEM) for name in guest.resource_requests])
    if slots > most.slots:
        yield Reason('machine.slots', slots, most.slots, subject=about)
    if hotplug.vcpus and not most.hotplug:
        yield Reason('machine.hotplug', subject=about)
    if near and not most.expanders:
        yield Reason('machine.devices', subject=f'{near}: machine type {about}')
    yield from _without(guest, machine, pmu, addresses)
    yield from _uneven(guest, most.step_mib, about)


def _without(guest: Guest, machine: Machine, pmu: bool | None, addresses: bool) -> Iterator[Reason]:
    """Yield what machine types of other kinds have; parameters as for :func:`reasons`."""
    about = str(machine)
    if machine.kind != Q35 and guest.is_encrypted:
        yield Reason('machine.encryption', subject=about)
    if pmu is not None and _has_fixed_counters(machine.arch, pmu):
        yield Reason('machine.pmu', subject=about)
    if addresses and not architecture.is_x86(machine.arch):
        yield Reason('machine.addresses', subject=about)


def unemulated(guest: Guest, machine: Machine) -> Iterator[tuple[tuple[int, ...], Reason]]:
    """Yield the first release of QEMU that emulates a guest without KVM, and the reason why older ones do not."""
    if machine.kind == PSERIES and (threads := guest.topology.threads) > 1:
        yield _PSERIES_THREADS, Reason('machine.threads', threads, 1, 'threads', subject=str(machine))
    if needs_eim(guest, machine):
        yield _X2APIC, Reason('machine.apic', _last_apic_id(guest), _LAST_APIC_ID, subject=str(machine))


def _has_fixed_counters(arch: str, pmu: bool) -> bool:
    return arch in _WITHOUT_COUNTERS or (arch in _FIXED_COUNTERS and not pmu)


def _uneven(guest: Guest, step_mib: int, about: str) -> Iterator[Reason]:
    sizes_mib = [cell.memory_mib for cell in guest.cells] or [guest.memory_mib]
    sizes_mib += [module.size_mib for module in guest.modules]
    if uneven := [size_mib for size_mib in sizes_mib if size_mib % step_mib]:
        yield Reason('machine.memory', uneven[0], step_mib, 'MiB', subject=about)
