# SPDX-License-Identifier: Apache-2.0
"""What the rows of a database say, by plain SQL and JSON: it shares no code with what wrote them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import sqlalchemy as sa

__all__ = ['ENDED', 'NEW', 'OLD', 'OWN', 'Cell', 'Holding', 'Ledger', 'at', 'device_faults', 'plain', 'read']

#: As what a server holds something: as itself, or as one of both sides of a move.
OWN, OLD, NEW = 'own', 'old', 'new'
#: Status of the moves that hold nothing.
ENDED = ('confirmed', 'reverted', 'error', 'failed', 'completed', 'done', 'cancelled')


class Cell(NamedTuple):
    """What a server holds of a host cell; a CPU that two of its vCPUs have stands there twice."""

    host_cell: int
    cpus: tuple[int, ...]
    shared_vcpus: int
    memory_mib: int
    pagesize_kib: int


class Holding(NamedTuple):
    """What a server holds of a host."""

    server: str
    role: str
    host: str
    vcpus: int
    memory_mib: int
    cells: tuple[Cell, ...]
    devices: tuple[str, ...] = ()


class Ledger(NamedTuple):
    """All rows that matter: hosts by name, servers and their groups by UUID, and what is held."""

    hosts: dict[str, dict[str, Any]]
    servers: dict[str, dict[str, Any]]
    moves: list[dict[str, Any]]
    holdings: list[Holding]
    groups: dict[str, dict[str, Any]]

    def faults(self) -> list[str]:
        """Return where the usage of a host is not the sum of what is held, what is held twice, and broken policies."""
        found = []
        for name in self.hosts:
            held = [holding for holding in self.holdings if holding.host == name]
            found += _sum_faults(name, self.hosts[name], held)
            found += _double_faults(name, self.hosts[name], held)
            found += [f'{name}: {fault}' for fault in device_faults(self.hosts[name]['devices'], held)]
            found += _status_faults(name, self.hosts[name]['devices'], held)
        strangers = {holding.host for holding in self.holdings} - set(self.hosts)
        found += _group_faults(self)
        return found + [f'{host} is not there, but servers are on it' for host in strangers]


@contextmanager
def plain(url: str) -> Iterator[sa.Connection]:
    """Yield a connection that knows nothing of the product."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        yield connection


def read(connection: sa.Connection) -> Ledger:
    """Read all rows; nobody may write in the meantime."""
    hosts = {row['host']: _host(row) for row in _rows(connection, 'SELECT * FROM compute_nodes')}
    names = {row['id']: name for name, row in hosts.items()}
    for row in _rows(connection, 'SELECT * FROM pci_devices'):
        hosts[names[row['compute_node_id']]]['devices'][row['address']] = row
    servers = {row['uuid']: row for row in _rows(connection, 'SELECT * FROM instances')}
    for row in _rows(connection, 'SELECT * FROM instance_extra'):
        servers[row['instance_uuid']] |= {
            name: json.loads(row[name]) if row[name] else None
            for name in ('numa_topology', 'guest_details', 'migration_context', 'move_details')
        }
    moves = _rows(connection, 'SELECT * FROM migrations')
    under_way = {move['instance_uuid']: move for move in moves if move['status'] not in ENDED}
    holdings: list[Holding] = []
    for server in servers.values():
        holdings += _holdings(server, under_way.get(server['uuid']), hosts)
    groups = {row['uuid']: row for row in _rows(connection, 'SELECT * FROM server_groups')}
    return Ledger(hosts, servers, moves, holdings, groups)


def at(url: str) -> Ledger:
    """Read all rows of a database."""
    with plain(url) as connection:
        return read(connection)


def _holdings(
    server: dict[str, Any], move: dict[str, Any] | None, hosts: dict[str, dict[str, Any]]
) -> Iterator[Holding]:
    """Return what a server holds: both sides of its move, or its place, or nothing."""
    if move is not None:
        context = server['migration_context']['nova_object.data']
        details = server['move_details']['numaplace_object.data']
        for role, host in ((OLD, move['source_compute']), (NEW, move['dest_compute'])):
            side = details[role]['numaplace_object.data']
            sizes = side['vcpus'], side['memory_mib']
            begin = server['uuid'], role, host, *sizes
            yield _holding(begin, context[f'{role}_numa_topology'], side['guest'], hosts)
    elif server['host'] is not None:
        sizes = server['vcpus'], server['memory_mb']
        begin = server['uuid'], OWN, server['host'], *sizes
        yield _holding(begin, server['numa_topology'], server['guest_details'], hosts)


def _rows(connection: sa.Connection, query: str) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(sa.text(query)).mappings()]


def _data(text: str | None) -> list[dict[str, Any]]:
    cells = json.loads(text)['nova_object.data']['cells'] if text else []
    return [cell['nova_object.data'] for cell in cells]


def _host(row: dict[str, Any]) -> dict[str, Any]:
    cells = {cell['id']: cell for cell in _data(row['numa_topology'])}
    for cell in cells.values():
        cell['mempages'] = [pages['nova_object.data'] for pages in cell['mempages']]
    return row | {'cells': cells, 'devices': {}}


def _holding(
    begin: tuple[str, str, str, int, int],
    topology: dict[str, Any] | None,
    details: dict[str, Any] | None,
    hosts: dict[str, dict[str, Any]],
) -> Holding:
    cells = topology['nova_object.data']['cells'] if topology else []
    known = hosts.get(begin[2], {'cells': {}})['cells']
    devices = details['numaplace_object.data'].get('devices', []) if details else []
    addresses = sorted(device['numaplace_object.data']['address'] for device in devices)
    return Holding(*begin, tuple(_cell(cell['nova_object.data'], known) for cell in cells), tuple(addresses))


