# SPDX-License-Identifier: Apache-2.0
"""``numaplace host``: register and refresh hosts."""

from __future__ import annotations

import argparse
import socket
from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from numaplace import architecture
from numaplace.cli import base, host_devices, names
from numaplace.cli.host import add_zone, summary, zone
from numaplace.libvirt.files import place
from numaplace.libvirt.numbering import NUMBERINGS
from numaplace.operations import sources
from numaplace.operations.host_records import before, options, record_of, store, uri_of

if TYPE_CHECKING:
    from numaplace.cli import host_bulk
    from numaplace.libvirt.topology import Options
    from numaplace.model.records import HostRecord

    _Source: TypeAlias = tuple[str, str, Callable[[Options], sources.Found]]

__all__ = ['DiscoverHost', 'ImportHost']


class _AddHost(base.ShowOf):
    """A command that stores a host as a source reports it."""

    outcome = "the host '{name}' is stored, with the UUID {uuid}"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the options that all sources have in common."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--refresh',
            action='store_true',
            help='Update a registered host; its servers keep what they hold, or nothing changes.',
        )
        parser.add_argument(
            '--force',
            action='store_true',
            help='With --refresh: store the host as it is, even if its servers hold what it no longer has; warnings '
            'name them, and `fleet audit` finds them.',
        )
        parser.add_argument(
            '--architecture',
            metavar='ARCH',
            help="Architecture of the host's CPUs, such as ppc64le, if the source does not report it; without "
            'it no XML is written for its servers.',
        )
        add_zone(
            parser, 'Availability zone (default: [DEFAULT] default_availability_zone; --refresh keeps what is stored).'
        )
        return parser

    @abstractmethod
    def find(self, parsed_args: argparse.Namespace, arch: str | None) -> _Source:
        """Return the name of the host, its source, and a function that reads it with the operator's options.

        :param arch: its architecture, if it is given
        """

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Store the host.

        :raises: the faults of :func:`store`, and those of its source
        """
        from numaplace.conf import device_specs

        self.check_force(parsed_args)
        arch, chosen = self._architecture(parsed_args), zone(parsed_args)
        name, place, read = self.find(parsed_args, arch)
        known = self._before(name) if parsed_args.refresh else None
        found = read(options(self.conf, known.host if known else None))
        found = sources.with_architecture(found, arch, place)
        found = sources.with_devices(found, device_specs(self.conf), place)
        found = sources.with_resources(found, self.conf, place)
        with self.open_database() as database:
            stored = store(
                database,
                record_of(self.conf, name, found, known, chosen),
                place,
                known=known,
                keeps_devices=found.pci_devices is None,
                policy=self.conf.numaplace.unknown_guests,
                zone=chosen,
                must_answer=parsed_args.connect is not None,
                force=parsed_args.force,
            )
        for warning in (*found.warnings, *stored.warnings):
            self.app.warn(warning)
        columns, values = summary(stored.record)
        return (*columns, 'pci_devices'), (*values, host_devices.counts(stored.record.host))

    def check_force(self, parsed_args: argparse.Namespace) -> None:
        """End the command if there is nothing to force."""
        if parsed_args.force and not parsed_args.refresh:
            self.misuse('--force is about what servers hold on a registered host: expected --refresh with it')

    def _architecture(self, parsed_args: argparse.Namespace) -> str | None:
        arch = parsed_args.architecture
        return None if arch is None else architecture.check(arch, '--architecture')

    def _before(self, name: str) -> HostRecord:
        """Return a host as it is stored, and close the database: reading the source may take long."""
        with self.open_database() as database:
            return before(database, name)


class DiscoverHost(_AddHost):
    """Register a host: this machine, from libvirt if it answers, else from /sys; or that of another libvirt.

    CPU sets, reserved pages, allocation ratios and networks are those of the configuration. A warning lists CPUs that a
    control group keeps from guests.
    """

    examples = (
        'numaplace host discover',
        'numaplace --config-file /etc/nova/nova.conf host discover compute1.example.org',
        'numaplace host discover --connect qemu+ssh://root@compute2/system',
        'numaplace host discover --root /srv/recorded/compute3 compute3',
        'numaplace host discover --refresh',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the name and the options for other machines."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'name', metavar='NAME', nargs='?', help="Name of the host (default: the machine's; with --root required)."
        )
        ways = parser.add_mutually_exclusive_group()
        ways.add_argument('--connect', metavar='URI', help='Query the libvirt at this URI, with virsh.')
        ways.add_argument(
            '--root',
            metavar='DIR',
            help="Read this directory: it holds copies of a machine's /sys and /proc, or is a copy of its /sys.",
        )
        return parser

    def find(self, parsed_args: argparse.Namespace, arch: str | None) -> _Source:
        """Return the selected machine."""
        name, directory, uri = parsed_args.name, parsed_args.root, parsed_args.connect
        if directory is not None:
            if name is None:
                self.misuse('--root reads another machine: expected its NAME')
            return names.name('host', name), directory, partial(sources.recorded_tree, directory, arch)
        if uri is None:
            name = names.name('host', socket.gethostname() if name is None else name)
            return name, 'this machine', sources.this_machine
        if name is None:
            from numaplace.libvirt import connection

            name = connection.hostname_at(uri)
        return names.name('host', name), uri, partial(sources.other_libvirt, uri)


class ImportHost(_AddHost):
    """Register hosts from the output of programs on them: virsh, lstopo, or numactl and lscpu.

    For one host, give NAME with --capabilities, with --lstopo, or with --numactl and --lscpu. For many hosts, give
    --directory, or several NAME=FILE. Such files are recognized by their contents; the outputs of numactl and lscpu may
    be in one file or in two. The FILE - is standard input, for one file.

    A file in a directory is named after its host: the name ends before the first of
    .capabilities, .lstopo, .numactl, .lscpu, .xml, .json and .txt. Hidden files, backups that end with ~ and
    subdirectories are skipped.

    Each of many hosts is a transaction of its own. If one is refused, the others are stored, and the exit status is 1.
    --refresh updates registered hosts and registers the others. -f json and -f yaml list the result of each host.

    CPU sets, reserved pages, allocation ratios and networks are those of the configuration. With --from they are those
    that the source has, of all its hosts or of the NAMEs.
    """

    examples = (
        'ssh compute1 virsh capabilities | numaplace host import compute1 --capabilities -',
        'numaplace host import compute1 --capabilities compute1.xml',
        'numaplace --config-file compute1-nova.conf host import compute1 --capabilities compute1.xml',
        'numaplace host import compute1 --capabilities compute1.xml --domcapabilities compute1-domains.xml',
        'numaplace host import compute2 --lstopo compute2.lstopo.xml',
        'numaplace host import compute3 --numactl compute3.numactl --lscpu compute3.lscpu --architecture ppc64le',
        'numaplace host import compute4 --numactl compute4.numactl --lscpu compute4.lscpu --siblings adjacent',
        'numaplace host import --refresh compute1 --capabilities compute1-now.xml',
        'numaplace host import --refresh --force compute1 --capabilities compute1-now.xml',
        'numaplace host import --directory hosts',
        'numaplace host import -f json --refresh --directory hosts',
        'numaplace host import compute5=first.xml compute6=second.lstopo.xml',
        'numaplace --config-file /etc/nova/nova.conf host import --from nova',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the names and the files."""
        from numaplace.cli import from_nova

        parser = super().get_parser(prog_name)
        parser.add_argument(
            'names', metavar='NAME[=FILE]', nargs='*', help='Name of the host, or names of many hosts with their files.'
        )
        files = parser.add_mutually_exclusive_group()
        files.add_argument('--capabilities', metavar='FILE', help='Output of `virsh capabilities`.')
        files.add_argument('--lstopo', metavar='FILE', help='Output of `lstopo --of xml`.')
        files.add_argument('--numactl', metavar='FILE', help='Output of `numactl -H`; needs --lscpu.')
        files.add_argument('--directory', metavar='DIR', help='Files of many hosts, named after them.')
        parser.add_argument(
            '--connect',
            metavar='URI',
            help='The libvirt of the host, whose domains are read and which later commands use; {host} stands for the '
            'name of the host, as in qemu+ssh://root@{host}/system.',
        )
        parser.add_argument(
            '--domcapabilities',
            metavar='FILE',
            help='Output of `virsh domcapabilities --virttype kvm --machine q35`, in addition to one of these: whether '
            'the host can encrypt the memory of guests.',
        )
        parser.add_argument(
            '--ndctl',
            metavar='FILE',
            help='Output of `ndctl list -X -v`, in addition to one of these: the namespaces of persistent memory. The '
            'host has those of them that [libvirt] pmem_namespaces names.',
        )
        parser.add_argument(
            '--lscpu',
            metavar='FILE',
            help='Output of `lscpu`, `lscpu -p` or `lscpu -e`, or of several one after another.',
        )
        parser.add_argument(
            '--siblings',
            choices=NUMBERINGS,
            help='How threads of a core are numbered, if lscpu lists no cores: adjacent, such as 0 and 1, or apart, '
            'such as 0 and 60 of 120 CPUs with two threads per core.',
        )
        from_nova.add_source(parser, 'the hosts')
        return parser

    _many: host_bulk.Report | None = None

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command; a refused host among many is a fault."""
        status = super().run(parsed_args)
        return base.FAULT if not status and self._many and self._many.refused else status

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Store the host, or the hosts.

        :raises: the faults of :func:`store` and of its source, for one host
        """
        files = parsed_args.capabilities, parsed_args.lstopo, parsed_args.numactl, parsed_args.lscpu
        self.check_streams((*files, parsed_args.domcapabilities, parsed_args.ndctl))
        if set(files) != {None}:
            return super().take_action(parsed_args)
        if (parsed_args.domcapabilities, parsed_args.ndctl) != (None, None):
            self.misuse(
                '--domcapabilities and --ndctl are for one host: expected --capabilities, --lstopo or --numactl too'
            )
        from numaplace.cli import from_nova, host_bulk

        self.check_force(parsed_args)
        if parsed_args.source is not None:
            with self.open_database() as database:
                self._many = from_nova.import_hosts(
                    self.app, database, parsed_args.source, parsed_args.names, refresh=parsed_args.refresh
                )
            return self._counts(self._many)
        if alone := [word for word in parsed_args.names if '=' not in word]:
            self.misuse(
                'one of the arguments --capabilities --lstopo --numactl is required for host '
                f"'{names.shorten(alone[0])}', or NAME=FILE"
            )
        if not parsed_args.names and parsed_args.directory is None:
            self.misuse('NAME, NAME=FILE or --directory is required')
        self.check_streams(word.partition('=')[2] for word in parsed_args.names)
        importer = host_bulk.Importer(
            app=self.app,
            architecture=self._architecture(parsed_args),
            siblings=parsed_args.siblings,
            refresh=parsed_args.refresh,
            force=parsed_args.force,
            zone=zone(parsed_args),
            connect=parsed_args.connect,
        )
        hosts = host_bulk.find(parsed_args.names, parsed_args.directory)
        with self.open_database() as database:
            self._many = importer.run(database, hosts)
        return self._counts(self._many)

    def _counts(self, report: host_bulk.Report) -> tuple[tuple[str, ...], tuple[int, ...]]:
        self.outcome = 'hosts are stored: {registered} new ones, and {refreshed} that were known'
        return report.counts()

    def produce_output(self, parsed_args: argparse.Namespace, column_names: Sequence[str], data: Any) -> int:
        """Print the host, the result of each of many, or in formats without lists the number of each result."""
        if self._many is not None and self.is_nested(parsed_args):
            columns, rows = self._many.rows(parsed_args.columns)
            self.formatter.emit_list(columns, rows, self.app.stdout, parsed_args)
            return base.DONE
        return super().produce_output(parsed_args, column_names, data)

    def find(self, parsed_args: argparse.Namespace, arch: str | None) -> _Source:
        """Return the selected files."""
        if (parsed_args.numactl is None) != (parsed_args.lscpu is None):
            self.misuse(
                'expected --numactl and --lscpu together: one lists the memory, the other which CPUs share a core'
            )
        if parsed_args.siblings is not None and parsed_args.lscpu is None:
            self.misuse('--siblings applies to the CPUs of --lscpu: expected --numactl and --lscpu with it')
        if parsed_args.directory is not None or len(parsed_args.names) != 1:
            self.misuse('--capabilities, --lstopo, --numactl and --lscpu are for one host: expected only its NAME')
        name = names.name('host', parsed_args.names[0])
        path, read = self._file(parsed_args)
        if parsed_args.domcapabilities is not None:
            read = partial(sources.with_domcapabilities, parsed_args.domcapabilities, read)
        if parsed_args.ndctl is not None:
            read = partial(sources.with_ndctl, parsed_args.ndctl, read)
        if parsed_args.connect is not None:
            read = partial(sources.with_libvirt, uri_of(parsed_args.connect, name), read)
        return name, path, read

    @staticmethod
    def _file(parsed_args: argparse.Namespace) -> tuple[str, Callable[[Options], sources.Found]]:
        if (path := parsed_args.capabilities) is not None:
            return place(path), partial(sources.capabilities_file, path)
        if (path := parsed_args.lstopo) is not None:
            return place(path), partial(sources.lstopo_file, path)
        path = parsed_args.lscpu
        return place(path), partial(sources.numactl_files, parsed_args.numactl, path, parsed_args.siblings)
