# SPDX-License-Identifier: Apache-2.0
"""The libvirt XML of servers, for the machine and the libvirt of their hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from numaplace import architecture, exception, explain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oslo_config import cfg

    from numaplace.db.api import Database
    from numaplace.libvirt.connection import Libvirt
    from numaplace.libvirt.machine import GuestMachine
    from numaplace.libvirt.xmltext import Element
    from numaplace.model import Guest, Reason
    from numaplace.model.records import HostRecord, InstanceRecord
    from numaplace.request import Tuning

__all__ = ['NEWEST', 'check', 'check_support', 'known_uri', 'uri_of', 'write']

#: The form of the XML with everything that is known.
NEWEST = 'newest'
#: The first release of libvirt that sets the number of bits of physical addresses.
_WITH_ADDRESSES = (8, 7)


def write(
    conf: cfg.ConfigOpts,
    database: Database,
    server: InstanceRecord,
    form: str = NEWEST,
    libvirt: Libvirt | None = None,
) -> str:
    """Return the XML of a server.

    :param form: a key of :data:`numaplace.libvirt.profile.PROFILES`
    :param libvirt: the one that gets the domain, or None where it is not known
    :raises: :class:`~numaplace.exception.Conflict` if it has no host, and the faults of
        :func:`numaplace.libvirt.machine.choose`, :func:`numaplace.libvirt.cpumodel.choose`,
        :func:`numaplace.libvirt.domain.write`, :func:`numaplace.request.tuning`,
        :func:`numaplace.request.devices`, :func:`numaplace.request.hotplug`, :func:`check_support` and `libvirt`
    """
    from numaplace.libvirt import xmltext

    return xmltext.write(_build(conf, database, server, form, libvirt))


def _build(
    conf: cfg.ConfigOpts,
    database: Database,
    server: InstanceRecord,
    form: str = NEWEST,
    libvirt: Libvirt | None = None,
    *,
    record: HostRecord | None = None,
    host_arch: str | None = None,
) -> Element:
    """Return the XML of a server, as :func:`write`.

    :param record: its host; None to read it
    :param host_arch: architecture of the XML, or None for that of its host
    """
    from numaplace import request
    from numaplace.libvirt import cpumodel, domain, machine, thread_context
    from numaplace.libvirt.profile import PROFILES, at_release

    if server.host is None:
        raise exception.Conflict(f'server {server.name!r} is on no host: it is {server.status}')
    host, options = record or database.host(server.host), conf.libvirt
    arch = str(host.facts.get('architecture') or '') if host_arch is None else host_arch
    guest = machine.choose(server.image_properties, host.name, arch, options.virt_type, options.hw_machine_type)
    wish = cpumodel.Wish(options.cpu_mode, options.cpu_models, options.cpu_model_extra_flags)
    profile, supported = PROFILES[form], None
    tuning = request.tuning(server.flavor, server.image_properties)
    if libvirt is not None:
        supported = libvirt.domain_capabilities(guest.arch, guest.domain_type, guest.machine)
        check_support(f'server {server.name!r}', server.placement.guest, guest, libvirt)
        _check_addresses(server.name, tuning, libvirt)
        if thread_context.are_refused(host.host, (placed.host_cell for placed in server.placement.cells)):
            profile = at_release(profile, libvirt.releases().libvirt)
    return domain.build(
        server.domain_name,
        server.uuid,
        server.name,
        server.placement,
        host.host,
        domain_type=guest.domain_type,
        arch=guest.arch,
        machine=guest.machine,
        cpu=cpumodel.choose(guest, wish, supported),
        profile=profile,
        tuning=tuning,
        attached=server.devices + request.devices(server.flavor),
        hotplug=request.hotplug(server.flavor),
        viommu=request.viommu(server.flavor, server.image_properties),
    )


def _check_addresses(name: str, tuning: Tuning, libvirt: Libvirt) -> None:
    """Refuse a libvirt that cannot set the number of bits of physical addresses, as Nova 34 does by a trait."""
    if tuning.address_mode is not None and () < libvirt.releases().libvirt < _WITH_ADDRESSES:
        since = '.'.join(map(str, _WITH_ADDRESSES))
        raise exception.MachineLimitExceeded(
            f'server {name!r}: hw:maxphysaddr_mode={tuning.address_mode!r}: libvirt has it since {since}, and that at '
            f'{explain.escape(libvirt.uri)} is older'
        )


def check(conf: cfg.ConfigOpts, database: Database, server: InstanceRecord, record: HostRecord | None = None) -> None:
    """Make sure that the XML of a server can be written, once the architecture of its host is known.

    :param record: its host; None to read it
    :raises: as :func:`write`; if the architecture is unknown, what it raises for the usual one if it raises for all
    """
    try:
        _build(conf, database, server, record=record)
    except exception.ArchitectureUnknown:
        # A claim is the same on each architecture, and the host's own can be given later.
        _check_each(conf, database, server, record)


def _check_each(conf: cfg.ConfigOpts, database: Database, server: InstanceRecord, record: HostRecord | None) -> None:
    first: exception.NumaplaceException | None = None
    for arch in sorted(architecture.KNOWN, key='x86_64'.__ne__):
        try:
            _build(conf, database, server, record=record, host_arch=arch)
        except exception.NumaplaceException as error:
            first = first or error
        else:
            return
    if first is not None:
        raise first


def check_support(who: str, guest: Guest, machine: GuestMachine, libvirt: Libvirt) -> None:
    """Make sure that a libvirt and its QEMU can start a guest: the vCPUs, and what is emulated without KVM.

    :param who: the guest or its source, for the error
    :raises: :class:`~numaplace.exception.MachineLimitExceeded`, :class:`~numaplace.exception.LibvirtError`
    """
    for reason in _unsupported(guest, machine, libvirt):
        raise exception.MachineLimitExceeded(f'{who}: {explain.sentence(reason)} at {explain.escape(libvirt.uri)}')


def _unsupported(guest: Guest, machine: GuestMachine, libvirt: Libvirt) -> Iterator[Reason]:
    from numaplace.libvirt.machine import QEMU
    from numaplace.model import Reason
    from numaplace.request import Machine, machines

    about = Machine(machine.arch, machine.machine)
    supported = libvirt.domain_capabilities(machine.arch, machine.domain_type, machine.machine)
    most = None if supported is None else supported.max_vcpus
    if most is not None and guest.most_vcpus > most:
        yield Reason('machine.vcpus', guest.most_vcpus, most, 'vCPUs', subject=str(about))
    for since, reason in machines.unemulated(guest, about) if machine.domain_type == QEMU else ():
        if () < libvirt.releases().qemu < since:
            yield reason


def uri_of(record: HostRecord | None, given: str | None) -> str:
    """Return the URI of the libvirt of a host.

    :param record: the host; None for a server without one
    :param given: what the user gave, or None
    """
    from numaplace.libvirt import connection

    return known_uri(record, given) or connection.LOCAL


def known_uri(record: HostRecord | None, given: str | None) -> str | None:
    """Return the URI of the libvirt of a host, as :func:`uri_of`; None if nobody has named one."""
    return given or (record.libvirt_uri if record is not None else None)
