# SPDX-License-Identifier: Apache-2.0
"""``numaplace hypervisor``: the hosts, with the columns of the ``openstack`` client."""

from __future__ import annotations

import argparse
from typing import Any

from numaplace.cli import base
from numaplace.cli.flavor import properties

__all__ = ['ListHypervisor', 'ShowHypervisor']

_COLUMNS = ('ID', 'Hypervisor Hostname', 'Hypervisor Type', 'Host IP', 'State')
_LONG = ('vCPUs Used', 'vCPUs', 'Memory MB Used', 'Memory MB')


class ListHypervisor(base.ListOf):
    """List all hosts as `openstack hypervisor list` does: the hosts of `numaplace host list`.

    The column Host IP is empty: a host has no address here.
    """

    nothing = 'no hosts'
    examples = ('numaplace hypervisor list', 'numaplace hypervisor list --long --matching compute')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the selection, and the columns."""
        parser = super().get_parser(prog_name)
        parser.add_argument('--matching', metavar='TEXT', default='', help='Only hosts with this text in their names.')
        parser.add_argument('--long', action='store_true', help='Show vCPUs and memory, too.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return the hosts by name."""
        from numaplace.scheduler.filters import compute_capabilities

        with self.open_database() as database:
            records = [record for record in database.hosts(self.unread) if parsed_args.matching in record.name]
        columns = _COLUMNS + _LONG if parsed_args.long else _COLUMNS
        rows = []
        for record in records:
            known = compute_capabilities.capabilities(record)
            row = (
                record.uuid,
                base.Text(record.name),
                known['hypervisor_type'],
                None,
                record.state,
                known['vcpus_used'],
                known['vcpus_total'],
                record.host.memory_used_mib,
                known['total_usable_ram_mb'],
            )
            rows.append(row[: len(columns)])
        return columns, rows


class ShowHypervisor(base.ShowOf):
    """Show a host as `openstack hypervisor show` does; `numaplace host show` shows its cells and CPUs."""

    examples = ('numaplace hypervisor show compute1', 'numaplace hypervisor show -f json compute1')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the name."""
        parser = super().get_parser(prog_name)
        parser.add_argument('host', metavar='HOST', help='Name of the host.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Return the host.

        :raises: :class:`~numaplace.exception.NotFound`
        """
        from numaplace.scheduler.filters import compute_capabilities

        with self.open_database() as database:
            record = database.host(parsed_args.host)
            servers = database.instances(record.name, self.unread)
        known = compute_capabilities.capabilities(record)
        cpu_info = {key: value for key, value in known['cpu_info'].items() if value}
        values = {
            'id': record.uuid,
            'hypervisor_hostname': base.Text(record.name),
            'hypervisor_type': known['hypervisor_type'],
            'service_host': base.Text(record.name),
            'state': record.state,
            'status': record.status,
            'vcpus': known['vcpus_total'],
            'vcpus_used': known['vcpus_used'],
            'memory_mb': known['total_usable_ram_mb'],
            'memory_mb_used': record.host.memory_used_mib,
            'free_ram_mb': known['free_ram_mb'],
            'running_vms': sum(server.host == record.name for server in servers),
            'cpu_info': properties(cpu_info),
        }
        return tuple(values), tuple(values.values())
