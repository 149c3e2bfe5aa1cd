# SPDX-License-Identifier: Apache-2.0
"""``numaplace host``: the machines that guests run on."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from numaplace import cpuset, exception, explain, units
from numaplace.cli import base, host_devices, host_resources, memory, names, unmanaged
from numaplace.libvirt.files import STREAM

if TYPE_CHECKING:
    from numaplace.model import Host, HostCell
    from numaplace.model.records import HostRecord, InstanceRecord

__all__ = ['DeleteHost', 'ListHost', 'SetHost', 'ShowHost', 'add_zone', 'as_here', 'summary', 'zone']

#: Most zones that the error for an unknown zone names.
_SHOWN = 8
_COLUMNS = (
    *('Name', 'Status', 'State', 'Zone', 'Cells', 'CPUs', 'vCPUs Used', 'MiB', 'MiB Used', 'CPUs Off'),
    *('CPUs Held', 'CPUs Free', 'Huge Pages Free'),
)
#: Columns that people see where some host has any.
_RARE = ('CPUs Off', 'CPUs Held')


class ListHost(base.ListOf):
    """List hosts with their usage."""

    nothing = 'no hosts'
    examples = (
        'numaplace host list',
        'numaplace host list --zone nova --sort-column "MiB Used" --sort-descending',
        'numaplace host list -f json',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the selection."""
        parser = super().get_parser(prog_name)
        parser.add_argument('--zone', metavar='ZONE', help='Only hosts of this availability zone.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return the hosts by name.

        :raises: :class:`~numaplace.exception.NotFound` for a zone without hosts
        """
        zone = parsed_args.zone
        with self.open_database() as database:
            records = database.hosts(self.unread)
        zones = sorted({record.availability_zone for record in records})
        if zone is not None and zone not in zones:
            known = ', '.join(map(names.shorten, zones[:_SHOWN])) + (', ...' if len(zones) > _SHOWN else '')
            raise exception.NotFound(
                f"--zone '{names.shorten(zone)}': no host is in this availability zone; known zones: {known or 'none'}"
            )
        shown = [record for record in records if zone in (None, record.availability_zone)]
        self._hosts = [record.host for record in shown]
        rows = [_list_row(record) for record in shown]
        if self._is_for_people(parsed_args):
            # A terminal has room for what some host has.
            kept = [
                place for place, name in enumerate(_COLUMNS) if name not in _RARE or any(row[place] for row in rows)
            ]
            return tuple(_COLUMNS[place] for place in kept), [tuple(row[place] for place in kept) for row in rows]
        return _COLUMNS, rows

    @staticmethod
    def _is_for_people(parsed_args: argparse.Namespace) -> bool:
        return parsed_args.formatter == 'table' and not parsed_args.columns and not parsed_args.sort_columns

    _hosts: Sequence[Host] = ()

    def produce_output(self, parsed_args: argparse.Namespace, column_names: Sequence[str], data: Any) -> int:
        """Print the hosts, and for people a line of totals."""
        status = super().produce_output(parsed_args, column_names, data)
        if self._hosts and self._is_for_people(parsed_args):
            self.app.stdout.write(f'{_totals(self._hosts)}\n')
        return status


def _list_row(record: HostRecord) -> tuple[Any, ...]:
    host = record.host
    return (
        base.Text(record.name),
        record.status,
        record.state,
        base.Text(record.availability_zone),
        len(host.cells),
        host.cpu_count,
        host.vcpus_used,
        host.memory_mib,
        host.general_memory_used_mib,
        host.offline_cpus.bit_count(),
        sum(cell.held_cpus.bit_count() for cell in host.cells),
        host.free_cpus.bit_count(),
        _huge_pages(host.free_huge_pages),
    )


def _huge_pages(free: Mapping[int, int]) -> base.Written:
    """Return numbers of free huge pages, given by size in KiB, as a column."""
    by_size = sorted(free.items())
    plain = [{'size_kib': size_kib, 'free': number} for size_kib, number in by_size]
    return base.Written(
        plain, ', '.join(f'{number} x {units.size(size_kib)}' for size_kib, number in by_size) or 'none'
    )


def _totals(hosts: Sequence[Host]) -> str:
    pages: Counter[int] = Counter()
    for host in hosts:
        pages.update(host.free_huge_pages)
    parts = (
        f'{len(hosts)} {"host" if len(hosts) == 1 else "hosts"}',
        f'{sum(host.cpu_count for host in hosts)} CPUs',
        f'{sum(host.vcpus_used for host in hosts)} vCPUs used',
        f'{sum(host.general_memory_used_mib for host in hosts)} of {sum(host.memory_mib for host in hosts)} MiB used',
        f'free: {sum(host.free_cpus.bit_count() for host in hosts)} dedicated CPUs',
        f'huge pages {_huge_pages(pages).human_readable()}',
    )
    return f'Total: {", ".join(parts)}'


class ShowHost(base.ShowOf):
    """Show a host: its cells with CPUs, pins and pages, and which guest has which CPU."""

    examples = (
        'numaplace host show compute1',
        'numaplace host show --picture compute1',
        'numaplace host show --svg compute1.svg compute1',
        'numaplace host show -f json compute1',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the name."""
        parser = super().get_parser(prog_name)
        parser.add_argument('name', metavar='HOST', help='Name of the host.')
        parser.add_argument('--picture', action='store_true', help='Show only the picture.')
        parser.add_argument('--svg', metavar='FILE', help='Also write the picture as SVG, for a document.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Return the host; for people, a picture replaces the cells."""
        if parsed_args.svg == STREAM:
            self.misuse('--svg -: standard output has the table: expected the name of a file')
        with self.open_database() as database:
            record = database.host(parsed_args.name)
            servers = as_here(record.name, database.instances(record.name, self.unread))
        if parsed_args.svg is not None:
            from numaplace.cli import fleet_sources, host_svg

            fleet_sources.write_octets(host_svg.svg(record, servers).encode(), parsed_args.svg)
        if parsed_args.picture or (parsed_args.formatter == 'table' and not parsed_args.columns):
            from numaplace.cli import picture

            self._picture = picture.draw(record, servers)
            return summary(record)
        columns, row = summary(record)
        return (*columns, 'cells', 'pci_devices', 'servers'), (
            *row,
            _cells(record.host, servers),
            host_devices.column(record.host, servers),
            _names(servers),
        )

    def produce_output(self, parsed_args: argparse.Namespace, column_names: Sequence[str], data: Any) -> int:
        """Print the columns, unless only the picture is requested, and the picture."""
        if not parsed_args.picture:
            super().produce_output(parsed_args, column_names, data)
        if self._picture and not parsed_args.picture:
            self.app.stdout.write('\n')
        self.app.stdout.write(self._picture)
        return base.DONE

    _picture = ''


def summary(record: HostRecord) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """Return what is shown of a host as a whole."""
    host = record.host
    values = {
        'name': base.Text(record.name),
        'uuid': record.uuid,
        'status': record.status,
        'state': record.state,
        'availability_zone': base.Text(record.availability_zone),
        'aggregates': _texts([aggregate.name for aggregate in record.aggregates]),
        'architecture': base.Text(str(record.facts.get('architecture', ''))),
        'cpu_model': base.Text(str(record.facts.get('cpu_model', ''))),
        'cpu_allocation_ratio': record.cpu_allocation_ratio,
        'ram_allocation_ratio': record.ram_allocation_ratio,
        'cpus': host.cpu_count,
        'vcpus_used': host.vcpus_used,
        'memory_mib': host.memory_mib,
        'memory_used_mib': host.general_memory_used_mib,
        'other_memory': _other_memory(host),
        'memory_encryption': host_resources.encryption(host.resources),
        'persistent_memory': host_resources.namespaces(host.resources),
        'offline_cpus': base.Written(list(cpuset.ids(host.offline_cpus)), cpuset.text(host.offline_cpus)),
        'libvirt_uri': record.libvirt_uri and base.Text(record.libvirt_uri),
        'unmanaged_domains': unmanaged.column(record.unmanaged),
    }
    return tuple(values), tuple(values.values())


def _other_memory(host: Host) -> base.Written:
    found = memory.of_other_kinds(host)
    lines = (f'{kind}: {sums["memory_used_mib"]} of {sums["memory_mib"]} MiB used' for kind, sums in found.items())
    return base.Written(found, '\n'.join(lines) or 'none')


def as_here(host_name: str, servers: Sequence[InstanceRecord]) -> list[InstanceRecord]:
    """Return each server once for each place that it holds on a host: two if it is resized there."""
    from numaplace.model import allocations

    return [
        replace(server, placement=placement)
        for server in servers
        for placement in allocations.held_on(host_name, [server])
    ]


def _names(servers: Sequence[InstanceRecord]) -> base.Written:
    return _texts(list({server.uuid: server.name for server in servers}.values()))


def _texts(found: list[str]) -> base.Written:
    return base.Written(found, '\n'.join(map(explain.escape, found)) or 'none')


def _cells(host: Host, servers: Sequence[InstanceRecord]) -> base.Written:
    """Return the cells as a column, with a line for each for people."""
    off, cells = host.offline_cpus, host.cells
    return base.Written(
        [_cell(cell, off, servers) for cell in cells], '\n'.join(_words(cell, off, cells) for cell in cells)
    )


def _words(cell: HostCell, off: int, cells: Sequence[HostCell]) -> str:
    shape = cell.shape
    here = off & shape.dedicated_cpus
    parts = [
        f'{shape.id}: CPUs {cpuset.text(shape.shared_cpus | shape.dedicated_cpus) or "none"}',
        f'{cpuset.text(cell.pinned_cpus) or "none"} pinned',
        f'{cpuset.text(cell.held_cpus)} held by other domains' if cell.held_cpus else '',
        f'{cpuset.text(here)} off' if here else '',
        f'{cell.cpu_usage} shared vCPUs used',
        f'{cell.memory_usage_mib} of {shape.memory_mib} MiB used',
        f'{cell.held_mib} MiB held by other domains' if cell.held_mib else '',
        memory.words(shape, cells),
        *(
            f'{pages.free} of {pages.total} {units.size(pages.size_kib)} pages free'
            for pages in cell.pages
            if pages.total
        ),
    ]
    return ', '.join(filter(None, parts))


def _cell(cell: HostCell, off: int, servers: Sequence[InstanceRecord]) -> dict[str, Any]:
    """Return a cell as plain values: CPUs are lists, sizes are named with their units.

    :param off: mask of the host's CPUs that are off
    """
    shape = cell.shape
    return {
        'id': shape.id,
        'cpus': list(cpuset.ids(shape.shared_cpus | shape.dedicated_cpus)),
        'shared_cpus': list(cpuset.ids(shape.shared_cpus)),
        'dedicated_cpus': list(cpuset.ids(shape.dedicated_cpus)),
        'offline_cpus': list(cpuset.ids(off & shape.dedicated_cpus)),
        'pinned_cpus': list(cpuset.ids(cell.pinned_cpus)),
        'pinned_by': _owners(shape.id, servers),
        'held_cpus': list(cpuset.ids(cell.held_cpus)),
        'shared_vcpus_used': cell.cpu_usage,
        'memory_mib': shape.memory_mib,
        'memory_used_mib': cell.memory_usage_mib,
        'memory_held_mib': cell.held_mib,
        'memory_kind': shape.kind,
        'counts_as_general': shape.is_general,
        'siblings': [list(cpuset.ids(core)) for core in shape.siblings],
        'socket': shape.socket,
        'dies': [list(cpuset.ids(die)) for die in shape.dies],
        'clusters': [list(cpuset.ids(cluster)) for cluster in shape.clusters],
        'caches': [asdict(bank) | {'cpus': list(cpuset.ids(bank.cpus))} for bank in shape.caches],
        'distances': {str(other): distance for other, distance in shape.distances},
        'accesses': list(map(asdict, shape.accesses)),
        'pages': [
            {
                'size_kib': pages.size_kib,
                'total': pages.total,
                'used': pages.used,
                'reserved': pages.reserved,
                'held': pages.held,
                'free': pages.free,
            }
            for pages in cell.pages
        ],
        'physnets': sorted(shape.physnets),
        'tunneled': shape.tunneled,
    }


def _owners(cell_id: int, servers: Sequence[InstanceRecord]) -> list[dict[str, Any]]:
    owners = []
    for server in servers:
        taken = 0
        for placed in server.placement.cells:
            taken |= placed.taken if placed.host_cell == cell_id else 0
        if taken:
            owners.append({'server': server.name, 'uuid': server.uuid, 'cpus': list(cpuset.ids(taken))})
    return owners


def add_zone(parser: argparse.ArgumentParser, text: str) -> None:
    """Add the option that names the availability zone of a host."""
    parser.add_argument('--zone', metavar='ZONE', help=text)


def zone(parsed_args: argparse.Namespace) -> str | None:
    """Return the availability zone that the option names, or None.

    :raises: :class:`~numaplace.exception.Invalid`
    """
    return None if parsed_args.zone is None else names.name('--zone:', parsed_args.zone)


class SetHost(base.Action):
    """Enable or disable a host, mark it as up or down, and move it to another availability zone.

    Servers can be evacuated only from a host that is down.
    """

    examples = (
        'numaplace host set --disable compute1',
        'numaplace host set --down compute1',
        'numaplace host set --zone north compute1',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the name and what can be set."""
        parser = super().get_parser(prog_name)
        status = parser.add_mutually_exclusive_group()
        status.add_argument(
            '--enable', dest='status', action='store_const', const='enabled', help='Guests may be placed on the host.'
        )
        status.add_argument(
            '--disable',
            dest='status',
            action='store_const',
            const='disabled',
            help='No more guests are placed on the host.',
        )
        state = parser.add_mutually_exclusive_group()
        state.add_argument('--up', dest='state', action='store_const', const='up', help='Mark the host as up.')
        state.add_argument('--down', dest='state', action='store_const', const='down', help='Mark the host as down.')
        add_zone(parser, 'Availability zone that the host is moved to; its servers stay.')
        parser.add_argument('name', metavar='HOST', help='Name of the host.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change the host.

        :raises: :class:`~numaplace.exception.NotFound`
        """
        from numaplace.compute import resource_tracker

        wanted = {'status': parsed_args.status, 'state': parsed_args.state, 'zone': zone(parsed_args)}
        if not any(wanted.values()):
            self.misuse('nothing to set: expected --enable, --disable, --up, --down or --zone')
        with self.open_database() as database:
            resource_tracker.switch(database, parsed_args.name, **wanted)


class DeleteHost(base.Action):
    """Delete hosts that have no servers; one that cannot be deleted does not stop the others."""

    examples = ('numaplace host delete compute1', 'numaplace host delete compute1 compute2')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the names."""
        parser = super().get_parser(prog_name)
        parser.add_argument('names', metavar='HOST', nargs='+', help='Name of a host.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Delete one after the other; return the exit status."""
        with self.open_database() as database:
            return self.for_each('hosts', parsed_args.names, database.delete_host, parsed_args)
