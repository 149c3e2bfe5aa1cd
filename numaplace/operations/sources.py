# SPDX-License-Identifier: Apache-2.0
"""The sources that a host can be read from, with their warnings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from numaplace import architecture, cpuset, exception

if TYPE_CHECKING:
    from pathlib import Path

    from oslo_config import cfg

    from numaplace.libvirt import lstopo
    from numaplace.libvirt.contents import Kind
    from numaplace.libvirt.found_device import FoundDevice
    from numaplace.libvirt.numbering import Numbering
    from numaplace.libvirt.topology import HostFacts, Options
    from numaplace.model import Host, PciDevice
    from numaplace.model.host_resources import Encryption, Namespace
    from numaplace.pci_specs import DeviceSpec

__all__ = [
    'Found',
    'at_libvirt',
    'capabilities_file',
    'files_of_host',
    'lstopo_file',
    'numactl_files',
    'other_libvirt',
    'recorded_tree',
    'this_libvirt',
    'this_machine',
    'with_architecture',
    'with_devices',
    'with_domcapabilities',
    'with_libvirt',
    'with_ndctl',
    'with_resources',
]

_ONE = (
    'expected that of `virsh capabilities`, of `lstopo --of xml`, or those of `numactl -H` and `lscpu`, alone or with '
    'that of `virsh domcapabilities`'
)
_LSTOPO_DEVICES = (
    'it does not tell the VFs of a PCI device: all count as type-PCI, so a PF and its VFs could be given to different '
    "guests; the machine's libvirt (--connect) or a copy of its /sys (host discover --root) tells them"
)


@dataclass(frozen=True, slots=True)
class Found:
    """A host as a source reports it.

    :param warnings: what the operator should know
    :param libvirt_uri: the libvirt that reports it, or None
    :param find_devices: finds all PCI devices of the machine; None where the source does not list them
    :param devices_note: what the source does not tell of them
    :param pci_devices: those that guests may have; None where they are not known
    :param encryption: memory encryption that the host offers; None where that is not known
    :param find_namespaces: finds its persistent memory, from names and labels; None where the source does not list it
    :param namespaces: those with a label; None where they are not known
    """

    host: Host
    facts: HostFacts
    warnings: tuple[str, ...] = ()
    libvirt_uri: str | None = None
    find_devices: Callable[[], tuple[FoundDevice, ...]] | None = None
    devices_note: str = ''
    pci_devices: tuple[PciDevice, ...] | None = None
    encryption: tuple[Encryption, ...] | None = None
    find_namespaces: Callable[[Sequence[tuple[str, str]]], tuple[Namespace, ...] | None] | None = None
    namespaces: tuple[Namespace, ...] | None = None


def this_machine(options: Options) -> Found:
    """Read this machine: from its libvirt if that answers, else from /sys."""
    from numaplace.libvirt import connection, memory, ndctl, sysfs, sysfs_devices

    xml = connection.capabilities(connection.LOCAL)
    if xml is None:
        host, facts, uri = sysfs.read(**options), sysfs.facts(), None
    else:
        found = _capabilities(xml, "this machine's libvirt", options, memory.reported('/sys'))
        host, facts, uri = found.host, found.facts, connection.LOCAL
    # The kernel's files tell the same of devices as libvirt, which reads them.
    found = Found(host, facts, _surroundings(host, '/sys', '/proc', '/'), uri, sysfs_devices.read)
    return replace(found, find_namespaces=ndctl.ask)


def this_libvirt(uri: str, options: Options) -> Found:
    """Read this machine from its libvirt alone.

    :param uri: empty for that of the machine
    :raises: :class:`~numaplace.exception.LibvirtError` if it does not answer
    """
    from numaplace.libvirt import connection

    if uri not in ('', connection.LOCAL):
        return other_libvirt(uri, options)
    found = this_machine(options)
    if found.libvirt_uri is None:
        connection.capabilities_at(connection.LOCAL)  # which says why it does not answer
        found = this_machine(options)
    return found


def recorded_tree(directory: str, arch: str | None, options: Options) -> Found:
    """Read the kernel's files of another machine.

    :param arch: its architecture by libvirt's name, or None to read it from its files
    """
    from numaplace.libvirt import recorded, sysfs_devices

    host, facts = recorded.read(directory, arch=arch or '', **options), recorded.facts(directory)
    warnings = _surroundings(host, *recorded.places(directory), directory)
    if recorded.pagesize_kib(directory, arch=arch or '') is None:
        missing = 'the size of ordinary pages' if facts.arch or arch else 'the architecture'
        warnings += (f"{directory} does not report {missing}: its pages are assumed to be of this machine's size",)
    root = recorded.places(directory)[0]
    is_listed = any(root.glob('bus/pci/devices/*/vendor'))  # many copies hold less of PCI, or nothing
    return Found(host, facts, warnings, find_devices=partial(sysfs_devices.read, root) if is_listed else None)


def with_devices(found: Found, specs: Sequence[DeviceSpec] | None, place: str) -> Found:
    """Return a host with the PCI devices that guests may have; without a spec none is looked for.

    :param specs: ``[pci] device_spec``; None if it is not set, and empty if it offers nothing
    :param place: the source, for the warnings that it lists no devices, or does not tell all of them
    :raises: :class:`~numaplace.exception.UnreadableTopology`, :class:`~numaplace.exception.InvalidCapabilities`
    """
    from numaplace.libvirt.found_device import offered

    if not specs:
        return found if specs is None else replace(found, pci_devices=())
    if found.find_devices is None:
        return _without_devices(found, f'{place} lists no PCI devices')
    try:
        listed = found.find_devices()
    except exception.LibvirtError as error:  # it may have no driver for them
        return _without_devices(found, str(error))
    devices = offered(listed, specs, [cell.id for cell in found.host.cells])
    notes = (f'{place}: {found.devices_note}',) if devices and found.devices_note else ()
    return replace(found, pci_devices=devices, warnings=(*found.warnings, *notes))


def _without_devices(found: Found, reason: str) -> Found:
    warning = f'{reason}: the PCI devices of [pci] device_spec are not known'
    return replace(found, warnings=(*found.warnings, warning))


def with_domcapabilities(path: str, read: Callable[[Options], Found], options: Options) -> Found:
    """Read a host, and from the output of ``virsh domcapabilities`` its memory encryption."""
    from numaplace.libvirt import domcapabilities, files

    return _domcapabilities(read(options), files.load(path, domcapabilities.SOURCE), files.place(path))


def _domcapabilities(found: Found, xml: bytes, place: str) -> Found:
    from numaplace.libvirt import domcapabilities

    return replace(found, encryption=domcapabilities.read(xml, place).encryption)


def with_ndctl(path: str, read: Callable[[Options], Found], options: Options) -> Found:
    """Read a host, and from the output of ``ndctl list -X -v`` its persistent memory."""
    from numaplace.libvirt import files, ndctl

    content, place = files.load(path, ndctl.SOURCE), files.place(path)
    return replace(read(options), find_namespaces=partial(ndctl.read, content, place=place))


def with_resources(found: Found, conf: cfg.ConfigOpts, place: str) -> Found:
    """Return a host with its memory encryption, which its libvirt knows if it has one, and its persistent memory.

    :param place: the source, for the warning that it lists no namespaces
    :raises: as :func:`numaplace.libvirt.ndctl.ask`
    """
    return _with_namespaces(_with_encryption(found, conf.libvirt.num_memory_encrypted_guests), conf, place)


def _with_encryption(found: Found, most: int | None) -> Found:
    from numaplace.libvirt import connection
    from numaplace.libvirt.machine import KVM
    from numaplace.model.host_resources import AMD_SEV
    from numaplace.request import machines

    if found.encryption is None and found.libvirt_uri is not None:
        vendor, offered = found.facts.vendor, None
        try:
            if vendor is None or 'AMD' in vendor:  # libvirt starts QEMU to find it out
                offered = connection.domain_capabilities(found.libvirt_uri, 'x86_64', KVM, machines.Q35)
        except exception.NumaplaceException as error:
            warning = f'{error}: whether the host can encrypt the memory of guests is not known'
            return replace(found, warnings=(*found.warnings, warning) if vendor else found.warnings)
        found = replace(found, encryption=() if offered is None else offered.encryption)
    if most is None or found.encryption is None:
        return found
    limited = [
        replace(one, most=most if one.most is None else min(one.most, most)) if one.model == AMD_SEV else one
        for one in found.encryption
    ]
    return replace(found, encryption=tuple([one for one in limited if one.most != 0]))


def _with_namespaces(found: Found, conf: cfg.ConfigOpts, place: str) -> Found:
    labels = conf.libvirt.pmem_namespaces
    option = '[libvirt] pmem_namespaces'
    if found.find_namespaces is None:
        warning = f'{place} lists no persistent memory: the namespaces of {option} are not known'
        return replace(found, warnings=(*found.warnings, warning)) if labels else found
    namespaces = found.find_namespaces(labels)
    missing = sorted({name for name, _ in labels} - {one.name for one in namespaces or ()})
    warnings = (f'{option}: the host has no namespace {", ".join(missing)}',) if missing else ()
    return replace(found, namespaces=namespaces, warnings=(*found.warnings, *warnings))


def with_architecture(found: Found, arch: str | None, place: str) -> Found:
    """Return a host with its architecture by libvirt's name: that of its source, or else the given one.

    :param arch: libvirt's name, or None if none is given
    :param place: the source, for the error
    :raises: :class:`~numaplace.exception.Invalid` if the source reports another one
    """
    told = architecture.canonical(found.facts.arch)
    if told and arch and told != arch:
        raise exception.Invalid(
            f'--architecture {arch}: {place} reports {told}: expected the same, or no --architecture'
        )
    return replace(found, facts=replace(found.facts, arch=told or arch or ''))


def other_libvirt(uri: str, options: Options) -> Found:
    """Read what a libvirt reports about its machine."""
    from numaplace.libvirt import connection

    return at_libvirt(uri, _capabilities(connection.capabilities_at(uri), uri, options))


def at_libvirt(uri: str, found: Found) -> Found:
    """Return a host with its libvirt, which knows its PCI devices better than a file does."""
    from numaplace.libvirt import nodedev

    return replace(found, libvirt_uri=uri, find_devices=partial(nodedev.read, uri), devices_note='')


def with_libvirt(uri: str, read: Callable[[Options], Found], options: Options) -> Found:
    """Read a host, and name its libvirt."""
    return at_libvirt(uri, read(options))


def capabilities_file(path: str, options: Options) -> Found:
    """Read the output of ``virsh capabilities``."""
    from numaplace.libvirt import capabilities, files

    return _capabilities(capabilities.load(path), files.place(path), options)


def lstopo_file(path: str, options: Options) -> Found:
    """Read the output of ``lstopo --of xml``."""
    from numaplace.libvirt import files, lstopo

    return _lstopo(lstopo.load(path), files.place(path), options)


def _lstopo(xml: bytes, place: str, options: Options) -> Found:
    from numaplace.libvirt import lstopo, lstopo_devices

    machine = lstopo.read(xml, place=place, **options)
    warnings = tuple(f'{place}: {text}' for text in _lstopo_warnings(machine))
    find_devices = partial(lstopo_devices.read, xml, machine.host, place=place)
    return Found(machine.host, machine.facts, warnings, None, find_devices, _LSTOPO_DEVICES)


def _lstopo_warnings(machine: lstopo.Machine) -> Iterator[str]:
    shows = 'in which case `lstopo --disallowed --of xml` shows'
    if hidden := machine.hidden_cpus & ~machine.host.offline_cpus:
        yield (
            f'CPUs {cpuset.text(hidden)} are left out: offline, or kept from lstopo by a control group, {shows} them'
        )
    if machine.stray_cpus:
        yield f'CPUs {cpuset.text(machine.stray_cpus)} are left out: they are not in an online NUMA node'
    if machine.bare_cells:
        yield (
            f'cells {cpuset.text(machine.bare_cells)} are assumed to have no memory: they have none, or a control '
            f'group kept it from lstopo, {shows} it'
        )
    if machine.hidden_cells:
        yield (
            f'nodes {cpuset.text(machine.hidden_cells)} are left out: they have neither CPUs nor memory, or a control '
            f'group kept them from lstopo, {shows} them'
        )
    if not any(cell.shape.memory_mib for cell in machine.host.cells):
        yield (
            'no NUMANode has memory (local_memory), so no guest fits; the output of `virsh capabilities` shows it, or '
            'that of `lstopo --of xml` on the machine itself'
        )
    elif not machine.has_pages:
        yield (
            'it does not report the number of pages, as no output of hwloc 3 does: memory counts as a whole, and '
            'guests with huge pages do not fit; the output of `virsh capabilities` shows the pages'
        )


def numactl_files(numactl_path: str, lscpu_path: str, siblings: Numbering | None, options: Options) -> Found:
    """Read the outputs of ``numactl -H`` and ``lscpu``.

    :param siblings: how the threads of a core are numbered, according to the operator
    """
    from numaplace.libvirt import files, lscpu, numactl

    origin = files.place(lscpu_path)
    cpus = lscpu.read(files.load(lscpu_path, lscpu.SOURCE), origin)
    content = files.load(numactl_path, numactl.SOURCE)
    place = files.place(numactl_path)
    machine = numactl.read(content, cpus, place=place, origin=origin, siblings=siblings, **options)
    return Found(machine.host, cpus.facts, machine.warnings)


def files_of_host(paths: Sequence[str], siblings: Numbering | None, options: Options) -> tuple[Found, str]:
    """Read the files of one host, which are recognized by their contents.

    :param siblings: how the threads of a core are numbered, if lscpu lists no cores
    :returns: the host, and the file that may report its architecture
    :raises: :class:`~numaplace.exception.InvalidCapabilities` unless they are one file of ``virsh capabilities`` or of
        lstopo, or one or two with the outputs of numactl and lscpu; and the faults of their readers
    """
    from numaplace.libvirt import files
    from numaplace.libvirt.contents import Kind

    texts = _texts(paths)
    place = files.place(paths[0])
    if len(texts) > 1 and (of_domains := texts.pop(Kind.DOMCAPABILITIES, None)) is not None:
        found, place = _of_host(texts, place, siblings, options)
        return _domcapabilities(found, *of_domains), place
    return _of_host(texts, place, siblings, options)


def _of_host(
    texts: Mapping[Kind, tuple[bytes, str]], place: str, siblings: Numbering | None, options: Options
) -> tuple[Found, str]:
    from numaplace.libvirt.contents import Kind

    if texts.keys() == {Kind.CAPABILITIES}:
        return _capabilities(*texts[Kind.CAPABILITIES], options), place
    if texts.keys() == {Kind.LSTOPO}:
        return _lstopo(*texts[Kind.LSTOPO], options), place
    if texts.keys() == {Kind.NUMACTL, Kind.LSCPU}:
        return _numactl(texts[Kind.NUMACTL], texts[Kind.LSCPU], siblings, options), texts[Kind.LSCPU][1]
    held = ' and '.join(f'{path} holds the output of `{kind.value}`' for kind, (_, path) in texts.items())
    raise exception.InvalidCapabilities(f'{held}: {_ONE}')


def _texts(paths: Sequence[str]) -> dict[Kind, tuple[bytes, str]]:
    """Return the content and the path of each kind of output."""
    from numaplace.libvirt import contents, files

    if len(paths) > 3:
        raise exception.InvalidCapabilities(f'{len(paths)} files of one host ({", ".join(paths)}): {_ONE}')
    texts: dict[Kind, tuple[bytes, str]] = {}
    for path in paths:
        content, place = files.load(path, contents.SOURCES), files.place(path)
        found = contents.kinds(content)
        if not found:
            raise exception.InvalidCapabilities(f'{place}: not recognized: expected {contents.SOURCES}')
        for kind in sorted(found, key=lambda kind: kind.value):
            if kind in texts:
                raise exception.InvalidCapabilities(
                    f'{texts[kind][1]} and {place} hold the output of `{kind.value}`: {_ONE}'
                )
            texts[kind] = content, place
    return texts


def _numactl(nodes: tuple[bytes, str], table: tuple[bytes, str], siblings: Numbering | None, options: Options) -> Found:
    from numaplace.libvirt import lscpu, numactl

    (content, place), (_, origin) = nodes, table
    cpus = lscpu.read(*table)
    # It is given for many hosts at once, and some may not need it.
    said = None if cpus.threads_per_core is None else siblings
    machine = numactl.read(content, cpus, place=place, origin=origin, siblings=said, **options)
    return Found(machine.host, cpus.facts, machine.warnings)


def _capabilities(
    xml: bytes, place: str, options: Options, memory_kinds: Mapping[int, str] = MappingProxyType({})
) -> Found:
    from numaplace.libvirt import capabilities

    host = capabilities.read(xml, place=place, memory_kinds=memory_kinds, **options)
    return Found(host, capabilities.facts(xml, place=place))


def _surroundings(host: Host, sys: str | Path, proc: str | Path, root: str | Path) -> tuple[str, ...]:
    """Return what control groups and the kernel of a machine keep from guests, or do not keep for them."""
    from numaplace.fleet import kernel
    from numaplace.libvirt import booted, cgroups

    found = (*cgroups.check('', host, sys), *kernel.check('', host, booted.read(sys, proc, root)))
    return tuple(finding.warning for finding in found)
