# SPDX-License-Identifier: Apache-2.0
"""Refuse a host that has as many servers as it may have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from numaplace.model import Reason, Refusal
from numaplace.model.records import HostRecord
from numaplace.scheduler.filters import metadata
from numaplace.scheduler.filters.base import Answer, Filter, Request

if TYPE_CHECKING:
    from oslo_config import cfg

__all__ = ['AggregateNumInstancesFilter', 'NumInstancesFilter']


class NumInstancesFilter(Filter):
    """``[filter_scheduler] max_instances_per_host`` for every host."""

    def __init__(self, most: int) -> None:
        self._most = most

    @classmethod
    def of(cls, group: cfg.ConfigOpts.GroupAttr) -> Self:
        """Return the filter of a configuration."""
        return cls(group.max_instances_per_host)

    def most(self, host: HostRecord) -> int:
        """Return how many servers a host may have."""
        return self._most

    def admit(self, host: HostRecord, request: Request) -> Answer:
        """Refuse with ``servers.host``."""
        present, most = len(host.servers), self.most(host)
        return True if present < most else Refusal.of(Reason('servers.host', present + 1, most))


class AggregateNumInstancesFilter(NumInstancesFilter):
    """The smallest ``max_instances_per_host`` of the host's aggregates, or the option without one."""

    def most(self, host: HostRecord) -> int:
        """Return how many servers a host may have."""
        return metadata.least(host, 'max_instances_per_host', int, self._most)
