# SPDX-License-Identifier: Apache-2.0
"""``numaplace server set-vcpus`` and ``attach-memory``: what changes while a guest runs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from numaplace.cli import asking, base, names, server_xml, showing

if TYPE_CHECKING:
    from collections.abc import Callable

    from numaplace.compute.plugging import Running
    from numaplace.db.api import Database
    from numaplace.db.records import InstanceRecord
    from numaplace.model import Limits, Refusal

__all__ = ['AttachMemory', 'SetVcpus']


class _HotChange(base.ShowOf):
    """Changes what a running guest holds, and shows the server."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the name and the connection."""
        parser = super().get_parser(prog_name)
        parser.add_argument('server', metavar='SERVER', help='Name or UUID of the server.')
        parser.add_argument(
            '--connect',
            metavar='URI',
            help='The libvirt in which the guest runs, which is changed too, such as qemu:///system; without it only '
            'the claim changes, and what `numaplace server dumpxml` prints.',
        )
        return parser

    def _running(self, database: Database, uri: str) -> Running:
        from numaplace.compute.plugging import Running

        return Running(uri, lambda server: server_xml.write(self.conf, database, server))

    def _show(
        self, database: Database, name: str, change: Callable[[InstanceRecord, Limits], InstanceRecord | Refusal]
    ) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        from numaplace.compute import claims, migration
        from numaplace.model import Refusal
        from numaplace.scheduler.limits import limits
        from numaplace.scheduler.select import CLAIM, NoHost, Rejection

        server = database.instance(name)
        host = database.host(migration.on_host(server, 'change').host)
        claims.check_up(host)
        answer = change(server, limits(host))
        if isinstance(answer, Refusal):
            raise asking.refuse(server.name, NoHost((Rejection(host.name, CLAIM, answer),)))
        return showing.details(answer)


class SetVcpus(_HotChange):
    """Let so many vCPUs of a running guest be on, and free or claim CPUs for the others.

    The lowest vCPUs of each cell stay on, so that the cells stay even, and each cell keeps one. Those that stay on stay
    where they are; those that come back may get other CPUs than they had. The flavor has to have
    numaplace:vcpu_hotplug=true. Ends with status 3 and the reasons where the host has no CPUs for more.
    """

    examples = (
        'numaplace server set-vcpus db1 8',
        'numaplace server set-vcpus db1 16 --connect qemu+ssh://root@compute1/system',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the number."""
        parser = super().get_parser(prog_name)
        parser.add_argument('number', type=names.whole(1), metavar='N', help='How many vCPUs shall be on.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Change the claim, and the guest where it is connected, and show the server.

        :raises: :class:`~numaplace.exception.NoValidHost` where its host has no room,
            :class:`~numaplace.exception.NotFound` for an unknown server,
            :class:`~numaplace.exception.Conflict` if its state or its flavor does not allow it,
            :class:`~numaplace.exception.LibvirtError` if libvirt or the guest refuses; then nothing changes
        """
        from numaplace.compute import hotplug, plugging

        number, uri = parsed_args.number, parsed_args.connect
        with self.open_database() as database:

            def change(server: InstanceRecord, limits: Limits) -> InstanceRecord | Refusal:
                if uri is None:
                    return hotplug.set_vcpus(database, server.uuid, number, limits=limits)
                running = self._running(database, uri)
                return plugging.set_vcpus(database, server.uuid, number, running, limits=limits)

            return self._show(database, parsed_args.server, change)


class AttachMemory(_HotChange):
    """Plug memory into a cell of a running guest: of its host cell, or of a file or device of the host.

    Memory of the host cell is claimed there, in pages of the size that backs the cell. It cannot be pulled out again:
    the guest keeps it until it starts anew somewhere, as after a resize. The flavor has to have numaplace:memory_slots
    and numaplace:max_memory. Ends with status 3 and the reasons where the host cell has no room.
    """

    examples = (
        'numaplace server attach-memory db1 --size 1024 --node 0',
        'numaplace server attach-memory db1 --size 512 --node 2 --model nvdimm --path /dev/dax0.0 --pmem',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the module."""
        from numaplace.model import DIMM, NVDIMM

        parser = super().get_parser(prog_name)
        parser.add_argument('--size', required=True, type=names.whole(1), metavar='MIB', help='Size of the module.')
        parser.add_argument(
            '--node', required=True, type=names.whole(0), metavar='CELL', help='Number of the cell of the guest.'
        )
        parser.add_argument(
            '--model',
            choices=(DIMM, NVDIMM),
            default=DIMM,
            help='dimm: memory of the host cell (default); nvdimm: what --path holds, and no memory is claimed.',
        )
        parser.add_argument('--path', metavar='PATH', help='nvdimm: file or device of the host, such as /dev/dax0.0.')
        parser.add_argument(
            '--align', type=names.whole(1), metavar='KIB', help='nvdimm: alignment of it in the guest, as of /dev/dax.'
        )
        parser.add_argument(
            '--label', type=names.whole(1), metavar='KIB', help='nvdimm: size of its area for labels, 128 or more.'
        )
        parser.add_argument('--pmem', action='store_true', help='nvdimm: it is persistent memory, and no file.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Claim the memory, plug it in where the guest is connected, and show the server.

        :raises: as :meth:`SetVcpus.take_action`, :class:`~numaplace.exception.Invalid` for a module that cannot be
        """
        from numaplace.compute import hotplug, plugging
        from numaplace.model import NVDIMM, MemoryModule

        if (parsed_args.model == NVDIMM) != (parsed_args.path is not None):
            self.misuse('--model nvdimm and --path belong together')
        module = MemoryModule(
            parsed_args.size,
            parsed_args.node,
            parsed_args.path,
            parsed_args.align,
            parsed_args.label,
            parsed_args.pmem,
        )
        uri = parsed_args.connect
        with self.open_database() as database:

            def change(server: InstanceRecord, limits: Limits) -> InstanceRecord | Refusal:
                if uri is None:
                    return hotplug.attach_memory(database, server.uuid, module, limits=limits)
                running = self._running(database, uri)
                return plugging.attach_memory(database, server.uuid, module, running, limits=limits)

            return self._show(database, parsed_args.server, change)
