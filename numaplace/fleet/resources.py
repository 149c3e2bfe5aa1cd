# SPDX-License-Identifier: Apache-2.0
"""Memory encryption and persistent memory that servers hold: more than the host has, or what it does not have."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from numaplace.fleet.findings import Finding
from numaplace.fleet.servers import Held
from numaplace.model import Host

__all__ = ['check']


def check(name: str, host: Host, held: Sequence[Held]) -> Iterator[Finding]:
    """Find resources that vanished while servers hold them, and those that more hold than may.

    Linear in the number of servers.
    """
    holders: dict[str, Counter[str]] = defaultdict(Counter)
    for one in held:
        for resource in one.placement.resources:
            holders[resource][one.uuid] += 1
    for resource, uuids in sorted(holders.items()):
        most = host.resources.total(resource)
        for uuid in sorted(uuids) if most < uuids.total() else ():
            if not most:
                yield Finding('resources.missing', name, uuid, found=resource)
            else:
                yield Finding(
                    'resources.overdrawn', name, uuid, found=str(uuids.total()), expected=f'{most:g}', subject=resource
                )
