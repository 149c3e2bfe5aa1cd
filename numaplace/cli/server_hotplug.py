# SPDX-License-Identifier: Apache-2.0
"""``numaplace server set-vcpus``, ``attach-memory`` and ``detach-memory``: changes to a running guest."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from numaplace import exception, explain
from numaplace.cli import names, server_columns
from numaplace.cli.each_server import ChangeOf
from numaplace.operations import domain_xml, requests

if TYPE_CHECKING:
    from collections.abc import Callable

    from oslo_config import cfg

    from numaplace.compute.plugging import Running
    from numaplace.db.api import Database
    from numaplace.model import Limits, MemoryModule, Refusal
    from numaplace.model.records import HostRecord, InstanceRecord

__all__ = ['AttachMemory', 'DetachMemory', 'SetVcpus']


class _HotChange(ChangeOf):
    """Change what a running guest holds, and show the server."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add where the guest runs."""
        parser = super().get_parser(prog_name)
        where = parser.add_mutually_exclusive_group()
        where.add_argument(
            '--connect',
            metavar='URI',
            help='The libvirt in which the guest runs, such as qemu:///system (default: that of the host, if it was '
            'read from one, else the guest is not changed, as with --claim-only).',
        )
        where.add_argument(
            '--claim-only',
            action='store_true',
            help='Change the claim and the output of `numaplace server dumpxml`, and not the guest, such as for one '
            'that does not run.',
        )
        return parser

    def _running(self, database: Database, host: HostRecord, parsed_args: argparse.Namespace) -> Running | None:
        """Return where the guest runs; None if only its claim changes."""
        from numaplace.compute.plugging import Running
        from numaplace.libvirt.connection import Libvirt

        uri = None if parsed_args.claim_only else domain_xml.known_uri(host, parsed_args.connect)
        if uri is None:
            return None
        libvirt = Libvirt(uri)
        return Running(uri, lambda server: domain_xml.write(self.conf, database, server, libvirt=libvirt))

    def _show(
        self,
        database: Database,
        server: InstanceRecord,
        parsed_args: argparse.Namespace,
        act: Callable[[InstanceRecord, Limits, Running | None], InstanceRecord | Refusal],
    ) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        from numaplace.compute import claims, migration
        from numaplace.model import Refusal
        from numaplace.scheduler.limits import limits
        from numaplace.scheduler.select import CLAIM, NoHost, Rejection

        host = database.host(migration.on_host(server, 'change').host)
        claims.check_up(host)
        running = self._running(database, host, parsed_args)
        answer = act(server, limits(host), running)
        if isinstance(answer, Refusal):
            raise requests.refuse(server.name, NoHost.of(Rejection(host.name, CLAIM, answer)))
        return server_columns.details(answer)


