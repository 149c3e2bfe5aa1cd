# SPDX-License-Identifier: Apache-2.0
"""Describe a domain as a server: its name, the flavor that requests what it has, and the properties of its image."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from lxml import etree

from numaplace import architecture, cpuset, exception, request
from numaplace.libvirt.document import Document
from numaplace.libvirt.xmltext import Element
from numaplace.model import DEDICATED, MIXED, Flavor, Guest
from numaplace.request import machines
from numaplace.request.hotplug import MAX_MEMORY, MEMORY_SLOTS, VCPU_HOTPLUG
from numaplace.request.tuning import RANGES
from numaplace.units import KIB_PER_MIB

__all__ = ['Description', 'describe', 'name_of']

#: The namespaces of Nova's metadata begin with this; the version follows.
_NOVA = 'http://openstack.org/xmlns/libvirt/nova/'
#: How numaplace and Nova name domains; then the title is the name of the server.
_INSTANCE = re.compile('instance-[0-9a-f]{8,}')
_LONGEST = 255


@dataclass(frozen=True, slots=True)
class Description:
    """What a domain is as a server."""

    name: str
    flavor: Flavor
    image_properties: Mapping[str, str]


def name_of(domain: Document) -> str:
    """Return the name of a domain as a server: Nova's, the title of a domain of ours, or its own."""
    own = domain.root.findtext('name') or ''
    title = (domain.root.findtext('title') or '').strip() if _INSTANCE.fullmatch(own) else ''
    return (_text(_nova(domain), 'name') or title or own)[:_LONGEST]


def describe(domain: Document, guest: Guest, host_arch: str) -> Description:
    """Describe a domain as a server.

    The flavor is Nova's, if its metadata has the extra specs; otherwise it requests the guest that was read, as far as
    extra specs can.

    :param guest: as it was read from the domain
    :param host_arch: architecture of its host; empty where it is not known
    :raises: :meth:`~numaplace.libvirt.document.Document.fault` for a value that is no number or size
    """
    name, nova = name_of(domain), _nova(domain)
    flavor = None if nova is None else _child(nova, 'flavor')
    specs = {} if flavor is None else {spec.get('name', ''): spec.text or '' for spec in _children(flavor, 'extraSpec')}
    made = Flavor(
        name=((flavor is not None and flavor.get('name')) or f'adopted {name}')[:_LONGEST],
        vcpus=guest.most_vcpus,
        memory_mib=guest.memory_mib - guest.plugged_mib,
        disk_gib=_number(flavor, 'disk'),
        swap_mib=_number(flavor, 'swap'),
        ephemeral_gib=_number(flavor, 'ephemeral'),
        id=f'adopted-{(domain.root.findtext("uuid") or "").strip()}',
    )
    image = dict(_image(domain, host_arch))
    for found in (specs, dict(_specs(domain, guest)), dict(_cells(guest))):
        if found and _is_valid(whole := replace(made, extra_specs=found), image, guest):
            return Description(name, whole, image)
    return Description(name, made, image)


def _is_valid(flavor: Flavor, image: Mapping[str, str], guest: Guest) -> bool:
    """Return whether a flavor requests as many cells as a guest has, without a fault."""
    try:
        request.hotplug(flavor)
        request.tuning(flavor, image)
        wanted = request.read(flavor, image)
    except exception.NumaplaceException:
        return False
    return len(wanted.cells) == len(guest.cells) or wanted.wish is not None


# --- what Nova wrote


def _nova(domain: Document) -> Element | None:
    for found in domain.root.iterfind('metadata/*'):
        name = etree.QName(found)
        if name.localname == 'instance' and (name.namespace or '').startswith(_NOVA):
            return found
    return None


def _children(parent: Element, name: str) -> Iterator[Element]:
    for found in parent.iter(etree.Element):
        if etree.QName(found).localname == name:
            yield found


def _child(parent: Element, name: str) -> Element | None:
    return next((found for found in parent.iterchildren(etree.Element) if etree.QName(found).localname == name), None)


def _text(parent: Element | None, name: str) -> str:
    found = None if parent is None else _child(parent, name)
    return '' if found is None else ' '.join((found.text or '').split())


