# SPDX-License-Identifier: Apache-2.0
"""Whether each server is where it can run as it was requested, and alone on its CPUs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from numaplace import cpuset
from numaplace.fleet.findings import Finding
from numaplace.model import CellPlacement, Host, Placement
from numaplace.model.holding import Holding
from numaplace.model.records import InstanceRecord, Move

__all__ = ['Held', 'check_conflicts', 'check_metadata', 'check_move', 'check_placement', 'pinned']

#: Scopes of keys that mean something in a flavor only.
_SCOPES = ('hw', 'numaplace', 'pci_passthrough', 'quota', 'trait', 'resources')


@dataclass(frozen=True, slots=True)
class Held:
    """What a server holds on a host.

    :param uuid: UUID of the server
    :param extra_specs: those of its flavor
    """

    uuid: str
    placement: Placement
    extra_specs: Mapping[str, str] = field(default_factory=dict)


def pinned(placed: CellPlacement) -> int:
    """Return the mask of all CPUs that a guest cell holds."""
    return placed.taken | cpuset.mask([cpu for _vcpu, cpu in placed.pins])


def check_placement(name: str, host: Host, held: Held) -> Iterator[Finding]:
    """Check one server on a host: its host cells, and each pin."""
    known = cpuset.union(_all_cpus(host).values())
    by_cell: dict[int, list[int]] = defaultdict(list)
    for number, placed in enumerate(held.placement.cells):
        by_cell[placed.host_cell].append(number)
        for code, found, expected in _check_cell(host, placed, known):
            yield Finding(code, name, held.uuid, placed.host_cell, found, expected)
    if not _is_divided(held.extra_specs):
        for cell, numbers in by_cell.items():
            if len(numbers) > 1:
                yield Finding('cells.shared', name, held.uuid, cell, ', '.join(map(str, numbers)))


def _is_divided(extra_specs: Mapping[str, str]) -> bool:
    """Return whether a server requested automatic vNUMA, which may put several of its cells on a host cell."""
    return any(key.startswith('numaplace:vnuma') for key in extra_specs)


def _all_cpus(host: Host) -> dict[int, int]:
    return {cell.id: cell.shape.online_cpus | cell.shape.shared_cpus | cell.shape.dedicated_cpus for cell in host.cells}


def _check_cell(host: Host, placed: CellPlacement, known: int) -> Iterator[tuple[str, str, str]]:
    cell = next((cell for cell in host.cells if cell.id == placed.host_cell), None)
    if cell is None:
        yield 'server.cell', '', ', '.join(str(cell.id) for cell in host.cells) or 'none'
        return
    if unpinned := placed.guest_cell.dedicated_vcpus & ~cpuset.mask([vcpu for vcpu, _cpu in placed.pins]):
        yield 'cpus.unpinned', cpuset.text(unpinned), ''
    cpus, dedicated = pinned(placed), cell.shape.dedicated_cpus
    if missing := cpus & ~known:
        yield 'cpus.missing', cpuset.text(missing), ''
    if elsewhere := cpus & known & ~_all_cpus(host)[cell.id]:
        yield 'cpus.node', cpuset.text(elsewhere), ''
    if outside := cpus & _all_cpus(host)[cell.id] & ~dedicated:
        yield 'cpus.outside', cpuset.text(outside), cpuset.text(dedicated) or '(none)'


def check_conflicts(
    name: str, host: Host, held: Sequence[Held], unmanaged: Iterable[Holding] = ()
) -> Iterator[Finding]:
    """Find CPUs that two hold, and servers that float over the CPUs of pinned ones.

    Linear in the number of servers and of pinned CPUs.

    :param unmanaged: domains that are no servers
    """
    holders: dict[int, list[str]] = defaultdict(list)
    for one in held:
        for placed in one.placement.cells:
            _hold(holders, one.uuid, placed)
    for holding in unmanaged:
        for cpu in holding.dedicated:
            holders[cpu].append(holding.uuid)
    yield from _twice(name, holders)
    shared = host.shared_cpus & cpuset.mask(holders)
    if shared:
        yield from _floating(name, held, shared)


def _hold(holders: dict[int, list[str]], uuid: str, placed: CellPlacement) -> None:
    for cpu in cpuset.ids(pinned(placed)):
        holders[cpu].append(uuid)
    pins = [cpu for _vcpu, cpu in placed.pins]
    for cpu in {cpu for cpu in pins if pins.count(cpu) > 1}:
        holders[cpu].append(uuid)


def _twice(name: str, holders: Mapping[int, Sequence[str]]) -> Iterator[Finding]:
    clashes: dict[tuple[str, str], int] = defaultdict(int)
    for cpu, uuids in holders.items():
        if len(uuids) > 1:
            for uuid in set(uuids):
                others = set(uuids) - {uuid} or {uuid}
                clashes[uuid, ', '.join(sorted(others))] |= 1 << cpu
    for (uuid, rivals), cpus in clashes.items():
        yield Finding('cpus.twice', name, uuid, None, cpuset.text(cpus), '', rivals)


def _floating(name: str, held: Iterable[Held], shared: int) -> Iterator[Finding]:
    for one in held:
        guest = one.placement.guest
        vcpus = (1 << guest.vcpus) - 1
        if one.placement.cells:
            vcpus = cpuset.union([placed.guest_cell.shared_vcpus for placed in one.placement.cells])
        if vcpus:
            yield Finding('cpus.floating', name, one.uuid, None, cpuset.text(vcpus), '', cpuset.text(shared))


def check_metadata(server: InstanceRecord) -> Iterator[Finding]:
    """Find keys in a server's metadata that belong in a flavor."""
    wrong = [f'{key}={value}' for key, value in server.metadata.items() if key.partition(':')[0] in _SCOPES]
    wrong = [text for text in wrong if ':' in text.partition('=')[0]]
    if wrong:
        yield Finding('server.metadata', server.host, server.uuid, None, ', '.join(sorted(wrong)))


def check_move(server: InstanceRecord, move: Move, now: datetime, patience: timedelta) -> Iterator[Finding]:
    """Find a move that has been under way for longer than it should."""
    if move.updated_at is not None and now - move.updated_at > patience:
        since = move.updated_at.strftime('%Y-%m-%d %H:%M')
        yield Finding('move.stuck', move.old.host, server.uuid, None, move.status, since, move.kind)
