# SPDX-License-Identifier: Apache-2.0
"""Prefer hosts with many or few members of the server's group, by its soft policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from numaplace.model.grouping import SOFT_AFFINITY, SOFT_ANTI_AFFINITY
from numaplace.model.records import HostRecord
from numaplace.scheduler.filters import Request
from numaplace.scheduler.weights.base import ALIKE, Weigher

if TYPE_CHECKING:
    from numaplace.scheduler.index import HostIndex, Measures

__all__ = ['ServerGroupSoftAffinityWeigher', 'ServerGroupSoftAntiAffinityWeigher']


def _members(host: HostRecord, request: Request, policy: str) -> int:
    """Return how many members are on a host; 0 if the group has another policy."""
    group = request.group
    return group.on(host.name) if group is not None and group.policy == policy else 0


class _MembersWeigher(Weigher):
    def order(self, request: Request) -> str | None:
        """Return that all hosts are alike for a server without a group."""
        return ALIKE if request.group is None else None

    def weigh_all(self, index: HostIndex, request: Request) -> Measures:
        """Return 0 but for the hosts of members."""
        members = {} if request.group is None else request.group.members
        named = set().union(*members.values())
        return index.on(named, lambda host: self.weigh(host, request), elsewhere=0.0)


class ServerGroupSoftAffinityWeigher(_MembersWeigher):
    """Members of the group on the host."""

    multiplier_option = 'soft_affinity_weight_multiplier'

    def weigh(self, host: HostRecord, request: Request) -> float:
        """Return the number of members."""
        return _members(host, request, SOFT_AFFINITY)


class ServerGroupSoftAntiAffinityWeigher(_MembersWeigher):
    """Members of the group on the host, the fewer the better."""

    multiplier_option = 'soft_anti_affinity_weight_multiplier'

    def weigh(self, host: HostRecord, request: Request) -> float:
        """Return the number of members, negative."""
        return -_members(host, request, SOFT_ANTI_AFFINITY)