def _number(flavor: Element | None, name: str) -> int:
    text = _text(flavor, name)
    return int(text) if re.fullmatch('[0-9]{1,9}', text) else 0


# --- the flavor


def _specs(domain: Document, guest: Guest) -> Iterator[tuple[str, str]]:
    yield from _cells(guest)
    topology = guest.cpu_topology
    if topology is not None:
        for key in ('sockets', 'cores', 'threads'):
            yield f'hw:cpu_{key}', str(getattr(topology, key))
    if guest.cells and guest.emulator_policy:
        yield 'hw:emulator_threads_policy', guest.emulator_policy
    if guest.realtime_vcpus:
        yield 'hw:cpu_realtime', 'true'
        yield 'hw:cpu_realtime_mask', cpuset.text(guest.realtime_vcpus)
    if guest.locked_memory:
        yield 'hw:locked_memory', 'true'
        if not _pagesize(guest):
            yield 'hw:mem_page_size', 'small'
    yield from _tuning(domain)
    yield from _hotplug(domain)


def _cells(guest: Guest) -> Iterator[tuple[str, str]]:
    """Yield the extra specs that request the cells of a guest."""
    if not guest.cells:
        return
    plugged = [0] * len(guest.cells)
    for module in guest.modules:
        plugged[module.cell] += module.claimed_mib
    yield 'hw:numa_nodes', str(len(guest.cells))
    for number, (cell, vcpus) in enumerate(zip(guest.cells, guest.cell_vcpus, strict=True)):
        yield f'hw:numa_cpus.{number}', cpuset.text(vcpus)
        yield f'hw:numa_mem.{number}', str(cell.memory_mib - plugged[number])
    if any(cell.is_pinned for cell in guest.cells):
        dedicated = cpuset.union(cell.dedicated_vcpus for cell in guest.cells)
        dedicated |= cpuset.union(off.dedicated for off in guest.offline)
        is_mixed = any(cell.cpu_policy == MIXED for cell in guest.cells)
        yield 'hw:cpu_policy', MIXED if is_mixed else DEDICATED
        if is_mixed:
            yield 'hw:cpu_dedicated_mask', cpuset.text(dedicated)
    if size := _pagesize(guest):
        yield 'hw:mem_page_size', size


def _pagesize(guest: Guest) -> str:
    """Return the page size that a flavor can request for all cells; empty for ordinary pages."""
    sizes = {cell.pagesize_kib for cell in guest.cells}
    if sizes == {None} or not sizes:
        return ''
    if None in sizes:
        return 'any'
    return f'{min(filter(None, sizes))}' if len(sizes) == 1 else 'large'


def _tuning(domain: Document) -> Iterator[tuple[str, str]]:
    for name in RANGES:
        if text := (domain.root.findtext(f'cputune/{name}') or '').strip():
            yield f'quota:cpu_{name}', text
    pmu = domain.root.find('features/pmu')
    if pmu is not None:
        yield 'hw:pmu', 'false' if pmu.get('state') == 'off' else 'true'


def _hotplug(domain: Document) -> Iterator[tuple[str, str]]:
    if any(vcpu.get('hotpluggable') == 'yes' for vcpu in domain.root.iterfind('vcpus/vcpu')):
        yield VCPU_HOTPLUG, 'true'
    most = domain.root.find('maxMemory')
    if most is not None:
        yield MEMORY_SLOTS, str(domain.whole(most, 'slots', 'number of slots'))
        yield MAX_MEMORY, str(domain.octets(most, None, 'memory size') // 1024 // KIB_PER_MIB)


def _image(domain: Document, host_arch: str) -> Iterator[tuple[str, str]]:
    """Yield the properties of an image whose guests have the architecture and the machine type of a domain."""
    kind = domain.root.find('os/type')
    if kind is not None and kind.get('arch') in machines.DEFAULTS:
        if host_arch and kind.get('arch') != architecture.canonical(host_arch):
            yield 'hw_architecture', kind.get('arch', '')
        if machine := kind.get('machine'):
            yield 'hw_machine_type', machine
