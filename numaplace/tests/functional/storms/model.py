# SPDX-License-Identifier: Apache-2.0
"""Servers and what they hold as plain values: what every verb should do, and whether brute force finds a place."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from numaplace import cpuset
from numaplace.model import Guest, GuestCell, Host
from numaplace.tests.functional.storms import world
from numaplace.tests.functional.storms.ledger import NEW, OLD, OWN, Holding
from numaplace.tests.property import oracle

__all__ = ['ACTIVE', 'RESIZED', 'SHELVED', 'Model', 'Move', 'Server', 'Shape']

ACTIVE, RESIZED, SHELVED = 'active', 'resized', 'shelved_offloaded'


class Shape(NamedTuple):
    """What a guest is: its kind, the vCPUs that are on, if not all, and the modules as size and cell."""

    kind: str
    on: frozenset[int] | None = None
    modules: tuple[tuple[int, int], ...] = ()

    def guest(self) -> Guest:
        """Return what it holds while it runs."""
        asked = world.GUESTS[self.kind]
        on = (1 << asked.vcpus) - 1 if self.on is None else cpuset.mask(self.on)
        cells = [
            replace(
                cell,
                shared_vcpus=cell.shared_vcpus & on,
                dedicated_vcpus=cell.dedicated_vcpus & on,
                memory_mib=cell.memory_mib + sum(size for size, number in self.modules if number == cell.id),
            )
            for cell in asked.cells
        ]
        memory_mib = asked.memory_mib + sum(size for size, _ in self.modules)
        return replace(asked, vcpus=on.bit_count(), memory_mib=memory_mib, cells=tuple(cells))

    def with_vcpus(self, number: int) -> Shape | None:
        """Return the same with so many vCPUs on, or None if there cannot be: each cell in turn has one more."""
        asked = world.GUESTS[self.kind]
        queues = [list(cpuset.ids(cell.vcpus)) for cell in asked.cells] or [list(range(asked.vcpus))]
        if not len(queues) <= number <= asked.vcpus:
            return None
        on: list[int] = []
        while len(on) < number:
            on += [queue.pop(0) for queue in queues if queue][: number - len(on)]
        return self._replace(on=frozenset(on))


@dataclass(frozen=True)
class Move:
    """A move that is not over; `kind` is Nova's word for it."""

    kind: str
    old: tuple[Shape, Holding]
    new: tuple[Shape, Holding]

    @property
    def waits(self) -> bool:
        """Whether it is confirmed or reverted after it arrived."""
        return self.kind in ('resize', 'migration')


@dataclass
class Server:
    """A server: its guest, its state, what it holds where it is, and its move."""

    shape: Shape
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

    def end_at(self, side: tuple[Shape, Holding]) -> None:
        """End the move on one of its sides."""
        (self.shape, self.place), self.state, self.move = side, ACTIVE, None

    def arrive(self) -> None:
        """Let the guest come where it goes."""
        assert self.move is not None
        if self.move.waits:
            (self.shape, self.place), self.state = self.move.new, RESIZED
        else:
            self.end_at(self.move.new)

    def shelve(self) -> None:
        """Take it off its host; it starts again later."""
        self.shape, self.place, self.state = Shape(self.shape.kind), None, SHELVED


