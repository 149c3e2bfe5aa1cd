# SPDX-License-Identifier: Apache-2.0
"""A fleet in which servers move in thought: each move is asked for as its claim would be, and holds both sides."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from numaplace.explain import HostRefusal
from numaplace.fleet.plan import Step
from numaplace.model import Placement
from numaplace.model.allocations import holds, release
from numaplace.model.fleet import Fleet, candidates
from numaplace.model.grouping import ServerGroup
from numaplace.model.records import (
    ACTIVE,
    DISABLED,
    DOWN,
    EVACUATION,
    GONE,
    LIVE_MIGRATION,
    MIGRATION,
    HostRecord,
    InstanceRecord,
    Side,
)
from numaplace.planning import demand
from numaplace.request.pci import requests_devices

__all__ = ['ANY', 'COLD', 'LIVE', 'NEW', 'Ask', 'State', 'key_of']

#: Asks a host for a server that moves in some way: with its group as it is then.
Ask: TypeAlias = Callable[[InstanceRecord, str, HostRecord, ServerGroup | None], Placement | HostRefusal]

#: The kind of a claim that is no move: of a new server.
NEW = 'new'
#: Which moves are wanted.
ANY, LIVE, COLD = 'any', 'live', 'cold'
_WANTED = {ANY: (LIVE_MIGRATION, MIGRATION), LIVE: (LIVE_MIGRATION,), COLD: (MIGRATION,)}
#: Kinds of moves by Nova's states of servers.
_STATES = {ACTIVE: (LIVE_MIGRATION, MIGRATION), 'stopped': (MIGRATION,), 'paused': (LIVE_MIGRATION,)}


@dataclass(slots=True)
class State:
    """Hosts and servers, which change; copies are cheap.

    :param ask: the filters, then the fit
    :param closed: hosts that take no server
    :param moves: ANY, LIVE or COLD
    """

    ask: Ask
    hosts: dict[str, HostRecord]
    servers: dict[str, InstanceRecord]
    groups: dict[str, ServerGroup]
    leaving: dict[str, Side]
    closed: frozenset[str] = frozenset()
    moves: str = ANY
    _rooms: dict[str, tuple[HostRecord, demand.Amounts]] = field(default_factory=dict)

    @classmethod
    def of(cls, fleet: Fleet, ask: Ask, *, closed: Collection[str] = (), moves: str = ANY) -> State:
        """Return a fleet as it is."""
        hosts = {record.name: record for record in candidates(fleet).hosts}
        servers = {server.uuid: server for server in fleet.servers}
        groups = {group.uuid: group for group in fleet.server_groups}
        return cls(ask, hosts, servers, groups, {}, frozenset(closed), moves)

    def copy(self) -> State:
        """Return a state that changes by itself."""
        return replace(
            self,
            hosts=dict(self.hosts),
            servers=dict(self.servers),
            groups=dict(self.groups),
            leaving=dict(self.leaving),
        )

    def open_hosts(self) -> list[str]:
        """Return the names of the hosts that may take servers."""
        return [
            name
            for name, host in self.hosts.items()
            if name not in self.closed and host.status != DISABLED and host.state not in (DOWN, GONE)
        ]

    def active(self) -> set[str]:
        """Return the hosts that have servers."""
        return {side.host for server in self.servers.values() for side in holds(server)} & set(self.hosts)

    def on(self, names: Iterable[str]) -> dict[str, list[InstanceRecord]]:
        """Return by host the servers that hold something there, by name."""
        found: dict[str, list[InstanceRecord]] = {name: [] for name in names}
        for server in self.servers.values():
            for host in dict.fromkeys(side.host for side in holds(server)):
                if host in found:
                    found[host].append(server)
        return {name: sorted(servers, key=lambda one: (one.name, one.uuid)) for name, servers in found.items()}

    def kinds(self, server: InstanceRecord) -> tuple[tuple[str, ...], str]:
        """Return the kinds of moves by which a server may leave its host, the best first, or why there is none."""
        if (server.move is not None and not server.move.has_ended) or server.vm_state not in _STATES:
            return (), f'its status is {server.status}: expected ACTIVE, with its last move over'
        source = self.hosts.get(server.host or '')
        if source is None or source.state == GONE:
            return (), 'its host is not known, or has no compute service'
        kinds = (EVACUATION,) if source.state == DOWN else _STATES[server.vm_state]
        if server.placement.devices or server.placement.resources:
            kinds = tuple([kind for kind in kinds if kind != LIVE_MIGRATION])
            if server.placement.devices and not requests_devices(server.flavor, server.devices):
                return (), 'it holds PCI devices that its flavor does not request, so that it would lose them'
        wanted = tuple([kind for kind in kinds if kind == EVACUATION or kind in _WANTED[self.moves]])
        return wanted, '' if wanted else f'it cannot be moved in this way: {self.moves}'

    def offer(self, uuid: str, kinds: Iterable[str], host: str) -> tuple[str, Placement] | HostRefusal:
        """Return how a host takes a server now, by the first kind of move that does; a refusal of the last one."""
        server = self.servers[uuid]
        group = self.groups.get(server.group or '')
        refusal: HostRefusal | None = None
        for kind in kinds:
            answer = self.ask(server, kind, self.hosts[host], group)
            if isinstance(answer, Placement):
                return kind, answer
            refusal = answer
        if refusal is None:
            raise ValueError('no kind of move')
        return refusal

    def has_room(self, host: str, needs: tuple[dict[str, int], ...]) -> bool:
        """Return whether a host may have room: false saves an offer."""
        record = self.hosts[host]
        known = self._rooms.get(host)
        if known is None or known[0] is not record:
            known = self._rooms[host] = record, demand.room(record)
        return demand.has_room(known[1], needs)

    def claim(self, uuid: str, kind: str, host: str, placement: Placement, group: int = 1) -> Step:
        """Hold a place in addition to the present one, and return the move."""
        server, record = self.servers[uuid], self.hosts[host]
        source = server.host or ''
        self.hosts[host] = replace(record, host=record.host.consume(placement), servers=record.servers | {uuid})
        self.leaving[uuid] = Side(source, server.flavor, server.placement)
        self.servers[uuid] = replace(server, host=host, placement=placement)
        self._join(server.group, uuid, frozenset({source, host}))
        return Step(uuid, server.name, kind, source, host, group, placement)

    def release(self, uuid: str) -> None:
        """End the move of a server: what it held before is free."""
        side, server = self.leaving.pop(uuid), self.servers[uuid]
        record = self.hosts[side.host]
        left = record.servers - {uuid}
        self.hosts[side.host] = replace(record, host=release(record.host, side.placement), servers=left)
        self._join(server.group, uuid, frozenset({server.host or ''}))

    def undo(self, server: InstanceRecord, record: HostRecord) -> None:
        """Take the last claim back.

        :param server: as it was before
        :param record: its destination, as it was before
        """
        del self.leaving[server.uuid]
        self.servers[server.uuid], self.hosts[record.name] = server, record
        self._join(server.group, server.uuid, frozenset([side.host for side in holds(server)]))

    def remove(self, uuid: str) -> None:
        """Take a server away, as if it were deleted; it can be given back by its record alone."""
        server = self.servers[uuid]
        for side in holds(server):
            record = self.hosts[side.host]
            left = record.servers - {uuid}
            self.hosts[side.host] = replace(record, host=release(record.host, side.placement), servers=left)
        self._join(server.group, uuid, frozenset())

    def _join(self, group: str | None, uuid: str, hosts: frozenset[str]) -> None:
        known = self.groups.get(group or '')
        if known is not None:
            self.groups[known.uuid] = replace(known, members={**known.members, uuid: hosts})


def key_of(server: InstanceRecord, kinds: tuple[str, ...]) -> Any:
    """Return a value that is equal for servers that any host answers alike."""
    flavor, guest = server.flavor, replace(server.placement.guest, instance_uuid=None)
    return (
        (flavor.id, flavor.name, flavor.vcpus, flavor.memory_mib, tuple(sorted(flavor.extra_specs.items()))),
        tuple(sorted(server.image_properties.items())),
        (server.availability_zone, server.project, server.group, tuple(sorted(server.hints.items()))),
        server.devices,
        server.request_spec and server.request_spec.hosts,
        guest,
        kinds,
    )
