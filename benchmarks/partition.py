# SPDX-License-Identifier: Apache-2.0
"""Automatic vNUMA on 16 nodes of 128 CPUs, and the fit with devices there: what is placed and what is refused."""

from __future__ import annotations

import random
from collections.abc import Callable

from benchmarks import inputs
from numaplace import cpuset, fit, partition
from numaplace.model import CellShape, Guest, Host, HostCell, Placement, Refusal, Wish
from numaplace.model.vnuma import AUTO_MODE, PIN_TO_CORE

NODES, CPUS, MEMORY_MIB = 16, 128, 262144

#: The distance of two nodes by their numbers.
DISTANCES: dict[str, Callable[[int, int], int]] = {
    'equal': lambda _one, _other: 21,
    'sockets': lambda one, other: 12 if one // 4 == other // 4 else 32,
    'ring': lambda one, other: 10 + 3 * min((one - other) % NODES, (other - one) % NODES),
    'scattered': lambda one, other: random.Random(f'{sorted((one, other))}').choice((11, 12, 16, 21, 32)),
}


def _host(distances: str, dedicated: str = '0-2047', bare: int = 0) -> Host:
    """Return an idle host; `bare` nodes with 16 GiB and without CPUs follow."""
    between = DISTANCES[distances]
    cells = []
    for number in range(NODES + bare):
        first = number * CPUS
        siblings = tuple(0b11 << cpu for cpu in range(first, first + CPUS, 2)) if number < NODES else ()
        cpus = cpuset.parse(dedicated) & cpuset.union(siblings)
        lengths = tuple((other, 10 if other == number else between(number, other)) for other in range(NODES + bare))
        memory_mib = MEMORY_MIB if number < NODES else 16384
        cells.append(HostCell(CellShape(number, 0, cpus, memory_mib, siblings, distances=lengths)))
    return Host(tuple(cells))


def _guest(vcpus: int, memory_mib: int, **wish: int) -> Guest:
    return Guest(vcpus, memory_mib, wish=Wish(AUTO_MODE, pinning=PIN_TO_CORE, **wish))


#: Hosts, and on each a guest that fits and one that does not.
CASES: dict[str, tuple[Host, Guest, Guest]] = {
    **{
        f'two CPUs kept by the host, {name}': (
            _host(name, '2-2047'),
            _guest(1016, 65536),
            _guest(1016, NODES * MEMORY_MIB + NODES),
        )
        for name in DISTANCES
    },
    'equal nodes': (_host('equal'), _guest(1008, 65536), _guest(2032, 65536)),
    'tier': (
        _host('sockets', bare=4),
        _guest(256, 131072, tier_mib=49152),
        _guest(256, 131072, tier_mib=65537),
    ),
}


class Auto:
    """Guests that are divided over the nodes of a host not seen before."""

    params = (list(CASES), ['place', 'refuse'])
    param_names = ('case', 'answer')
    number = 1
    warmup_time = 0

    def setup(self, case: str, answer: str) -> None:
        """Make the host and the guest, and check the answer."""
        host, placed, refused = CASES[case]
        self.guest = placed if answer == 'place' else refused
        if isinstance(partition.place(host, self.guest), Placement) != (answer == 'place'):
            raise RuntimeError(f'{case}: the guest to {answer} is another')
        self.host = inputs.rebuilt(host)

    def time_first(self, *_params: object) -> None:
        """Answer for a host from which nothing is derived yet."""
        answer = partition.place(self.host, self.guest)
        if isinstance(answer, Refusal):
            _ = answer.reasons


class _Devices(fit.Devices):
    """Devices of which no host cell has enough, as far as the fit knows."""

    def supports(self, host_cells: frozenset[int]) -> bool:
        return len(host_cells) > NODES

    def preference(self, host_cell: int) -> int:
        return host_cell


class WithDevices:
    """Guest cells on 16 equal host cells that have no devices for them."""

    params = ([4, 5, 6, 7, 8],)
    param_names = ('guest_cells',)

    def setup(self, guest_cells: int) -> None:
        """Make the host and the guest."""
        self.host = _host('equal')
        self.guest = inputs.guest(guest_cells)

    def time_refuse(self, *_params: object) -> None:
        """Ask for each set of host cells."""
        fit.place(self.host, self.guest, devices=_Devices())
