# SPDX-License-Identifier: Apache-2.0
"""The base of commands that do the same with each of several servers."""

from __future__ import annotations

import argparse
from abc import abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING

from numaplace.cli import base, schedulers

if TYPE_CHECKING:
    from numaplace.db.api import Database
    from numaplace.operations.servers import Direct
    from numaplace.services.client import Remote

__all__ = ['EachServer']


class EachServer(base.Action):
    """Do something with each of several servers; a failure does not stop the others."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the names."""
        parser = super().get_parser(prog_name)
        parser.add_argument('servers', metavar='SERVER', nargs='+', help='Name or UUID of a server.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Process one after the other; return the exit status."""
        with self.open_database() as database:
            return self.for_each(
                'servers',
                parsed_args.servers,
                lambda server: self.act(database, database.instance_uuid(server)),
                parsed_args,
            )

    @cached_property
    def scheduler(self) -> Direct | Remote:
        """Who acts on the servers."""
        return schedulers.chosen(self.app)

    @abstractmethod
    def act(self, database: Database, uuid: str) -> None:
        """Do it with one server."""
