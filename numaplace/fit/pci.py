# SPDX-License-Identifier: Apache-2.0
"""PCI devices of a host for a guest: an exact joint assignment, behind the device interface of the fit.

Which devices are near enough is as in Nova 34 (`_filter_pools`); which of them are taken is not greedy here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property

from numaplace import cpuset
from numaplace.fit.devices import Devices
from numaplace.fit.supplies import Allocation, Card, Supply, allocate, choose, violator
from numaplace.model import PciPool, PciRequest, Reason
from numaplace.model.pci import LEGACY, PF, PREFERRED, SOCKET

__all__ = ['PciAssignment', 'Projection', 'Taken']

#: The distance of a device: on a host cell of the guest, on one that is not known, on another.
_OWN, _UNKNOWN, _OTHER = range(3)

#: Devices taken from a pool.
Taken = tuple[PciPool, int]


#: For each node the mask of the requests that accept it, and its distance.
_Near = Mapping[int | None, tuple[int, int]]

#: Pools of equal node, mask of requests that they suit, and number of devices are alike.
_Class = tuple[int | None, int, int]

#: A free PF and its VFs, as numbers of pools.
_Member = tuple[int, tuple[int, ...]]


class Projection:
    """What an answer about devices depends on: the host cells with devices, and their sockets if a policy names those.

    :param sockets: the socket of each host cell by its id
    :param nodes: host cells with devices that may matter; others are ignored
    :param by_socket: whether sockets matter
    """

    def __init__(self, sockets: Mapping[int, int | None], nodes: Iterable[int | None], *, by_socket: bool) -> None:
        self._sockets = sockets if by_socket else {}
        self._nodes = frozenset(nodes)

    def __call__(self, host_cells: frozenset[int]) -> Hashable:
        """Return a value that is equal for sets of host cells with the same answer."""
        sockets = frozenset(map(self._sockets.get, host_cells)) if self._sockets else None
        return bool(host_cells), host_cells & self._nodes, sockets

    def kind(self, host_cell: int) -> Hashable:
        """Return the kind of a host cell, as in the device interface."""
        return host_cell if host_cell in self._nodes else None, self._sockets.get(host_cell)


class PciAssignment(Devices):
    """The free devices of a host for the requests of a guest, all together.

    For a set of host cells, devices are grouped by the requests that may have them; the cost is that of
    :func:`numaplace.fit.supplies.choose` for these groups, which are never more than pools. A free PF and its VFs are
    a card if requests may have both; cards that are alike are grouped, too.

    :param sockets: the socket of each host cell by its id, None where it is not known
    :param pools: free devices in the order in which equal ones are taken
    """

    def __init__(
        self, sockets: Mapping[int, int | None], pools: Sequence[PciPool], requests: Sequence[PciRequest]
    ) -> None:
        self._sockets = sockets
        self._pools = pools
        self._requests = requests
        self._wanted = [request.count for request in requests]
        self._takers = _takers(pools, requests)
        self._nodes = frozenset(pool.numa_node for pool, takers in zip(pools, self._takers, strict=True) if takers)
        self._free: Counter[int | None] = Counter()
        for pool in pools:
            self._free[pool.numa_node] += pool.count
        self._projection = Projection(sockets, self._nodes, by_socket=bool(self._with(SOCKET)))
        self._answers: dict[Hashable, bool] = {}

    def _with(self, *policies: str) -> int:
        """Return the mask of the requests of some policies."""
        return sum(1 << number for number, request in enumerate(self._requests) if request.policy in policies)

    # --- the interface ----------------------------------------------------------------------

    def supports(self, host_cells: frozenset[int]) -> bool:
        """Return whether all requests get their devices; a guest without host cells may have them anywhere."""
        key = self._projection(host_cells)
        if key not in self._answers:
            self._answers[key] = self._suffice(self._near(host_cells))
        return self._answers[key]

    def excludes(self, host_cells: frozenset[int], most: int) -> bool:
        """Return whether the devices do not suffice even if the guest has all of these host cells.

        Nor do they if a request, or all together, need more than there is on those that have most of what is only for
        guests there.
        """
        if not self.supports(host_cells):
            return True
        if most >= len(host_cells & self._nodes):
            return False
        key = self._projection(host_cells), most
        if key not in self._answers:
            everyone = (1 << len(self._requests)) - 1
            single = [1 << number for number in range(len(self._requests))] if len(self._requests) > 1 else []
            self._answers[key] = any(self._exceeds(mask, host_cells, most) for mask in (everyone, *single))
        return self._answers[key]

    def _exceeds(self, requests: int, host_cells: frozenset[int], most: int) -> bool:
        """Return whether some requests need more than there is for them on any so many host cells."""
        anywhere, anyhow = self._with(PREFERRED, SOCKET), 0
        there: Counter[int | None] = Counter()
        for pool, takers in zip(self._pools, self._takers, strict=True):
            reach = self._with(PREFERRED, LEGACY) if pool.numa_node is None else anywhere
            if takers & requests & reach:
                anyhow += pool.count
            elif takers & requests and pool.numa_node in host_cells:
                there[pool.numa_node] += pool.count
        wanted = sum(self._wanted[number] for number in cpuset.ids(requests))
        return anyhow + sum(count for _, count in there.most_common(most)) < wanted

    def kind(self, host_cell: int) -> Hashable:
        """Return the host cell itself if wanted devices are there, else its socket if that matters."""
        return self._projection.kind(host_cell)

    def preference(self, host_cell: int) -> int:
        """Put host cells with devices first for a guest that requests some, and last for any other."""
        return -self._free[host_cell] if self._requests else self._free[host_cell]

    def assign(self, host_cells: frozenset[int]) -> tuple[tuple[Taken, ...], ...] | None:
        """Return the devices of each request, or None if they do not suffice.

        Of all assignments it has the fewest devices on other host cells, then on unknown ones, and then takes VFs of
        the fewest PFs that are still free. Equal devices are taken in their order.

        :param host_cells: ids of the host cells of the guest; empty for a guest without cells
        """
        near = self._near(host_cells)
        alone, cards = self._grouped(near)
        supplies = [Supply(self._amount(pools), *key) for key, pools in alone.items()]
        choice = choose(self._wanted, supplies, [(card, len(members)) for card, members in cards.items()])
        if choice is None:
            return None
        taken: list[list[Taken]] = [[] for _ in self._requests]
        for pools, used in zip(alone.values(), choice.supplies, strict=True):
            self._deal(sorted(pools), used, taken)
        for (card, members), (split, whole, parts) in zip(cards.items(), choice.cards, strict=True):
            members.sort()
            self._deal([pf for pf, _ in members[split:]], whole, taken)
            for part, used in zip(card.parts, parts, strict=True):
                vfs = [vf for _, own in members[:split] for vf in own if self._reach(vf, near) == part[1:]]
                self._deal(vfs, used, taken)
        return tuple(tuple(own) for own in taken)

    def reasons(self, host_cells: frozenset[int]) -> tuple[Reason, ...]:
        """Return which requests lack how many devices if the guest may have all of these host cells.

        First those that lack some on the whole host, then those whose devices are not near, then those that compete.
        """
        everywhere, near = frozenset(self._sockets), self._near(host_cells)
        return (
            tuple(self._alone('pci.total', self._near(everywhere)))
            or tuple(self._alone('pci.affinity', near))
            or tuple(self._competing(near))
            or super().reasons(host_cells)
        )

    def _alone(self, code: str, near: _Near) -> Iterator[Reason]:
        """Yield the requests for which there is not enough, whatever the others take."""
        for number, request in enumerate(self._requests):
            within = [pool for pool in range(len(self._pools)) if self._reach(pool, near)[0] >> number & 1]
            if (available := self._amount(within)) < request.count:
                yield self._reason(code, 1 << number, available)

    def _competing(self, near: _Near) -> Iterator[Reason]:
        """Yield the requests for which there is not enough together, or not without both a PF and a VF of it."""
        alone, cards = self._grouped(near)
        parts = [(self._amount(pools), takers) for (takers, _), pools in alone.items()]
        for card, members in cards.items():
            parts += [(part.amount * len(members), part.takers) for part in (card.whole, *card.parts)]
        if found := violator(self._wanted, parts):
            yield self._reason('pci.joint', *found)
        elif not self._suffice(near):
            wanted = sum(1 << number for number in range(len(self._requests)))
            yield self._reason('pci.functions', wanted, None)

    def _reason(self, code: str, requests: int, available: int | None) -> Reason:
        """Return a reason that names some requests, and where the devices are that suit any of them."""
        free: Counter[int | None] = Counter()
        for pool, takers in zip(self._pools, self._takers, strict=True):
            if takers & requests:
                free[pool.numa_node] += pool.count
        cells = sorted(node for node in free if node is not None)
        where = [f'{free[node]} on host cell {node}' for node in cells]
        where += [f'{free[None]} on no known host cell'] if free[None] else []
        names = ' and '.join(str(self._requests[number]) for number in cpuset.ids(requests))
        needed = sum(self._wanted[number] for number in cpuset.ids(requests))
        subject = f'{names}, of which {", ".join(where) or "none"} {"is" if sum(free.values()) == 1 else "are"} free'
        return Reason(code, needed, available, 'devices', (), tuple(cells), subject)

    # --- groups -----------------------------------------------------------------------------

    @cached_property
    def _classes(self) -> tuple[dict[_Class, list[int]], dict[tuple[_Class, tuple[_Class, ...]], list[_Member]]]:
        """The pools by their class, and without them the free PFs of which VFs are wanted, with these, by theirs."""
        pfs = {pool.address: number for number, pool in enumerate(self._pools) if pool.dev_type == PF and pool.address}
        vfs: dict[int, list[int]] = {}
        for number, pool in enumerate(self._pools):
            if self._takers[number] and pool.dev_type != PF and pool.parent in pfs:
                vfs.setdefault(pfs[pool.parent], []).append(number)
        bound = {number for pf, own in vfs.items() for number in (pf, *own)}
        alone: dict[_Class, list[int]] = {}
        for number, takers in enumerate(self._takers):
            if takers and number not in bound:
                alone.setdefault(self._class(number), []).append(number)
        cards: dict[tuple[_Class, tuple[_Class, ...]], list[_Member]] = {}
        for pf, own in vfs.items():
            cards.setdefault((self._class(pf), tuple(map(self._class, own))), []).append((pf, tuple(own)))
        return alone, cards

    def _class(self, number: int) -> _Class:
        pool = self._pools[number]
        return pool.numa_node, self._takers[number], pool.count

    def _grouped(
        self, near: _Near, *, best: bool = True
    ) -> tuple[dict[tuple[int, int], list[int]], dict[Card, list[_Member]]]:
        """Return the pools by mask of requests and distance, and the cards.

        :param best: cards of which no request may have the PF are cards, too
        """
        supplies: dict[tuple[int, int], list[int]] = {}
        cards: dict[Card, list[_Member]] = {}
        alone, kinds = self._classes
        for (node, takers, _), pools in alone.items():
            accepting, distance = near[node]
            if takers & accepting:
                supplies.setdefault((takers & accepting, distance), []).extend(pools)
        for members in kinds.values():
            pf, vfs = members[0]
            parts: Counter[tuple[int, int]] = Counter()
            for vf in vfs:
                parts[self._reach(vf, near)] += self._pools[vf].count
            whole = self._reach(pf, near)
            divided = tuple(Supply(amount, *key) for key, amount in sorted(parts.items()) if key[0])
            if divided and (whole[0] or best):
                cards.setdefault(Card(Supply(1, *whole), divided), []).extend(members)
                continue
            for pool in (number for pf, vfs in members for number in (pf, *vfs)):
                if (reach := self._reach(pool, near))[0]:
                    supplies.setdefault(reach, []).append(pool)
        return supplies, cards

    def _reach(self, number: int, near: _Near) -> tuple[int, int]:
        """Return the mask of the requests that may have the devices of a pool, and their distance."""
        accepting, distance = near.get(self._pools[number].numa_node, (0, _OTHER))
        return self._takers[number] & accepting, distance

    def _amount(self, pools: Iterable[int]) -> int:
        return sum([self._pools[number].count for number in pools])

    def _near(self, host_cells: frozenset[int]) -> _Near:
        """Return how near each node with devices is to a guest on some host cells."""
        everyone = (1 << len(self._requests)) - 1
        if not host_cells:
            return dict.fromkeys(self._nodes, (everyone, _OWN))
        anywhere, unknown = self._with(PREFERRED), self._with(LEGACY, PREFERRED)
        by_socket = self._with(SOCKET) if None not in self._sockets.values() else 0
        own = {self._sockets.get(cell) for cell in host_cells}
        found: dict[int | None, tuple[int, int]] = {}
        for node in self._nodes:
            if node is None:
                found[node] = unknown, _UNKNOWN
            elif node in host_cells:
                found[node] = everyone, _OWN
            else:
                beside = node in self._sockets and self._sockets[node] in own
                found[node] = anywhere | (by_socket if beside else 0), _OTHER
        return found

    def _suffice(self, near: _Near) -> bool:
        alone, cards = self._grouped(near, best=False)
        if not cards:
            parts = [(self._amount(pools), takers) for (takers, _), pools in alone.items()]
            return allocate(self._wanted, parts) is not None
        supplies = [Supply(self._amount(pools), *key) for key, pools in alone.items()]
        kinds = [(card, len(members)) for card, members in cards.items()]
        return choose(self._wanted, supplies, kinds, best=False) is not None

    def _deal(self, pools: Sequence[int], used: Allocation, taken: list[list[Taken]]) -> None:
        """Give each request its devices, from the first pool on."""
        left = {number: self._pools[number].count for number in pools}
        for request, amount in sorted(used.items()):
            for number in pools:
                given = min(amount, left[number])
                if given:
                    taken[request].append((self._pools[number], given))
                    left[number] -= given
                    amount -= given


def _takers(pools: Sequence[PciPool], requests: Sequence[PciRequest]) -> list[int]:
    """Return for each pool the mask of the requests that its devices suit; those of one kind are compared once."""
    known: dict[Hashable, int] = {}
    found = []
    for pool in pools:
        key = tuple(pool.properties.items())
        if key not in known:
            known[key] = sum(1 << number for number, request in enumerate(requests) if request.matches(pool))
        found.append(known[key])
    return found
