# SPDX-License-Identifier: Apache-2.0
"""A placed guest to its libvirt domain XML: one function an element."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from lxml import etree

from numaplace import cpuset, exception
from numaplace.libvirt import cputune, devices, numa, pinning, soundness, xmltext
from numaplace.libvirt import hotplug as hot
from numaplace.libvirt.document import Document, show
from numaplace.libvirt.profile import NEWEST, PROFILES, Profile
from numaplace.libvirt.xmltext import element
from numaplace.model import CellPlacement, CpuTopology, Host, Placement
from numaplace.request import Devices, Hotplug, Tuning
from numaplace.request.hotplug import MEMORY_SLOTS
from numaplace.units import KIB_PER_MIB

__all__ = ['write']

_X86 = ('i686', 'x86_64')

#: The usual machine type of each architecture that libvirt's schema and this package know.
_MACHINES = {
    'aarch64': 'virt',
    'armv7l': 'virt',
    'i686': 'q35',
    'ppc64': 'pseries',
    'ppc64le': 'pseries',
    'riscv64': 'virt',
    's390x': 's390-ccw-virtio',
    'x86_64': 'q35',
}


_MACHINE = re.compile(r'[a-zA-Z0-9_.-]+')


@dataclass(frozen=True, slots=True)
class _Domain:
    """What the elements of one domain are made from."""

    name: str
    uuid: str
    title: str
    placement: Placement
    host: Host
    domain_type: str
    arch: str
    machine: str
    profile: Profile
    tuning: Tuning
    devices: Devices
    hotplug: Hotplug

    @property
    def cells(self) -> tuple[CellPlacement, ...]:
        return self.placement.cells

    @property
    def floating_cpus(self) -> int:
        """Where a guest without cells may run; 0 if that is everywhere."""
        shared, online = self.host.shared_cpus, self.host.online_cpus
        return shared if shared != online and online else pinning.configured_shared_cpus(self.host)


def write(
    name: str,
    uuid: str,
    title: str,
    placement: Placement,
    host: Host,
    *,
    domain_type: str = 'qemu',
    arch: str = 'x86_64',
    machine: str | None = None,
    profile: Profile = PROFILES[NEWEST],
    tuning: Tuning = Tuning(),  # noqa: B008 - frozen
    attached: Devices = Devices(),  # noqa: B008 - frozen
    hotplug: Hotplug = Hotplug(),  # noqa: B008 - frozen
) -> str:
    """Write the complete XML of a guest for ``virsh define``.

    :param name: libvirt's name of the guest; slashes, which libvirt refuses, become underscores
    :param title: what people call the guest; any text, or empty
    :param placement: where it goes; its host cells must be cells of `host`
    :param host: with the CPU sets of today; usage does not matter
    :param domain_type: ``kvm`` (with the host's CPU model), ``qemu``, or libvirt's ``test``
    :param machine: machine type, or None for the usual one of the architecture
    :param profile: the form of the document
    :param tuning: weights and limits of the flavor
    :param attached: its NICs and disks
    :param hotplug: what of the guest may change while it runs
    :returns: the text, as ``virsh dumpxml`` prints it
    :raises: :class:`~numaplace.exception.InvalidConfiguration` if the host has no CPUs any more for a vCPU,
        :class:`~numaplace.exception.UsageInvalid` for a host cell that does not exist,
        :class:`~numaplace.exception.InvalidDomain` for what else the host does not have any more,
        :class:`~numaplace.exception.Invalid` for an architecture or a machine type that cannot be one, for memory slots
        of a guest without cells, for what was unplugged or plugged in where the form has no place for it, and for
        devices as :func:`numaplace.libvirt.devices.check`
    """
    if arch not in _MACHINES:
        raise exception.Invalid(f'architecture {arch!r}: expected one of {", ".join(_MACHINES)}')
    machine = machine or _MACHINES[arch]
    if not _MACHINE.fullmatch(machine):
        raise exception.Invalid(
            f"machine type {machine!r}: expected letters, digits, '.', '_' and '-' as in {_MACHINES[arch]!r}"
        )
    devices.check(attached, len(placement.cells), arch, machine)
    _check_hotplug(placement, profile, hotplug)
    domain = _Domain(name, uuid, title, placement, host, domain_type, arch, machine, profile, tuning, attached, hotplug)
    root = element('domain', {'type': domain_type}, *(build(domain) for build in _ELEMENTS))
    whole = Document(f'domain {show(title or name)}', root, exception.InvalidDomain)
    soundness.check(whole, host, reached=profile.reaches_all_nodes)
    return xmltext.write(root)


def _check_hotplug(placement: Placement, profile: Profile, hotplug: Hotplug) -> None:
    guest = placement.guest
    if not profile.hotplug and (guest.offline or guest.modules):
        raise exception.Invalid(
            f'{guest.offline_vcpus.bit_count()} vCPUs that are off and {len(guest.modules)} memory modules: '
            f'Nova has no place for them; expected profile {NEWEST}'
        )
    if hotplug.slots and not placement.cells:
        raise exception.Invalid(
            f'{MEMORY_SLOTS}={hotplug.slots}: the guest has no NUMA cells for memory to be plugged into; expected '
            'hw:numa_nodes=1 or more beside it'
        )


def _name(domain: _Domain) -> etree._Element:
    name = xmltext.clean(domain.name).replace('/', '_')
    return element('name', text=name if name.strip() else domain.uuid)


def _uuid(domain: _Domain) -> etree._Element:
    return element('uuid', text=domain.uuid)


def _title(domain: _Domain) -> etree._Element | None:
    title = xmltext.clean(domain.title)
    return element('title', text=title) if title.strip() else None


def _max_memory(domain: _Domain) -> etree._Element | None:
    return hot.max_memory(domain.hotplug) if domain.profile.hotplug and domain.hotplug.slots else None


def _memory(domain: _Domain) -> etree._Element:
    return element('memory', {'unit': 'KiB'}, text=str(hot.total_mib(domain.placement.guest) * KIB_PER_MIB))


def _memory_backing(domain: _Domain) -> etree._Element | None:
    guest = domain.placement.guest
    children = [
        _hugepages(domain),
        element('nosharepages') if guest.realtime_vcpus else None,  # merging pages would stop a vCPU
        element('locked') if guest.locked_memory else None,
    ]
    return element('memoryBacking', None, *children) if any(child is not None for child in children) else None


def _hugepages(domain: _Domain) -> etree._Element | None:
    nodes_by_size: dict[int, int] = {}
    for index, placed in enumerate(domain.cells):
        if size_kib := _huge_kib(domain, placed):
            nodes_by_size[size_kib] = nodes_by_size.get(size_kib, 0) | 1 << index
    if not nodes_by_size:
        return None
    pages = (
        element('page', {'size': str(size_kib), 'unit': 'KiB', 'nodeset': cpuset.text(nodes)})
        for size_kib, nodes in sorted(nodes_by_size.items())
    )
    return element('hugepages', None, *pages)


def _huge_kib(domain: _Domain, placed: CellPlacement) -> int:
    """Return the size of the huge pages behind a guest cell, or 0 where ordinary pages back it."""
    smallest = domain.host.cell(placed.host_cell).smallest_pages
    if placed.pagesize_kib is None or smallest is None or placed.pagesize_kib <= smallest.size_kib:
        return 0
    return placed.pagesize_kib


def _vcpu(domain: _Domain) -> etree._Element:
    attributes = {'placement': 'static'}
    if not domain.cells and domain.floating_cpus:
        attributes['cpuset'] = cpuset.text(domain.floating_cpus)
    guest = domain.placement.guest
    if guest.offline:
        attributes['current'] = str(guest.vcpus)
    return element('vcpu', attributes, text=str(guest.most_vcpus))


def _vcpus(domain: _Domain) -> etree._Element | None:
    guest = domain.placement.guest
    if not domain.profile.hotplug or not domain.hotplug.vcpus:
        return None
    return hot.vcpus(guest.most_vcpus, guest.offline_vcpus)


def _iothreads(domain: _Domain) -> etree._Element | None:
    return element('iothreads', text='1') if domain.profile.iothreads else None


def _cputune(domain: _Domain) -> etree._Element | None:
    return cputune.build(
        domain.placement,
        domain.host,
        domain.tuning,
        iothreads=domain.profile.iothreads,
        reached=_reached(domain),
    )


def _reached(domain: _Domain) -> list[CellPlacement]:
    """Return the guest cells whose memory is preallocated, on which the emulator's threads have to run."""
    if not domain.profile.reaches_all_nodes or not any(_huge_kib(domain, placed) for placed in domain.cells):
        return []
    return list(domain.cells)


def _numatune(domain: _Domain) -> etree._Element | None:
    if not domain.cells:
        return None
    nodes = cpuset.mask(placed.host_cell for placed in domain.cells)
    memory = element('memory', {'mode': 'strict', 'nodeset': cpuset.text(nodes)})
    return element('numatune', None, memory, *numa.memnodes(domain.placement))


def _os(domain: _Domain) -> etree._Element:
    return element('os', None, element('type', {'arch': domain.arch, 'machine': domain.machine}, text='hvm'))


def _features(domain: _Domain) -> etree._Element | None:
    # Elsewhere libvirt refuses them, or wants UEFI first.
    features = [element('acpi'), element('apic')] if domain.arch in _X86 else []
    if domain.tuning.pmu is not None:
        features.append(element('pmu', {'state': 'on' if domain.tuning.pmu else 'off'}))
    return element('features', None, *features) if features else None


def _cpu(domain: _Domain) -> etree._Element:
    attributes = {'mode': 'host-model'} if domain.domain_type == 'kvm' else None
    return element('cpu', attributes, _topology(domain), _numa(domain))


def _topology(domain: _Domain) -> etree._Element:
    return numa.topology(domain.placement.guest.cpu_topology or CpuTopology(sockets=domain.placement.guest.most_vcpus))


def _numa(domain: _Domain) -> etree._Element | None:
    if not domain.cells:
        return None
    # A vhost-user network interface, even one attached later, reads the guest's memory from outside.
    shared = [index for index, placed in enumerate(domain.cells) if _huge_kib(domain, placed)]
    return numa.cells(domain.placement, domain.host, shared=shared, with_distances=domain.profile.distances)


def _clock(_: _Domain) -> etree._Element:
    return element('clock', {'offset': 'utc'})


def _devices(domain: _Domain) -> etree._Element:
    profile = domain.profile
    attached = devices.build(domain.devices, domain.uuid, near=profile.expanders, iothreads=profile.iothreads)
    modules = map(hot.module, domain.placement.guest.modules)
    return element('devices', None, *attached, element('console', {'type': 'pty'}), *modules)


#: In the order in which libvirt prints them.
_ELEMENTS: tuple[Callable[[_Domain], etree._Element | None], ...] = (
    _name,
    _uuid,
    _title,
    _max_memory,
    _memory,
    _memory_backing,
    _vcpu,
    _vcpus,
    _iothreads,
    _cputune,
    _numatune,
    _os,
    _features,
    _cpu,
    _clock,
    _devices,
)
