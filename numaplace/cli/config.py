# SPDX-License-Identifier: Apache-2.0
"""``numaplace config``: what a configuration says."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from numaplace import exception
from numaplace.cli import base

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numaplace.cli.config_checks import Finding

__all__ = ['CheckConfig']


class CheckConfig(base.ListOf):
    """Check a configuration, such as a nova.conf: contradictions, unknown options, and what numaplace reads of it.

    The flavors and hosts of the database are compared with it. The exit status is 1 if it contradicts itself or cannot
    be used.
    """

    nothing = 'no options are set'
    examples = (
        'numaplace config check --config-file /etc/nova/nova.conf',
        'numaplace config check --config-file /etc/nova/nova.conf --all -f json',
    )

    _has_conflict = False

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the selection."""
        parser = super().get_parser(prog_name)
        parser.add_argument('--all', action='store_true', help='Also list the options that only Nova reads.')
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command; a contradiction is a fault."""
        return super().run(parsed_args) or (base.FAULT if self._has_conflict else base.DONE)

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return the findings, contradictions first.

        :raises: :class:`~numaplace.exception.InvalidConfiguration` for a file that cannot be read
        """
        from numaplace.cli import config_checks as checking
        from numaplace.conf import SYSTEM_FILE

        files = self.app.options.config_file or [path for path in (SYSTEM_FILE,) if os.path.exists(path)]
        found = [*self._conflicts(files), *checking.read(files)]
        self._has_conflict = any(each.kind == checking.CONFLICT for each in found)
        shown = [each for each in found if parsed_args.all or each.kind != checking.NOVA]
        shown.sort(key=lambda each: checking.KINDS.index(each.kind))
        return ('Kind', 'File', 'Option', 'Remark'), [
            (each.kind, base.Text(each.place), base.Text(each.option), base.Text(each.text)) for each in shown
        ]

    def _conflicts(self, files: list[str]) -> Iterator[Finding]:
        from numaplace.cli import config_checks as checking
        from numaplace.scheduler import names

        try:
            conf = self.conf
        except exception.InvalidConfiguration as error:
            yield checking.Finding(checking.CONFLICT, '', '', str(error))
            return
        yield from checking.check_sets(conf, files)
        try:
            with self.open_database() as database:
                flavors, hosts = database.flavors(self.unread), database.hosts(self.unread)
        except exception.UnknownDatabase as error:
            self.app.warn(f'the flavors and hosts are not compared: {error}')
            return
        yield from checking.check_flavors(names.filters(conf), flavors)
        yield from checking.check_hosts(conf, hosts)
