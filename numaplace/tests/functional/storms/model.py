# SPDX-License-Identifier: Apache-2.0
"""Servers and what they hold as plain values: what every verb should do, and whether brute force finds a place."""

from __future__ import annotations

from dataclasses import dataclass, field

from numaplace import cpuset
from numaplace.model import Guest, Host
from numaplace.tests.functional.storms import world
from numaplace.tests.functional.storms.ledger import NEW, OLD, OWN, Holding
from numaplace.tests.property import oracle

__all__ = ['ACTIVE', 'RESIZED', 'SHELVED', 'Model', 'Move', 'Server']

ACTIVE, RESIZED, SHELVED = 'active', 'resized', 'shelved_offloaded'


@dataclass(frozen=True)
class Move:
    """A move that is not over; `kind` is Nova's word for it."""

    kind: str
    old: tuple[str, Holding]
    new: tuple[str, Holding]

    @property
    def waits(self) -> bool:
        """Whether it is confirmed or reverted after it arrived."""
        return self.kind in ('resize', 'migration')


@dataclass
class Server:
    """A server: the kind of its guest, its state, what it holds where it is, and its move."""

    kind: str
    place: Holding | None
    state: str = ACTIVE
    move: Move | None = None

    @property
    def is_idle(self) -> bool:
        """Whether something may be begun with it."""
        return self.state == ACTIVE and self.move is None

    @property
    def is_on_its_way(self) -> bool:
        """Whether it is in a move that has not arrived."""
        return self.state == ACTIVE and self.move is not None

    def holdings(self) -> list[Holding]:
        """Return what it holds."""
        if self.move is not None:
            return [self.move.old[1]._replace(role=OLD), self.move.new[1]._replace(role=NEW)]
        return [self.place._replace(role=OWN)] if self.place else []

    def end_at(self, side: tuple[str, Holding]) -> None:
        """End the move on one of its sides."""
        (self.kind, self.place), self.state, self.move = side, ACTIVE, None

    def arrive(self) -> None:
        """Let the guest come where it goes."""
        assert self.move is not None
        if self.move.waits:
            (self.kind, self.place), self.state = self.move.new, RESIZED
        else:
            self.end_at(self.move.new)

    def shelve(self) -> None:
        """Take it off its host."""
        self.place, self.state = None, SHELVED


@dataclass
class Model:
    """All servers by UUID, and the hosts that are down."""

    servers: dict[str, Server] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)

    def holdings(self) -> list[Holding]:
        """Return what all servers hold."""
        return [holding for server in self.servers.values() for holding in server.holdings()]

    def fits(self, kind: str, host: str) -> bool:
        """Tell by brute force whether a guest finds a place beside what is held."""
        guest = world.GUESTS[kind]
        cells = _cells(world.host(apart=host in world.HOSTS[:2]))
        held = [holding for holding in self.holdings() if holding.host == host]
        if not guest.cells:
            return _floats(cells, guest, held)
        for part in (part for holding in held for part in holding.cells):
            cell = cells[part.host_cell]
            cell['pinned'] += part.cpus
            cell['cpu_used'] += part.shared_vcpus
            cell['memory_used'] += part.memory_mib
            for pages in cell['pages']:
                if pages['size'] == part.pagesize_kib:
                    pages['used'] += part.memory_mib * 1024 // part.pagesize_kib
        return oracle.choose(_case(cells, guest)) is not None


def _floats(cells: list[dict], guest: Guest, held: list[Holding]) -> bool:
    """Tell whether a guest without cells has room on the shared CPUs, pinned or not, and in the memory of all cells."""
    shared = {cpu for cell in cells for cpu in cell['shared']}
    parts = [part for holding in held for part in holding.cells]
    vcpus = sum(holding.vcpus for holding in held if not holding.cells) + sum(part.shared_vcpus for part in parts)
    vcpus += sum(cpu in shared for part in parts for cpu in part.cpus)
    memory_mib = sum(cell['memory'] for cell in cells) - sum(holding.memory_mib for holding in held)
    return vcpus + guest.vcpus <= len(shared) * world.LIMITS.cpu_allocation_ratio and guest.memory_mib <= memory_mib


def _case(cells: list[dict], guest: Guest) -> dict:
    parts = [
        {
            'shared': list(cpuset.ids(cell.shared_vcpus)),
            'dedicated': list(cpuset.ids(cell.dedicated_vcpus)),
            'memory': cell.memory_mib,
            'pagesize': cell.pagesize_kib,
            'policy': cell.cpu_policy,
            'threads': cell.thread_policy,
        }
        for cell in guest.cells
    ]
    limits = (world.LIMITS.cpu_allocation_ratio, world.LIMITS.ram_allocation_ratio)
    asked = {'guest': parts, 'emulator': guest.emulator_policy, 'limits': limits, 'networks': None}
    return asked | {'host': cells, 'strategy': 'spread'}


def _cells(host: Host) -> list[dict]:
    return [
        {
            'id': cell.id,
            'shared': list(cpuset.ids(cell.shape.shared_cpus)),
            'dedicated': list(cpuset.ids(cell.shape.dedicated_cpus)),
            'siblings': [list(cpuset.ids(core)) for core in cell.shape.siblings],
            'pinned': [],
            'memory': cell.shape.memory_mib,
            'memory_used': 0,
            'cpu_used': 0,
            'pages': [
                {'size': pages.size_kib, 'total': pages.total, 'used': 0, 'reserved': pages.reserved}
                for pages in cell.pages
            ],
            'physnets': [],
            'tunneled': False,
        }
        for cell in host.cells
    ]