class SetVcpus(_HotChange):
    """Set how many vCPUs of a running guest are on, and free or claim their CPUs.

    The lowest vCPUs of each cell stay on, evenly over the cells, and each cell keeps at least one. vCPUs that are on do
    not move; a vCPU that is switched on again may get another CPU. The flavor needs numaplace:vcpu_hotplug=true. The
    exit status is 3, with the reasons, if the host has no room.
    """

    examples = (
        'numaplace server set-vcpus db1 8',
        'numaplace server set-vcpus db1 16 --connect qemu+ssh://root@compute1/system',
        'numaplace server set-vcpus db1 16 --claim-only',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the number."""
        parser = super().get_parser(prog_name)
        parser.add_argument('number', type=names.whole(1), metavar='N', help='How many vCPUs are to be on.')
        return parser

    def change(
        self, database: Database, server: InstanceRecord, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Change the claim, and the guest where its libvirt is known, and show the server.

        :raises: :class:`~numaplace.exception.NoValidHost` if its host has no room,
            :class:`~numaplace.exception.Conflict` if its state or its flavor does not allow it,
            :class:`~numaplace.exception.LibvirtError` if libvirt or the guest refuses; then nothing changes
        """
        from numaplace.compute import hotplug_claims, plugging

        number = parsed_args.number

        def act(server: InstanceRecord, limits: Limits, running: Running | None) -> InstanceRecord | Refusal:
            if running is None:
                return hotplug_claims.set_vcpus(database, server.uuid, number, limits=limits)
            return plugging.set_vcpus(database, server.uuid, number, running, limits=limits)

        return self._show(database, server, parsed_args, act)


class AttachMemory(_HotChange):
    """Plug memory into a cell of a running guest: from its host cell, or from a file or device of the host.

    Memory of the host cell is claimed, in pages of the size that backs the cell. The guest keeps it until it is
    detached, or the guest starts from its flavor again, as after a resize. The flavor needs numaplace:memory_slots and
    numaplace:max_memory. The exit status is 3, with the reasons, if the host cell has no room.
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
            '--node', required=True, type=names.whole(0), metavar='CELL', help='Number of the guest cell.'
        )
        parser.add_argument(
            '--model',
            choices=(DIMM, NVDIMM),
            default=DIMM,
            help='dimm: memory of the host cell (default); nvdimm: the contents of --path, and no memory is claimed.',
        )
        parser.add_argument('--path', metavar='PATH', help='nvdimm: file or device of the host, such as /dev/dax0.0.')
        parser.add_argument(
            '--align',
            type=names.whole(1),
            metavar='KIB',
            help='nvdimm: alignment in the guest, such as that of /dev/dax.',
        )
        parser.add_argument(
            '--label', type=names.whole(1), metavar='KIB', help='nvdimm: size of the label area, 128 or more.'
        )
        parser.add_argument('--pmem', action='store_true', help='nvdimm: the path is persistent memory, not a file.')
        return parser

    def change(
        self, database: Database, server: InstanceRecord, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Claim the memory, plug it in where libvirt is known, and show the server.

        :raises: as :meth:`SetVcpus.change`, :class:`~numaplace.exception.Invalid` for an invalid module
        """
        from numaplace.compute import hotplug_claims, plugging
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

        def act(server: InstanceRecord, limits: Limits, running: Running | None) -> InstanceRecord | Refusal:
            _check_machine(self.conf, database, server, module)
            if running is None:
                return hotplug_claims.attach_memory(database, server.uuid, module, limits=limits)
            return plugging.attach_memory(database, server.uuid, module, running, limits=limits)

        return self._show(database, server, parsed_args, act)


class DetachMemory(_HotChange):
    """Unplug a memory module from a running guest, and free what it held of the host cell.

    The guest must release the memory: its kernel sets the blocks of the module offline when it is asked to. If it does
    not, the error says so, and the memory stays claimed; the same command tries again. `server show` lists the modules.
    """

    examples = ('numaplace server detach-memory db1 0',)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the number of the module."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'module',
            type=names.whole(0),
            metavar='MODULE',
            help='Number of the module, from 0 in the order of `memory_modules`.',
        )
        return parser

    def change(
        self, database: Database, server: InstanceRecord, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Unplug the memory where libvirt is known, free it, and show the server.

        :raises: :class:`~numaplace.exception.NotFound` for an unknown module,
            :class:`~numaplace.exception.Conflict` if its state does not allow it,
            :class:`~numaplace.exception.LibvirtError` if libvirt or the guest refuses; then nothing changes
        """
        from numaplace.compute import hotplug_claims, plugging

        number = parsed_args.module

        def act(server: InstanceRecord, _limits: Limits, running: Running | None) -> InstanceRecord:
            if running is None:
                return hotplug_claims.detach_memory(database, server.uuid, number)
            return plugging.detach_memory(database, server.uuid, number, running)

        return self._show(database, server, parsed_args, act)


def _check_machine(conf: cfg.ConfigOpts, database: Database, server: InstanceRecord, module: MemoryModule) -> None:
    """Make sure that the machine type of a server supports a module.

    :raises: :class:`~numaplace.exception.MachineLimitExceeded`
    """
    from numaplace import request
    from numaplace.request import machines

    if server.host is None:
        return
    guest = server.placement.guest
    facts = database.host(server.host).facts
    machine = machines.of_host(server.image_properties, facts, conf.libvirt.hw_machine_type)
    if machine is None:
        return
    with_module = replace(guest, modules=(*guest.modules, module))
    for reason in machines.reasons(with_module, machine, request.hotplug(server.flavor)):
        raise exception.MachineLimitExceeded(f'server {server.name!r}: {explain.sentence(reason)}')
