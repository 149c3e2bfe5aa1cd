# SPDX-License-Identifier: Apache-2.0
"""Expand a domain with ``<vnuma>`` to the full domain, and preserve everything else, including comments."""

from __future__ import annotations

from collections.abc import Sequence

from lxml import etree

from numaplace import explain
from numaplace.libvirt import cpumodel, cputune, domain_checks, editing, expander, hotplug_xml, numa, thread_context
from numaplace.libvirt.cpumodel import GuestCpu
from numaplace.libvirt.profile import NEWEST, PROFILES, Profile
from numaplace.libvirt.vnuma import Domain
from numaplace.libvirt.xmltext import Element, element
from numaplace.model import Host, Placement
from numaplace.partition import enabled
from numaplace.request import Hotplug, Machine, machines
from numaplace.units import KIB_PER_MIB

__all__ = ['expand']


def expand(
    domain: Domain,
    placement: Placement,
    host: Host,
    *,
    uuid: str | None = None,
    host_arch: str = '',
    knows_cpus: bool = True,
    profile: Profile = PROFILES[NEWEST],
) -> str:
    """Replace ``<vnuma>`` with the elements that it stands for.

    :param domain: changed in place, not usable afterwards
    :param placement: the guest of `domain` on `host`
    :param uuid: UUID for a domain that has none, or None to leave that to libvirt
    :param host_arch: architecture of the host, which a domain without one gets; empty where it is not known
    :param knows_cpus: whether libvirt has a CPU driver for the architecture
    :param profile: its thread contexts are used
    :returns: the document as text
    :raises: :class:`~numaplace.exception.InvalidDomain` for a device that cannot be put on its guest cell, and for what
        the domain requests and the host or the machine type lacks; :class:`~numaplace.exception.MachineLimitExceeded`
        as :func:`numaplace.libvirt.cpumodel.check_guest`
    """
    root = domain.document.root
    machine = domain.machine(host_arch)
    _check_machine(domain, placement, machine)
    cpumodel.check_guest(GuestCpu(is_known=knows_cpus), placement.guest, machine.arch, domain.document.place)
    has_numa = knows_cpus and machines.has_numa(machine)
    if uuid is not None and root.find('uuid') is None:
        editing.insert_after(root[0], element('uuid', text=uuid))
    if root.find('memory') is None:
        memory = element('memory', {'unit': 'KiB'}, text=str(placement.guest.memory_mib * KIB_PER_MIB))
        editing.insert_after(domain.vnuma, memory)
    _lock_memory(root)
    last = _find(root, 'vcpu')
    if machines.has_hotplug(machine):
        last = _insert(last, _vcpus(placement, domain.enabled_vcpus))
    last = _tune(root, last, placement, host)
    last = _insert(last, numa.numatune(placement, with_cells=has_numa))
    if knows_cpus:
        _see(root, last, placement, host, with_cells=has_numa)
    expander.connect(domain.document, placement)
    _switch_thread_contexts_off(root, placement, host, profile)
    editing.remove(domain.vnuma)
    domain_checks.check(domain.document, host)
    return ''.join(f'{etree.tostring(node, encoding="unicode", with_tail=False)}\n' for node in _with_siblings(root))


def _check_machine(domain: Domain, placement: Placement, machine: Machine) -> None:
    root = domain.document.root
    kind = root.find('os/type')
    for reason in machines.reasons(placement.guest, machine, Hotplug(vcpus=domain.enabled_vcpus < domain.guest.vcpus)):
        raise domain.document.fault(root if kind is None else kind, explain.sentence(reason))


def _insert(before: Element, new: Element) -> Element:
    editing.insert_after(before, new)
    return new


def _tune(root: Element, last: Element, placement: Placement, host: Host) -> Element:
    """Pin the vCPUs, and what the domain does not pin: the emulator, and an I/O thread as all guests have."""
    iothreads = root.find('iothreads') is None
    if iothreads:
        last = _insert(last, element('iothreads', text='1'))
    emulator_cells = placement.cells if domain_checks.is_preallocated(root) else ()
    pins = cputune.pins(placement, host, iothreads=iothreads, emulator_cells=emulator_cells)
    return _merge(root, last, 'cputune', [pin for pin in pins if root.find(f'cputune/{pin.tag}') is None])


def _see(root: Element, last: Element, placement: Placement, host: Host, *, with_cells: bool) -> None:
    """Write what the guest sees of its CPUs and cells."""
    if root.find('cpu') is None:
        mode = {'mode': 'host-passthrough'} if root.get('type') == 'kvm' else None
        editing.insert_after(last, element('cpu', mode))
    cpu = _find(root, 'cpu')
    editing.append(cpu, numa.topology(placement.guest))
    if with_cells:
        editing.append(cpu, numa.cells(placement, host))


def _switch_thread_contexts_off(root: Element, placement: Placement, host: Host, profile: Profile) -> None:
    host_cells = (placed.host_cell for placed in placement.cells)
    if profile.thread_contexts and domain_checks.is_preallocated(root) and thread_context.are_refused(host, host_cells):
        editing.append(root, thread_context.switch_off())


def _with_siblings(root: Element) -> list[Element]:
    """Return the root with the comments before and after it."""
    return [*reversed(list(root.itersiblings(preceding=True))), root, *root.itersiblings()]


def _find(root: Element, tag: str) -> Element:
    found = root.find(tag)
    assert found is not None  # noqa: S101 - written before
    return found


def _lock_memory(root: Element) -> None:
    backing = _merge(root, _find(root, 'memory'), 'memoryBacking', [])
    if backing.find('locked') is None:
        editing.append(backing, element('locked'))


def _vcpus(placement: Placement, number: int) -> Element:
    """Return the ``<vcpus>`` that lists which vCPUs are on."""
    on = enabled([cell.guest_cell.vcpus for cell in placement.cells if cell.guest_cell.vcpus], number)
    return hotplug_xml.vcpus(placement.guest.vcpus, ~on)


def _merge(root: Element, before: Element, tag: str, children: Sequence[Element]) -> Element:
    """Add children to the element with a tag, which is created after `before` if it is missing."""
    found = root.find(tag)
    if found is None:
        found = element(tag, None, *children)
        editing.insert_after(before, found)
    else:
        for child in children:
            editing.append(found, child)
    return found
