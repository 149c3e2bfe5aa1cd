# SPDX-License-Identifier: Apache-2.0
"""``numaplace server``: the libvirt domains of servers."""

from __future__ import annotations

import argparse
import functools
from typing import TYPE_CHECKING

from numaplace import architecture, cpuset, exception, explain
from numaplace.cli import base, names
from numaplace.cli.each_server import EachServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oslo_config import cfg

    from numaplace.db.api import Database
    from numaplace.libvirt.connection import Libvirt
    from numaplace.libvirt.machine import GuestMachine
    from numaplace.model import Guest, Reason
    from numaplace.model.records import HostRecord, InstanceRecord
    from numaplace.request import Tuning

__all__ = [
    'DefineServer',
    'DumpxmlServer',
    'UndefineServer',
    'add_connect',
    'add_profile',
    'check',
    'check_support',
    'known_uri',
    'uri_of',
    'write',
]

_NEWEST = 'newest'
#: The first release of libvirt that sets the number of bits of physical addresses.
_WITH_ADDRESSES = (8, 7)


def write(
    conf: cfg.ConfigOpts,
    database: Database,
    server: InstanceRecord,
    form: str = _NEWEST,
    libvirt: Libvirt | None = None,
    *,
    host_arch: str | None = None,
) -> str:
    """Return the XML of a server.

    :param form: a key of :data:`numaplace.libvirt.profile.PROFILES`
    :param libvirt: the one that gets the domain, or None where it is not known
    :param host_arch: architecture of the XML, or None for that of its host
    :raises: :class:`~numaplace.exception.Conflict` if it has no host, and the faults of
        :func:`numaplace.libvirt.machine.choose`, :func:`numaplace.libvirt.cpumodel.choose`,
        :func:`numaplace.libvirt.domain.write`, :func:`numaplace.request.tuning`,
        :func:`numaplace.request.devices`, :func:`numaplace.request.hotplug`, :func:`check_support` and `libvirt`
    """
    from numaplace import request
    from numaplace.libvirt import cpumodel, domain, machine, thread_context
    from numaplace.libvirt.profile import PROFILES, at_release

    if server.host is None:
        raise exception.Conflict(f'server {server.name!r} is on no host: it is {server.status}')
    host, options = database.host(server.host), conf.libvirt
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
    return domain.write(
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


def check(conf: cfg.ConfigOpts, database: Database, server: InstanceRecord) -> None:
    """Make sure that the XML of a server can be written, once the architecture of its host is known.

    :raises: as :func:`write`; if the architecture is unknown, what it raises for the usual one if it raises for all
    """
    try:
        write(conf, database, server)
    except exception.ArchitectureUnknown:
        # A claim is the same on each architecture, and the host's own can be given later.
        _check_each(conf, database, server)


def _check_each(conf: cfg.ConfigOpts, database: Database, server: InstanceRecord) -> None:
    first: exception.NumaplaceException | None = None
    for arch in sorted(architecture.KNOWN, key='x86_64'.__ne__):
        try:
            write(conf, database, server, host_arch=arch)
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


class DumpxmlServer(base.Action):
    """Print the libvirt XML of a server, for `virsh define`, or for `virsh migrate --xml` if it runs.

    What a running guest sees cannot change: for it, --into changes nothing but the places in its domain.
    """

    examples = (
        'numaplace server dumpxml cirros2',
        'numaplace server dumpxml cirros2 --profile nova-33',
        'numaplace server dumpxml cirros2 | virsh define /dev/stdin',
        'virsh dumpxml --migratable old | numaplace server dumpxml old --into - > new.xml',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the name and the form."""
        parser = super().get_parser(prog_name)
        parser.add_argument('server', metavar='SERVER', help='Name or UUID of the server.')
        parser.add_argument(
            '--into',
            metavar='FILE',
            help='Write the pins and nodes that the server has now into its domain, which `virsh dumpxml --migratable` '
            'prints at the source, and keep all else in it, such as devices; - reads standard input.',
        )
        return add_profile(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Write the XML.

        :raises: as :func:`write`, :class:`~numaplace.exception.InvalidDomain` if --into is not the domain of the server
        """
        from numaplace.libvirt import files, grafting

        into = parsed_args.into
        with self.open_database() as database:
            server = database.instance(parsed_args.server)
            if server.adopted_name is not None and into is None:
                self.app.warn(
                    f'server {names.shorten(server.name)!r} is adopted: its devices are in its domain alone, and not '
                    'here; `numaplace server define` keeps them, and so does --into'
                )
            xml = write(self.conf, database, server, parsed_args.profile)
        if into is not None:
            found = files.load(into, grafting.SOURCE, error=exception.InvalidDomain)
            xml = grafting.move(found, xml, place=files.place(into))
        self.app.stdout.write(xml)


class _EachDomain(EachServer):
    """Do something with the libvirt domain of each of several servers, whose rows stay as they are."""

    def left(self, _database: Database, _server: str) -> str:
        """Return what an interrupt has left of one domain."""
        return 'libvirt alone knows whether its domain is defined'


class DefineServer(_EachDomain):
    """Define servers in libvirt, after a check against libvirt's schema; they are not started.

    The CPU model of each is one that this libvirt has, according to `virsh domcapabilities`, which is asked once.
    A server with more vCPUs than this libvirt accepts is refused. An adopted server is defined again with the sizes,
    pins, nodes, pages and cells that it has now; all else in its domain, such as devices, is kept. A server that is
    refused does not stop the others.
    """

    examples = (
        'numaplace server define cirros2',
        'numaplace server define cirros2 --connect qemu+ssh://root@compute1/system',
        'numaplace server define web-1 web-2 web-3',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the form and the connection."""
        return add_connect(add_profile(super().get_parser(prog_name)))

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Define one after the other; return the exit status."""
        from numaplace.libvirt import connection

        self._libvirt = functools.cache(connection.Libvirt)  # what it can do is asked once
        self._connect, self._form = parsed_args.connect, parsed_args.profile
        return super().take_action(parsed_args)

    def act(self, database: Database, uuid: str) -> None:
        """Define the XML in libvirt, and name the CPUs to bring online before the server starts."""
        from numaplace.libvirt import connection

        server = database.instance(uuid)
        record = database.host(server.host) if server.host else None
        libvirt = self._libvirt(uri_of(record, self._connect))
        xml = write(self.conf, database, server, self._form, libvirt)
        if server.adopted_name is not None:
            xml = _into_its_domain(server, xml, libvirt.uri)
        connection.define(xml, libvirt.uri)
        off = _pinned(server) & record.host.offline_cpus if record else 0
        if off:
            self.app.warn(
                f'CPUs {cpuset.text(off)} of server {server.name!r} were off when host {server.host!r} was last read: '
                f'libvirt starts no guest on CPUs that are offline; `chcpu --enable {cpuset.text(off)}` on the host '
                'brings them online'
            )


def _into_its_domain(server: InstanceRecord, xml: str, uri: str) -> str:
    """Return the definition of an adopted domain with what its server has now; its devices are known there alone.

    :raises: :class:`~numaplace.exception.LibvirtError` if it is not at that libvirt
    """
    from numaplace.libvirt import connection, grafting

    found = connection.dumpxml(server.uuid, uri, kept=True).encode()
    return grafting.graft(found, xml, place=f'domain {server.uuid}')


def _pinned(server: InstanceRecord) -> int:
    """Return the mask of the CPUs that a server has to run on (Nova 34, ``power_up_for_instance``)."""
    cpus = 0
    for placed in server.placement.cells:
        cpus |= placed.emulator_cpus | cpuset.mask(cpu for _, cpu in placed.pins)
    return cpus


class UndefineServer(_EachDomain):
    """Undefine servers in libvirt; they stay in the database, with their claims."""

    examples = ('numaplace server undefine cirros2', 'numaplace server undefine cirros2 --connect qemu:///session')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the connection."""
        return add_connect(super().get_parser(prog_name))

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Undefine one after the other; return the exit status."""
        self._connect = parsed_args.connect
        return super().take_action(parsed_args)

    def act(self, database: Database, uuid: str) -> None:
        """Undefine the domain."""
        from numaplace.libvirt import connection

        host = database.instance(uuid).host
        connection.undefine(uuid, uri_of(database.host(host) if host else None, self._connect))


def add_profile(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the form of the XML to the options of a command."""
    from numaplace.libvirt.profile import PROFILES

    parser.add_argument(
        '--profile',
        choices=tuple(PROFILES),
        default=_NEWEST,
        help=(
            'Form of the XML: that of a release of Nova or for a release of libvirt, or with everything that is known '
            '(default).'
        ),
    )
    return parser


def add_connect(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the URI of the libvirt to the options of a command."""
    parser.add_argument(
        '--connect',
        metavar='URI',
        help='The libvirt to talk to (default: that of the host, if it was read from one, else qemu:///system).',
    )
    return parser


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
