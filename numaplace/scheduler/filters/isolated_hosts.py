# SPDX-License-Identifier: Apache-2.0
"""Keep certain hosts for certain images."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from numaplace.model import Reason, Refusal
from numaplace.model.records import HostRecord
from numaplace.scheduler.filters.base import Answer, Filter, Request

if TYPE_CHECKING:
    from oslo_config import cfg

__all__ = ['IsolatedHostsFilter']


class IsolatedHostsFilter(Filter):
    """Isolated images run on isolated hosts only, and with `restricts` nothing else runs there.

    :param hosts: names of the isolated hosts
    :param images: names of the isolated images
    """

    def __init__(self, hosts: Iterable[str], images: Iterable[str], *, restricts: bool) -> None:
        self._hosts, self._images, self._restricts = frozenset(hosts), frozenset(images), restricts

    @classmethod
    def of(cls, group: cfg.ConfigOpts.GroupAttr) -> IsolatedHostsFilter:
        """Return the filter of a configuration."""
        restricts = group.restrict_isolated_hosts_to_isolated_images
        return cls(group.isolated_hosts, group.isolated_images, restricts=restricts)

    def admit(self, host: HostRecord, request: Request) -> Answer:
        """Refuse with ``isolated.host`` or ``isolated.image``."""
        is_isolated = host.name in self._hosts
        needs = request.image is not None and request.image in self._images
        if needs and not is_isolated:
            return Refusal.of(Reason('isolated.image', subject=request.image or ''))
        if is_isolated and not needs and self._restricts:
            return Refusal.of(Reason('isolated.host'))
        return True
