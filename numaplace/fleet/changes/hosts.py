# SPDX-License-Identifier: Apache-2.0
"""Changes beside host and guest: a server that leaves the host, or another host."""

from __future__ import annotations

from contextlib import suppress

from numaplace import exception
from numaplace.fleet.changes.base import Case, Change, Trial
from numaplace.model import Placement
from numaplace.model.allocations import release

__all__ = ['HOST', 'SERVER', 'other_host', 'without_server']

SERVER, HOST = 'server', 'host'


def without_server(case: Case) -> Change | None:
    """Return the server without which the guest fits: with the fewest vCPUs, then the least memory, then by name."""
    for name, placement in sorted(case.servers.items(), key=lambda each: _cost(*each)):
        with suppress(exception.NumaplaceException):  # what it holds is not counted on the host
            host = release(case.host, placement)
            if case.takes(Trial(host, case.guest, case.networks, name)):
                return Change(SERVER, _cost(name, placement)[:2], subject=name)
    return None


def _cost(name: str, placement: Placement) -> tuple[int, int, str]:
    return placement.guest.vcpus, placement.guest.memory_mib, name


def other_host(case: Case) -> Change | None:
    """Return the first other host that takes the guest as it is."""
    return Change(HOST, (), subject=case.others[0]) if case.others else None
