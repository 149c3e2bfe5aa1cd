# SPDX-License-Identifier: Apache-2.0
"""The part of the database that stores several new servers in one transaction."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from sqlalchemy.engine import Connection

from numaplace.db import candidates, convert, hosts, server_groups, servers
from numaplace.db.records import Chosen, Claimed
from numaplace.model import Placement, allocations, held
from numaplace.model.grouping import ServerGroup
from numaplace.model.records import HostRecord, InstanceRecord

__all__ = ['SeveralClaims']


class SeveralClaims:
    """Each method is one transaction."""

    @abstractmethod
    def _transaction(self, happened: Any = None, *, reads: bool = False) -> AbstractContextManager[Connection]:
        """Begin a transaction, as :class:`numaplace.db.api.Database` does."""

    @abstractmethod
    def _carry_out(self, connection: Connection, *instance_uuids: str) -> None:
        """Record that servers are changed, as :class:`numaplace.db.repeated_requests.RepeatedRequests` does."""

    def claim_several(
        self,
        chosen: Sequence[Chosen],
        again: Callable[[int, HostRecord], Placement | None],
        *,
        storing: Callable[[Collection[str]], object] = lambda _uuids: None,
    ) -> Claimed:
        """Store new servers on the hosts that were chosen, together with the usage of these.

        It locks the groups, then the hosts, in the order of their numbers. A host that is as it was chosen is not read:
        what was found then holds. One that has changed is read, and asked again while it is locked.
        Callers use :func:`numaplace.compute.claims.several_claims`.

        :param again: returns the place of the server with this number on a host as it is now; None if it has none
        :param storing: called with the UUIDs of the servers immediately before the commit
        :raises: :class:`~numaplace.exception.NotFound` for an unknown group,
            :class:`~numaplace.exception.AlreadyExists` for a known UUID, as :meth:`for_request`,
            :class:`~numaplace.exception.ConcurrentUpdate` if the database prefers another transaction
        """
        stored: list[InstanceRecord] = []
        with self._transaction(lambda later: not stored or _is_stored(later, stored[0])) as connection:
            groups = {
                group: server_groups.lock(connection, group)
                for group in sorted({each.request.group for each in chosen if each.request.group is not None})
            }
            placing = _Placing(connection, chosen, groups, again)
            new = [placing.place(number, each) for number, each in enumerate(chosen)]
            stored = self._store(connection, placing, [each for each in new if each is not None])
            if stored:
                storing([server.uuid for server in stored])
        by_uuid = {server.uuid: server for server in stored}
        found = tuple([None if each is None else by_uuid[each.uuid] for each in new])
        return Claimed(found, placing.hosts(), placing.lost)

    def _store(self, connection: Connection, placing: _Placing, new: Sequence[InstanceRecord]) -> list[InstanceRecord]:
        if not new:
            return []
        self._carry_out(connection, *[each.uuid for each in new])
        changed = placing.changed()
        hosts.replace_usages(connection, [(before, after.host) for before, after in changed])
        taken = {before.name: {domain.name for domain in before.unmanaged} for before, _after in changed}
        stored = servers.insert_all(connection, new, taken)
        for before, after in changed:
            if before.host.devices != after.host.devices:
                owners = {
                    granted.device.address: each.uuid
                    for each in stored
                    for placement in allocations.held_on(before.name, [each])
                    for granted in placement.devices
                }
                hosts.replace_devices(connection, before, after.host, owners)
        return stored


def _is_stored(connection: Connection, server: InstanceRecord) -> bool:
    return servers.is_stored(connection, server.uuid, str(server.host))


class _Placing:
    """The hosts of several servers within the transaction that places them."""

    def __init__(
        self,
        connection: Connection,
        chosen: Sequence[Chosen],
        groups: dict[str, ServerGroup],
        again: Callable[[int, HostRecord], Placement | None],
    ) -> None:
        self._groups, self._again = groups, again
        first: dict[int, HostRecord] = {}
        for each in chosen:
            if each.host.number is not None:
                first.setdefault(each.host.number, each.host)
        generations = hosts.lock_versions(connection, first)
        self._before = {number: host for number, host in first.items() if generations.get(number) == host.generation}
        #: Hosts of which what was found holds.
        self._as_chosen = frozenset(self._before)
        others = [host.name for number, host in first.items() if number in generations.keys() - self._as_chosen]
        if others:
            read = candidates.read(connection, others, {}).values()
            self._before |= {host.number: host for host in read if host.number in generations}
        self._now = dict(self._before)
        self.lost = sum(each.host.number not in self._as_chosen for each in chosen)

    def place(self, number: int, chosen: Chosen) -> InstanceRecord | None:
        """Return a server on its host, where it is counted from then on; None if there is no place for it."""
        key, request = chosen.host.number, chosen.request
        host = None if key is None else self._now.get(key)
        if key is None or host is None:
            return None
        group = None if request.group is None else self._groups[request.group]
        if group is not None and group.refuse(host.name, request.uuid) is not None:
            return None
        if held.name_taken(host.unmanaged, request.uuid, request.name) is not None:
            return None
        placement = chosen.placement if key in self._as_chosen else None
        if placement is None:
            # What was found after this one on the host does not count it.
            self._as_chosen -= {key}
            placement = self._again(number, host)
        if placement is None:
            return None
        if group is not None:
            self._groups[group.uuid] = group.with_member(request.uuid, host.name)
        self._now[key] = host.with_server(request.uuid, placement)
        return convert.new_instance(request, host.name, placement)

    def changed(self) -> list[tuple[HostRecord, HostRecord]]:
        """Return the hosts that got servers, as they were and as they are."""
        pairs = [(before, self._now[number]) for number, before in self._before.items()]
        return [(before, after) for before, after in pairs if after is not before]

    def hosts(self) -> dict[str, HostRecord]:
        """Return the hosts that there are, as they are after the commit, by name."""
        generations = {before.name: before.generation + 1 for before, _after in self.changed()}
        return {
            host.name: replace(host, generation=generations.get(host.name, host.generation))
            for host in self._now.values()
        }
