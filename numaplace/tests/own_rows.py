# SPDX-License-Identifier: Apache-2.0
"""Store a fleet in a database of numaplace as it is, whatever its hosts count."""

from __future__ import annotations

from dataclasses import replace

from numaplace.db import api, flavors, hosts, servers
from numaplace.model.fleet import Fleet

__all__ = ['store']


def store(database: api.Database, fleet: Fleet) -> None:
    """Fill an empty database; a server that has no host is left out."""
    with database._transaction() as connection:
        for flavor in fleet.flavors:
            flavors.insert(connection, flavor)
        for host in fleet.hosts:
            hosts.insert(connection, host)
        for server in fleet.servers:
            if server.host is None:
                continue
            stored = servers.insert(connection, replace(server, move=None))
            if server.move is not None:
                servers.replace(connection, stored, replace(stored, move=replace(server.move, number=None)))