@dataclass
class Model:
    """All servers by UUID, and the hosts that are down."""

    servers: dict[str, Server] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)

    def holdings(self) -> list[Holding]:
        """Return what all servers hold."""
        return [holding for server in self.servers.values() for holding in server.holdings()]

    def fits(self, shape: Shape, host: str) -> bool:
        """Tell by brute force whether a guest finds a place beside what is held."""
        guest, cells = shape.guest(), self._used(host)
        has_room = _has_room(cells, guest, self._held(host))
        near = [cell for cell in cells if self._has_device(shape.kind, host, cell['id'])]
        if shape.kind == 'gpu':
            return has_room and any(oracle.choose(_case([cell], guest)) is not None for cell in near)
        return has_room and bool(near) and (not guest.cells or oracle.choose(_case(cells, guest)) is not None)

    def _has_device(self, kind: str, host: str, cell: int) -> bool:
        """Tell whether a guest with a cell there gets its device; those without cells have one anywhere."""
        taken = {address for holding in self._held(host) for address in holding.devices}
        vfs = {vf.address for vf in world.VFS}
        if kind == 'gpu':
            return world.GPUS[cell].address not in taken
        if kind == 'card':
            return not taken & {world.CARD.address, *vfs}
        return kind != 'wide' or (world.CARD.address not in taken and not vfs <= taken)

    def fits_more(self, place: Holding, old: Shape, new: Shape) -> bool:
        """Tell by brute force whether what comes to a guest finds room where the guest is."""
        before, after = old.guest(), new.guest()
        cells = self._used(place.host)
        parts = tuple(map(_difference, before.cells, after.cells))
        more = Guest(max(after.vcpus - before.vcpus, 0), max(after.memory_mib - before.memory_mib, 0), parts)
        limits = (world.LIMITS.cpu_allocation_ratio, world.LIMITS.ram_allocation_ratio)
        return _has_room(cells, more, self._held(place.host)) and all(
            oracle.fits(_without_memory(cells[placed.host_cell], part), _part(part), 0, limits)
            for placed, part in zip(place.cells, parts, strict=True)
            if part.vcpus or part.memory_mib
        )

    def _held(self, host: str) -> list[Holding]:
        return [holding for holding in self.holdings() if holding.host == host]

    def _used(self, host: str) -> list[dict]:
        """Return the cells of a host with what is held of them."""
        cells = _cells(world.host(apart=host in world.HOSTS[:2]))
        for part in (part for holding in self._held(host) for part in holding.cells):
            cell = cells[part.host_cell]
            cell['pinned'] += part.cpus
            cell['cpu_used'] += part.shared_vcpus
            cell['memory_used'] += part.memory_mib
            for pages in cell['pages']:
                if pages['size'] == part.pagesize_kib:
                    pages['used'] += part.memory_mib * 1024 // part.pagesize_kib
        return cells


def _difference(before: GuestCell, after: GuestCell) -> GuestCell:
    """Return what comes to a cell, which requests whole cores only if it requests CPUs of its own."""
    dedicated = after.dedicated_vcpus & ~before.dedicated_vcpus
    memory_mib = after.memory_mib - before.memory_mib
    policy = after.cpu_policy if dedicated or memory_mib else None
    return replace(
        after,
        shared_vcpus=after.shared_vcpus & ~before.shared_vcpus,
        dedicated_vcpus=dedicated,
        memory_mib=memory_mib,
        pagesize_kib=after.pagesize_kib if memory_mib else None,
        cpu_policy=policy,
        thread_policy=after.thread_policy if dedicated else None,
    )


def _without_memory(cell: dict, more: GuestCell) -> dict:
    """Return a host cell of which nobody uses memory, where only vCPUs are asked for."""
    if more.memory_mib:
        return cell
    return cell | {'memory_used': 0, 'pages': [pages | {'used': 0} for pages in cell['pages']]}


def _has_room(cells: list[dict], guest: Guest, held: list[Holding]) -> bool:
    """Return whether a guest has room on the shared CPUs, pinned or not, and in the memory of all cells.

    That is for guests without cells; others take none of it from those that are there.
    """
    if guest.cells and all(holding.cells for holding in held):
        return True
    shared = {cpu for cell in cells for cpu in cell['shared']}
    parts = [part for holding in held for part in holding.cells]
    vcpus = sum(holding.vcpus for holding in held if not holding.cells) + sum(part.shared_vcpus for part in parts)
    vcpus += sum(cpu in shared for part in parts for cpu in part.cpus)
    pinned = sum(cell.dedicated_vcpus.bit_count() for cell in guest.cells)
    more = guest.vcpus if shared & {cpu for cell in cells for cpu in cell['dedicated']} else guest.vcpus - pinned
    memory_mib = sum(cell['memory'] for cell in cells) - sum(holding.memory_mib for holding in held)
    has_memory = not guest.memory_mib or guest.memory_mib <= memory_mib
    return has_memory and (not more or vcpus + more <= len(shared) * world.LIMITS.cpu_allocation_ratio)


def _case(cells: list[dict], guest: Guest) -> dict:
    limits = (world.LIMITS.cpu_allocation_ratio, world.LIMITS.ram_allocation_ratio)
    asked = {
        'guest': list(map(_part, guest.cells)),
        'emulator': guest.emulator_policy,
        'limits': limits,
        'networks': None,
    }
    return asked | {'host': cells, 'strategy': 'spread'}


def _part(cell: GuestCell) -> dict:
    return {
        'shared': list(cpuset.ids(cell.shared_vcpus)),
        'dedicated': list(cpuset.ids(cell.dedicated_vcpus)),
        'memory': cell.memory_mib,
        'pagesize': cell.pagesize_kib,
        'policy': cell.cpu_policy,
        'threads': cell.thread_policy,
    }


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
