# SPDX-License-Identifier: Apache-2.0
"""``numaplace host``: the machines that guests run on."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from numaplace import cpuset, explain, units
from numaplace.cli import base

if TYPE_CHECKING:
    from numaplace.db.records import HostRecord, InstanceRecord
    from numaplace.model import HostCell

__all__ = ['DeleteHost', 'ListHost', 'SetHost', 'ShowHost', 'summary']


class ListHost(base.ListOf):
    """List all hosts with their usage."""

    examples = ('numaplace host list', 'numaplace host list -f json')

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return all hosts by name."""
        columns = ('Name', 'Status', 'State', 'Zone', 'Cells', 'CPUs', 'vCPUs Used', 'MiB', 'MiB Used')
        with self.open_database() as database:
            return columns, [_list_row(record) for record in database.hosts(self.unread)]


def _list_row(record: HostRecord) -> tuple[Any, ...]:
    host = record.host
    return (
        base.Text(record.name),
        record.status,
        record.state,
        base.Text(record.availability_zone),
        len(host.cells),
        (host.shared_cpus | host.dedicated_cpus).bit_count(),
        host.vcpus_used,
        host.memory_mib,
        host.memory_used_mib,
    )


class ShowHost(base.ShowOf):
    """Show a host: its cells with CPUs, pins and pages, and which CPU belongs to whom."""

    examples = (
        'numaplace host show compute1',
        'numaplace host show --picture compute1',
        'numaplace host show -f json compute1',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the name."""
        parser = super().get_parser(prog_name)
        parser.add_argument('name', metavar='NAME', help='Name of the host.')
        parser.add_argument('--picture', action='store_true', help='Show the picture alone.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Return the host; for people a picture stands for the cells."""
        with self.open_database() as database:
            record = database.host(parsed_args.name)
            servers = _as_here(record.name, database.instances(record.name))
        if parsed_args.picture or (parsed_args.formatter == 'table' and not parsed_args.columns):
            from numaplace.cli import picture

            self._picture = picture.draw(record, servers)
            return summary(record)
        columns, row = summary(record)
        return (*columns, 'cells', 'servers'), (*row, _cells(record.host.cells, servers), _names(servers))

    def produce_output(self, parsed_args: argparse.Namespace, column_names: Sequence[str], data: Any) -> int:
        """Print the columns, unless only the picture is wanted, and the picture."""
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
        'architecture': base.Text(str(record.facts.get('architecture', ''))),
        'cpu_model': base.Text(str(record.facts.get('cpu_model', ''))),
        'cpu_allocation_ratio': record.cpu_allocation_ratio,
        'ram_allocation_ratio': record.ram_allocation_ratio,
        'cpus': (host.shared_cpus | host.dedicated_cpus).bit_count(),
        'vcpus_used': host.vcpus_used,
        'memory_mib': host.memory_mib,
        'memory_used_mib': host.memory_used_mib,
    }
    return tuple(values), tuple(values.values())


def _as_here(host_name: str, servers: Sequence[InstanceRecord]) -> list[InstanceRecord]:
    """Return each server once for each place that it holds on a host: two, if it is resized there."""
    from numaplace.db import holding

    return [
        replace(server, placement=placement) for server in servers for placement in holding.held_on(host_name, [server])
    ]


def _names(servers: Sequence[InstanceRecord]) -> base.Written:
    found = list({server.uuid: server.name for server in servers}.values())
    return base.Written(found, '\n'.join(map(explain.escape, found)) or 'none')


def _cells(cells: Sequence[HostCell], servers: Sequence[InstanceRecord]) -> base.Written:
    """Return the cells as a column, in which people see a line for each."""
    return base.Written([_cell(cell, servers) for cell in cells], '\n'.join(map(_words, cells)))


def _words(cell: HostCell) -> str:
    shape = cell.shape
    pages = ', '.join(
        f'{pages.free} of {pages.total} {units.size(pages.size_kib)} pages free' for pages in cell.pages if pages.total
    )
    return (
        f'{shape.id}: CPUs {cpuset.text(shape.shared_cpus | shape.dedicated_cpus) or "none"}, '
        f'{cpuset.text(cell.pinned_cpus) or "none"} pinned, {cell.cpu_usage} shared vCPUs used, '
        f'{cell.memory_usage_mib} of {shape.memory_mib} MiB used' + (f', {pages}' if pages else '')
    )


def _cell(cell: HostCell, servers: Sequence[InstanceRecord]) -> dict[str, Any]:
    """Return a cell as plain values: CPUs are lists, sizes say their unit."""
    shape = cell.shape
    return {
        'id': shape.id,
        'cpus': list(cpuset.ids(shape.shared_cpus | shape.dedicated_cpus)),
        'shared_cpus': list(cpuset.ids(shape.shared_cpus)),
        'dedicated_cpus': list(cpuset.ids(shape.dedicated_cpus)),
        'pinned_cpus': list(cpuset.ids(cell.pinned_cpus)),
        'pinned_by': _owners(shape.id, servers),
        'shared_vcpus_used': cell.cpu_usage,
        'memory_mib': shape.memory_mib,
        'memory_used_mib': cell.memory_usage_mib,
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


class SetHost(base.Action):
    """Let guests come to a host or not, and say whether it answers.

    Servers are evacuated from hosts that are down.
    """

    examples = ('numaplace host set --disable compute1', 'numaplace host set --down compute1')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the name and the switches."""
        parser = super().get_parser(prog_name)
        status = parser.add_mutually_exclusive_group()
        status.add_argument(
            '--enable', dest='status', action='store_const', const='enabled', help='Guests may come to the host.'
        )
        status.add_argument(
            '--disable', dest='status', action='store_const', const='disabled', help='No more guests come to the host.'
        )
        state = parser.add_mutually_exclusive_group()
        state.add_argument('--up', dest='state', action='store_const', const='up', help='The host answers.')
        state.add_argument('--down', dest='state', action='store_const', const='down', help='The host does not answer.')
        parser.add_argument('name', metavar='NAME', help='Name of the host.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change the host.

        :raises: :class:`~numaplace.exception.NotFound`
        """
        from numaplace.compute import resource_tracker

        with self.open_database() as database:
            resource_tracker.switch(database, parsed_args.name, status=parsed_args.status, state=parsed_args.state)


class DeleteHost(base.Action):
    """Delete hosts that have no servers; one that cannot be deleted does not keep the others."""

    examples = ('numaplace host delete compute1', 'numaplace host delete compute1 compute2')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the names."""
        parser = super().get_parser(prog_name)
        parser.add_argument('names', metavar='NAME', nargs='+', help='Name of a host.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Delete one after the other; return the exit status."""
        from numaplace.compute import resource_tracker

        with self.open_database() as database:
            return self.for_each(
                parsed_args.names, lambda name: resource_tracker.unregister(database, name), parsed_args
            )
