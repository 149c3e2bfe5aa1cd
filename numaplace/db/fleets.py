# SPDX-License-Identifier: Apache-2.0
"""A whole fleet from its rows, within a transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from sqlalchemy.engine import Connection

from numaplace.db import aggregates, flavors, hosts, rows, server_groups, servers
from numaplace.model.fleet import Fleet, Unread, in_aggregates, with_servers

__all__ = ['find']


def find(connection: Connection, *, lists_servers: bool) -> Fleet:
    """Return all hosts, servers and flavors, with what cannot be read.

    :param lists_servers: False for hosts with the UUIDs of their servers instead, which takes a fraction of the time:
        servers and server groups are in no list, and what an audit finds in the row of a host is not looked for. A
        server counts as one that cannot be read only if its row does not say where it is
    """
    unread_hosts: rows.Unread = {}
    unread_servers: rows.Unread = {}
    unread_flavors: rows.Unread = {}
    known = hosts.find_all(connection, unread=unread_hosts)
    kinds = flavors.find_all(connection, unread_flavors)
    joined_by = aggregates.find_all(connection)
    criteria = () if lists_servers else (servers.IS_STRAY,)
    listed, _ = servers.find_all(connection, *criteria, unread=unread_servers)
    places = server_groups.places(connection) if unread_servers or not lists_servers else {}
    unread = [
        *(
            Unread('row.unreadable', 'compute_nodes', name, rows.cause(fault), name)
            for name, fault in unread_hosts.items()
        ),
        *_unread_servers(unread_servers, places),
        *(Unread('row.unreadable', 'flavors', name, rows.cause(fault)) for name, fault in unread_flavors.items()),
    ]
    fleet = Fleet((), (), tuple(kinds), tuple(joined_by), unread=tuple(unread))
    if lists_servers:
        found = in_aggregates(hosts.checked(connection, known).values(), joined_by)
        groups = tuple(server_groups.find_all(connection))
        return replace(fleet, hosts=tuple(found), servers=tuple(listed), server_groups=groups)
    readable = {uuid: names for uuid, names in places.items() if uuid not in unread_servers}
    pairs = [(uuid, name) for uuid, names in readable.items() for name in names]
    found = with_servers(in_aggregates(known.values(), joined_by), pairs)
    return replace(fleet, hosts=tuple(found), unlisted=len(readable))


def _unread_servers(faults: rows.Unread, places: Mapping[str, Collection[str]]) -> Iterator[Unread]:
    """Yield the servers that cannot be read, on each host that they may hold something on."""
    for uuid, fault in faults.items():
        for name in sorted(places.get(uuid, ())) or (None,):
            yield Unread('row.unreadable', 'instances', uuid, rows.cause(fault), name, uuid)
