# SPDX-License-Identifier: Apache-2.0
"""Refuse a host that the policy of the server's group excludes; the claim decides again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from numaplace.model.grouping import AFFINITY, ANTI_AFFINITY
from numaplace.model.records import HostRecord
from numaplace.scheduler.filters.base import Answer, Filter, Request

if TYPE_CHECKING:
    from numaplace.scheduler.index import HostIndex, Mask

__all__ = ['ServerGroupAffinityFilter', 'ServerGroupAntiAffinityFilter']


class _PolicyFilter(Filter):
    policy: str

    def admit(self, host: HostRecord, request: Request) -> Answer:
        """Refuse with ``group.affinity`` or ``group.anti-affinity``; the subject is the group."""
        if request.group is None or request.group.policy != self.policy:
            return True
        refusal = request.group.refuse(host.name, request.instance.uuid)
        return True if refusal is None else refusal

    def may_admit(self, index: HostIndex, request: Request) -> Mask:
        """Ask for the hosts of the members; the others are alike."""
        group = request.group
        if group is None or group.policy != self.policy:
            return index.everything()
        named = {host for server, hosts in group.members.items() if server != request.instance.uuid for host in hosts}
        return index.on(
            named,
            lambda host: self.admit(host, request) is True,
            elsewhere=self.policy == ANTI_AFFINITY or not named,
        )

    def lacking(self, index: HostIndex, request: Request) -> Mapping[str, Mask]:
        """Return the hosts that the group excludes."""
        return {'group': ~self.may_admit(index, request)}


class ServerGroupAffinityFilter(_PolicyFilter):
    """The host that the members of the group are on; any host for the first member."""

    policy = AFFINITY


class ServerGroupAntiAffinityFilter(_PolicyFilter):
    """Hosts with fewer members of the group than its rule allows, which is one without a rule."""

    policy = ANTI_AFFINITY
