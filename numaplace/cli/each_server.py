# SPDX-License-Identifier: Apache-2.0
"""The bases of commands that change one server, or do the same with each of several, and what an interrupt leaves."""

from __future__ import annotations

import argparse
from abc import abstractmethod
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from numaplace import exception
from numaplace.cli import base, names, progress, schedulers

if TYPE_CHECKING:
    from numaplace.db.api import Database
    from numaplace.model.records import InstanceRecord
    from numaplace.operations.servers import Direct
    from numaplace.services.client import Remote

__all__ = ['ChangeOf', 'EachServer', 'state']


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
                lambda server: self.left(database, server),
            )

    @cached_property
    def scheduler(self) -> Direct | Remote:
        """Who acts on the servers."""
        return schedulers.chosen(self.app)

    @abstractmethod
    def act(self, database: Database, uuid: str) -> None:
        """Do it with one server."""

    def left(self, database: Database, server: str) -> str:
        """Return what an interrupt has left of one server, as a clause.

        :param server: its name or UUID
        """
        return state(database, server)


class ChangeOf(base.ShowOf):
    """Change a server, and show it; if the command ends early, it says what that leaves."""

    outcome = "the server '{name}' is changed, with the UUID {id}"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the name."""
        parser = super().get_parser(prog_name)
        parser.add_argument('server', metavar='SERVER', help='Name or UUID of the server.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Change the server, and show it.

        :raises: :class:`~numaplace.exception.NotFound` for an unknown server, and as :meth:`change`
        """
        with self.open_database() as database, self.rehearse(database, parsed_args):
            server = database.instance(parsed_args.server)
            with progress.told_early(self.app, lambda: _left(database, server)):
                return self.change(database, server, parsed_args)

    @abstractmethod
    def change(
        self, database: Database, server: InstanceRecord, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Change the server, and return what is shown of it."""


def state(database: Database, server: str) -> str:
    """Return how a server is, as a clause without a subject.

    :param server: its name or UUID
    """
    try:
        now = database.instance(server)
    except exception.NotFound:
        return 'is gone'
    return _state(now)


def _state(now: InstanceRecord) -> str:
    return f'is {now.status}' + ('' if now.host is None else f" on host '{names.shorten(now.host)}'")


def _left(database: Database, before: InstanceRecord) -> str:
    """Return what an interrupt has left of a change."""
    who = f"server '{names.shorten(before.name)}'"
    try:
        now = database.instance(before.uuid)
    except exception.NotFound:
        return f'{who} is gone'
    if now.generation == before.generation:
        return f'{who} is as it was; nothing was claimed'
    if replace(now, generation=before.generation) == before:
        return f'{who} is as it was; what was claimed is given back'
    if now.move is not None and now.vm_state == before.vm_state:
        return (
            f'{who} {_state(now)} and holds both places; `numaplace server migration list --server {before.uuid}` '
            'shows the move, and `numaplace server migration abort` gives the new place back'
        )
    return f'{who} is changed, and stays so: it {_state(now)}'
