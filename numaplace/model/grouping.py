# SPDX-License-Identifier: Apache-2.0
"""Groups of hosts, which are aggregates, and groups of servers, which have a policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from numaplace.model.refusal import Reason, Refusal

__all__ = [
    'AFFINITY',
    'ANTI_AFFINITY',
    'POLICIES',
    'SOFT_AFFINITY',
    'SOFT_ANTI_AFFINITY',
    'ZONE_KEY',
    'Aggregate',
    'ServerGroup',
]

#: The key of an aggregate's metadata that makes it an availability zone.
ZONE_KEY = 'availability_zone'

#: Nova's policies of server groups.
POLICIES = AFFINITY, ANTI_AFFINITY, SOFT_AFFINITY, SOFT_ANTI_AFFINITY = (
    'affinity',
    'anti-affinity',
    'soft-affinity',
    'soft-anti-affinity',
)


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A group of hosts.

    :param metadata: such as ``availability_zone``, and what filters compare with a flavor's extra specs
    :param hosts: names of its hosts
    """

    name: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    hosts: tuple[str, ...] = ()

    @property
    def zone(self) -> str | None:
        """The availability zone that it makes of its hosts, or None."""
        return self.metadata.get(ZONE_KEY)


@dataclass(frozen=True, slots=True)
class ServerGroup:
    """Servers that are placed together, or apart.

    :param policy: one of POLICIES
    :param uuid: a new group without one gets one when it is stored
    :param max_server_per_host: how many members of an anti-affinity group a host takes; None is one
    :param members: by UUID, the names of the hosts on which each holds something; both hosts of one in a move
    """

    name: str
    policy: str
    uuid: str = ''
    max_server_per_host: int | None = None
    members: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def on(self, host: str, *, without: str = '') -> int:
        """Return how many members hold something on a host.

        :param without: UUID of a member that is not counted
        """
        return sum(host in hosts for uuid, hosts in self.members.items() if uuid != without)

    def with_member(self, server: str, host: str) -> ServerGroup:
        """Return the group with one more member, by its UUID, on a host."""
        return replace(self, members={**self.members, server: frozenset({host})})

    def refuse(self, host: str, server: str) -> Refusal | None:
        """Return why a server may not be placed on a host, or None (Nova 34, `affinity_filter`).

        A member in a move counts on both of its hosts, so that either end of the move keeps the policy.

        :param server: UUID of the server
        """
        if self.policy == ANTI_AFFINITY:
            present = self.on(host, without=server)
            if present >= (self.max_server_per_host or 1) and host not in self.members.get(server, ()):
                return Refusal.of(Reason('group.anti-affinity', subject=self.name))
        elif self.policy == AFFINITY:
            others = [hosts for uuid, hosts in self.members.items() if uuid != server and hosts]
            if any(hosts != {host} for hosts in others):
                return Refusal.of(Reason('group.affinity', subject=self.name))
        return None
