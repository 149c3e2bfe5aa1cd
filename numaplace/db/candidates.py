# SPDX-License-Identifier: Apache-2.0
"""Hosts that may take a guest, page by page in the order of a measure, within a transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from numaplace.db import aggregates, hosts, rows, server_groups
from numaplace.db.capacity import ORDERS
from numaplace.db.tables import HOSTS
from numaplace.model.fleet import in_aggregates, with_servers
from numaplace.model.grouping import Aggregate
from numaplace.model.records import HostRecord

__all__ = ['Candidate', 'Candidates', 'page', 'read']


class Candidate(NamedTuple):
    """A host by name, with its columns of :data:`numaplace.db.capacity.ORDERS`."""

    name: str
    orders: tuple[float, ...]


def page(
    needs: Mapping[str, float | str],
    order: str | None,
    after: Candidate | None,
    limit: int,
    *,
    is_reversed: bool = False,
) -> sa.Select[Any]:
    """Return the query for the next hosts that have what is needed.

    The indexes of the orders have all columns of it, and give the hosts in this order.

    :param needs: by column, a text or the least number
    :param order: the column to sort by, then by name; None to sort by name
    :param after: the last host of the page before
    :param is_reversed: the largest values come first, which takes a sort
    """
    name = HOSTS.c.host
    conditions = [
        HOSTS.c[column] == amount if isinstance(amount, str) else HOSTS.c[column] >= amount
        for column, amount in needs.items()
    ]
    query = sa.select(name, *(HOSTS.c[each] for each in ORDERS)).limit(limit)
    if order is None:
        return query.where(*conditions, *([] if after is None else [name > after.name])).order_by(name)
    key = HOSTS.c[order]
    if after is not None:
        last = after.orders[ORDERS.index(order)]
        is_behind, is_later = (key <= last, key < last) if is_reversed else (key >= last, key > last)
        # The first condition is where an index begins, which no server sees in the second one.
        conditions += [is_behind, sa.or_(is_later, name > after.name)]
    else:
        conditions.append(key <= 0)  # not those without a value
    return query.where(*conditions).order_by(key.desc() if is_reversed else key, name)


def read(connection: Connection, names: Iterable[str], unread: rows.Unread) -> dict[str, HostRecord]:
    """Return hosts with their aggregates, without other hosts of these, and the UUIDs of their servers, by name.

    :param names: at most as many as a query names; names without a host are left out
    :param unread: collects the hosts whose rows cannot be read, by name
    """
    wanted = list(names)
    found = hosts.find_all(connection, wanted, unread=unread).values()
    joined = in_aggregates(found, aggregates.find_all(connection, wanted))
    return {
        host.name: replace(host, aggregates=tuple([replace(each, hosts=()) for each in host.aggregates]))
        for host in with_servers(joined, server_groups.on_hosts(connection, wanted))
    }


class Candidates:
    """The hosts that have what is needed, as of the moment of a transaction.

    :param needs: as for :func:`page`
    """

    def __init__(self, connection: Connection, needs: Mapping[str, float | str]) -> None:
        self._connection, self._needs = connection, needs

    @cached_property
    def aggregates(self) -> list[Aggregate]:
        """All aggregates by name."""
        return aggregates.find_all(self._connection)

    def page(
        self, order: str | None, after: Candidate | None, limit: int, *, is_reversed: bool = False
    ) -> list[Candidate]:
        """Return the next hosts, as :func:`page`."""
        query = page(self._needs, order, after, limit, is_reversed=is_reversed)
        return [Candidate(name, tuple(orders)) for name, *orders in self._connection.execute(query)]

    def read(self, names: Iterable[str]) -> dict[str, HostRecord]:
        """Return hosts as :meth:`numaplace.db.api.Database.candidates`, by name; those that cannot be read are not."""
        return read(self._connection, names, {})
