# SPDX-License-Identifier: Apache-2.0
"""Fleets that tests ask: healthy ones, and how to damage them."""

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime

from numaplace import fit
from numaplace.model import Flavor, Guest, Host, Placement
from numaplace.model.allocations import held_on
from numaplace.model.fleet import Aggregate, Fleet, Inventory, Provider, candidates
from numaplace.model.records import ACTIVE, RESIZE, RESIZED, HostRecord, InstanceRecord, Move, Side
from numaplace.tests import samples

__all__ = ['NOW', 'apart', 'fleet', 'placed', 'recounted', 'seen', 'server', 'with_cell', 'with_server']

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
FLAVOR = Flavor('m1', 4, 1024, 1, {'hw:cpu_policy': 'dedicated', 'hw:numa_nodes': '2'}, 'm1')


def apart(host: Host) -> Host:
    """Return a host whose first two CPUs of each cell are shared and all others dedicated."""
    cells = []
    for cell in host.cells:
        first = cell.shape.dedicated_cpus & -cell.shape.dedicated_cpus
        shared = first | first << 1
        shape = replace(cell.shape, shared_cpus=shared, dedicated_cpus=cell.shape.dedicated_cpus & ~shared)
        cells.append(replace(cell, shape=shape))
    return replace(host, cells=tuple(cells))


def server(name: str, host: str | None, placement: Placement, **keys: object) -> InstanceRecord:
    """Return a server by its name, which is also its UUID."""
    guest = placement.guest
    flavor = replace(FLAVOR, vcpus=guest.vcpus, memory_mib=guest.memory_mib)
    number = int(name[1:])
    record = InstanceRecord(name, name, number, host, flavor, {}, placement, None, ACTIVE, NOW)
    return replace(record, **keys)


def fleet() -> Fleet:
    """Return two hosts of two cells with guests of every kind, all of them counted.

    ``s1`` is pinned over both cells of ``h1``, ``s2`` floats there, ``s3`` is shared with huge pages; ``s4`` is pinned
    on ``h2`` and resized from ``h1`` to it; ``s5`` has no host.
    """
    hosts = [HostRecord(name, apart(samples.host()), name, facts={'cpus': 16}) for name in ('h1', 'h2')]
    first = hosts[0].host
    places = {}
    for name, asked in (
        ('s1', samples.guest(2)),
        ('s2', Guest(2, 256)),
        ('s3', samples.guest(1, policy=None, pagesize_kib=2048)),
        ('s4', samples.guest(1, 1, 128)),
    ):
        places[name] = fit.place(first, asked)
        assert places[name], places[name]
        first = first.consume(places[name])
    new = fit.place(hosts[1].host, samples.guest(1, 2, 128))
    move = Move(RESIZE, 'finished', Side('h1', FLAVOR, places['s4']), Side('h2', FLAVOR, new), 'm4', 4, NOW)
    servers = [server(name, 'h1', places[name]) for name in ('s1', 's2', 's3')]
    servers.append(server('s4', 'h2', new, vm_state=RESIZED, move=move))
    servers.append(server('s5', None, Placement(Guest(2, 512))))
    return recounted(Fleet(tuple(hosts), tuple(servers), (FLAVOR,)))


def recounted(fleet: Fleet) -> Fleet:
    """Return a fleet whose hosts count what its servers hold."""
    hosts = []
    for record in fleet.hosts:
        host = Host(tuple([samples.idle(cell) for cell in record.host.cells]))
        for placement in held_on(record.name, fleet.servers):
            host = host.consume(placement)
        hosts.append(replace(record, host=host))
    return replace(fleet, hosts=tuple(hosts))


def seen(fleet: Fleet) -> tuple[Fleet, list[tuple[frozenset[str], tuple[Aggregate, ...]]]]:
    """Return what figures are made of, in which a fleet is the same with and without a list of its servers."""
    asked = candidates(fleet)
    known = replace(asked, servers=(), server_groups=(), unlisted=len(fleet.servers) + fleet.unlisted)
    return known, [(host.servers, host.aggregates) for host in asked.hosts]


def placed(
    fleet: Fleet, name: str = 'h1', *, forget: Collection[str] = (), more: Collection[str] = (), pcpus: int = 12
) -> Fleet:
    """Return a fleet with what placement knows of it.

    :param forget: consumers that have no allocation with the host of that name
    :param more: further ones that have one
    """
    found = []
    for record in fleet.hosts:
        here = {s.uuid for s in fleet.servers if s.host == record.name}
        moved = {s.move.uuid for s in fleet.servers if s.move and s.move.old.host == record.name}
        if record.name == name:
            here = here - set(forget) | set(more)
        amount = pcpus if record.name == name else 12
        held = {uuid: {'PCPU': 2} for uuid in sorted(here | moved)}
        found.append(Provider(record.name, record.uuid, {'PCPU': Inventory(amount)}, held))
    return replace(fleet, providers=tuple(found))


def with_server(fleet: Fleet, name: str, **changes: object) -> Fleet:
    """Return a fleet with a server changed; its hosts still count what it held before."""
    return replace(fleet, servers=tuple([replace(s, **changes) if s.name == name else s for s in fleet.servers]))


def with_cell(fleet: Fleet, name: str, number: int, **changes: object) -> Fleet:
    """Return a fleet with the usage or the shape of a host cell changed."""
    hosts = []
    for record in fleet.hosts:
        cells = list(record.host.cells)
        if record.name == name:
            shape = {key: value for key, value in changes.items() if hasattr(cells[number].shape, key)}
            usage = {key: value for key, value in changes.items() if key not in shape}
            cells[number] = replace(cells[number], shape=replace(cells[number].shape, **shape), **usage)
        hosts.append(replace(record, host=replace(record.host, cells=tuple(cells))))
    return replace(fleet, hosts=tuple(hosts))