def _cell(cell: dict[str, Any], known: dict[int, dict[str, Any]]) -> Cell:
    cpus = [*(cell['cpu_pinning_raw'] or {}).values(), *(cell['cpuset_reserved'] or ())]
    host_cell = known[cell['id']]
    if cell['cpu_thread_policy'] == 'isolate':
        cpus += [cpu for core in host_cell['siblings'] if set(core) & set(cpus) for cpu in core if cpu not in cpus]
    size = cell['pagesize'] or min(pages['size_kb'] for pages in host_cell['mempages'])
    return Cell(cell['id'], tuple(sorted(cpus)), len(cell['cpuset']), cell['memory'], size)


def _sum_faults(name: str, host: dict[str, Any], held: list[Holding]) -> Iterator[str]:
    stored = {
        'vcpus': host['vcpus_used'],
        'memory': host['memory_mb_used'],
        'floating': host['floating_vcpus'],
    }
    expected = {
        'vcpus': sum(holding.vcpus for holding in held),
        'memory': sum(holding.memory_mib for holding in held),
        'floating': sum(holding.vcpus for holding in held if not holding.cells),
    }
    for number, cell in host['cells'].items():
        stored[number] = (
            sorted(cell['pinned_cpus']),
            cell['cpu_usage'],
            cell['memory_usage'],
            {pages['size_kb']: pages['used'] for pages in cell['mempages']},
        )
        expected[number] = _sum(cell, [part for holding in held for part in holding.cells if part.host_cell == number])
    for key, value in stored.items():
        if value != expected[key]:
            yield f'{name}: usage {key} is {value}, the sum is {expected[key]}'


def _sum(cell: dict[str, Any], parts: list[Cell]) -> tuple[list[int], int, int, dict[int, int]]:
    pages = {pages['size_kb']: 0 for pages in cell['mempages']}
    for part in parts:
        pages[part.pagesize_kib] += part.memory_mib * 1024 // part.pagesize_kib
    return (
        sorted({cpu for part in parts for cpu in part.cpus}),
        sum(part.shared_vcpus for part in parts),
        sum(part.memory_mib for part in parts),
        pages,
    )


def _double_faults(name: str, host: dict[str, Any], held: list[Holding]) -> Iterator[str]:
    parts = [part for holding in held for part in holding.cells]
    twice = [cpu for cpu, count in Counter(cpu for part in parts for cpu in part.cpus).items() if count > 1]
    if twice:
        yield f'{name}: CPUs {sorted(twice)} are handed out twice'
    for number, cell in host['cells'].items():
        foreign = {cpu for part in parts if part.host_cell == number for cpu in part.cpus} - set(cell['pcpuset'])
        if foreign:
            yield f'{name}: cell {number} has no CPUs {sorted(foreign)}, but servers hold them'
        smallest = min(pages['size_kb'] for pages in cell['mempages'])
        for pages in cell['mempages']:
            # Pages of the smallest size are ordinary memory, which may be overcommitted.
            if pages['size_kb'] != smallest and pages['used'] > pages['total'] - pages['reserved']:
                yield f'{name}: servers hold more pages of {pages["size_kb"]} KiB than cell {number} has'


def device_faults(known: dict[str, dict[str, Any]], held: list[Holding]) -> Iterator[str]:
    """Yield the devices that are handed out twice, as a PF and its VFs too, and those that the host does not have.

    :param known: rows of the devices of a host, by address
    :param held: there
    """
    counts = Counter(address for holding in held for address in holding.devices)
    if twice := sorted(address for address, count in counts.items() if count > 1):
        yield f'PCI devices {twice} are handed out twice'
    if foreign := sorted(counts.keys() - known.keys()):
        yield f'PCI devices {foreign} are not there, but servers hold them'
    parents = {known[address]['parent_addr'] for address in counts.keys() & known.keys()}
    if broken := sorted(parents & counts.keys()):
        yield f'PFs {broken} are handed out with their VFs'


def _status_faults(name: str, known: dict[str, dict[str, Any]], held: list[Holding]) -> Iterator[str]:
    owners = {address: holding.server for holding in held for address in holding.devices}
    parents = {row['parent_addr'] for address, row in known.items() if address in owners}
    for address, row in known.items():
        free = 'unclaimable' if row['parent_addr'] in owners else 'unavailable' if address in parents else 'available'
        expected = ('allocated' if address in owners else free, owners.get(address))
        if (row['status'], row['instance_uuid']) != expected:
            yield f'{name}: PCI device {address} is {row["status"]}, {row["instance_uuid"]}; it should be {expected}'


def _group_faults(ledger: Ledger) -> Iterator[str]:
    """Yield the groups whose members are not where their policy wants them; those in a move are on both hosts."""
    for uuid, group in ledger.groups.items():
        members: dict[str, set[str]] = {}
        for holding in ledger.holdings:
            if ledger.servers[holding.server]['server_group_uuid'] == uuid:
                members.setdefault(holding.server, set()).add(holding.host)
        if group['policy'] == 'affinity' and len(members) > 1 and len(set.union(*members.values())) > 1:
            yield f'affinity group {group["name"]} is on several hosts: {members}'
        if group['policy'] == 'anti-affinity':
            counts = Counter(host for hosts in members.values() for host in hosts)
            for host in (host for host, count in counts.items() if count > (group['max_server_per_host'] or 1)):
                yield f'{host} has too many members of anti-affinity group {group["name"]}: {members}'
