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

    from numaplace.libvirt import lstopo
    from numaplace.libvirt.contents import Kind
    from numaplace.libvirt.found_device import FoundDevice
    from numaplace.libvirt.numbering import Numbering
    from numaplace.libvirt.topology import HostFacts, Options
    from numaplace.model import Host, PciDevice
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
    'with_libvirt',
]

_ONE = 'expected that of `virsh capabilities` alone, of `lstopo --of xml` alone, or those of `numactl -H` and `lscpu`'
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
    """

    host: Host
    facts: HostFacts
    warnings: tuple[str, ...] = ()
    libvirt_uri: str | None = None
    find_devices: Callable[[], tuple[FoundDevice, ...]] | None = None
    devices_note: str = ''
    pci_devices: tuple[PciDevice, ...] | None = None


def this_machine(options: Options) -> Found:
    """Read this machine: from its libvirt if that answers, else from /sys."""
    from numaplace.libvirt import connection, memory, sysfs, sysfs_devices

    xml = connection.capabilities(connection.LOCAL)
    if xml is None:
        host, facts, uri = sysfs.read(**options), sysfs.facts(), None
    else:
        found = _capabilities(xml, "this machine's libvirt", options, memory.reported('/sys'))
        host, facts, uri = found.host, found.facts, connection.LOCAL
    # The kernel's files tell the same of devices as libvirt, which reads them.
    return Found(host, facts, _surroundings(host, '/sys', '/proc', '/'), uri, sysfs_devices.read)


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

    if len(paths) > 2:
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
