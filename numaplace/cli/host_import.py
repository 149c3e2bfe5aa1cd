# SPDX-License-Identifier: Apache-2.0
"""``numaplace host``: how machines are taken in."""

from __future__ import annotations

import argparse
import socket
from abc import abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from numaplace import exception, units
from numaplace.cli import base, names, sources
from numaplace.cli.host import summary

if TYPE_CHECKING:
    from oslo_config import cfg

    from numaplace.db.records import HostRecord
    from numaplace.libvirt.topology import HostFacts, Options
    from numaplace.model import Host

__all__ = ['DiscoverHost', 'ImportHost', 'options']


def options(conf: cfg.ConfigOpts) -> Options:
    """Return the operator's options for a host."""
    from numaplace import conf as configuration
    from numaplace.model import Networks

    physnets: dict[int, set[str]] = {}
    for physnet in conf.neutron.physnets:
        for cell in conf[f'neutron_physnet_{physnet}'].numa_nodes:
            physnets.setdefault(cell, set()).add(physnet)
    tunneled = conf.neutron_tunnel.numa_nodes
    shared, dedicated = configuration.cpu_sets(conf)
    return {
        'shared_cpus': shared,
        'dedicated_cpus': dedicated,
        'reserved': configuration.reserved_pages(conf),
        'networks': {
            cell: Networks(frozenset(physnets.get(cell, ())), cell in tunneled) for cell in {*physnets, *tunneled}
        },
    }


def _facts(found: HostFacts) -> dict[str, Any]:
    """Return what the filters ask for, as JSON; domains are triples of architecture, type and mode."""
    facts = {
        'architecture': found.arch,
        'cpu_model': found.cpu_model,
        'cpu_vendor': found.vendor,
        'domains': [[guest.arch, kind, guest.os_type] for guest in found.guests for kind in guest.domain_types],
    }
    return {key: value for key, value in facts.items() if value}


def _record(conf: cfg.ConfigOpts, name: str, host: Host, found: HostFacts) -> HostRecord:
    from numaplace import conf as configuration
    from numaplace.db.records import HostRecord

    cpu_ratio, ram_ratio = configuration.ratios(conf)
    return HostRecord(
        name=name,
        host=host,
        availability_zone=names.name('[DEFAULT] default_availability_zone:', conf.default_availability_zone),
        facts=_facts(found),
        cpu_allocation_ratio=cpu_ratio,
        ram_allocation_ratio=ram_ratio,
    )


