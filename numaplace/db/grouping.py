# SPDX-License-Identifier: Apache-2.0
"""The transactions of aggregates and of server groups, and what a scheduler sees of a fleet."""

from __future__ import annotations

import abc
import uuid
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from sqlalchemy.engine import Connection

from numaplace import exception
from numaplace.db import aggregates, candidates, changes, hosts, rows, server_groups
from numaplace.db.candidates import Candidates
from numaplace.db.changes import Changes, Known
from numaplace.db.retry import repeated
from numaplace.model.fleet import in_aggregates, with_servers
from numaplace.model.grouping import Aggregate, ServerGroup
from numaplace.model.records import HostRecord

__all__ = ['Grouping']

T = TypeVar('T')


class Grouping(abc.ABC):
    """The part of a database that knows groups of hosts and of servers."""

    @abc.abstractmethod
    def _transaction(
        self, happened: Callable[[Connection], bool] | None = None, *, reads: bool = False
    ) -> AbstractContextManager[Connection]:
        """Begin a transaction, and commit it if the body completes."""

    # --- hosts as a scheduler sees them

    @repeated
    def candidates(
        self, group: str | None, name: str | None = None, unread: rows.Unread | None = None
    ) -> tuple[list[HostRecord], ServerGroup | None]:
        """Return hosts with their aggregates and the UUIDs of their servers, and a server group, as of one moment.

        :param group: UUID of the group, or None
        :param name: the only host, or None for all
        :param unread: as for :meth:`numaplace.db.api.Database.hosts`
        :raises: :class:`~numaplace.exception.NotFound` for that host or that group
        """
        with self._transaction(reads=True) as connection:
            found = (
                list(hosts.find_all(connection, unread=unread).values())
                if name is None
                else [hosts.find(connection, name)]
            )
            joined = in_aggregates(found, aggregates.find_all(connection))
            pairs = server_groups.on_hosts(connection, None if name is None else [name])
            wanted = None if group is None else server_groups.find(connection, group)
        return with_servers(joined, pairs), wanted

    @repeated
    def find_candidates(self, needs: Mapping[str, float | str], find: Callable[[Candidates], T]) -> T:
        """Return what `find` finds among the hosts that have what is needed, as of one moment.

        :param needs: as for :func:`numaplace.db.candidates.page`
        """
        with self._transaction(reads=True) as connection:
            return find(Candidates(connection, needs))

    @repeated
    def changes(self, known: Known) -> Changes:
        """Return what a scheduler sees of hosts that has changed: :func:`numaplace.db.changes.find`."""
        with self._transaction(reads=True) as connection:
            return changes.find(connection, known)

    @repeated
    def named_candidates(self, names: Collection[str], unread: rows.Unread) -> dict[str, HostRecord]:
        """Return hosts as they are now, by name: :func:`numaplace.db.candidates.read`."""
        with self._transaction(reads=True) as connection:
            return candidates.read(connection, names, unread)

    @repeated
    def up_until(self, names: Collection[str]) -> dict[str, datetime]:
        """Return until when hosts are up, as their agents say, by name; those without an agent are left out."""
        with self._transaction(reads=True) as connection:
            return hosts.up_until(connection, list(names))

    # --- aggregates

    @repeated
    def aggregates(self) -> list[Aggregate]:
        """Return all aggregates by name."""
        with self._transaction(reads=True) as connection:
            return aggregates.find_all(connection)

    @repeated
    def aggregate(self, name: str) -> Aggregate:
        """Return an aggregate.

        :raises: :class:`~numaplace.exception.NotFound`
        """
        with self._transaction(reads=True) as connection:
            return aggregates.find(connection, name)

    @repeated
    def create_aggregate(self, aggregate: Aggregate) -> Aggregate:
        """Store a new aggregate without hosts.

        :raises: :class:`~numaplace.exception.AlreadyExists`, :class:`~numaplace.exception.Invalid`
        """
        with self._transaction(lambda later: aggregate in aggregates.find_all(later)) as connection:
            aggregates.insert(connection, aggregate)
        return aggregate

    @repeated
    def change_aggregate(self, name: str, change: Callable[[Aggregate], Aggregate]) -> Aggregate:
        """Replace an aggregate with what `change` returns for it; other changes of aggregates wait.

        :raises: as :func:`numaplace.db.aggregates.change`, and what `change` raises
        """
        after = None
        with self._transaction(lambda later: after in aggregates.find_all(later)) as connection:
            aggregates.lock(connection)
            before = aggregates.find(connection, name)
            after = change(before)
            aggregates.change(connection, before, after)
        return after

    @repeated
    def delete_aggregate(self, name: str) -> None:
        """Delete an aggregate that has no hosts.

        :raises: :class:`~numaplace.exception.NotFound`, :class:`~numaplace.exception.Conflict`
        """
        with self._transaction(lambda later: name not in _names(later)) as connection:
            aggregates.lock(connection)
            aggregates.delete(connection, name)

    # --- server groups

    @repeated
    def server_groups(self) -> list[ServerGroup]:
        """Return all server groups by name."""
        with self._transaction(reads=True) as connection:
            return server_groups.find_all(connection)

    @repeated
    def server_group(self, name_or_uuid: str) -> ServerGroup:
        """Return a server group; a UUID takes precedence over a name.

        :raises: :class:`~numaplace.exception.NotFound`
        """
        with self._transaction(reads=True) as connection:
            return server_groups.find(connection, name_or_uuid)

    @repeated
    def create_server_group(self, group: ServerGroup) -> ServerGroup:
        """Store a new server group.

        :raises: :class:`~numaplace.exception.AlreadyExists`, :class:`~numaplace.exception.Invalid`
        """
        group = replace(group, uuid=group.uuid or str(uuid.uuid4()))
        with self._transaction(lambda later: _has_group(later, group.uuid)) as connection:
            server_groups.insert(connection, group)
        return group

    @repeated
    def delete_server_group(self, name_or_uuid: str) -> None:
        """Delete a server group; its members stay where they are, without a policy.

        :raises: :class:`~numaplace.exception.NotFound`
        """
        with self._transaction(lambda later: not _has_group(later, name_or_uuid)) as connection:
            server_groups.delete(connection, name_or_uuid)


def _names(connection: Connection) -> list[str]:
    return [aggregate.name for aggregate in aggregates.find_all(connection)]


def _has_group(connection: Connection, name_or_uuid: str) -> bool:
    try:
        server_groups.find(connection, name_or_uuid)
    except exception.NotFound:
        return False
    return True
