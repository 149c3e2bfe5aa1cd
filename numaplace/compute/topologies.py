# SPDX-License-Identifier: Apache-2.0
"""Rewrite stored topologies that are in an old format."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from numaplace import exception
from numaplace.db import api
from numaplace.db.retry import retry

__all__ = ['Migrated', 'migrate']


@dataclass(frozen=True, slots=True)
class Migrated:
    """A row with a topology in an old format, or one that cannot be read.

    :param table: ``compute_nodes`` or ``instances``
    :param key: name of the host, or UUID of the server
    :param old_format: what is old in it; empty if it cannot be read
    :param fault: why it was not rewritten; empty if it was
    """

    table: str
    key: str
    old_format: str = ''
    fault: str = ''


def migrate(database: api.Database, *, dry_run: bool = False) -> Iterator[Migrated]:
    """Rewrite all rows with topologies in old formats, each in one transaction, and yield them as they are done.

    Nothing but the format changes; any other write of such a row does the same.

    :param dry_run: yield what would be rewritten
    """
    fleet = database.fleet()
    for unread in fleet.unread:
        yield Migrated(unread.place, unread.key, fault=unread.fault)
    old = [Migrated('compute_nodes', host.name, host.old_format) for host in fleet.hosts if host.old_format]
    old += [Migrated('instances', server.uuid, server.old_format) for server in fleet.servers if server.old_format]
    for row in old:
        yield row if dry_run else replace(row, fault=_rewrite(database, row))


def _rewrite(database: api.Database, row: Migrated) -> str:
    """Write a host or a server as it is, and return why that was not possible."""
    try:
        if row.table == 'compute_nodes':
            retry(lambda: database.change_host(row.key, lambda host, _servers: host, unread={}))
        else:
            retry(lambda: database.change_instance(row.key, lambda server, _hosts: server))
    except exception.NotFound:  # deleted in the meantime
        return ''
    except (exception.ConcurrentUpdate, exception.InvalidObject, exception.UsageInvalid) as error:
        return str(error)
    return ''
