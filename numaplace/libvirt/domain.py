# SPDX-License-Identifier: Apache-2.0
"""Write the libvirt domain XML of a placed guest, with one function per element."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ParamSpec

from numaplace import architecture, cpuset, exception, explain
from numaplace.libvirt import (
    cpumodel,
    cputune,
    devices,
    domain_checks,
    encryption,
    hotplug_xml,
    iommu,
    numa,
    persistent_memory,
    pinning,
    thread_context,
    xmltext,
)
from numaplace.libvirt.cpumodel import GuestCpu
from numaplace.libvirt.document import Document, show
from numaplace.libvirt.machine import GuestMachine, check
from numaplace.libvirt.profile import NEWEST, PROFILES, Profile
from numaplace.libvirt.xmltext import Element, element
from numaplace.model import CellPlacement, Devices, Host, Placement
from numaplace.request import Hotplug, Machine, Tuning, Viommu, machines
from numaplace.request.hotplug import MEMORY_SLOTS
from numaplace.request.viommu import resolve
from numaplace.units import KIB_PER_MIB

P = ParamSpec('P')

__all__ = ['build', 'write']


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
    cpu: GuestCpu
    profile: Profile
    tuning: Tuning
    devices: Devices
    hotplug: Hotplug
    viommu: Viommu | None

    @property
    def cells(self) -> tuple[CellPlacement, ...]:
        return self.placement.cells

    @property
    def floating_cpus(self) -> int:
        """CPUs that a guest without cells may run on; 0 means all."""
        shared, online = self.host.shared_cpus, self.host.online_cpus
        return shared if shared != online and online else pinning.configured_shared_cpus(self.host)

    @property
    def target(self) -> Machine:
        """Its machine type and architecture."""
        return Machine(self.arch, self.machine)

    @property
    def has_numa(self) -> bool:
        """Whether the guest sees NUMA cells; otherwise it has one at most, which is only bound to its host cell."""
        return self.cpu.is_known and machines.has_numa(self.target)

    @property
    def iommu(self) -> str | None:
        """Model of its IOMMU, or None for none."""
        if self.viommu is None and not self.profile.interrupts:
            return None
        guest = self.placement.guest
        return resolve(self.viommu, guest, self.target, virtio=self.profile.virtio_iommu)


def build(
    name: str,
    uuid: str,
    title: str,
    placement: Placement,
    host: Host,
    *,
    domain_type: str = 'qemu',
    arch: str = 'x86_64',
    machine: str | None = None,
    cpu: GuestCpu | None = None,
    profile: Profile = PROFILES[NEWEST],
    tuning: Tuning = Tuning(),  # noqa: B008 - frozen
    attached: Devices = Devices(),  # noqa: B008 - frozen
    hotplug: Hotplug = Hotplug(),  # noqa: B008 - frozen
    viommu: Viommu | None = None,
) -> Element:
    """Build the complete XML of a guest for ``virsh define``.

    :param name: libvirt's name of the guest; slashes, which libvirt refuses, become underscores
    :param title: display name of the guest; any text, or empty
    :param placement: its placement, with its PCI devices; its host cells must be cells of `host`
    :param host: the host with its current CPU sets; usage does not matter
    :param domain_type: ``kvm``, ``qemu``, or libvirt's ``test``
    :param machine: machine type, or None for the usual one of the architecture
    :param cpu: the CPU that it sees, or None for the default of a guest of its host's architecture
    :param profile: the form of the document
    :param tuning: weights and limits of the flavor
    :param attached: its NICs and disks
    :param hotplug: what may change while the guest runs
    :param viommu: the IOMMU that flavor or image request
    :returns: the element of the domain, all of it checked; :func:`write` returns the text of the same
    :raises: :class:`~numaplace.exception.InvalidConfiguration` if the host no longer has CPUs for a vCPU,
        :class:`~numaplace.exception.InvalidRequest` for what guests of the architecture cannot have,
        :class:`~numaplace.exception.UsageInvalid` for a host cell that does not exist,
        :class:`~numaplace.exception.InvalidDomain` for anything else that the host no longer has,
        :class:`~numaplace.exception.Invalid` for an invalid architecture or machine type, for memory slots
        of a guest without cells, for vCPUs or memory that were unplugged or plugged in if the profile has no hotplug,
        for devices as :func:`numaplace.libvirt.devices.check`, and for an IOMMU as
        :func:`numaplace.request.viommu.resolve`; :class:`~numaplace.exception.MachineLimitExceeded` for what the
        machine type does not support
    """
    machine = machine or machines.DEFAULTS.get(arch, '')
    check(arch, machine)
    if cpu is None:
        cpu = cpumodel.choose(GuestMachine(arch, domain_type, machine))
    devices.check(attached, placement)
    _check_hotplug(placement, profile, hotplug)
    asked, allowed = hotplug, hotplug if profile.hotplug else Hotplug()
    placement, hotplug = persistent_memory.with_namespaces(placement, host.resources, allowed)
    domain = _Domain(
        name, uuid, title, placement, host, domain_type, arch, machine, cpu, profile, tuning, attached, hotplug, viommu
    )
    who = f'domain {show(title or name)}'
    _check_machine(domain, asked, who)
    root = element('domain', {'type': domain_type}, *(part(domain) for part in _ELEMENTS))
    whole = Document(who, root, exception.InvalidDomain)
    domain_checks.check(whole, host, reaches_all_nodes=profile.reaches_all_nodes)
    return root


def _as_text(made: Callable[P, Element]) -> Callable[P, str]:
    def text(*args: P.args, **keys: P.kwargs) -> str:
        return xmltext.write(made(*args, **keys))

    return text


#: Writes what :func:`build` builds, as ``virsh dumpxml`` prints it.
write = _as_text(build)


def _check_machine(domain: _Domain, hotplug: Hotplug, who: str) -> None:
    placement, tuning = domain.placement, domain.tuning
    cpumodel.check_guest(domain.cpu, placement.guest, domain.arch, who)
    for reason in machines.reasons(
        replace(placement.guest, resource_requests=placement.resources),
        domain.target,
        hotplug,
        near=domain.devices.near_place,
        pmu=tuning.pmu,
        addresses=tuning.address_mode is not None,
    ):
        raise exception.MachineLimitExceeded(f'{who}: {explain.sentence(reason)}')


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
            'hw:numa_nodes=1 or more with it'
        )


def _name(domain: _Domain) -> Element:
    name = xmltext.clean(domain.name).replace('/', '_')
    return element('name', text=name if name.strip() else domain.uuid)


def _uuid(domain: _Domain) -> Element:
    return element('uuid', text=domain.uuid)


def _title(domain: _Domain) -> Element | None:
    title = xmltext.clean(domain.title)
    return element('title', text=title) if title.strip() else None


def _max_memory(domain: _Domain) -> Element | None:
    return hotplug_xml.max_memory(domain.hotplug) if domain.hotplug.slots else None


def _memory(domain: _Domain) -> Element:
    return element('memory', {'unit': 'KiB'}, text=str(hotplug_xml.total_mib(domain.placement.guest) * KIB_PER_MIB))


def _memory_backing(domain: _Domain) -> Element | None:
    guest = domain.placement.guest
    children = [
        _hugepages(domain),
        element('nosharepages') if guest.realtime_vcpus else None,  # merging pages would stop a vCPU
        element('locked') if guest.locked_memory else None,
        element('access', {'mode': 'shared'}) if _shared_cells(domain) and not domain.has_numa else None,
    ]
    return element('memoryBacking', None, *children) if any(child is not None for child in children) else None


def _hugepages(domain: _Domain) -> Element | None:
    nodes_by_size: dict[int, int] = {}
    for index, placed in enumerate(domain.cells):
        if size_kib := _huge_kib(domain, placed):
            nodes_by_size[size_kib] = nodes_by_size.get(size_kib, 0) | 1 << index
    if not nodes_by_size:
        return None
    pages = (
        element('page', {'size': str(size_kib), 'unit': 'KiB'} | _nodeset(domain, nodes))
        for size_kib, nodes in sorted(nodes_by_size.items())
    )
    return element('hugepages', None, *pages)


def _nodeset(domain: _Domain, nodes: int) -> dict[str, str]:
    return {'nodeset': cpuset.text(nodes)} if domain.has_numa else {}


def _huge_kib(domain: _Domain, placed: CellPlacement) -> int:
    """Return the size of the huge pages behind a guest cell, or 0 where ordinary pages back it."""
    smallest = domain.host.cell(placed.host_cell).smallest_pages
    if placed.pagesize_kib is None or smallest is None or placed.pagesize_kib <= smallest.size_kib:
        return 0
    return placed.pagesize_kib


def _vcpu(domain: _Domain) -> Element:
    attributes = {'placement': 'static'}
    if not domain.cells and domain.floating_cpus:
        attributes['cpuset'] = cpuset.text(domain.floating_cpus)
    guest = domain.placement.guest
    if guest.offline:
        attributes['current'] = str(guest.vcpus)
    return element('vcpu', attributes, text=str(guest.most_vcpus))


def _vcpus(domain: _Domain) -> Element | None:
    guest = domain.placement.guest
    if not domain.hotplug.vcpus:
        return None
    return hotplug_xml.vcpus(guest.most_vcpus, guest.offline_vcpus)


def _iothreads(domain: _Domain) -> Element | None:
    return element('iothreads', text='1') if domain.profile.iothreads else None


def _cputune(domain: _Domain) -> Element | None:
    return cputune.build(
        domain.placement,
        domain.host,
        domain.tuning,
        iothreads=domain.profile.iothreads,
        emulator_cells=_emulator_cells(domain),
    )


def _emulator_cells(domain: _Domain) -> list[CellPlacement]:
    """Return the guest cells with preallocated memory, on whose nodes the emulator must be able to run."""
    if not domain.profile.reaches_all_nodes or not _shared_cells(domain):
        return []
    return list(domain.cells)


def _numatune(domain: _Domain) -> Element | None:
    if domain.cells:
        return numa.numatune(domain.placement, with_cells=domain.has_numa)
    nodes = _general_nodes(domain.host) if domain.profile.general_memory else 0
    if not nodes:
        return None
    return element('numatune', None, element('memory', {'mode': 'strict', 'nodeset': cpuset.text(nodes)}))


def _general_nodes(host: Host) -> int:
    """Return the mask of the nodes whose memory a floating guest may use; 0 means all.

    By default the kernel falls back to the memory of a graphics card when the memory of the CPUs is full.
    """
    shapes = [cell.shape for cell in host.cells]
    if all(shape.is_general for shape in shapes):
        return 0
    # The kernel refuses nodes without memory.
    return cpuset.mask(shape.id for shape in shapes if shape.is_general and shape.memory_mib)


def _os(domain: _Domain) -> Element:
    # The memory of a guest is encrypted by its firmware; libvirt finds one that does.
    firmware = {'firmware': 'efi'} if encryption.model_of(domain.placement) else None
    return element('os', firmware, element('type', {'arch': domain.arch, 'machine': domain.machine}, text='hvm'))


def _features(domain: _Domain) -> Element | None:
    # On other architectures libvirt refuses them, or requires UEFI.
    features = [element('acpi'), element('apic')] if architecture.is_x86(domain.arch) else []
    if domain.tuning.pmu is not None:
        features.append(element('pmu', {'state': 'on' if domain.tuning.pmu else 'off'}))
    gic = domain.profile.interrupts and machines.needs_gic(domain.placement.guest, domain.target)
    features += iommu.features(domain.iommu, gic=gic)
    return element('features', None, *features) if features else None


def _cpu(domain: _Domain) -> Element | None:
    if not domain.cpu.is_known:
        return None
    model, features = domain.cpu.model_element(), domain.cpu.feature_elements()
    parts = _topology(domain), _addresses(domain), *features, _numa(domain)
    return element('cpu', domain.cpu.attributes(), model, *parts)


def _addresses(domain: _Domain) -> Element | None:
    tuning = domain.tuning
    if tuning.address_mode is None:
        return None
    bits = {} if tuning.address_bits is None else {'bits': str(tuning.address_bits)}
    return element('maxphysaddr', {'mode': tuning.address_mode, **bits})


def _topology(domain: _Domain) -> Element:
    with_dies = domain.profile.dies and machines.has_dies(domain.target)
    return numa.topology(domain.placement.guest, with_dies=with_dies)


def _numa(domain: _Domain) -> Element | None:
    if not domain.cells or not domain.has_numa:
        return None
    shared, with_distances = _shared_cells(domain), domain.profile.distances
    return numa.cells(domain.placement, domain.host, shared=shared, with_distances=with_distances)


def _shared_cells(domain: _Domain) -> list[int]:
    """Return the numbers of the cells whose memory other processes may map.

    A vhost-user network interface, even one attached later, reads the guest's memory from outside.
    """
    return [index for index, placed in enumerate(domain.cells) if _huge_kib(domain, placed)]


def _clock(_: _Domain) -> Element:
    return element('clock', {'offset': 'utc'})


def _devices(domain: _Domain) -> Element:
    profile, placement = domain.profile, domain.placement
    # What needs an expander bus was refused before on a machine without one; PCI devices only prefer it.
    near = profile.expanders and domain.has_numa and machines.has_expanders(domain.target)
    first, last = devices.build(domain.devices, placement, domain.uuid, near=near, iothreads=profile.iothreads)
    modules = map(hotplug_xml.module, placement.guest.modules)
    every = element('devices', None, *first, element('console', {'type': 'pty'}), *last, *modules, _iommu(domain))
    if encryption.model_of(placement):
        encryption.with_iommu(every)
    return every


def _iommu(domain: _Domain) -> Element | None:
    model = domain.iommu
    if model is None:
        return None
    required = machines.needs_eim(domain.placement.guest, domain.target)
    return iommu.device(model, asked=domain.viommu is not None, eim=required or domain.domain_type == 'kvm')


def _qemu(domain: _Domain) -> Element | None:
    preallocated = [domain.cells[index].host_cell for index in _shared_cells(domain)]
    if not domain.profile.thread_contexts or not thread_context.are_refused(domain.host, preallocated):
        return None
    return thread_context.switch_off()


def _launch_security(domain: _Domain) -> Element | None:
    model = encryption.model_of(domain.placement)
    return encryption.launch_security(model, domain.host.resources) if model else None


#: In the order in which libvirt prints them.
_ELEMENTS: tuple[Callable[[_Domain], Element | None], ...] = (
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
    _qemu,
    _launch_security,
)
