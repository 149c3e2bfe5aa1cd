# SPDX-License-Identifier: Apache-2.0
"""Put a fleet together from the databases that a nova.conf names."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from numaplace import exception
from numaplace.model.fleet import Fleet, Provider, Unread, in_aggregates, with_servers
from numaplace.novadb import api_database
from numaplace.novadb.cell import CellContent, read_cell
from numaplace.novadb.connections import snapshot, url_of_cell
from numaplace.novadb.occupants import with_totals
from numaplace.novadb.placement import Allocations, read_allocations, read_providers

__all__ = ['read']


def read(
    api: str,
    main: str | None = None,
    placement: str | None = None,
    *,
    default_zone: str = 'nova',
    lists_servers: bool = True,
) -> Fleet:
    """Read all cells of a Nova; one that does not answer is named, and the others are read.

    Each database is read in read-only transactions that see one moment each; nothing is written. That of placement is
    read before the cells and after them, so that servers that come and go meanwhile are no orphans.

    :param api: URL of the API database
    :param main: URL that fills in the templates of cell mappings
    :param placement: URL of placement's database, or None to leave it out
    :param default_zone: zone of hosts that are in no aggregate with one
    :param lists_servers: False for hosts with the UUIDs of their servers instead, which takes a fraction of the time. A
        server counts as one that cannot be read only if its row does not say what its hosts count
    :raises: :class:`~numaplace.exception.UnknownDatabase` if the API database cannot be read
    """
    before = _allocations(placement)
    with snapshot(api) as connection:
        cells = api_database.read_cells(connection)
        flavors = api_database.read_flavors(connection)
        aggregates = api_database.read_aggregates(connection)
        new = api_database.read_new_servers(connection)
    whole = CellContent()
    for cell in cells:
        try:
            with snapshot(url_of_cell(cell.url, main)) as connection:
                content = read_cell(connection, cell.name, datetime.now(UTC), lists_servers=lists_servers)
                _add(whole, cell.name, content)
        except exception.UnknownDatabase as error:
            whole.unread.append(Unread('cell.unreachable', 'cell_mappings', cell.name, str(error)))
    providers = _providers(placement, whole, before, new)
    if lists_servers:
        _add_request_specs(whole, api)
    known = [replace(record, availability_zone=default_zone) for record in whole.hosts]
    hosts = with_totals(in_aggregates(known, aggregates), whole.occupants)
    if not lists_servers:
        hosts = with_servers(hosts, [(one.uuid, share.host) for one in whole.occupants for share in one.shares])
    return Fleet(
        tuple(sorted(hosts, key=lambda record: record.name)),
        tuple(whole.servers),
        tuple(flavors),
        tuple(aggregates),
        tuple(providers),
        tuple(whole.unread),
        unlisted=0 if lists_servers else len(whole.occupants),
    )


def _add(whole: CellContent, cell: str, content: CellContent) -> None:
    """Add a cell; a host name that another cell has too is left out, with its servers, and named."""
    known = {record.name for record in whole.hosts}
    twice = {record.name for record in content.hosts if record.name in known}
    whole.unread += content.unread
    whole.unread += [
        Unread(
            'host.twice', f'{cell}: compute_nodes', name, f'another cell has it too; that of {cell} is left out', name
        )
        for name in sorted(twice)
    ]
    whole.hosts += [record for record in content.hosts if record.name not in twice]
    whole.servers += [server for server in content.servers if server.host not in twice]
    whole.occupants += [occupant for occupant in content.occupants if occupant.host not in twice]
    whole.nodes |= {uuid: name for uuid, name in content.nodes.items() if name not in twice}
    whole.moves |= content.moves


def _add_request_specs(whole: CellContent, api: str) -> None:
    """Add what the servers were requested with; read last, as it is there before its server is."""
    with snapshot(api) as connection:
        specs, unread = api_database.read_request_specs(connection, {server.uuid: server for server in whole.servers})
    whole.servers = [replace(server, request_spec=specs.get(server.uuid)) for server in whole.servers]
    whole.unread += unread


def _allocations(url: str | None) -> Allocations:
    if url is not None:
        with suppress(exception.UnknownDatabase), snapshot(url) as connection:  # it is read again later
            return read_allocations(connection)
    return {}


def _providers(url: str | None, whole: CellContent, before: Allocations, new: set[str]) -> list[Provider]:
    if url is None:
        return []
    known = {occupant.uuid for occupant in whole.occupants}
    known |= {occupant.move for occupant in whole.occupants if occupant.move is not None}
    others = ({row.server for row in whole.unread if row.server} | whole.moves | new) - known
    try:
        with snapshot(url) as connection:
            return read_providers(connection, whole.nodes, before, known, others)
    except exception.UnknownDatabase as error:
        whole.unread.append(Unread('cell.unreachable', 'placement_database', 'placement', str(error)))
        return []
