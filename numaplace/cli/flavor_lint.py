# SPDX-License-Identifier: Apache-2.0
"""``numaplace flavor lint``: what is wrong with flavors before a server has one."""

from __future__ import annotations

import argparse
from typing import Any

from numaplace.cli import base, fleet, names
from numaplace.cli import fleet_sources as sources

__all__ = ['LintFlavor']

_COLUMNS = ('code', 'severity', 'flavor', 'key', 'text', 'cure')


class LintFlavor(base.ListOf):
    """Find keys of flavors that do nothing or contradict each other, and flavors that no host can take.

    Nothing is changed. Each finding has a stable code, a sentence and a cure. The hosts are asked as if they had no
    servers. The exit status is 1 if one of the findings is an error: no server with the flavor can be created.
    It is 1 too if a flavor or a host cannot be read.

    With --image-property, all flavors are read together with an image of these properties: what the two contradict each
    other in is a finding, and so is what no host can take then.
    """

    nothing = 'nothing is wrong: no findings'
    examples = (
        'numaplace flavor lint',
        'numaplace flavor lint -f json',
        'numaplace flavor lint --image-property hw_numa_nodes=2 --image-property hw_cpu_policy=dedicated',
        'numaplace --config-file /etc/nova/nova.conf flavor lint --from nova',
    )

    _status = base.DONE

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the source."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--from',
            dest='source',
            metavar='SOURCE',
            default=sources.OWN,
            help=(
                f'Where the flavors and hosts are: {sources.OWN}, the database of numaplace (default); {sources.NOVA}, '
                'the databases of a Nova, which the nova.conf of --config-file names and which are only read; or a '
                f'file that `numaplace fleet export` wrote, where {sources.STREAM} is standard input.'
            ),
        )
        parser.add_argument(
            '--image-property',
            action='append',
            default=[],
            metavar='KEY=VALUE',
            help='Property of the image with which the flavors are used, such as hw_numa_nodes=2; may be repeated.',
        )
        # What names libvirts, which are no source here.
        parser.set_defaults(connect=(), uris=None, directory=None)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return the findings, errors first."""
        from numaplace.cli import server_request
        from numaplace.fleet import lint

        if parsed_args.source == sources.LIBVIRT:
            self.misuse(
                f'--from {sources.LIBVIRT}: libvirt has no flavors: expected {sources.OWN}, {sources.NOVA} or a file'
            )
        image = server_request.properties_of(parsed_args) or None
        read = fleet.read(self, parsed_args, lists_servers=False)
        unread = [row for row in read.unread if row.server is None]
        for row in unread:
            self.app.warn(f'{row.place} {names.shorten(row.key)}: {row.fault}')
        # Only a Nova has providers; a file does not say otherwise what it was written from.
        in_nova = parsed_args.source == sources.NOVA or bool(read.providers)
        found = lint.lint(read.flavors, read.hosts, image, in_nova=in_nova)
        if unread or any(finding.severity == 'error' for finding in found):
            self._status = base.FAULT
        return _COLUMNS, [tuple([base.Text(getattr(finding, name)) for name in _COLUMNS]) for finding in found]

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command; the status is 1 if there is an error."""
        return super().run(parsed_args) or self._status