class _AddHost(base.ShowOf):
    """A command that stores a host as a source tells it."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add what is done with a host that is stored."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--refresh',
            action='store_true',
            help='Store anew what a known host has; its servers keep what they hold, or nothing changes.',
        )
        return parser

    @abstractmethod
    def find(self, parsed_args: argparse.Namespace) -> tuple[str, sources.Found]:
        """Return the name of the host, and what it has."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Store the host.

        :raises: :class:`~numaplace.exception.AlreadyExists`; with ``--refresh`` :class:`~numaplace.exception.NotFound`,
            and the faults of :func:`numaplace.compute.resource_tracker.refresh`
        """
        from numaplace.compute import resource_tracker

        name, found = self.find(parsed_args)
        record = _record(self.conf, name, found.host, found.facts)
        with self.open_database() as database:
            if parsed_args.refresh:
                record = resource_tracker.refresh(database, name, record.host, record)
            else:
                try:
                    record = resource_tracker.register(database, record)
                except exception.AlreadyExists as error:
                    raise exception.AlreadyExists(
                        f'{error}; store anew what it has with --refresh, or give another name'
                    ) from error
        for warning in (*found.warnings, *_overdrawn(record.host)):
            self.app.warn(warning)
        return summary(record)


def _overdrawn(host: Host) -> Iterator[str]:
    """Return what a host has less of than its servers hold."""
    for cell in host.cells:
        for pages in cell.pages:
            if pages.used and pages.free < 0:
                yield (
                    f'host cell {cell.id}: its servers hold {pages.used} {units.size(pages.size_kib)} pages of '
                    f'{pages.total}, of which {pages.reserved} are reserved'
                )


class DiscoverHost(_AddHost):
    """Take in a machine: this one, from libvirt if it answers, else from /sys; or that of another libvirt.

    CPU sets, reserved pages, allocation ratios and networks are those of the configuration. CPUs that a control group
    keeps from guests are named in a warning.
    """

    examples = (
        'numaplace host discover',
        'numaplace --config-file /etc/nova/nova.conf host discover compute1.example.org',
        'numaplace host discover --connect qemu+ssh://root@compute2/system',
        'numaplace host discover --root /srv/recorded/compute3 compute3',
        'numaplace host discover --refresh',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the name and the ways to other machines."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'name', metavar='NAME', nargs='?', help="Name of the host (default: the machine's; with --root required)."
        )
        ways = parser.add_mutually_exclusive_group()
        ways.add_argument('--connect', metavar='URI', help='Ask the libvirt at this URI, with virsh.')
        ways.add_argument(
            '--root',
            metavar='DIR',
            help="Read copies of a machine's /sys and /proc in this directory, or a copy of its /sys that it is.",
        )
        return parser

    def find(self, parsed_args: argparse.Namespace) -> tuple[str, sources.Found]:
        """Read the machine."""
        name, directory, uri = parsed_args.name, parsed_args.root, parsed_args.connect
        if directory is not None:
            if name is None:
                self.misuse('--root reads another machine: expected its NAME')
            return names.name('host', name), sources.recorded_tree(directory, options(self.conf))
        if uri is None:
            name = names.name('host', socket.gethostname() if name is None else name)
            return name, sources.this_machine(options(self.conf))
        if name is None:
            from numaplace.libvirt import connection

            name = connection.hostname_at(uri)
        return names.name('host', name), sources.other_libvirt(uri, options(self.conf))


class ImportHost(_AddHost):
    """Take in a host from what a program printed there: virsh, lstopo, or numactl and lscpu.

    CPU sets, reserved pages, allocation ratios and networks are those of the configuration.
    """

    examples = (
        'ssh compute1 virsh capabilities > compute1.xml',
        'numaplace host import compute1 --capabilities compute1.xml',
        'numaplace --config-file compute1-nova.conf host import compute1 --capabilities compute1.xml',
        'numaplace host import compute2 --lstopo compute2.lstopo.xml',
        'numaplace host import compute3 --numactl compute3.numactl --lscpu compute3.lscpu',
        'numaplace host import --refresh compute1 --capabilities compute1-now.xml',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the name and the files."""
        parser = super().get_parser(prog_name)
        parser.add_argument('name', metavar='NAME', help='Name of the host.')
        files = parser.add_mutually_exclusive_group(required=True)
        files.add_argument('--capabilities', metavar='FILE', help='Output of `virsh capabilities`.')
        files.add_argument('--lstopo', metavar='FILE', help='Output of `lstopo --of xml`.')
        files.add_argument('--numactl', metavar='FILE', help='Output of `numactl -H`; needs --lscpu.')
        parser.add_argument(
            '--lscpu',
            metavar='FILE',
            help='Output of `lscpu`, `lscpu -p` or `lscpu -e`, or of several one after another.',
        )
        return parser

    def find(self, parsed_args: argparse.Namespace) -> tuple[str, sources.Found]:
        """Read the files."""
        if (parsed_args.numactl is None) != (parsed_args.lscpu is None):
            self.misuse(
                'expected --numactl and --lscpu together: one tells the memory, the other which CPUs share a core'
            )
        name = names.name('host', parsed_args.name)
        given = options(self.conf)
        if parsed_args.capabilities is not None:
            return name, sources.capabilities_file(parsed_args.capabilities, given)
        if parsed_args.lstopo is not None:
            return name, sources.lstopo_file(parsed_args.lstopo, given)
        return name, sources.numactl_files(parsed_args.numactl, parsed_args.lscpu, given)
