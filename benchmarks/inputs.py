# SPDX-License-Identifier: Apache-2.0
"""Hosts and guests for measurements. Each follows a rule, so that one line describes it."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from numaplace import wire
from numaplace.model import DEDICATED, CellShape, Guest, GuestCell, Host, HostCell, Limits, Networks, Pages

__all__ = [
    'CPUS',
    'LIMITS',
    'falling',
    'far',
    'guest',
    'hard_networks',
    'host',
    'networks_of',
    'rebuilt',
    'rereader',
    'scattered',
    'text',
    'unseen',
    'unseen_guest',
]

#: CPUs of a host cell, two threads per core.
CPUS = 16
GIB_MIB = 1024
LIMITS = Limits(cpu_allocation_ratio=16.0, ram_allocation_ratio=1.5)

_serial = itertools.count(1)


def host(
    cells: int,
    *,
    cpus: int = CPUS,
    half_full: Collection[int] = (),
    full: Collection[int] = (),
    memory_gib: Sequence[int] = (),
    physnets: Mapping[str, Collection[int]] | None = None,
) -> Host:
    """Return a host of equal cells.

    :param cells: number of host cells
    :param cpus: CPUs of each, two threads per core
    :param half_full: ids of the cells with half of the CPUs and of the memory in use
    :param full: ids of the cells that are completely used
    :param memory_gib: memory by cell; 64 GiB each by default
    :param physnets: ids of the cells with affinity, by physical network
    """
    used = {**dict.fromkeys(half_full, 0.5), **dict.fromkeys(full, 1.0)}
    made = []
    for number in range(cells):
        nets = frozenset(name for name, near in (physnets or {}).items() if number in near)
        memory_mib = GIB_MIB * (memory_gib[number] if memory_gib else 64)
        made.append(_host_cell(number, cpus, memory_mib, used.get(number, 0.0), nets))
    return Host(tuple(made))


def _host_cell(number: int, cpus: int, memory_mib: int, used: float, physnets: frozenset[str]) -> HostCell:
    first = number * cpus
    mask = ((1 << cpus) - 1) << first
    siblings = tuple(0b11 << cpu for cpu in range(first, first + cpus, 2))
    shape = CellShape(number, mask, mask, memory_mib, siblings, socket=number, physnets=physnets)
    taken = int(cpus * used)
    small, large = memory_mib * 1024 // 4, 256
    pages = (Pages(4, small, used=int(small * used)), Pages(2048, large, used=int(large * used)))
    return HostCell(shape, ((1 << taken) - 1) << first, int(taken), int(memory_mib * used), pages)


def guest(
    cells: int, *, vcpus: int | Sequence[int] = 4, memory_gib: int | Sequence[int] = 4, policy: str | None = DEDICATED
) -> Guest:
    """Return a guest; `vcpus` and `memory_gib` are those of each cell, one number for all or a list."""
    counts = [vcpus] * cells if isinstance(vcpus, int) else list(vcpus)
    memory_mib = [GIB_MIB * size for size in ([memory_gib] * cells if isinstance(memory_gib, int) else memory_gib)]
    made, first = [], 0
    for number, (count, size) in enumerate(zip(counts, memory_mib, strict=True)):
        mask = ((1 << count) - 1) << first
        shared, dedicated = (0, mask) if policy == DEDICATED else (mask, 0)
        made.append(GuestCell(number, shared, dedicated, size, cpu_policy=policy))
        first += count
    return Guest(first, sum(memory_mib), tuple(made))


def falling(cells: int) -> Host:
    """Return a host whose cells have less memory the higher their id: `cells` GiB down to 1 GiB.

    A guest whose cells grow has one placement on it; every greedy step before the last is wrong.
    """
    return host(cells, memory_gib=range(cells, 0, -1))


def far(value: Host, seed: int) -> Host:
    """Return a host whose cells have random distances by a seed, the same in both directions."""
    draw, ids = random.Random(seed), [cell.id for cell in value.cells]
    between = {pair: draw.randint(11, 40) for pair in itertools.combinations(ids, 2)}
    cells = []
    for cell in value.cells:
        others = [(one, between[min(one, cell.id), max(one, cell.id)]) for one in ids if one != cell.id]
        distances = tuple(sorted([(cell.id, 10), *others]))
        cells.append(replace(cell, shape=replace(cell.shape, distances=distances)))
    return replace(value, cells=tuple(cells))


def scattered(physnets: int, *, cells: int, near: int, seed: int) -> dict[str, list[int]]:
    """Return `near` ids of host cells for each physical network, random by a seed."""
    draw = random.Random(seed)
    return {f'physnet{number}': sorted(draw.sample(range(cells), near)) for number in range(physnets)}


def networks_of(names: Iterable[str]) -> Networks:
    """Return the networks of a guest that uses all these physical networks."""
    return Networks(frozenset(names))


def hard_networks(seed: int, *, physnets: int, near: int, cells: int = 64) -> tuple[Host, Networks]:
    """Return a host with scattered networks, whose cells are half full and so tried last, and all its networks."""
    where = scattered(physnets, cells=cells, near=near, seed=seed)
    used = sorted({number for ids in where.values() for number in ids})
    return host(cells, half_full=used, physnets=where), networks_of(where)


def unseen(value: Host) -> Host:
    """Return a host that fits the same guests and equals no earlier host, with nothing derived from it yet."""
    extra_mib = next(_serial)
    cells = [
        replace(
            cell,
            shape=replace(cell.shape, memory_mib=cell.shape.memory_mib + extra_mib),
            memory_usage_mib=cell.memory_usage_mib + extra_mib,
        )
        for cell in value.cells
    ]
    return replace(value, cells=tuple(cells))


def unseen_guest(value: Guest) -> Guest:
    """Return an equal guest with nothing derived from it yet."""
    return replace(value, cells=tuple(replace(cell) for cell in value.cells))


def rebuilt(value: Host) -> Host:
    """Return an equal host with nothing derived from it yet."""
    return replace(value, cells=tuple(replace(cell, shape=replace(cell.shape)) for cell in value.cells))


def text(value: Host) -> str:
    """Return the JSON of a host."""
    return wire.dumps(wire.write_host(value))


def rereader(value: Host) -> Callable[[], str]:
    """Return a function that returns JSON of a host as read again after its usage changed: no two texts are equal."""
    base = text(value)

    def reread() -> str:
        extra_mib = next(_serial)
        return re.sub(r'(?<="memory_usage": )\d+', lambda usage: str(int(usage[0]) + extra_mib), base)

    return reread
