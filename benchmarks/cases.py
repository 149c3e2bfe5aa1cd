# SPDX-License-Identifier: Apache-2.0
"""The cases measured: next to Nova, and alone if Nova would not end."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources

from benchmarks import inputs
from numaplace import wire
from numaplace.model import DEDICATED, SHARED, Guest, Host, Limits, Networks

__all__ = ['Case', 'all_cases']

#: How often Nova is run: as often as numaplace; once, with a time limit; never.
OFTEN, ONCE, NEVER = 'often', 'once', 'never'


@dataclass(frozen=True, slots=True)
class Case:
    """One guest on one host.

    :param group: heading in the table
    :param nova: OFTEN, ONCE or NEVER
    :param reasons: the reasons of the refusal are part of what is timed
    :param vary: hosts that differ only in their memory may be used instead of this one
    """

    group: str
    name: str
    host: Host
    guest: Guest
    limits: Limits | None = None
    networks: Networks | None = None
    nova: str = OFTEN
    reasons: bool = False
    vary: bool = True


def all_cases() -> Iterator[Case]:
    """Yield all cases, the slow ones last."""
    yield from _pinned()
    yield from _typical()
    yield from _wrong()
    yield from _alone()
    yield from _networks()
    yield from _refused()


def _pinned() -> Iterator[Case]:
    for guest_cells, host_cells in ((2, 2), (4, 8)):
        asked = inputs.guest(guest_cells)
        yield Case('Pinned', f'{guest_cells} on {host_cells}', inputs.host(host_cells), asked)
    uneven = inputs.guest(4, vcpus=(2, 4, 6, 8), memory_gib=(2, 4, 6, 8))
    yield Case('Pinned', '4 unequal on 8', inputs.host(8, half_full=range(4)), uneven)


def _typical() -> Iterator[Case]:
    for policy in (DEDICATED, SHARED):
        for guest_cells in (1, 2, 4, 8):
            for host_cells in (size for size in (1, 2, 4, 8, 16) if size >= guest_cells):
                for fill, used in (('empty', ()), ('half full', range(host_cells))):
                    name = f'{guest_cells} on {host_cells}, {fill}'
                    group = 'Typical, pinned' if policy == DEDICATED else 'Typical, shared'
                    host = inputs.host(host_cells, half_full=used)
                    yield Case(group, name, host, inputs.guest(guest_cells, policy=policy), inputs.LIMITS)


def _wrong() -> Iterator[Case]:
    packed = resources.files('numaplace.tests.data.nova34').joinpath('weak_cases.jsonl.gz').read_bytes()
    for line in gzip.decompress(packed).decode().splitlines():
        case = json.loads(line)
        limits = wire.read_limits(case['limits'])[0] if case['limits'] else None
        host, guest = wire.read_host(case['host']), wire.read_guest(case['constraints']['ok'])
        yield Case("Nova's weak cases", case['name'].partition(' (')[0][:46], host, guest, limits, vary=False)


def _alone() -> Iterator[Case]:
    rising = inputs.host(64, memory_gib=range(1, 65))
    ours = 'Large hosts (ours alone)'
    yield Case(ours, '32 equal on 64', inputs.host(64), inputs.guest(32), nova=NEVER)
    fitting = inputs.guest(32, memory_gib=range(33, 65))
    yield Case(ours, '32 unequal on 64, one way to fit', rising, fitting, nova=NEVER)
    crowded = inputs.guest(32, memory_gib=[min(size, 64) for size in range(34, 66)])
    yield Case(ours, '32 unequal on 64, no fit', rising, crowded, nova=NEVER)
    yield Case(ours, '32 unequal on 64, no fit, reasons', rising, crowded, nova=NEVER, reasons=True)
    full = inputs.host(64, full=range(64))
    yield Case(ours, '32 on 64, all full, reasons', full, inputs.guest(32), nova=NEVER, reasons=True)
    triangle = inputs.guest(64, memory_gib=range(1, 65))
    yield Case(ours, '64 on 64, triangular, one way to fit', inputs.falling(64), triangle, nova=NEVER)


def _networks() -> Iterator[Case]:
    ours = 'Networks (ours alone)'
    for physnets in (1, 2, 3, 4):
        host, networks = inputs.hard_networks(physnets, physnets=physnets, near=4)
        yield Case(ours, f'32 on 64, {physnets} physnets', host, inputs.guest(32), networks=networks, nova=NEVER)
    host, networks = _near_small_cells()
    few = inputs.guest(32, memory_gib=[64] * 30 + [4] * 2)
    yield Case(ours, '32 on 64, 4 physnets for 2 of the guest cells', host, few, networks=networks, nova=NEVER)
    host, networks = inputs.hard_networks(2, physnets=10, near=6)
    yield Case(ours, '5 on 64, 10 physnets', host, inputs.guest(5), networks=networks, nova=NEVER)


def _near_small_cells() -> tuple[Host, Networks]:
    """Return a host with 4 physical networks near some of its 16 small cells, and the networks.

    Only the small cells of a guest fit there.
    """
    where = inputs.scattered(4, cells=16, near=4, seed=4)
    return inputs.host(64, memory_gib=[8] * 16 + [64] * 48, physnets=where), inputs.networks_of(where)


def _refused() -> Iterator[Case]:
    for cells in (4, 6, 8):
        host, asked = inputs.host(cells, full=range(cells)), inputs.guest(cells)
        name = f'{cells} on {cells}, all full, reasons'
        yield Case('No fit', name, host, asked, nova=OFTEN, reasons=True)
    one_full = inputs.host(8, full=[7])
    yield Case('No fit', '8 on 8, one full, reasons', one_full, inputs.guest(8), reasons=True)
    for host_cells, guest_cells in ((8, 7), (16, 5)):
        yield _physnet_on_a_full_cell(host_cells, guest_cells)
    full = inputs.host(16, full=range(16))
    yield Case('No fit', '8 on 16, all full', full, inputs.guest(8), nova=ONCE)
    yield Case('No fit', '8 on 16, all full, reasons', full, inputs.guest(8), nova=NEVER, reasons=True)


def _physnet_on_a_full_cell(host_cells: int, guest_cells: int) -> Case:
    where = {'physnet0': [host_cells - 1]}
    host = inputs.host(host_cells, full=[host_cells - 1], physnets=where)
    name = f'{guest_cells} on {host_cells}, a physnet only on a full cell'
    networks = inputs.networks_of(where)
    return Case('No fit', name, host, inputs.guest(guest_cells), inputs.LIMITS, networks, nova=ONCE)
